"""The seeded ledger as Datasette serves it, and as plain SQLite opens it."""

import csv
import io
import json

import pytest

from ledger.queries import metadata
from tests.support.sites import names_of

QUERIES = metadata()["queries"]
WINDOWS = ["today", "1h", "5h", "24h", "7d", "30d", "90d"]


def test_no_table_view_and_query_share_a_name(seeded):
    assert set(names_of(seeded, "table", "view")) & set(QUERIES) == set()


def test_every_table_and_view_is_described(seeded):
    described = metadata()["tables"]
    assert set(names_of(seeded, "table", "view")) == set(described)
    shown = [about for about in described.values() if not about.get("hidden")]
    assert all(about["description"].strip() for about in shown)


def test_every_view_opens_in_plain_sqlite(seeded):
    for view in names_of(seeded, "view"):
        assert seeded.query(f"select * from {view} limit 5") is not None


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("form", ["", ".json", ".csv"])
def test_every_canned_query_answers(site, name, form):
    answer = site.get(f"/ledger/{name}{form}")
    assert answer.status_code == 200, answer.text[:500]


def test_every_table_and_view_answers(seeded, site):
    for name in names_of(seeded, "table", "view"):
        for form in ("", ".json"):
            # A count would go through every range of days there could be.
            assert site.get(f"/ledger/{name}{form}?_nocount=1").status_code == 200, name


@pytest.mark.parametrize("window", WINDOWS)
def test_json_csv_and_plain_sql_give_the_same_accounts(seeded, site, window):
    as_json = site.get(f"/ledger/accounts.json?window={window}&_shape=array").json()
    as_csv = list(
        csv.DictReader(io.StringIO(site.get(f"/ledger/accounts.csv?window={window}").text))
    )
    assert [{name: str(value) for name, value in row.items()} for row in as_json] == as_csv
    view = seeded.query(
        "select account_id, requests, total_tokens from accounts_by_window where window = ?", window
    )
    keys = ("account_id", "requests", "total_tokens")
    assert sorted(tuple(row[key] for key in keys) for row in as_json) == sorted(view)


def test_a_missing_window_means_24_hours(site):
    for name in ("summary", "accounts", "models", "clients", "hours", "days", "failures"):
        plain = site.get(f"/ledger/{name}.json?_shape=array").json()
        assert plain == site.get(f"/ledger/{name}.json?_shape=array&window=24h").json()
        assert plain


def test_filters_take_what_they_name(seeded, site):
    for parameter in ("account", "model", "client"):
        value = seeded.query(
            f"select {parameter} from recent_requests group by 1 order by 1 limit 1"
        )
        where = {parameter: value[0][0], "window": "90d", "_shape": "array"}
        rows = [
            site.get(f"/ledger/{name}.json", params=where).json() for name in ("summary", "days")
        ]
        expected = seeded.query(
            f"select count(*), sum(total_tokens) from recent_requests where {parameter} = ? "
            "and occurred_at >= (select starts_at from windows where window = '90d')",
            value[0][0],
        )
        for query_rows in rows:
            sums = [sum(row[key] for row in query_rows) for key in ("requests", "total_tokens")]
            assert [tuple(sums)] == expected, parameter


def test_the_windows_of_a_query_hold_the_same_requests(site):
    for window in WINDOWS:
        sums = {
            name: sum(
                row["requests"]
                for row in site.get(f"/ledger/{name}.json?_shape=array&window={window}").json()
            )
            for name in ("summary", "accounts", "models", "clients", "hours", "days")
        }
        assert len(set(sums.values())) == 1, (window, sums)


def test_requests_are_paged_newest_first(site):
    first = site.get("/ledger/requests.json?_shape=array&limit=50").json()
    rest = site.get(
        f"/ledger/requests.json?_shape=array&before={first[-1]['id']}&limit=1000"
    ).json()
    ids = [row["id"] for row in first + rest]
    assert ids == sorted(range(1, 371), reverse=True)


def test_closed_pages_and_foreign_hosts_are_refused_by_the_running_server(site):
    for page in ("databases", "settings", "threads", "plugins"):
        assert site.get(f"/-/{page}.json").status_code == 403
    assert site.get("/", headers={"Host": "rebound.example.com"}).status_code == 421
    assert json.loads(site.get("/ledger.json").text)["database"] == "ledger"
