#!/usr/bin/env bash
# xgboost 3.2.0: after early stopping the reasons explain another model than the one that scores
#
# One would expect: an early-stopped XGBClassifier and its own get_booster() are one model; a row's SHAP
#   contributions add up to the margin that the classifier gives the row.
# What happens: the classifier scores with the trees up to best_iteration. Its booster keeps all trees
#   that were grown until the patience ran out, and pred_contribs (as plain predict) uses all of them:
#   the contributions add up to another score. The booster knows best_iteration and ignores it, also
#   after saving and loading.
# Documented: "Prediction", Early Stopping, says that the scikit-learn interface scores with the best
#   iteration and the native one with all. What that means for contributions is not said; the classifier
#   has no method for them, so everybody asks its booster.
# What it costs: an analyst reads reasons for a transaction that may speak for the opposite of its score;
#   where a customer is owed a reason, it is a wrong one. With a long patience the surplus trees have
#   learned noise.
# Instead: pass iteration_range=(0, best_iteration + 1) with every call of the booster, or cut it once:
#   booster[: best_iteration + 1]. Test that contributions add up to the margin.
#
# Seen:
#   xgboost-cpu 3.2.0
#   trees grown 61, trees that score 11
#   largest difference of margin and sum of contributions: 4.60 log-odds
#   rows whose score says fraud and whose reasons say no fraud, or the other way round: 178 of 3000
#   with the booster cut at best_iteration: 0.00
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
rows = random.normal(size=(3000, 5))
labels = (rows[:, 0] + random.normal(size=3000) > 1.5).astype(int)
model = xgb.XGBClassifier(n_estimators=300, learning_rate=0.2, early_stopping_rounds=50)
model.fit(rows[:2000], labels[:2000], eval_set=[(rows[2000:], labels[2000:])], verbose=False)

margin = model.predict(rows, output_margin=True)
booster = model.get_booster()
grown, used = booster.num_boosted_rounds(), model.best_iteration + 1
data = xgb.DMatrix(rows)
reasons = booster.predict(data, pred_contribs=True).sum(axis=1)
cut = booster[:used].predict(data, pred_contribs=True).sum(axis=1)
contrary = (margin > 0) != (reasons > 0)

print("xgboost-cpu", version("xgboost-cpu"))
print(f"trees grown {grown}, trees that score {used}")
off, off_cut = np.abs(margin - reasons).max(), np.abs(margin - cut).max()
print(f"largest difference of margin and sum of contributions: {off:.2f} log-odds")
print(
    "rows whose score says fraud and whose reasons say no fraud, or the other way round: "
    f"{contrary.sum()} of {len(rows)}"
)
print(f"with the booster cut at best_iteration: {off_cut:.2f}")

if grown <= used or off < 1 or contrary.sum() == 0 or off_cut > 1e-3:
    sys.exit("changed: contributions of the booster add up to the classifier's margin")
EOF
