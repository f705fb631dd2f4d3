#!/bin/sh
# Build the function's package for template.yaml, deploy/aws/build/function, for Linux on arm64 and Python 3.13.
#
#   deploy/aws/build.sh [aarch64|x86_64]
#
# It installs only pinned wheels, each checked by its hash. Nothing is compiled, so any machine can build it. Needs pip >= 23.
set -eu

cd "$(dirname "$0")/../.."
machine=${1:-aarch64}
python=${PYTHON:-.venv/bin/python}
out=deploy/aws/build/function

rm -rf "$out"
mkdir -p "$out"
"$python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes \
    --only-binary :all: --implementation cp --python-version 3.13 \
    --platform "manylinux2014_$machine" --platform "manylinux_2_28_$machine" \
    --target "$out" -r requirements/aws.txt
cp -r src/flashguard "$out/flashguard"
# The pages are on the CDN; tests and stubs of libraries are left out.
rm -rf "$out/flashguard/web_export" "$out/bin"
find "$out" -name __pycache__ -type d -prune -exec rm -rf {} +
find "$out" -name tests -type d -prune -exec rm -rf {} +
find "$out" -name '*.pyi' -delete
# Lambda's file system is read-only: without this, every cold start compiles every module again.
"${LAMBDA_PYTHON:-python3.13}" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$out" 2>/dev/null || \
    echo "build.sh: no Python 3.13 here (LAMBDA_PYTHON): the function compiles its modules at each cold start" >&2

kilobytes=$(du -sk "$out" | cut -f1)
echo "build.sh: $out has $((kilobytes / 1024)) MiB (Lambda takes 250)"
[ "$kilobytes" -lt 256000 ]
if [ -f web/out/csp.json ]; then
    echo "build.sh: ScriptHashes=\"$("$python" -c '
import json, pathlib
print(" ".join(f"{chr(39)}{name}{chr(39)}" for name in json.loads(pathlib.Path("web/out/csp.json").read_text())["script_hashes"]))')\""
fi
