module sluice-peers/victoriametrics

go 1.26

require github.com/VictoriaMetrics/VictoriaMetrics v1.150.0

tool (
	github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics
	github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent
)
