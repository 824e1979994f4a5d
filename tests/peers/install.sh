#!/usr/bin/env bash
# Installs the real clients and backends that the interop tests and the benchmarks run against, into a cache outside the
# tree. Each part is installed once; a part that is there already is left alone. Prints what is missing at the end and
# exits non-zero if anything is.
#
#   tests/peers/install.sh            all parts
#   tests/peers/install.sh otelcol    only the named ones: otelcol otelcol-otlp telemetrygen go-client examples prometheus
#                                     victoriametrics python node h2spec, and otelcol-sampling, which only comparisons by hand need
set -u
here=$(cd "$(dirname "$0")" && pwd)
peers=${SLUICE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-peers}
mkdir -p "$peers/bin" "$peers/log"
export GOBIN="$peers/bin" GOFLAGS=-trimpath CGO_ENABLED=0
parts=("$@"); [ ${#parts[@]} -gt 0 ] || parts=(python node telemetrygen go-client examples prometheus victoriametrics otelcol otelcol-otlp h2spec)
missing=()

have() { [ -e "$peers/$1" ]; }

python() {
  have venv/.ready && return
  python3 -m venv "$peers/venv" &&
    "$peers/venv/bin/pip" install -q -r "$here/python/requirements.txt" && touch "$peers/venv/.ready"
}
node() {
  have node/.ready && return
  mkdir -p "$peers/node" && cp "$here/node/package.json" "$peers/node/" &&
    (cd "$peers/node" && npm install --no-audit --no-fund --silent) && touch "$peers/node/.ready"
}
telemetrygen() {
  have bin/telemetrygen || go install github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen@v0.160.0
}
# The client of the Go SDK (tests/interop/clients/go); built again when it has changed.
go-client() {
  local source=$here/../interop/clients/go
  have bin/go-client && diff -q -r "$source" "$peers/src/go-client" && return
  rm -rf "$peers/src/go-client" && cp -r "$source" "$peers/src/go-client" &&
    (cd "$peers/src/go-client" && go build -o "$peers/bin/go-client" .)
}
# The example files of the OTLP definitions.
examples() {
  have examples/.ready && return
  local module
  module=$(cd "$peers" && go mod download -json github.com/open-telemetry/opentelemetry-proto@v1.10.0 |
    sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') &&
    mkdir -p "$peers/examples" && cp "$module"/examples/*.json "$peers/examples/" && touch "$peers/examples/.ready"
}
# Conformance of HTTP/2. Its releases since then are no Go modules.
h2spec() {
  have bin/h2spec || go install github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible
}
# Modules with `replace` lines cannot be installed by path@version; a wrapper module repeats those lines.
wrapper() {
  local name=$1; shift
  rm -rf "$peers/src/$name" && mkdir -p "$peers/src/$name" && cp "$here/$name/go.mod" "$peers/src/$name/" &&
    (cd "$peers/src/$name" && go mod tidy && go install "$@")
}
prometheus() {
  have bin/prometheus && have bin/promtool && return
  wrapper prometheus -tags remove_all_sd,enable_file_sd,enable_http_sd \
    github.com/prometheus/prometheus/cmd/prometheus github.com/prometheus/prometheus/cmd/promtool
}
victoriametrics() {
  have bin/victoria-metrics && have bin/vmagent && return
  wrapper victoriametrics github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics \
    github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent
}
# Builds a Go Collector of this name from a manifest.
collector() {
  local name=$1 manifest=$2
  have "bin/$name" && return
  have bin/builder || go install go.opentelemetry.io/collector/cmd/builder@v0.159.0 || return
  rm -rf "$peers/src/$name" && mkdir -p "$peers/src/$name" && cp "$here/otelcol/$manifest" "$peers/src/$name/" &&
    (cd "$peers/src/$name" && "$peers/bin/builder" --config "$manifest") &&
    cp "$peers/src/$name/_build/$name" "$peers/bin/$name"
}
otelcol() { collector otelcol manifest.yaml; }
otelcol-otlp() { collector otelcol-otlp otlp.yaml; }
# Not among the parts that are installed by default.
otelcol-sampling() { collector otelcol-sampling sampling.yaml; }

for part in "${parts[@]}"; do
  start=$SECONDS
  if "$part" >"$peers/log/$part.log" 2>&1; then
    echo "peer $part: ready ($((SECONDS - start)) s)"
  else
    echo "peer $part: MISSING, see $peers/log/$part.log"; missing+=("$part")
  fi
done
[ ${#missing[@]} -eq 0 ]
