#!/usr/bin/env bash
# Places the JARs of scripts/jars.xml into .venv's pyspark, each with its SHA-256 checked.
#
# Usage: scripts/jars.sh       (called by scripts/setup.sh)
#
# Behind a mirror, name an Ivy settings file:
# FRAUDLAKE_IVY_SETTINGS=/path/to/ivysettings.xml make setup
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/toolchain.sh

hashes=$PWD/scripts/jars.sha256
placed=.venv/.jars.sha256
target=.venv/lib/python3.11/site-packages/pyspark/jars

if [ -f $placed ] && cmp -s "$hashes" $placed && all_right "$target" "$hashes"; then exit 0; fi

fetch_jars jars "for Delta Lake and Kafka, 23 MB (about 15 s)"

# JARs of an earlier list would sit beside the new ones on Spark's class path.
if [ -f $placed ]; then
  while read -r _ jar; do rm -f "$target/$jar"; done <$placed
fi
while read -r _ jar; do cp --remove-destination "$JARS/$jar" "$target/"; done <"$hashes"
all_right "$target" "$hashes" || die "the JARs in $target are not whole: is the disk full?"
cp "$hashes" $placed
log jars "$(wc -l <"$hashes") JARs in $target"
