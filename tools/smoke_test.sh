#!/usr/bin/env bash
# Build sdist and wheel, install each in an empty environment outside the clone, and use it there.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

rm -rf build/lib*
"$python" -m venv "$work/build"
"$work/build/bin/python" -m pip install --quiet build
# From the sdist, so that a file that the sdist lacks is missed here.
"$work/build/bin/python" -m build --outdir "$work/dist" . > "$work/build.log" 2>&1 ||
    { cat "$work/build.log" >&2; exit 1; }

for archive in "$work"/dist/*.whl "$work"/dist/*.tar.gz; do
    echo "-- $(basename "$archive"), $(stat -c %s "$archive") bytes"
    environment=$work/env-${archive##*.}
    "$python" -m venv "$environment"
    "$environment/bin/python" -m pip install --quiet "$archive"
    (
        cd "$work"
        "$environment/bin/lrplstm" info
        "$environment/bin/lrplstm" predict "a fine film ."
        "$environment/bin/lrplstm" explain --html out.html --png out.png --json out.json \
            "neither charming nor exciting nor remotely well-lit ."
        test -s out.html && test -s out.png && test -s out.json
        "$environment/bin/python" - <<'PYTHON'
import sys
import lrplstm

assert not {"torch", "matplotlib"} & set(sys.modules)
model = lrplstm.load_default()
attribution = lrplstm.lrp(model, "a fine film .".split(), bias_factor=1.0)
assert abs(attribution.delta) < 1e-4, attribution.delta
print(lrplstm.__version__, lrplstm.__file__)
PYTHON
    )
done
