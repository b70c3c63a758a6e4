#!/usr/bin/env bash
# Find uv, or install it from PyPI: onto the path where that is allowed, else into .tools beside the Makefile.
set -euo pipefail
version=$1
command -v uv >/dev/null 2>&1 && exit 0
here=$(cd "$(dirname "$0")/.." && pwd)
[ -x "$here/.tools/bin/uv" ] && exit 0
python=$(command -v python3.11 || command -v python3)
echo "Installing uv $version ..."
if "$python" -m venv "$here/.tools" >/dev/null 2>&1; then
    "$here/.tools/bin/pip" install --quiet --disable-pip-version-check "uv==$version"
else # a Debian python without its venv package
    rm -rf "$here/.tools"
    "$python" -m pip install --quiet --disable-pip-version-check --target "$here/.tools" "uv==$version"
fi
for place in /usr/local/bin "$HOME/.local/bin"; do
    case ":$PATH:" in *":$place:"*) ;; *) continue ;; esac
    if [ -d "$place" ] && [ -w "$place" ]; then
        ln -sf "$here/.tools/bin/uv" "$place/uv"
        exit 0
    fi
done
echo "uv is at $here/.tools/bin/uv: put that folder on your PATH to use 'uv run commonchart'."
