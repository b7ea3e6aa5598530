"""Models kept beside the state, for a start without the registry."""

import json
from functools import partial

import pytest
from tests.models.conftest import FEATURES
from tests.service.test_model_watch import Aliases

from fraudlake.errors import FraudlakeError
from fraudlake.models import bundle
from fraudlake.service.admission import admit
from fraudlake.service.model_cache import ModelCache
from fraudlake.service.model_watch import ModelWatch


@pytest.fixture
def registry(files):
    found = Aliases(champion=3)
    found.files = lambda _: files
    found.describe = lambda _: {}
    return found


@pytest.fixture
def cache(tmp_path, registry):
    check = partial(admit, definition="abc", columns=FEATURES, alerts=2)
    return ModelCache(tmp_path / "models", registry, check)


def watching(registry, cache):
    take, last = partial(cache.admitted, "champion"), partial(cache.last, "champion")
    return ModelWatch(registry.resolve, take, "champion", True, 3600, last)


def test_a_start_without_the_registry(registry, cache, files, caplog):
    """With the model of before; nothing was kept before the first start."""
    registry.down = ConnectionError("no route")
    with pytest.raises(ConnectionError, match="no route"), watching(registry, cache):
        pass
    registry.down = None
    with watching(registry, cache):
        pass
    registry.down = ConnectionError("no route")
    registry.files = None
    with watching(registry, cache) as watch:
        assert watch.current().version == 3
        assert not watch.reachable
    assert "starting with version 3 as before: no route" in caplog.text
    assert cache.files(3) == files


def test_a_damaged_model_is_not_started_with(registry, cache):
    cache.admitted("champion", 3)
    path = next(path for path in cache.folder.glob("3/*") if path.suffix == ".ubj")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(FraudlakeError, match="SHA-256"):
        cache.last("champion")


def test_another_model_of_the_same_number_takes_its_place(registry, cache, files):
    """The registry was made anew, the state was not."""
    cache.admitted("champion", 3)
    settings = json.loads(files["scorer.json"])
    settings["calibration"]["intercept"] += 0.1
    other = files | {"scorer.json": json.dumps(settings).encode()}
    registry.files = lambda _: other
    cache.admitted("champion", 3)
    assert cache.files(3) == other
    assert cache.last("champion").digest == bundle.digest(other)
