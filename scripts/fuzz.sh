#!/usr/bin/env bash
# Fuzz what reads files of others for SECONDS each. With clang, libFuzzer; else the same targets with random changes
# under gcc's sanitizers. Then the readers in Python under Atheris (pip install 'atheris>=3'), or without it with new
# random examples. libFuzzer and Atheris count processor time, the others the clock. New inputs go to out/fuzz.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${SECONDS_EACH:-60}
[[ $seconds =~ ^[1-9][0-9]{0,5}$ ]] || { echo "SECONDS is '$seconds'; it takes a number of seconds from 1" >&2; exit 2; }
native=targets/runtime/native library=targets/runtime/libedgec serve=targets/runtime/serve
here=tests/fuzz
mkdir -p out/fuzz
failed=0 # after a finding the other readers have their turn
clang=$(command -v clang || command -v clang-14 || true)

fuzzed() { # PROGRAM...: until it has had its seconds of processor time, which take longer by the clock on a busy machine
    local spent=0 inputs=0
    while [ "$spent" -lt "$seconds" ]; do
        { TIMEFORMAT='%U %S'; time "$@" -max_total_time=$((seconds - spent)) >out/fuzz/target.log 2>&1 </dev/null; } 2>out/fuzz/taken ||
            { tail -40 out/fuzz/target.log; failed=1; return; } # a finding, or a fuzzer that did not run
        inputs=$((inputs + $(sed -n 's/^stat::number_of_executed_units: *//p' out/fuzz/target.log)))
        spent=$(awk -v spent="$spent" '{ print int(spent + $1 + $2 + 0.99) }' out/fuzz/taken)
    done
    echo "$inputs inputs in $spent s of processor time, $(grep -ao 'cov: [0-9]*' out/fuzz/target.log | tail -1)"
}

target() { # NAME "CORPORA" SOURCES...
    local name=$1 corpora=$2; shift 2
    local folders=(); for one in $corpora; do folders+=("$here/corpus/$one"); done
    mkdir -p "out/fuzz/$name"
    echo "== $name: $seconds s"
    if [ -n "$clang" ]; then
        "$clang" -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -pthread -I$native -I$library -I$serve "$@" -lm -o "out/fuzz/$name.bin"
        fuzzed "out/fuzz/$name.bin" -max_len=8192 -rss_limit_mb=1024 -print_final_stats=1 \
            -artifact_prefix="out/fuzz/$name-" "out/fuzz/$name" "${folders[@]}"
    else
        gcc -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -pthread -I$native $here/mutate.c "$@" -o "out/fuzz/$name.bin"
        local end=$((SECONDS + seconds)) seed=0
        while [ $SECONDS -lt $end ]; do
            seed=$((seed + 1)); SEED=$seed RUNS=2000 "out/fuzz/$name.bin" $(printf '%s/* ' "${folders[@]}") >/dev/null
        done
        echo "$seed rounds of 2000 changes of each file"
    fi
}

target png "png inflate" $here/png_target.c $native/{png,png_pixels,inflate,exif}.c
target jpeg "jpeg" $here/jpeg_target.c $native/{jpeg,jpeg_bits,jpeg_scan,jpeg_inverse,jpeg_pixels,exif}.c
target footer "footer" $here/footer_target.c $native/{engine_file,executor,footer,workers}.c
target serve "serve" $here/serve_target.c $(find $serve -name '*.c' ! -name serve.c) \
    $library/{context,network,failure,frame,json}.c $native/{executor,workers,fit,resize}.c
if .venv/bin/python -c 'import atheris' 2>/dev/null; then # led by what the code does with an input
    .venv/bin/python -m tests.fuzz.fuzz_readers "$seconds" out/fuzz 2>out/fuzz/readers.log || failed=1
    exit $failed
fi
echo "== readers in Python: $seconds s"
end=$((SECONDS + seconds)) rounds=0
while [ $SECONDS -lt $end ]; do
    .venv/bin/python -m pytest -q -p no:cacheprovider --hypothesis-profile=search $here/test_readers.py >out/fuzz/readers.log ||
        { tail -40 out/fuzz/readers.log; exit 1; }
    rounds=$((rounds + 1))
done
echo "$rounds rounds of all readers"
exit $failed
