"""The reference page is what the code says now."""

from scripts import reference


def test_the_page_is_as_the_code_has_it():
    assert reference.PAGE.read_text() == reference.text(), "run `make docs`"
