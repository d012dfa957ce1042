"""The sizes that keep `views.sql` and the canned queries readable."""

import re

from ledger.database import split_statements
from ledger.queries import queries
from tests.support.home import ROOT

MAX_VIEW_LINES, MAX_QUERY_LINES = 120, 60
VIEW = re.compile(r"^create view (\w+) as$.*", re.MULTILINE | re.DOTALL)


def views() -> dict[str, str]:
    """Return every view of `views.sql` by its name, without the comment before it."""
    statements = split_statements((ROOT / "views.sql").read_text("utf-8"))
    return {view[1]: view[0] for view in filter(None, map(VIEW.search, statements))}


def longer_than(limit: int, texts: dict[str, str]) -> dict[str, int]:
    """Return how many lines each text that is too long has."""
    lengths = {name: len(text.strip().splitlines()) for name, text in texts.items()}
    return {name: length for name, length in lengths.items() if length > limit}


def test_no_view_is_too_long_to_be_read():
    assert len(views()) > 50
    assert longer_than(MAX_VIEW_LINES, views()) == {}


def test_no_canned_query_is_too_long_to_be_read():
    assert (
        longer_than(MAX_QUERY_LINES, {name: query.sql for name, query in queries().items()}) == {}
    )


def test_every_view_has_a_comment_that_begins_it():
    script = (ROOT / "views.sql").read_text("utf-8")
    commented = re.findall(r"^-- .*\ncreate view (\w+) as$", script, re.MULTILINE)
    assert commented == list(views())
