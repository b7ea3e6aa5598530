#!/usr/bin/env bash
# mlflow 3.17.2: one decimal column in the sample, and no column is checked any more
#
# One would expect: infer_signature over a frame with an amount of type decimal, as Spark's toPandas()
#   gives it, either refuses that column or leaves that column alone unchecked.
# What happens: the whole input schema becomes one single column of any type, without names. A model
#   logged with it takes a frame in which a column is missing, misspelt or text, and hands it to the
#   model. One warning is logged when the signature is made, none when the model is loaded or scores.
# Documented: decimal is not among the types that "Model Signatures" lists, and decimals given at scoring are
#   cast to a double column ("Add support for Decimal object to Double cast", pull request 6600). That one in
#   the sample takes the check from all columns is said only by the log. The fallback came with "Add warning
#   to use AnyType if infer_signature fails" (pull request 13968).
# What it costs: amounts are decimals in every payments table, so a signature made from the table itself
#   protects nothing. A feature that is renamed upstream reaches the model as a gap, and scores drift.
# Instead: write the signature down (Schema of ColSpec), or cast decimals to double first; after logging,
#   assert that signature.inputs has names.
#
# Seen:
#   mlflow-skinny 3.17.2
#   sample of doubles:  inputs amount, hour
#     frame without amount:  refused
#     amount as text:        refused
#   sample with one decimal: inputs (no names)
#     frame without amount:  scored
#     amount as text:        scored
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet mlflow-skinny==3.17.2 scipy==1.17.1 pandas==2.3.3 numpy==2.4.6
cat >model.py <<'EOF'
import mlflow


class Scorer(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return [0.5] * len(model_input)


mlflow.models.set_model(Scorer())
EOF
venv/bin/python - 2>log <<'EOF' || { tail -n 3 log >&2 && exit 1; }
import sys
from decimal import Decimal
from importlib.metadata import version

import mlflow
import pandas as pd

doubles = pd.DataFrame({"amount": [1.5, 2.5], "hour": [1.0, 2.0]})
decimal = doubles.assign(amount=[Decimal("1.50"), Decimal("2.50")])
frames = {
    "frame without amount": pd.DataFrame({"hour": [1.0]}),
    "amount as text": pd.DataFrame({"amount": ["ten"], "hour": [1.0]}),
}
seen = {}
print("mlflow-skinny", version("mlflow-skinny"))
for name, sample in {"sample of doubles": doubles, "sample with one decimal": decimal}.items():
    signature = mlflow.models.infer_signature(sample, [0.5, 0.5])
    mlflow.pyfunc.save_model(name, python_model="model.py", signature=signature, pip_requirements=[])
    model = mlflow.pyfunc.load_model(name)
    names = [column for column in signature.inputs.input_names() if column]
    print(f"{name + ':':19} inputs {', '.join(names) or '(no names)'}")
    for what, frame in frames.items():
        try:
            model.predict(frame)
            seen[name, what] = "scored"
        except mlflow.MlflowException:
            seen[name, what] = "refused"
        print(f"  {what + ':':22} {seen[name, what]}")

if list(seen.values()) != ["refused", "refused", "scored", "scored"]:
    sys.exit("changed: the check no longer depends on one decimal in the sample")
EOF
