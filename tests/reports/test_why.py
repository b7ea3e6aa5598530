"""The page says what was found."""

from __future__ import annotations

from datetime import UTC, datetime

from fraudlake.reports import why

AT = datetime(2018, 8, 8, 12, 30, tzinfo=UTC)


def test_page(capsys):
    reasons = [
        {"contribution": 2.5, "sentence": "amount is 8 × this card's mean"},
        *({"contribution": 0.1, "sentence": f"small {n}"} for n in range(9)),
        {"contribution": -1.0, "sentence": "on a working day"},
    ]
    told = {
        "transaction": {"tx_id": 7, "event_time": AT, "amount": 12, "device": None, "note": "[b]"},
        "label": {"is_fraud": True, "source": "bank", "known_at": AT},
        "model_version": 3, "score": 0.12, "threshold": 0.3, "flag": False,
        "flagged": None, "rank": 12, "rank_of": 9000, "reasons": reasons,
        "verdict": "a missed fraud: it would have been flagged but for this: on a working day",
    }  # fmt: skip
    why.show(told)
    page = " ".join(capsys.readouterr().out.split())
    for words in (
        "tx_id 7, event_time 2018-08-08 12:30:00, amount 12, note [b]",
        "score 0.1200 < threshold 0.3000, model version 3; 12 of the day's 9,000",
        "fraud by bank, known 2018-08-08 12:30:00",
        "+2.50 │ ████████████ │ amount is 8 × this card's mean",
        "+0.20 │ │ 2 more",
        "-1.00 │ █████ │ on a working day",
        "A missed fraud: it would have been flagged",
    ):
        assert words in page
