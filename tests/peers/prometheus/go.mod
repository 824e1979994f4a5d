module sluice-peers/prometheus

go 1.26

require github.com/prometheus/prometheus v0.314.0

replace cloud.google.com/go => cloud.google.com/go v0.123.0

tool (
	github.com/prometheus/prometheus/cmd/prometheus
	github.com/prometheus/prometheus/cmd/promtool
)
