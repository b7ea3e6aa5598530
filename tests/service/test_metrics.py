"""What a stream tells about itself, over HTTP as Prometheus and a supervisor read it."""

import urllib.error
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fraudlake.errors import SetupError
from fraudlake.service import logs, metrics


def samples(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def watch():
    model = SimpleNamespace(version=4)
    return SimpleNamespace(
        alias="champion", current=lambda: model, refused=None, reachable=True, model=model
    )


@pytest.fixture
def service(watch):
    return metrics.Service(600, [watch])


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_records_are_counted_by_what_became_of_them(service):
    for batch in range(2):
        with service.batch(batch) as counts:
            assert logs.batch_in_hand.get() == batch
            counts.update(records=10, scored=6, duplicates=3, quarantine=1, flagged=2)
    found = samples(service.text())
    assert found["fraudlake_records_total", "scored"] == 12
    assert found["fraudlake_records_total", "outside"] == 0
    assert found["fraudlake_flagged_total",] == 4
    assert found["fraudlake_batch_seconds_count",] == 2
    assert logs.batch_in_hand.get() is None


def test_a_batch_that_fails_counts_nothing(service):
    with pytest.raises(ZeroDivisionError), service.batch(0) as counts:
        counts.update(records=1, scored=1 / 0)
    found = samples(service.text())
    assert found["fraudlake_records_total", "scored"] == 0
    assert found["fraudlake_batch_seconds_count",] == 0
    assert service.not_live() == ""


def test_latencies_are_added_in_bulk(service):
    service.latency(np.array([0.1, 0.25, 0.9, 1000.0]), np.array([3, 1, 5, 1]))
    service.latency(np.array([0.6]), np.array([2]))
    found = samples(service.text())
    assert found["fraudlake_latency_seconds_bucket", "0.25"] == 4
    assert found["fraudlake_latency_seconds_bucket", "0.75"] == 6
    assert found["fraudlake_latency_seconds_bucket", "600.0"] == 11
    assert found["fraudlake_latency_seconds_bucket", "+Inf"] == 12
    assert found["fraudlake_latency_seconds_count",] == 12
    assert found["fraudlake_latency_seconds_sum",] == pytest.approx(0.3 + 0.25 + 4.5 + 1000 + 1.2)


def test_rates_lag_state_and_models(service, watch):
    service.progress(None)
    assert not [name for name, *_ in samples(service.text()) if name == "fraudlake_lag_records"]
    ends, latest = '{"pay":{"0":5,"1":7}}', '{"pay":{"0":9,"1":7,"2":6}}'
    service.progress(
        {
            "inputRowsPerSecond": 8500.0,
            "processedRowsPerSecond": 20000.0,
            "sources": [{"endOffset": ends, "latestOffset": latest}],
        }
    )
    service.state(64000)
    watch.model.version, watch.refused, watch.reachable = 5, 6, False
    found = samples(service.text())
    assert found["fraudlake_lag_records", "pay"] == 10
    assert found["fraudlake_input_records_per_second",] == 8500
    assert found["fraudlake_processed_records_per_second",] == 20000
    assert found["fraudlake_state_bytes",] == 64000
    assert found["fraudlake_model_version", "champion"] == 5
    assert found["fraudlake_model_refused_version", "champion"] == 6
    assert found["fraudlake_registry_up", "champion"] == 0


def test_progress_of_a_start_and_of_other_sources(service):
    files = {"endOffset": '{"logOffset":0}', "latestOffset": None}
    none_yet = {"endOffset": "null", "latestOffset": '{"pay":{"0":9}}'}
    service.progress(
        {
            "inputRowsPerSecond": None,
            "processedRowsPerSecond": None,
            "sources": [files, none_yet],
        }
    )
    found = samples(service.text())
    assert found["fraudlake_lag_records", "pay"] == 9
    assert found["fraudlake_input_records_per_second",] == 0


def test_live_and_ready_over_http(service, monkeypatch):
    with metrics.serve(service, "127.0.0.1:0") as port:
        assert get(port, "/live") == (200, "ok\n")
        assert get(port, "/ready") == (503, "starting\n")
        service.serving()
        assert get(port, "/ready") == (200, "ok\n")
        assert ("fraudlake_model_version", "champion") in samples(get(port, "/metrics")[1])
        assert get(port, "/")[0] == 404
        with service.batch(7):
            assert get(port, "/live")[0] == 200
            service._stall = 0
            assert get(port, "/live") == (503, "batch 7 is in hand for more than 0 s\n")
            assert get(port, "/ready")[0] == 503
        service.ended()
        assert get(port, "/ready") == (503, "stopping\n")
        with (
            pytest.raises(SetupError, match=f"got 127.0.0.1:{port}, expected an address"),
            metrics.serve(service, f"127.0.0.1:{port}"),
        ):
            pass
    with pytest.raises(urllib.error.URLError):
        get(port, "/live")
