#!/usr/bin/env bash
# Measures Sluice against a bare relay and its peers, and prints CPU time per item and ratios.
#
#   benches/run.sh                          all scenarios
#   benches/run.sh spans-forward spans-chain  only these (folders of benches/scenarios)
#   benches/run.sh --smoke                  2 s each at a low rate: shows that all parts work, measures nothing
#
# Other arguments go to the rig; `--help` lists them. Sluice is built in release; SLUICE_BENCH_PROFILE=quick builds it
# without link-time optimisation, in a fraction of the time. Peers come from the cache that tests/peers/install.sh fills;
# one that is missing is installed if its toolchain is there, else it is left out and said so. --smoke installs nothing.
set -eu
cd "$(dirname "$0")/.."
profile=${SLUICE_BENCH_PROFILE:-release}
peers=${SLUICE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-peers}

smoke=false
for argument in "$@"; do [ "$argument" != --smoke ] || smoke=true; done

cargo build --profile "$profile" -p sluice
cargo build --profile quick -p sluice-benches

if ! $smoke; then
  wanted=()
  [ -x "$peers/bin/otelcol" ] || wanted+=(otelcol)
  [ -x "$peers/bin/vmagent" ] || wanted+=(victoriametrics)
  [ -x "$peers/bin/prometheus" ] || wanted+=(prometheus)
  if [ ${#wanted[@]} -gt 0 ] && command -v go >/dev/null; then
    tests/peers/install.sh "${wanted[@]}" || echo "run.sh: some peers could not be installed; they are left out" >&2
  fi
fi

exec target/quick/rig --sluice "target/$profile/sluice" "$@"
