#!/usr/bin/env bash
# Compiles the locks in requirements/ from pyproject.toml and requirements/*.in.
#
# Usage: scripts/lock.sh [--upgrade]      (make lock, make lock UPGRADE=1)
#
# The locks hold names, versions and hashes, and no host: any index or mirror serves them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/toolchain.sh

find_python
find_uv

compile() { # OUT SOURCE [OPTION...]
  local out=$1
  shift
  log "lock" "requirements/$out"
  # FIND_LINKS of the caller's shell must not leak into what everybody installs.
  env -u PIP_FIND_LINKS -u UV_FIND_LINKS "$UV" pip compile "$@" \
    --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
    --python-version 3.11 --python-platform x86_64-unknown-linux-gnu \
    --custom-compile-command "make lock" --output-file "requirements/$out" >/dev/null
}

compile cpu.txt pyproject.toml --extra cpu --extra dev "$@"
# xgboost asks for NCCL of CUDA 12, torch for NCCL of CUDA 13: the same files in the same folder.
# torch's stays; xgboost loads libnccl.so.2 from there.
compile gpu.txt pyproject.toml --extra gpu --extra dev --no-emit-package nvidia-nccl-cu12 "$@"
compile build.txt requirements/build.in "$@"
compile backend.txt requirements/backend.in "$@"
compile horovod.txt requirements/horovod.in --no-deps "$@"
compile peers.txt requirements/peers.in --constraint requirements/cpu.txt "$@"
compile uv.txt requirements/uv.in "$@"

if grep -nE '://|^--(index|extra-index|find-links)' requirements/*.txt; then
  die "a lock names a host: see the lines above"
fi
