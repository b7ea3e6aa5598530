# Sourced by the scripts here: finds Python 3.11, uv, Java and a C++ compiler, and installs what
# is missing where apt-get may be used; fetches JARs. Sets PYTHON, UV, JAVA_HOME and JARS; changes
# nothing else.

JAVA_MAJORS="17 21"

# What is fetched or built once for all check-outs. A home that cannot be written to (some build
# servers) is replaced by build/.
: "${HOME:=$(cd ~ && pwd)}"
export HOME
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/fraudlake
if ! mkdir -p "$CACHE" 2>/dev/null || [ ! -w "$CACHE" ]; then
  CACHE=$PWD/build/cache
  mkdir -p "$CACHE"
  export UV_CACHE_DIR=${UV_CACHE_DIR:-$CACHE/uv}
fi

log() { # TOPIC WORDS...
  printf '[setup %s] %-8s %s\n' "$(date +%H:%M:%S)" "$1" "${*:2}" >&2
}

die() {
  printf '[setup] error: %s\n' "$*" >&2
  exit 1
}

# Runs a step whose output matters only when it fails.
quietly() { # TOPIC WORDS -- COMMAND...
  local topic=$1 words=$2 started=$SECONDS out
  shift 3
  log "$topic" "$words"
  out=$(mktemp)
  # In the background: the condition of an "if" would switch "set -e" off inside a function.
  "$@" >"$out" 2>&1 &
  if ! wait $!; then
    tail -n 60 "$out" >&2
    rm -f "$out"
    die "$topic failed (its last lines are above): $words"
  fi
  rm -f "$out"
  log "$topic" "done in $((SECONDS - started)) s"
}

apt_install() { # PACKAGE...; fails where apt-get is missing or not allowed
  command -v apt-get >/dev/null || return 1
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null || return 1
    as_root=(sudo -n)
  fi
  log "apt-get" "installing $*"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
  # Old package lists name packages that are gone, so refresh and try a second time.
  "${apt[@]}" install -y --no-install-recommends "$@" >/dev/null 2>&1 ||
    { "${apt[@]}" update >&2 && "${apt[@]}" install -y --no-install-recommends "$@" >&2; }
}

# ---------------------------------------------------------------- Python 3.11

python_is_311() {
  [ "$("$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" = 3.11 ]
}

python_has_headers() { # Horovod's build includes Python.h
  "$1" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
}

python_candidates() {
  [ -z "${PYTHON:-}" ] || echo "$PYTHON"
  type -ap python3.11 python3 2>/dev/null || true
  ls -d "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11.*/bin/python3.11 \
    /usr/bin/python3.11 /usr/local/bin/python3.11 /opt/python/3.11*/bin/python3.11 2>/dev/null || true
}

pick_python() { # sets PYTHON to the first 3.11, one with headers before one without
  local candidate bare=
  while read -r candidate; do
    python_is_311 "$candidate" || continue
    # The interpreter itself: a virtual environment must not hang on a shim or on another one.
    candidate=$("$candidate" -c 'import os, sys
print(os.path.join(sys.base_prefix, "bin", "python3.11"))')
    [ -x "$candidate" ] || continue
    if python_has_headers "$candidate"; then
      PYTHON=$candidate
      return 0
    fi
    bare=${bare:-$candidate}
  done < <(python_candidates)
  PYTHON=$bare
  return 1
}

find_python() {
  pick_python && return
  if apt_install python3.11 python3.11-dev && pick_python; then return; fi
  # Distributions with another Python: uv brings one of its own, if anything can start uv.
  if [ -z "$PYTHON" ] && PYTHON=$(type -p python3) && (find_uv) 2>/dev/null; then
    find_uv
    log "python" "no Python 3.11 here: uv fetches one"
    export UV_PYTHON_INSTALL_DIR=${UV_PYTHON_INSTALL_DIR:-$CACHE/python}
    "$UV" python install --quiet 3.11 && PYTHON=$("$UV" python find 3.11) && return
    PYTHON=
  fi
  [ -n "$PYTHON" ] && die "$PYTHON has no header files (Python.h), which Horovod's build needs." \
    "Install them, for instance: apt-get install python3.11-dev"
  die "no Python 3.11 found (on PATH, in pyenv, in /usr/bin) and none could be installed." \
    "Install python3.11 with its headers, or name one: PYTHON=/path/to/python3.11 make setup"
}

# ---------------------------------------------------------------- uv

# A pip that runs: PYTHON's own, else one in a throw-away environment, else apt-get's.
find_pip() {
  PIP=("$PYTHON" -m pip)
  "${PIP[@]}" --version >/dev/null 2>&1 && return
  if "$PYTHON" -m venv build/pip >/dev/null 2>&1; then
    PIP=(build/pip/bin/python -m pip)
    return
  fi
  rm -rf build/pip
  if apt_install python3-pip && "${PIP[@]}" --version >/dev/null 2>&1; then return; fi
  die "$PYTHON has neither pip nor ensurepip, and uv is not on PATH." \
    "Install uv, or pip for this Python (for instance: apt-get install python3-pip)"
}

find_uv() {
  # Certificates that the administrator installed count; pip's index is uv's index.
  export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS:-true} UV_NATIVE_TLS=${UV_NATIVE_TLS:-true}
  export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-180} UV_NO_PROGRESS=1
  local version index
  UV=$(type -p uv || true)
  if [ -z "$UV" ]; then
    version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/uv.txt)
    UV=$CACHE/tools/uv-$version/bin/uv
  fi
  if ! "$UV" --version >/dev/null 2>&1; then
    find_pip
    rm -rf "$CACHE/tools/uv-$version"
    quietly uv "no uv on PATH: fetching uv $version into $CACHE/tools (about 5 s)" -- \
      "${PIP[@]}" install --disable-pip-version-check --quiet --require-hashes --no-deps \
      --target "$CACHE/tools/uv-$version" -r requirements/uv.txt
  fi
  if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}" ]; then
    index=${PIP_INDEX_URL:-$("$PYTHON" -m pip config get global.index-url 2>/dev/null || true)}
    [ -z "$index" ] || export UV_DEFAULT_INDEX=$index
  fi
}

