#!/usr/bin/env bash
# Build the wheel into build/wheel, and say what is done meanwhile, which takes a minute or two.
set -euo pipefail
cd "$(dirname "$0")/.."

# build/lib would keep modules that are gone from the source.
rm -rf build/lib* build/wheel
mkdir -p build/wheel
"${PYTHON:-python3}" -m pip wheel --verbose --no-build-isolation --no-deps --wheel-dir build/wheel . 2>&1 |
    tee build/wheel.log | sed --unbuffered --quiet 's/^ *lrplstm: //p' ||
    { cat build/wheel.log >&2; exit 1; }
