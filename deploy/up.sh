#!/bin/sh
# Peregrine on this machine with Docker: secrets if there are none yet, the image, all containers; options go to `up`.
set -eu
cd "$(dirname "$0")"
python3 credentials.py
exec docker compose --file compose.yaml up --build --detach --wait "$@"
