#!/usr/bin/env bash
# Everything there is to check and measure on a GPU: the engine against the reference, under compute-sanitizer, and timed.
#
#   tests/gpu.sh FOLDER [MODEL POSITIONS]
#
# writes FOLDER/gpu.json and FOLDER/gpu.txt. Programs already built are taken from FSN_GPU_TEST and FSN_CUDA_BENCH;
# FSN_BENCH_WORDS are passed to the benchmark ("variants large").
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
out=${1:?usage: tests/gpu.sh FOLDER [MODEL POSITIONS]}
mkdir -p "$out"
model=${2:-} positions=${3:-}

built() { # what cargo says of a program's path
    cargo "$@" --no-run --message-format=json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -1
}
test=${FSN_GPU_TEST:-$(built test --test gpu)}
bench=${FSN_CUDA_BENCH:-$(built bench --bench cuda)}
failed=0

say() { # name, status
    echo "{\"check\": \"$1\", \"passed\": $([[ $2 == 0 ]] && echo true || echo false)}" >>"$out/lines"
    [[ $2 == 0 ]] || failed=1
}

: >"$out/lines"
"$test" --test-threads=4 --nocapture >"$out/test.log" 2>&1
say comparison $?
tail -3 "$out/test.log"
if command -v compute-sanitizer >/dev/null; then
    for tool in ${FSN_SANITIZERS-memcheck racecheck}; do
        FSN_NETWORKS=2 timeout 240 compute-sanitizer --tool "$tool" --error-exitcode 1 "$test" --test-threads=1 \
            >"$out/$tool.log" 2>&1
        say "$tool" $?
        tail -2 "$out/$tool.log"
    done
else
    echo "skipped: compute-sanitizer is not installed"
fi
if command -v nvcc >/dev/null && nvcc -O3 -arch=native benches/cuda_floors.cu -o "$out/floors"; then
    "$out/floors" | tee -a "$out/lines"
    rm -f "$out/floors"
fi
if [[ -n $model ]]; then
    # shellcheck disable=SC2086 # several words
    timeout 420 "$bench" "$model" "$positions" ${FSN_BENCH_WORDS:-} >"$out/bench.log" 2>&1
    say benchmark $?
    grep '^{' "$out/bench.log" >>"$out/lines"
    grep -v '^{' "$out/bench.log"
fi
python3 - "$out" <<'PYTHON'
import json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
rows = [json.loads(line) for line in (folder / "lines").read_text().splitlines()]
(folder / "gpu.json").write_text(json.dumps(rows, indent=1))
table = []
for row in rows:
    if "case" not in row:
        table.append(" ".join(f"{key} {value}" for key, value in row.items()))
        continue
    heads = ["case", "what", "intervals", "call_ms", "least_ms", "most_ms", "kernels_ms", "megabytes"]
    parts = {key: value for key, value in row.items() if key not in [*heads, "first_ms"]}
    table.append("  ".join(f"{row[key]}" for key in heads) + "  | " + " ".join(f"{k} {v}" for k, v in parts.items()))
(folder / "gpu.txt").write_text("\n".join(table) + "\n")
print("\n".join(table))
PYTHON
rm -f "$out/lines"
exit $failed
