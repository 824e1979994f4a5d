#!/usr/bin/env bash
# Real clients and real backends around the collector, then the Go Collector in its place. Before that, configurations
# that both validate (mutations.py). Prints `N passed, M failed`.
# SLUICE_BIN names the binary; without it the development build is made and used. Peers come from tests/peers/install.sh; one that
# is missing skips what needs it, or fails the run where CI=true. Names of parts (PARTS in interop.py) run only these.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
if [ -z "${SLUICE_BIN:-}" ]; then
  (cd "$root" && cargo build -p sluice)
  SLUICE_BIN=${CARGO_TARGET_DIR:-$root/target}/debug/sluice
fi
export SLUICE_BIN
status=0
[ $# -gt 0 ] || python3 "$here/mutations.py" || status=1
# The peers' Python has the definitions of OTLP.
peers=${SLUICE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-peers}
python=$peers/venv/bin/python
[ -x "$python" ] || python=python3
"$python" "$here/interop.py" "$@" || status=1
exit $status
