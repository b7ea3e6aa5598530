"""A format is a module: a data set may name each one, and each does what a source asks of it."""

import inspect

import pytest

from fraudlake import resources
from fraudlake.ingest import formats


@pytest.mark.parametrize("name", resources.formats())
def test_a_format_has_the_functions_of_format(name, shop):
    module = formats.named(shop(name).format)
    for asked in (formats.Format.read, formats.Format.read_stream):
        wanted = [p for p in inspect.signature(asked).parameters if p != "self"]
        assert list(inspect.signature(getattr(module, asked.__name__)).parameters) == wanted
