"""The original script's JSON: every name, and every type."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from ledger.queries import database_of, queries
from tests.support.brute import Ledger
from tests.support.home import ROOT

INTEGER, TEXT, NUMBER = (int,), (str,), (int, float)
COUNTS = dict.fromkeys(
    ("requests", "total_tokens", "input_tokens", "output_tokens", "reasoning_tokens", "failed"),
    INTEGER,
)
SUMMARY = COUNTS | {"cached_tokens": INTEGER}
ACCOUNT = COUNTS | {"account": TEXT}
MODEL = {"model": TEXT, "requests": INTEGER, "total_tokens": INTEGER, "failed": INTEGER}
HOUR = {"hour": TEXT, "requests": INTEGER, "total_tokens": INTEGER, "failed": INTEGER}
QUOTA = {
    "email": TEXT,
    "plan": (str, type(None)),
    "allowed": (int, type(None)),
    "limit_reached": (int, type(None)),
    "credits_balance": (str, type(None)),
    "timestamp": (str, type(None)),
    "ts_epoch": (int, type(None)),
    **{
        f"{window}_{what}": (*kinds, type(None))
        for window in ("primary", "secondary")
        for what, kinds in (
            ("used_percent", NUMBER),
            ("remaining_percent", NUMBER),
            ("reset_at", TEXT),
        )
    },
}
REQUEST = {
    "timestamp": TEXT,
    "local_time": TEXT,
    "source": TEXT,
    "auth_index": TEXT,
    "model": TEXT,
    "endpoint": (str, type(None)),
    "failed": INTEGER,
    "latency_ms": (int, type(None)),
    "input_tokens": INTEGER,
    "output_tokens": INTEGER,
    "reasoning_tokens": INTEGER,
    "cached_tokens": INTEGER,
    "total_tokens": INTEGER,
    "request_id": (str, type(None)),
}
RANGES = ["today", "1h", "5h", "24h", "7d"]
needs_quota = pytest.mark.skipif("quota" not in queries(), reason="there are no quota queries")


def check_types(row: dict, shape: dict[str, tuple[type, ...]]) -> None:
    """Assert the name and type of each field of a row; a boolean is no integer."""
    for name, kinds in shape.items():
        assert type(row[name]) in kinds, (name, row[name])


@pytest.mark.parametrize(
    "path",
    ["health", "summary?range=5h", "requests", "nothing", ""]
    + (["quota"] if "quota" in queries() else []),
)
def test_every_reply_is_json_that_no_cache_keeps(site, path):
    answer = site.get(f"/api/{path}")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert isinstance(answer.json(), dict)


def test_health_names_the_file_without_its_path(site, seeded):
    files = seeded.query("select count(*) from credential_files")[0][0]
    assert site.get("/api/health").json() == {"ok": True, "db": "ledger.db", "auth_files": files}


@pytest.mark.parametrize("window", RANGES)
def test_summary_has_every_field_with_its_type(site, window):
    answer = site.get(f"/api/summary?range={window}").json()
    assert answer["range"] == window
    check_types(answer["summary"], SUMMARY)
    for name, shape in (("accounts", ACCOUNT), ("models", MODEL), ("hours", HOUR)):
        for row in answer[name]:
            check_types(row, shape)
    assert len(answer["models"]) <= 12
    for name in ("accounts", "models"):
        tokens = [row["total_tokens"] for row in answer[name]]
        assert tokens == sorted(tokens, reverse=True)
    hours = [row["hour"] for row in answer["hours"]]
    assert hours == sorted(hours)
    sums = site.get(f"/ledger/summary.json?_shape=array&window={window}").json()[0]
    assert {name: sums[name] for name in SUMMARY} == answer["summary"]
    assert sum(row["requests"] for row in answer["accounts"]) == sums["requests"]
    assert sum(row["requests"] for row in answer["hours"]) == sums["requests"]


def test_an_unknown_range_is_today(site):
    unknown = site.get("/api/summary?range=forever").json()
    assert unknown == site.get("/api/summary?range=today").json()
    assert unknown == site.get("/api/summary").json()


def test_requests_have_every_field_with_its_type_newest_first(site):
    answer = site.get("/api/requests").json()["requests"]
    assert len(answer) == 100
    for row in answer:
        check_types(row, REQUEST)
    ids = [row["id"] for row in answer]
    assert ids == sorted(ids, reverse=True)


@pytest.mark.parametrize(
    ("limit", "count"), [("5", 5), ("0", 1), ("100000", 370), ("x", 100), ("-3", 100), ("", 100)]
)
def test_the_limit_of_requests_is_kept_between_bounds(site, limit, count):
    assert len(site.get("/api/requests", params={"limit": limit}).json()["requests"]) == count


@pytest.mark.parametrize("path", ["", "nothing", "summary/", "health/x", "../api/none"])
def test_anything_else_is_not_found(site, path):
    answer = site.get(f"/api/{path}")
    assert (answer.status_code, answer.json()) == (404, {"error": "not found"})


def test_characters_are_not_escaped(site):
    assert "…" in site.get("/api/requests?limit=500").text


def test_an_empty_ledger_sums_up_to_zero(tmp_path: Path):

    from ledger.report import original_summary

    with closing(Ledger(tmp_path, "UTC")) as ledger:
        answer = original_summary(database_of(ledger.conn), "today")
    assert answer["summary"] == dict.fromkeys(answer["summary"], 0)
    assert answer["accounts"] == answer["models"] == answer["hours"] == []


@needs_quota
def test_quotas_have_every_field_and_unknown_is_null(site):
    for row in site.get("/api/quota").json()["quotas"]:
        check_types(row, QUOTA)


@needs_quota
def test_force_requests_a_refresh_and_waits_for_a_while(site, seeded):
    before = seeded.count("quota_requests")
    answer = site.get("/api/quota?force=1", timeout=120)
    assert answer.status_code == 200
    assert seeded.count("quota_requests") == before + 1
    # A second request shares the open one.
    assert site.get("/api/quota?force=1", timeout=120).status_code == 200
    assert seeded.count("quota_requests") == before + 1


def test_the_document_names_every_field():
    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    shapes = {**SUMMARY, **ACCOUNT, **MODEL, **HOUR, **QUOTA, **REQUEST}
    assert [name for name in shapes if f"`{name}`" not in text] == []


def test_every_example_in_the_document_answers(site):
    import re

    text = (ROOT / "docs" / "api.md").read_text("utf-8")
    addresses = re.findall(r"http://127\.0\.0\.1:8320(/[^\s'\"`>)]*)", text)
    assert len(addresses) > 8
    for address in addresses:
        if "quota" not in address or "quota" in queries():
            assert site.get(address, timeout=120).status_code == 200, address
    json.dumps(addresses)
