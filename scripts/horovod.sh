#!/usr/bin/env bash
# Builds Horovod against the torch in .venv and installs it there; keeps the wheel for next time.
#
# Usage: scripts/horovod.sh [cpu|gpu]       (called by scripts/setup.sh)
#
# The release of 2023 asks for C++14, PyTorch since 2.1 needs C++17: two lines are changed.
# gpu needs a CUDA toolkit (nvcc) of torch's CUDA version; NCCL is torch's own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/toolchain.sh

accelerator=${1:-cpu}
venv_python=$PWD/.venv/bin/python
version=$(sed -n 's/^horovod==\([0-9.]*\).*/\1/p' requirements/horovod.txt)
torch=$("$venv_python" -c 'from importlib.metadata import version; print(version("torch"))')
recipe=$(sha256sum scripts/horovod.sh | cut -c1-8)
key=horovod-$version-torch-$torch-$accelerator-cp311-$(uname -m)-glibc$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)-$recipe
wheels=$CACHE/wheels/$key
installed=.venv/.horovod-key

if [ "$(cat $installed 2>/dev/null)" = "$key" ]; then exit 0; fi

build() {
  find_compiler
  local work=$1 source tools=$1/tools site memory jobs
  "$UV" pip install --quiet --python "$venv_python" --require-hashes --no-deps \
    --target "$tools" -r requirements/build.txt
  PYTHONPATH=$tools "$venv_python" -m pip download --quiet --disable-pip-version-check \
    --require-hashes --no-deps --no-binary :all: --no-build-isolation \
    --dest "$work" -r requirements/horovod.txt
  tar -xzf "$work"/horovod-*.tar.gz -C "$work"
  source=$work/horovod-$version
  sed -i 's/set(CMAKE_CXX_STANDARD 14)/set(CMAKE_CXX_STANDARD 17)/' \
    "$source/CMakeLists.txt" "$source/horovod/torch/CMakeLists.txt"

  export HOROVOD_WITH_PYTORCH=1 HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1
  export HOROVOD_WITHOUT_MPI=1 HOROVOD_WITH_GLOO=1 HOROVOD_CPU_OPERATIONS=GLOO
  export HOROVOD_CMAKE=$tools/cmake/data/bin/cmake
  if [ "$accelerator" = gpu ]; then
    site=$("$venv_python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    mkdir -p "$work/nccl/lib"
    ln -s "$site/nvidia/nccl/include" "$work/nccl/include"
    ln -s "$site/nvidia/nccl/lib/libnccl.so.2" "$work/nccl/lib/libnccl.so"
    export HOROVOD_GPU_OPERATIONS=NCCL HOROVOD_NCCL_HOME=$work/nccl HOROVOD_NCCL_LINK=SHARED
  else
    # A CUDA toolkit that happens to be here would pull CUDA into the build for the CPU.
    sed -i 's/string(TOUPPER "${Pytorch_CUDA}" Pytorch_CUDA)/set(Pytorch_CUDA FALSE)/' \
      "$source/cmake/Modules/FindPytorch.cmake"
  fi

  # A compiler needs about 2 GB for one of these files; the caller's make flags are not for us.
  memory=$(awk '/MemAvailable/ {print int($2 / 2000000)}' /proc/meminfo)
  jobs=$(nproc)
  [ "$memory" -ge "$jobs" ] || jobs=$((memory > 1 ? memory : 1))
  unset MAKELEVEL MFLAGS
  export MAKEFLAGS=-j$jobs
  (cd "$source" && "$venv_python" setup.py --quiet bdist_wheel --dist-dir "$work/dist")

  # Whole or not at all, also when two check-outs build at the same time.
  mkdir -p "$wheels"
  cp "$work"/dist/horovod-*.whl "$wheels/.part"
  mv "$wheels/.part" "$wheels/$(basename "$work"/dist/horovod-*.whl)"
}

find_python
find_uv
if ! ls "$wheels"/horovod-*.whl >/dev/null 2>&1; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  quietly horovod "building $version against torch $torch, once (2 to 5 minutes)" -- build "$work"
fi
quietly horovod "installing the wheel from $wheels" -- \
  "$UV" pip install --quiet --python "$venv_python" --no-deps --reinstall-package horovod \
  "$wheels"/horovod-*.whl
"$venv_python" -c 'import horovod.torch as hvd; assert hvd.gloo_built()' 2>/dev/null ||
  die "Horovod was built but does not load: remove $wheels and run make setup again"
echo "$key" >$installed
