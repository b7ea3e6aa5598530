"""One data set with every kind of column and check."""

import pytest

from fraudlake.datasets import Dataset

SHOP = {
    "name": "shop",
    "format": "jsonl",
    "timezone": "Europe/Paris",
    "columns": {
        "tx_id": {"source": "id", "type": "bigint", "minimum": 0},
        "event_time": {"source": "time", "type": "timestamp"},
        "customer_id": {"source": "customer", "type": "bigint"},
        "amount": {"source": "amount", "type": "decimal(18,2)", "maximum": 1e15},
        "channel": {"source": "channel", "type": "string", "values": ["web", "shop"]},
        "note": {"source": "note", "type": "string", "required": False},
        "latitude": {
            "source": "lat", "type": "double", "required": False, "minimum": -90, "maximum": 90,
        },
        "tries": {"source": "tries", "type": "int", "required": False},
        "present": {"source": "present", "type": "boolean", "required": False},
    },
    "entities": {"customer": "customer_id"},
    "card": "customer_id",
    "label": {"source": "fraud", "known_at": "known", "delay": "3d"},
    "ignore": ["kind"],
}  # fmt: skip
# The same with columns that may hold long numbers.
LONG = SHOP | {
    "columns": {
        **SHOP["columns"],
        "weight": {"source": "weight", "type": "double", "required": False},
        "token": {"source": "token", "type": "bigint", "required": False, "token": True},
        "pay_id": {"source": "tried", "type": "string", "required": False, "token": True},
    }
}


@pytest.fixture
def shop():
    """The data set in a format, with changes."""

    def described(kind="jsonl", **changes):
        return Dataset.model_validate({**SHOP, "format": kind, **changes})

    return described
