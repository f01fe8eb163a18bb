#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# run.sh SECONDS [TARGET…]: builds the fuzz targets with clang, libFuzzer, address and undefined
# behaviour sanitizers in build-fuzz, and runs each so long. New inputs are kept in
# build-fuzz/found/TARGET; a crash ends with 1 and names its file. JOBS=N runs N at once (1).
set -eu
seconds=${1:?usage: run.sh SECONDS [TARGET…]}
shift
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=$top/build-fuzz
[ -d "$build" ] || CC=clang meson setup "$build" "$top" -Dfuzz=true \
    -Db_sanitize=address,undefined -Db_lundef=false -Dc_args=-fsanitize=fuzzer-no-link
if [ $# -eq 0 ]; then
    for file in "$here"/fuzz-*.c; do
        name=${file##*/fuzz-}
        set -- "$@" "${name%.c}"
    done
fi
programs=
for name in "$@"; do
    programs="$programs tests/fuzz/fuzz-$name"
done
# shellcheck disable=SC2086 # the names have no spaces
ninja -C "$build" $programs

one() {
    found=$build/found/$1
    mkdir -p "$found"
    dict=
    [ -f "$here/$1.dict" ] && dict="-dict=$here/$1.dict"
    args= asan=
    if [ "$1" = store-state ]; then # each input opens stores: what libFuzzer and ASan do beside it counts
        args="-entropic=0 -detect_leaks=0" # the replay under ASan looks for leaks
        asan=quarantine_size_mb=4:malloc_context_size=4
    fi
    echo "== $1: $seconds s"
    # shellcheck disable=SC2086
    ASAN_OPTIONS=$asan UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
        "$build/tests/fuzz/fuzz-$1" $dict $args \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 \
        -artifact_prefix="$found-crash-" "$found" "$here/corpus/$1" >"$found.log" 2>&1 || {
        tail -n 30 "$found.log"
        echo "== $1: FAILED, see $found.log"
        return 1
    }
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "$found.log" || true
}

failed=0
running=0
pids=
for name in "$@"; do
    one "$name" &
    pids="$pids $!"
    running=$((running + 1))
    if [ "$running" -ge "${JOBS:-1}" ]; then
        for pid in $pids; do
            wait "$pid" || failed=1
        done
        pids=
        running=0
    fi
done
for pid in $pids; do
    wait "$pid" || failed=1
done
exit $failed
