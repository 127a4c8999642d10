#!/bin/sh
# Installs what test_peers.py compares with: two Debian packages, and the rest into a cache folder.
set -eu
CACHE="${STOPPRESS_PEERS:-$HOME/.cache/stoppress-peers}"
PYTHON="${PYTHON:-python3}"

mkdir -p "$CACHE"
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light libnginx-mod-nchan
else
  echo "Not root, or no apt-get: install nginx-light and libnginx-mod-nchan yourself."
fi
npm install --prefix "$CACHE" --no-audit --no-fund --save-exact ws@8.23.0
"$PYTHON" -m pip install --quiet --upgrade --target "$CACHE/python" websockets==17.4 picows==2.3.1
echo "Installed into $CACHE."
