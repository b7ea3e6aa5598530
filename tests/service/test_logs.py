"""Log lines as JSON."""

import io
import json
import logging

from fraudlake.service import logs


def test_a_line_is_one_object_with_the_batch_in_hand(monkeypatch):
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    logs.as_json()
    log = logging.getLogger("fraudlake.test_logs")
    log.warning("say %s", '"what"\n')
    token = logs.batch_in_hand.set(12)
    try:
        int("no")
    except ValueError:
        log.exception("broken")
    finally:
        logs.batch_in_hand.reset(token)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["level"], first["message"]) == ("WARNING", 'say "what"\n')
    assert first["time"].endswith("+00:00")
    assert "batch" not in first
    assert second["batch"] == 12
    assert second["error"].endswith("'no'")
