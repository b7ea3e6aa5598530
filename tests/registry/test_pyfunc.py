"""The registered model in MLflow's own hands: the feature table goes in as it is, in any form."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from fraudlake.errors import FraudlakeError
from fraudlake.models import bundle
from fraudlake.models.calibration import Calibration
from fraudlake.models.encoding import Encoding, to_matrix
from fraudlake.registry import Registry

from .test_client import register

SHOPS = Encoding(values={"books": -3.0, "travel": 1.5}, other=-1.0)
FEATURES = {"amount": None, "night": None, "shop": SHOPS, "customer_count_7d": None}


@pytest.fixture(scope="module")
def table():
    """Rows of a feature table, as Arrow has them: nulls everywhere, other columns among them."""
    random = np.random.default_rng(0)
    size = 60

    def holes(values):
        return [None if random.random() < 0.2 else value for value in values]

    return pa.table(
        {
            "tx_id": pa.array(range(size), pa.int64()),
            "event_time": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * size),
            "definition": ["d1"] * size,
            "credit": pa.array([Decimal("12.50")] * size, pa.decimal128(18, 2)),
            "customer_count_7d": pa.array(holes(random.integers(1, 9, size).tolist()), pa.int64()),
            "shop": pa.array(holes(random.choice(["books", "travel", "new"], size))),
            "night": pa.array(holes(random.integers(0, 2, size).tolist()), pa.int32()),
            "amount": pa.array(holes(np.round(random.lognormal(3, 1, size), 1).tolist())),
        }
    )


@pytest.fixture(scope="module")
def model(table, tmp_path_factory):
    """MLflow's model, and the scores that the batch gives the rows."""
    import mlflow
    import xgboost

    random = np.random.default_rng(1)
    x = random.normal(size=(400, 4)) * [20, 1, 2, 4]
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(x, x[:, 0] + x[:, 2] * 9 > 3), 20)
    files = bundle.pack(
        "xgboost", FEATURES, "d1", timedelta(7), bytes(booster.save_raw("ubj")),
        Calibration(1.1, -0.2), [0.5], 1.0, {},
    )  # fmt: skip
    scorer = bundle.load(files)
    expected = scorer.score(to_matrix(table, scorer.features, scorer.encodings))
    assert len(np.unique(expected)) > 20
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        registry = Registry(str(tmp_path_factory.mktemp("pyfunc") / "lake"))
        register(registry, files, "f")
        patch.setenv("MLFLOW_TRACKING_URI", registry.uri)
        yield mlflow.pyfunc.load_model(f"models:/{registry.name}/1"), expected


FORMS = {
    "NaN among floats": lambda table: table.to_pandas(),
    "objects": lambda table: table.to_pandas().astype(object).where(lambda x: x.notna(), None),
    "pandas' nullable types": lambda table: table.to_pandas().convert_dtypes(),
    "Arrow's types": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "categories": lambda table: table.to_pandas().astype({"shop": "category"}),
    "Spark's integers": lambda table: table.to_pandas(integer_object_nulls=True),
    "columns in another order": lambda table: table.to_pandas()[table.column_names[::-1]],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_rows_has_the_scores_of_the_batch(model, table, form):
    loaded, expected = model
    frame = FORMS[form](table)
    np.testing.assert_array_equal(loaded.predict(frame), expected)
    one_by_one = [loaded.predict(frame.iloc[[i]])[0] for i in range(20)]
    np.testing.assert_array_equal(one_by_one, expected[:20])


def test_rows_without_missing_values_and_rows_of_nothing_else(model, table):
    loaded, expected = model
    frame = table.to_pandas(integer_object_nulls=True)
    whole = frame[list(FEATURES)].notna().all(axis=1).to_numpy()
    rows = frame[whole].astype({"customer_count_7d": np.int64, "night": np.int32})
    np.testing.assert_array_equal(loaded.predict(rows), expected[whole])
    nothing = loaded.predict(pd.DataFrame({name: [np.nan, np.nan] for name in FEATURES}))
    none = loaded.predict(pd.DataFrame({name: [None, None] for name in FEATURES}))
    np.testing.assert_array_equal(nothing, none)


@pytest.mark.filterwarnings("ignore:.*validate_serving_input:FutureWarning")
def test_a_request_to_mlflows_own_server(model, table):
    from mlflow.models import validate_serving_input

    loaded, expected = model
    columns = table.select(list(FEATURES)).to_pydict()
    data = [[columns[name][row] for name in FEATURES] for row in range(len(table))]
    request = json.dumps({"dataframe_split": {"columns": list(FEATURES), "data": data}})
    got = validate_serving_input(f"models:/{loaded.metadata.model_id}", request)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("name", "value"), [("amount", "much"), ("night", [1, 2])])
def test_what_is_no_number_is_refused_in_words(model, table, name, value):
    frame = table.to_pandas().assign(**{name: [value] * len(table)})
    with pytest.raises(FraudlakeError, match=rf"^{name}: got object .*, expected numbers"):
        model[0].predict(frame)


def test_a_missing_column_is_named(model, table):
    with pytest.raises(Exception, match="customer_count_7d"):
        model[0].predict(table.to_pandas().drop(columns="customer_count_7d"))
