"""Every table, view and column of a fresh ledger is described in `metadata.yml`."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from ledger import reference
from ledger.queries import metadata, queries
from tests.support.home import ROOT, Home

TABLES = metadata()["tables"]
HIDDEN = [name for name, about in TABLES.items() if about.get("hidden")]
DESCRIBED = [name for name in TABLES if name not in HIDDEN]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """The file of a ledger that was made just now."""
    home = Home(tmp_path_factory.mktemp("fresh"))
    home.run("ledger", "init")
    with closing(sqlite3.connect(f"file:{home.data / 'ledger.db'}?mode=ro", uri=True)) as conn:
        yield conn
    home.end()


def test_every_table_and_view_is_described_and_nothing_else(fresh):
    real = {name for name, _, _ in fresh.execute(reference.OBJECTS)}
    assert set(TABLES) == real


@pytest.mark.parametrize("name", DESCRIBED)
def test_the_described_columns_are_the_real_ones(fresh, name):
    real = [column for column, _ in fresh.execute(reference.COLUMNS, (name,))]
    # A merge key puts what it brings first, so that the order says nothing.
    assert sorted(TABLES[name]["columns"]) == sorted(real)


def test_only_views_are_hidden_and_views_sql_alone_describes_them(fresh):
    kinds = {name: kind for name, kind, _ in fresh.execute(reference.OBJECTS)}
    assert {kinds[name] for name in HIDDEN} <= {"view"}
    assert [name for name in HIDDEN if TABLES[name] != {"hidden": True}] == []
    script = (ROOT / "views.sql").read_text("utf-8")
    commented = re.findall(r"^-- .*\ncreate view (\w+) as$", script, re.MULTILINE)
    assert set(HIDDEN) <= set(commented)


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_description_says_something_and_what_it_is_measured_in(name):
    about = TABLES[name]
    assert about["description"].strip().endswith("."), name
    for column, text in about["columns"].items():
        assert len(text) > 4, column
        assert not text.endswith("."), column
        if column.endswith("_at") or column.endswith("_until"):
            assert "ms UTC" in text or "local" in text, f"{name}.{column}: {text}"
        if column.endswith("_microdollars"):
            assert "millionths of a dollar" in text, f"{name}.{column}: {text}"


def test_every_table_that_a_canned_query_reads_names_it_on_the_page(fresh):
    relations = {relation.name: relation for relation in reference.relations(fresh)}
    for name, query in queries().items():
        read = set(reference.SOURCE.findall(query.sql)) & set(relations)
        assert read or name in ("range",), name
        assert all(name in relations[table].used_by_queries for table in read)


def test_the_generated_page_has_every_table_view_and_described_column(fresh):
    page = reference.page(fresh)
    titles = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert sorted(titles) == sorted(TABLES)
    assert set(re.findall(r"\]\(#(\w+)\)", page)) == set(titles)
    for relation in reference.relations(fresh):
        entry = page.partition(f"### {relation.name}\n")[2].partition("\n#")[0]
        assert relation.description in entry
        for column in relation.columns:
            if relation.name in DESCRIBED:
                assert f"| `{column.name}` | {column.type} | {column.description} |" in entry
            else:
                assert f"`{column.name}`" in entry
