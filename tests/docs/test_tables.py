"""Every table, view and column of a fresh ledger is described in `metadata.yml`."""

import sqlite3
from contextlib import closing

import pytest
import yaml

from ledger import reference
from ledger.queries import queries
from tests.support.home import ROOT, Home

METADATA = yaml.safe_load((ROOT / "metadata.yml").read_text("utf-8"))
DESCRIBED = METADATA["databases"]["ledger"]["tables"]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The file of a ledger that was made just now."""
    home = Home(tmp_path_factory.mktemp("fresh"))
    home.run("ledger", "init")
    with closing(sqlite3.connect(f"file:{home.data / 'ledger.db'}?mode=ro", uri=True)) as conn:
        yield conn
    home.end()


def test_every_table_and_view_is_described_and_nothing_else(fresh):
    real = {name for name, _, _ in fresh.execute(reference.OBJECTS)}
    assert set(DESCRIBED) == real


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_described_columns_are_the_real_ones(fresh, name):
    real = [column for column, _ in fresh.execute(reference.COLUMNS, (name,))]
    assert list(DESCRIBED[name].get("columns", {})) == real


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_description_says_something_and_what_it_is_measured_in(name):
    about = DESCRIBED[name]
    assert about["description"].strip().endswith("."), name
    for column, text in about.get("columns", {}).items():
        assert len(text) > 4, column
        assert not text.endswith("."), column
        if column.endswith("_at") or column.endswith("_until"):
            assert "ms UTC" in text or "local" in text, f"{name}.{column}: {text}"
        if column.endswith("_microdollars"):
            assert "millionths of a dollar" in text, f"{name}.{column}: {text}"


def test_every_table_that_a_canned_query_reads_names_it_on_the_page(fresh):
    things = {thing.name: thing for thing in reference.things(fresh)}
    for name, query in queries().items():
        read = set(reference.READ.findall(query.sql)) & set(things)
        assert read or name in ("span",), name
        assert all(name in things[table].asked_by for table in read)
