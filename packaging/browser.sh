#!/usr/bin/env bash
# The browser that the journeys drive: Debian's chromium, installed when we may; without it they skip and say so.
set -uo pipefail
command -v chromium >/dev/null 2>&1 && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "No chromium here and no right to install it: the browser journeys will be skipped."
    exit 0
fi
echo "Installing chromium for the browser journeys ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-noto-core >/dev/null 2>&1 ||
    echo "chromium could not be installed: the browser journeys will be skipped."
exit 0
