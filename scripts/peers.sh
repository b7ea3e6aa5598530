#!/usr/bin/env bash
# Adds to .venv the engines and readers that benchmarks compare with; no job of the project needs
# them.
#
# Usage: scripts/peers.sh      (make peers)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/toolchain.sh

find_python
find_uv
quietly peers "installing $(grep -oE '^(deltalake|duckdb|polars)==[^ ]+' requirements/peers.txt | paste -sd ' ')" -- \
  "$UV" pip install --python .venv/bin/python --no-deps --require-hashes -r requirements/peers.txt
