#!/usr/bin/env bash
# Sees to what tests need and pip cannot give: scripts/need.sh venv|npm|browser ...
#
# What is there is left alone. What is missing is installed where that is possible: by apt-get as
# root on Debian, a browser also by Playwright, whose driver needs libatomic1. Otherwise one line says
# what is missing, and the tests that need it are skipped; with CI=true that is a failure.
# For `venv`, PYTHON names the interpreter that is to make the environment.
set -euo pipefail
cd "$(dirname "$0")/.."

python=.venv/bin/python
failed=0

install_package() {
    [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
    echo "installing $* with apt-get"
    local log
    log=$(mktemp)
    if { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 20 "$log" >&2
        rm -f "$log"
        echo "apt-get could not install $*; its last lines are above" >&2
        return 1
    fi
}

download_browser() {
    [[ -x $python ]] || return 1
    echo "downloading a browser with Playwright"
    local log
    log=$(mktemp)
    if timeout --kill-after=5 60 "$python" -m playwright install chromium >"$log" 2>&1; then
        rm -f "$log"
    else
        tail -n 5 "$log" >&2
        rm -f "$log"
        return 1
    fi
}

has_venv() { "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || "${PYTHON:-python3}" -m pip --version >/dev/null 2>&1; }
has_npm() { command -v npm >/dev/null; }
has_browser() { "$python" -m harness.chromium >/dev/null 2>&1; }

missing() {
    if [[ ${CI:-} == true ]]; then
        echo "$1 is missing and could not be installed here; with CI=true that is a failure" >&2
        failed=1
    else
        echo "$1 is missing and could not be installed here: $2" >&2
    fi
}

for tool in "$@"; do
    case $tool in
        venv) has_venv || { install_package python3-venv && has_venv; } || missing python3-venv "make will try without it" ;;
        npm) has_npm || { install_package nodejs npm && has_npm; } || missing npm "tests of Node clients are skipped" ;;
        browser)
            has_browser || { install_package chromium-headless-shell libatomic1 && has_browser; } ||
                { install_package chromium libatomic1 && has_browser; } || { download_browser && has_browser; } ||
                missing "a browser (chromium)" "tests of the page are skipped"
            ;;
        *)
            echo "scripts/need.sh: unknown tool '$tool'" >&2
            exit 2
            ;;
    esac
done
exit "$failed"
