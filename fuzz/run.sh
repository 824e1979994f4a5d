#!/bin/sh
# Fuzzes every target, or the ones named, for some seconds each: fuzz/run.sh [seconds] [target...]
# Needs only stable Rust and a C++ compiler. Fails on the first crash, whose input is left in fuzz/artifacts/.
# Findings that are worth keeping go into fuzz/corpus/<target>/ under a name that says what they are.
set -eu
cd "$(dirname "$0")"

seconds=20
case "${1:-}" in
'' | *[!0-9]*) ;;
*)
    seconds=$1
    shift
    ;;
esac
[ $# -gt 0 ] || set -- $(sed -n 's|^path = "fuzz_targets/\(.*\)\.rs"|\1|p' Cargo.toml)

host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz passes, without the sanitizer, which needs nightly: there is no unsafe code to watch.
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1"
# A target for the flags, so that build scripts and macros are not instrumented.
cargo build --quiet --release --target "$host" $(printf -- '--bin %s ' "$@")

for target in "$@"; do
    found=target/corpus/$target
    log=target/$target.log
    mkdir -p "$found" "artifacts/$target"
    if ! "target/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 \
        -print_final_stats=1 -artifact_prefix="artifacts/$target/" "$found" "corpus/$target" >"$log" 2>&1; then
        tail -n 40 "$log"
        echo "$target: CRASH" >&2
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.*\(cov: [0-9]* ft: [0-9]*\).*/\1/p' "$log" | tail -n 1)
    echo "$target: $runs runs in ${seconds}s, $coverage"
done
