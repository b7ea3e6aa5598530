#!/usr/bin/env bash
# xgboost 3.2.0: a saved classifier forgets which value means "missing"
#
# One would expect: XGBClassifier(missing=-999) that is saved with save_model and loaded again scores as
#   it did before. The value is no knob of the training: it says how to read each row, also at scoring.
# What happens: the loaded model takes NaN alone for missing. -999 becomes an ordinary, very small number,
#   goes left at every split instead of the learned way, and the score is another one. Nothing is said.
# Documented: "Introduction to Model IO" says that the model file holds trees and objective, no
#   hyperparameters, and so did a maintainer in "load_model() version incompatibility" (issue 10706); that
#   missing is one of these and changes scores is not said. Pickle keeps the value, but is bound to one
#   version and runs code when it is loaded.
# What it costs: the champion's scores in service differ from those of the evaluation, for the rows with a
#   gap (no device, no earlier transaction) and for them alone; totals look sound.
# Instead: turn the marker into NaN before training and before scoring, and never set missing; or set it
#   by hand after load_model, and hold the loaded model against a few stored scores.
#
# Seen:
#   xgboost-cpu 3.2.0
#   missing before saving: -999.0, after loading: nan
#   rows without a gap: largest difference of score 0.000
#   rows with a gap:    largest difference of score 0.539
#   with missing set again by hand:                 0.000
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet xgboost-cpu==3.2.0 scikit-learn==1.9.1 numpy==2.4.6
venv/bin/python - <<'EOF'
import sys
from importlib.metadata import version

import numpy as np
import xgboost as xgb

random = np.random.default_rng(0)
rows = random.normal(size=(4000, 3))
labels = (rows[:, 0] > 0).astype(int)
gaps = random.random(rows.shape) < 0.3
rows[gaps] = -999

model = xgb.XGBClassifier(n_estimators=10, max_depth=3, missing=-999.0).fit(rows, labels)
before = model.predict_proba(rows)[:, 1]
model.save_model("model.ubj")

loaded = xgb.XGBClassifier()
loaded.load_model("model.ubj")
difference = np.abs(loaded.predict_proba(rows)[:, 1] - before)
with_gap = gaps.any(axis=1)

print("xgboost-cpu", version("xgboost-cpu"))
print(f"missing before saving: {model.missing}, after loading: {loaded.missing}")
print(f"rows without a gap: largest difference of score {difference[~with_gap].max():.3f}")
print(f"rows with a gap:    largest difference of score {difference[with_gap].max():.3f}")
loaded.set_params(missing=-999.0)
again = np.abs(loaded.predict_proba(rows)[:, 1] - before).max()
print(f"with missing set again by hand:                 {again:.3f}")

if difference[~with_gap].max() > 0 or difference[with_gap].max() < 0.1 or again > 0:
    sys.exit("changed: the loaded model no longer scores rows with a gap in another way")
EOF
