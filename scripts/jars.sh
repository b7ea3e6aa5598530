#!/usr/bin/env bash
# Places the JARs of scripts/jars.xml into .venv's pyspark, each with its SHA-256 checked.
#
# Usage: scripts/jars.sh       (called by scripts/setup.sh)
#
# Spark's own Ivy fetches them, with its own defaults, in a folder that is thrown away: no Maven
# is needed and neither ~/.m2 nor ~/.ivy2 is touched. Behind a mirror, name an Ivy settings file:
# FRAUDLAKE_IVY_SETTINGS=/path/to/ivysettings.xml make setup
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/toolchain.sh

hashes=$PWD/scripts/jars.sha256
placed=.venv/.jars.sha256
kept=$CACHE/jars/$(sha256sum "$hashes" | cut -c1-16)
target=.venv/lib/python3.11/site-packages/pyspark/jars

all_right() { # FOLDER
  [ -d "$1" ] && (cd "$1" && sha256sum --check --status --strict "$hashes" 2>/dev/null)
}

fetch() { # FOLDER
  "$JAVA_HOME/bin/java" -Divy.default.ivy.user.dir="$1/ivy" -cp "$(ls "$target"/ivy-*.jar)" \
    org.apache.ivy.Main ${FRAUDLAKE_IVY_SETTINGS:+-settings "$FRAUDLAKE_IVY_SETTINGS"} \
    -ivy scripts/jars.xml -cache "$1/cache" \
    -retrieve "$1/jars/[artifact]-[revision].[ext]" -warn
}

if [ -f $placed ] && cmp -s "$hashes" $placed && all_right "$target"; then exit 0; fi

if ! all_right "$kept"; then
  find_java
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  quietly jars "fetching $(wc -l <"$hashes") JARs for Delta Lake and Kafka, 23 MB (about 15 s)" -- fetch "$work"
  (cd "$work/jars" && sha256sum --check --quiet --strict "$hashes" >&2) ||
    die "a fetched JAR is not the one of scripts/jars.sha256 (see above); nothing was placed"
  mkdir -p "$kept"
  cp "$work"/jars/*.jar "$kept/"
fi

# JARs of an earlier list would sit beside the new ones on Spark's class path.
if [ -f $placed ]; then
  while read -r _ jar; do rm -f "$target/$jar"; done <$placed
fi
while read -r _ jar; do cp --remove-destination "$kept/$jar" "$target/"; done <"$hashes"
all_right "$target" || die "the JARs in $target are not whole: is the disk full?"
cp "$hashes" $placed
log jars "$(wc -l <"$hashes") JARs in $target"
