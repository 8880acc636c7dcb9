#!/usr/bin/env bash
# Use the wheel, the sdist and an editable install, each in a new environment outside the clone. The wheel is
# the one that make built; the others are compiled quickly, since how fast kernels are is nothing seen here.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

environment() { # of a name, with what comes after it installed
    "$python" -m venv "$work/$1"
    "$work/$1/bin/python" -m pip install --quiet "${@:2}"
}

use() { # the package in the environment of a name
    (
        cd "$work"
        "$1/bin/python" -m pip check
        "$1/bin/lrplstm" info
        "$1/bin/lrplstm" predict "a fine film ."
        rm -f out.*
        "$1/bin/lrplstm" explain --html out.html --png out.png --json out.json \
            "neither charming nor exciting nor remotely well-lit ."
        test -s out.html && test -s out.png && test -s out.json
        "$1/bin/python" - <<'PYTHON'
import sys
import lrplstm

assert not {"torch", "matplotlib"} & set(sys.modules)
assert len(lrplstm.sample_sentences()) == 264
model = lrplstm.load_default()
attribution = lrplstm.lrp(model, "a fine film .".split(), bias_factor=1.0)
assert abs(attribution.delta) < 1e-4, attribution.delta
print(lrplstm.__version__, lrplstm.__file__)
PYTHON
    )
}

wheel=$(echo build/wheel/*.whl)
echo "-- $(basename "$wheel"), $(stat -c %s "$wheel") bytes"
environment wheel "$wheel"
use wheel

environment sdist build
"$work/sdist/bin/python" -m build --sdist --outdir "$work/dist" . > "$work/build.log" 2>&1 ||
    { cat "$work/build.log" >&2; exit 1; }
sdist=$(echo "$work"/dist/*.tar.gz)
echo "-- $(basename "$sdist"), $(stat -c %s "$sdist") bytes"
export LRPLSTM_UNOPTIMIZED=1
"$work/sdist/bin/python" -m pip install --quiet "$sdist"
use sdist

echo "-- editable, from what is in the sdist"
tar --extract --gzip --file "$sdist" --directory "$work"
source=$work/$(basename "$sdist" .tar.gz)
LRPLSTM_BUILDS=baseline "$work/sdist/bin/python" -m pip install --quiet --no-deps --editable "$source"
LRPLSTM_INSTRUCTION_SET=baseline use sdist | tee "$work/editable.log"
grep --quiet --fixed-strings "$source" "$work/editable.log"
