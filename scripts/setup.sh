#!/usr/bin/env bash
# Makes .venv ready to run everything here: Python packages of the lock, Horovod, the JARs of
# Delta Lake and Kafka, and a Spark that finds its Python and its Java without a variable set.
#
# Usage: scripts/setup.sh      (make setup; ACCELERATOR=gpu make setup for NVIDIA machines)
#
# Safe to call at any time: it does only what is missing, and nothing in a moment if nothing is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/toolchain.sh

accelerator=${ACCELERATOR:-cpu}
case $accelerator in cpu | gpu) ;; *) die "ACCELERATOR=$accelerator: expected cpu or gpu" ;; esac
inputs=(requirements/*.txt scripts/jars.xml scripts/jars.sha256 pyproject.toml
  scripts/setup.sh scripts/toolchain.sh scripts/horovod.sh scripts/jars.sh scripts/classes.py)
wanted="$accelerator $PWD $(cat "${inputs[@]}" | sha256sum | cut -d' ' -f1)"
stamp=.venv/.setup-stamp

up_to_date() {
  [ "$(cat $stamp 2>/dev/null)" = "$wanted" ] && [ -x .venv/bin/fraudlake ] &&
    .venv/bin/python -c '' 2>/dev/null
}

python_environment() {
  # A moved folder, another accelerator (the two XGBoosts share one name) or a vanished
  # interpreter: start afresh.
  if [ -e .venv ] && { ! .venv/bin/python -c '' 2>/dev/null ||
    [ "$(cat .venv/.setup-place 2>/dev/null)" != "$accelerator $PWD" ]; }; then
    log python "the .venv here is for another place, accelerator or Python: making it new"
    rm -rf .venv
  fi
  if [ ! -e .venv ]; then
    quietly python "creating .venv with $PYTHON" -- "$UV" venv --quiet --python "$PYTHON" .venv
    echo "$accelerator $PWD" >.venv/.setup-place
  fi
  quietly python "installing the $(grep -c '^[a-z]' "requirements/$accelerator.txt") packages of requirements/$accelerator.txt (6 GB on disk; 1 to 5 minutes the first time)" -- \
    "$UV" pip install --python .venv/bin/python --no-deps --require-hashes \
    --build-constraints requirements/backend.txt -r "requirements/$accelerator.txt"
}

this_package() {
  quietly package "installing fraudlake itself, editable" -- \
    "$UV" pip install --python .venv/bin/python --no-deps --build-constraints requirements/backend.txt \
    --reinstall-package fraudlake --editable .
}

# pip's Spark looks for itself with whatever python3 is on PATH, and for Java in JAVA_HOME or on
# PATH. These two files make .venv/bin/spark-submit, pyspark and fraudlake work as they stand.
spark_environment() {
  local spark=$PWD/.venv/lib/python3.11/site-packages/pyspark
  mkdir -p "$spark/conf"
  cat >"$spark/conf/spark-env.sh" <<EOF
# Written by scripts/setup.sh. A value that is set already wins.
export PYSPARK_PYTHON="\${PYSPARK_PYTHON:-$PWD/.venv/bin/python}"
export JAVA_HOME="\${JAVA_HOME:-$JAVA_HOME}"
EOF
  # Removed first: uv links the files of a package to its cache.
  rm -f .venv/bin/find-spark-home
  cat >.venv/bin/find-spark-home <<EOF
#!/usr/bin/env bash
# Written by scripts/setup.sh in place of pip's, which asks the first python3 on PATH.
export SPARK_HOME="\${SPARK_HOME:-$spark}"
EOF
  chmod +x .venv/bin/find-spark-home
  log spark "Java: $JAVA_HOME"
}

# What Java starts from. Made anew where JARs, Java or this folder are other ones; jobs run without.
start_archive() {
  local start=.venv/lib/python3.11/site-packages/pyspark/start of
  # The first layer of the image has no jobs yet.
  [ -e jobs/features.py ] || return 0
  of=$({
    echo "$PWD" && "$JAVA_HOME/bin/java" -version 2>&1
    cat scripts/classes.py scripts/jars.sha256 && grep '^pyspark==' "requirements/$accelerator.txt"
  } | sha256sum | cut -d' ' -f1)
  [ "$(cat "$start/of" 2>/dev/null)" = "$of" ] && return 0
  log start "archiving the Java classes that a job uses (200 MB; half a minute or more)"
  if JAVA_HOME=$JAVA_HOME .venv/bin/python scripts/classes.py >build/start.log 2>&1; then
    echo "$of" >"$start/of"
  else
    rm -rf "$start"
    log start "no archive, jobs start without: see build/start.log"
  fi
}

if up_to_date; then exit 0; fi

# One set-up at a time in one check-out.
mkdir -p build
if command -v flock >/dev/null; then
  exec 9>build/.setup.lock
  flock -n 9 || { log setup "another set-up is running here: waiting for it" && flock 9; }
  if up_to_date; then exit 0; fi
fi

started=$SECONDS
find_java
find_python
find_uv
python_environment
scripts/jars.sh
spark_environment
scripts/horovod.sh "$accelerator"
this_package
start_archive
echo "$wanted" >$stamp
log ready ".venv is complete after $((SECONDS - started)) s"