# ---------------------------------------------------------------- Java

java_major() {
  "$1/bin/java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1
}

java_candidates() {
  local on_path
  [ -z "${JAVA_HOME:-}" ] || echo "$JAVA_HOME"
  on_path=$(type -p java || true)
  [ -z "$on_path" ] || dirname "$(dirname "$(readlink -f "$on_path")")"
  ls -d /usr/lib/jvm/*/ /opt/java/*/ "$HOME"/.sdkman/candidates/java/*/ 2>/dev/null || true
}

pick_java() {
  local candidate
  while read -r candidate; do
    candidate=${candidate%/}
    [ -x "$candidate/bin/java" ] || continue
    case " $JAVA_MAJORS " in *" $(java_major "$candidate") "*)
      JAVA_HOME=$candidate
      return 0
      ;;
    esac
  done < <(java_candidates)
  return 1
}

find_java() {
  if pick_java; then return; fi
  # Debian 12 and Ubuntu have 17, Debian 13 has 21.
  if apt_install openjdk-17-jre-headless && pick_java; then return; fi
  if apt_install openjdk-21-jre-headless && pick_java; then return; fi
  die "no Java 17 or 21 found (JAVA_HOME, PATH, /usr/lib/jvm) and none could be installed." \
    "Spark 4.2 needs one, for instance: apt-get install openjdk-17-jre-headless"
}

# ---------------------------------------------------------------- JARs

all_right() { # FOLDER HASHES
  [ -d "$1" ] && (cd "$1" && sha256sum --check --status --strict "$2" 2>/dev/null)
}

ivy() { # FILE FOLDER
  "$JAVA_HOME/bin/java" -Divy.default.ivy.user.dir="$2/ivy" \
    -cp "$(ls .venv/lib/python3.11/site-packages/pyspark/jars/ivy-*.jar)" \
    org.apache.ivy.Main ${FRAUDLAKE_IVY_SETTINGS:+-settings "$FRAUDLAKE_IVY_SETTINGS"} \
    -ivy "$1" -cache "$2/cache" -retrieve "$2/jars/[artifact]-[revision].[ext]" -warn
}

# The JARs of scripts/NAME.xml with the SHA-256 of scripts/NAME.sha256; JARS is their folder in the
# cache. Spark's own Ivy fetches them, with its own defaults, in a folder that is thrown away: no
# Maven is needed and neither ~/.m2 nor ~/.ivy2 is touched.
fetch_jars() { # NAME WORDS
  local hashes=$PWD/scripts/$1.sha256 work
  JARS=$CACHE/$1/$(sha256sum "$hashes" | cut -c1-16)
  if all_right "$JARS" "$hashes"; then return; fi
  find_java
  work=$(mktemp -d)
  quietly "$1" "fetching $(wc -l <"$hashes") JARs $2" -- ivy "scripts/$1.xml" "$work"
  if ! (cd "$work/jars" && sha256sum --check --quiet --strict "$hashes" >&2); then
    rm -rf "$work"
    die "a fetched JAR is not the one of scripts/$1.sha256 (see above); nothing was placed"
  fi
  mkdir -p "$JARS"
  cut -c67- "$hashes" | (cd "$work/jars" && xargs cp -t "$JARS")
  rm -rf "$work"
}

# ---------------------------------------------------------------- compiler

find_compiler() {
  if command -v g++ >/dev/null && command -v make >/dev/null; then return; fi
  if apt_install g++ make && command -v g++ >/dev/null; then return; fi
  die "Horovod is compiled here once, which needs g++ and make." \
    "Install them, for instance: apt-get install g++ make"
}
