#!/usr/bin/env bash
# pyspark 4.2.0: a function whose hints are imported for type checkers alone is no arrow_udf
#
# One would expect: arrow_udf takes a function of pa.Array to pa.Array. That linters have its import under
#   `if TYPE_CHECKING:`, with `from __future__ import annotations` (ruff's TC002 and flake8-type-checking
#   move it there), changes nothing; or else the error says that a name of the hint cannot be found.
# What happens: UNSUPPORTED_SIGNATURE, with a signature that the documentation gives as supported. The hints
#   are evaluated, the NameError is swallowed, and without hints nothing is inferred.
# Documented: arrow_udf's docstring encourages type hints; that they are evaluated it does not say.
# What it costs: a feature or decoding function that a linter has tidied cannot be made; the message sends
#   its author to the types, which are right.
# Instead: import the types at run time, or hand over a lambda without hints.
#
# Seen:
#   pyspark 4.2.0, pyarrow 25.0.1
#   hints for type checkers: [UNSUPPORTED_SIGNATURE] Unsupported signature: (words: 'pa.Array') -> 'pa.Array'.
#   hints at run time: ['CARD']
#   no hints: ['CARD']
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet pyspark==4.2.0 pandas==2.3.3 pyarrow==25.0.1
cat >checked.py <<'EOF2'
from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.compute as pc

if TYPE_CHECKING:
    import pyarrow as pa


def upper(words: pa.Array) -> pa.Array:
    return pc.utf8_upper(words)
EOF2
sed -e 's/^if TYPE_CHECKING:/import pyarrow as pa/' -e '/^    import pyarrow as pa/d' checked.py >imported.py
PYTHONPATH=$work PYSPARK_PYTHON=$work/venv/bin/python venv/bin/python - 2>/dev/null <<'EOF2'
import sys
from importlib.metadata import version

import checked
import imported
from pyspark.errors import PySparkNotImplementedError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", False).getOrCreate()
words = spark.createDataFrame([("card",)], "word string")
print(f"pyspark {version('pyspark')}, pyarrow {version('pyarrow')}")
seen = {}
for name, function in {
    "hints for type checkers": checked.upper,
    "hints at run time": imported.upper,
    "no hints": lambda words: checked.upper(words),
}.items():
    try:
        rows = words.select(F.arrow_udf(function, "string")("word").alias("word")).collect()
        seen[name] = str([row["word"] for row in rows])
    except PySparkNotImplementedError as error:
        seen[name] = str(error)
    print(f"{name}: {seen[name]}")
first, *others = seen.values()
if "UNSUPPORTED_SIGNATURE" not in first or others != ["['CARD']"] * 2:
    sys.exit("changed: hints for type checkers alone are taken, or the others are not")
EOF2
