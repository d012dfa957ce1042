"""Exports: every row, whatever Datasette's limits."""

import csv
import io
import json

import httpx
import pytest

from tests.support.home import eventually
from tests.support.sites import free_port, names_of

FORMS = ("csv", "jsonl")


def answer_of(address: str) -> httpx.Response | None:
    """Return the answer; None while the server is not up."""
    try:
        return httpx.get(address, trust_env=False, timeout=120)
    except httpx.ConnectError:
        return None


def read(text: str, form: str) -> list[dict[str, str]]:
    """Return an export's rows, every value as text and null as empty."""
    if form == "csv":
        return list(csv.DictReader(io.StringIO(text)))
    rows = [json.loads(line) for line in text.splitlines()]
    return [{k: "" if v is None else str(v) for k, v in row.items()} for row in rows]


@pytest.mark.parametrize("form", FORMS)
def test_the_events_of_a_window_come_whole_and_oldest_first(seeded, site, form):
    answer = site.get(f"/export/events.{form}?window=90d")
    rows = read(answer.text, form)
    expected = seeded.query(
        "select id from recent_requests join windows on occurred_at >= starts_at "
        "and occurred_at < ends_at where window = '90d' order by occurred_at"
    )
    assert [int(row["id"]) for row in rows] == [id_ for (id_,) in expected]
    assert "attachment" in answer.headers["content-disposition"]


def test_filters_and_ranges_of_days_take_what_they_name(seeded, site):
    [(day,)] = seeded.query("select max(day) from days_by_window where window = '7d'")
    where = {"from": day, "to": day, "failed": "1", "model": "gpt-5.5"}
    rows = read(site.get("/export/events.csv", params=where).text, "csv")
    expected = seeded.query(
        "select count(*) from recent_requests "
        "where local_time like ? || '%' and failed = 1 and model = 'gpt-5.5'",
        day,
    )
    assert [(len(rows),)] == expected
    assert rows


@pytest.mark.parametrize("form", FORMS)
def test_every_view_can_be_exported(seeded, site, form):
    for view in names_of(seeded, "view"):
        answer = site.get(f"/export/{view}.{form}?window=7d")
        assert answer.status_code == 200, view


def test_nothing_but_views_can_be_exported(site):
    for name in ("known_clients", "nothing", "sqlite_schema"):
        assert site.get(f"/export/{name}.csv").status_code == 404
    assert site.get("/export/events.csv?window=forever").status_code == 404


def test_an_error_shows_no_local_variables_in_the_log(home):
    port = free_port()
    home.env["LEDGER_DASHBOARD_PORT"] = str(port)
    server = home.start("runtime.serve")
    address = f"http://127.0.0.1:{port}/export/nothing.csv"
    answer = eventually(lambda: answer_of(address))
    server.terminate()
    output, _ = server.communicate(timeout=300)
    assert answer.status_code == 404
    assert "locals" not in output
    assert "scope" not in output
