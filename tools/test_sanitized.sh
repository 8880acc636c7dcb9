#!/usr/bin/env bash
# Run the tests of the kernels with AddressSanitizer and UndefinedBehaviorSanitizer, with each build that there
# is, the fastest first. Needs the package built with LRPLSTM_SANITIZE=1 in PYTHONPATH.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

# Python itself is built without them, so their libraries must be there before it starts.
preload=
for name in asan ubsan; do
    library=$(${CC:-gcc} -print-file-name="lib$name.so")
    [ -e "$library" ] || { echo "lib$name.so is missing; on Debian: apt-get install gcc" >&2; exit 1; }
    preload="$preload $library"
done

# Python and its modules keep memory until the process ends: that is no leak of the kernels.
export ASAN_OPTIONS=detect_leaks=0
export UBSAN_OPTIONS=print_stacktrace=1
# Python's own allocator, which has no gaps between its blocks, would hide what runs over their ends.
# NumPy's cache of blocks below 1 KiB cannot be switched off, but it hands out blocks of exactly the
# size that was asked for, each with its gaps: it hides use of small arrays after they are freed, no
# overruns. Of these, only the slack for alignment could hide some, and sanitized kernels have none.
export PYTHONMALLOC=malloc

run() { LD_PRELOAD=$preload "$python" "$@"; }

builds='
from importlib.util import find_spec
from lrplstm.backends.choose import INSTRUCTION_SETS
for name, module in INSTRUCTION_SETS.items():
    if find_spec(f"lrplstm.{module}"):
        print(name, find_spec(f"lrplstm.{module}").origin)
'
builds=$(run -c "$builds")
# Without the tests that run the reference alone. Reports are written to file descriptor 2, which
# pytest must leave alone: a process that is stopped prints nothing of what was captured.
# Methods that run many copies use the same kernels over and over; tests of their own are enough.
copies="(test_methods.py or test_heads.py) and "
copies+="(occlusion or integrated_gradients or contextual_decomposition)"
tests=(
    tests/test_kernels.py tests/test_shapes.py tests/test_golden.py tests/test_heads.py
    tests/test_methods.py tests/test_product_rules.py tests/test_perturbation.py
    tests/test_decomposition.py
)
while read -r set file; do
    echo "-- $set"
    grep -q __asan_report "$file" || { echo "$file is built without LRPLSTM_SANITIZE=1" >&2; exit 1; }
    LRPLSTM_INSTRUCTION_SET=$set run -m pytest -q -p no:cacheprovider --capture=sys \
        -n "${WORKERS:-auto}" --dist worksteal --max-worker-restart=0 \
        -k "not [reference and not -reference and not ($copies)" \
        "${tests[@]}" < /dev/null
    # Of the other builds, which are the same source, what depends on how wide vectors are.
    tests=(tests/test_kernels.py tests/test_shapes.py tests/test_golden.py tests/test_heads.py)
done < <(tac <<< "$builds")
