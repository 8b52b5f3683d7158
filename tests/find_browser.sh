#!/bin/sh
# Prints the path of a Chrome or Chromium that starts; installs one where none does. Everything else goes to stderr.
set -u
cd "$(dirname "$0")/.."

works() {
    # a path alone proves nothing: on some systems chromium-browser only says how to install it
    [ -n "$1" ] && "$1" --version >/dev/null 2>&1
}

installed() {
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        path=$(command -v "$name") && works "$path" && echo "$path" && return
    done
    return 1
}

playwrights() {
    path=$(.venv/bin/python - <<'PYTHON'
from playwright.sync_api import sync_playwright

with sync_playwright() as p:
    print(p.chromium.executable_path)
PYTHON
    ) && works "$path" && echo "$path"
}

if [ -n "${LAB_BROWSER:-}" ]; then
    works "$LAB_BROWSER" && echo "$LAB_BROWSER" && exit
    echo "error: LAB_BROWSER: $LAB_BROWSER does not start; name a Chrome or Chromium, or unset it" >&2
    exit 1
fi

installed || playwrights && exit

echo "no Chrome or Chromium found: installing one for the browser test" >&2
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >&2 && apt-get install -y -q --no-install-recommends chromium >&2 && installed && exit
fi
.venv/bin/playwright install chromium >&2 && playwrights && exit

echo "error: no Chrome or Chromium could be installed. Install one and run make test again, on Debian and Ubuntu:" >&2
echo "    sudo apt-get install chromium" >&2
echo "or name one that is installed elsewhere: LAB_BROWSER=/path/to/chrome make test" >&2
exit 1
