#!/usr/bin/env bash
# Everything that needs a GPU, in less than ten minutes: tests, benchmarks, and two trainings whose images you can check.
#
#   scripts/gpu_bench.sh IMAGES MNIST OUT       a folder of images, a folder with MNIST, a folder for the results
#   MINUTES=2 PYTHON=python3 scripts/gpu_bench.sh ...   minutes per training (default 1.5); another Python than .venv's
#   QUICK=1 scripts/gpu_bench.sh ...            a short version of two minutes, on the CPU if there is no GPU
set -euo pipefail
[ $# = 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
images=$(realpath "$1") mnist=$(realpath "$2")
mkdir -p "$3"
out=$(realpath "$3")
cd "$(dirname "$0")/.."
python=${PYTHON:-$PWD/.venv/bin/python}
length=(minutes="${MINUTES:-1.5}" kimg=1000000) size=() quick=()
if [ "${QUICK:-}" ]; then
    length=(kimg=0.256) size=(network.width=4 batch_size=32) quick=(--quick)
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} TRACES=$out/traces GANRUN_CACHE=${GANRUN_CACHE:-$out/cache} CUBLAS_WORKSPACE_CONFIG=:4096:8

train() {  # name of the run, settings
    "$python" -m ganrun train "${@:2}" "${length[@]}" "${size[@]}" folder="$out/$1" | tee "$out/$1.txt"
}

failed=0
"$python" -m pytest -q -m gpu -p no:cacheprovider tests | tee "$out/tests.txt" || failed=1
"$python" scripts/bench.py gpu "${quick[@]}" | tee "$out/figures.txt"
[ "${QUICK:-}" ] || cp benchmarks/gpu.json "$out"
train images model=dcgan data=folder data.size=64 data.root="$images" batch_size=64 metrics=none
train mnist model=cgan data=mnist data.root="$mnist"
[ $failed = 0 ] || echo "Some tests failed: $out/tests.txt" >&2
echo "Look at the images in $out/images/samples and $out/mnist/samples."
exit $failed
