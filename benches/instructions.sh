#!/usr/bin/env bash
# Instructions per item of the pass and its yardsticks (benches/benches/pass), counted by valgrind: the same on every run,
# whatever else the machine does. Not time: a cache miss counts nothing and a vector instruction one.
#
#   benches/instructions.sh              all cases
#   benches/instructions.sh spans logs/pass-chain   those whose name holds one of these words
#
# SLUICE_BENCH_PROFILE=quick builds without link-time optimisation.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "instructions.sh: valgrind is not installed" >&2; exit 1; }
profile=${SLUICE_BENCH_PROFILE:-bench}
items=1000 # of a request
few=8      # each of the bodies once: what is made on first use is made
many=24

program=$(cargo bench -q --profile "$profile" -p sluice-benches --bench pass --no-run --message-format json |
  sed -n 's/.*"executable":"\([^"]*\/pass-[^"]*\)".*/\1/p' | tail -1)

# $1: case, $2: times
count() {
  valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$program" --only "$1" --times "$2" 2>&1 |
    sed -n 's/.*I *refs: *//p' | tr -d ,
}

printf '| case | instructions an item |\n|---|---:|\n'
"$program" --list | while read -r case; do
  wanted=true
  for word in "$@"; do
    wanted=false
    case $case in *"$word"*) wanted=true && break ;; esac
  done
  $wanted || continue
  printf '| %s | %d |\n' "$case" $((($(count "$case" $many) - $(count "$case" $few)) / ((many - few) * items)))
done
