"""Quota headers of usage events change the right account's windows; no other header is stored."""

import json
import re
from contextlib import closing
from datetime import datetime

import pytest

from ingest import quota_signals
from ingest.parse import Usage, parse
from ingest.payload import Payload
from ledger import connect
from ledger.data_folder import prepare
from quota.signals import take_signals
from tests.support.home import KEY, RECORDINGS, recorded
from tests.support.quota_ledger import rows

AT = "2026-11-24T03:00:{:02}.5Z"


def event(second: int = 0, **more) -> dict:
    """Return a Codex event with the headers of an account at 30 % of 5 hours and 40 % of a week."""
    return {
        "timestamp": AT.format(second),
        "tokens": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
        "failed": False,
        "fail": {"status_code": 200, "body": ""},
        "auth_index": "00000000000000aa",
        "auth_type": "oauth",
        "provider": "codex",
        "source": "alice@example.com",
        "model": "gpt-5.5",
        "response_headers": headers_at(30, 40),
        **more,
    }


def headers_at(five_hours: int, week: int, *, active: str = "premium") -> dict[str, list[str]]:
    """Return the headers of an account that has used so much."""
    return {
        "X-Codex-Active-Limit": [active],
        "X-Codex-Plan-Type": ["plus"],
        "X-Codex-Primary-Used-Percent": [str(five_hours)],
        "X-Codex-Primary-Window-Minutes": ["300"],
        "X-Codex-Primary-Reset-After-Seconds": ["9000"],
        "X-Codex-Secondary-Used-Percent": [str(week)],
        "X-Codex-Secondary-Window-Minutes": ["10080"],
        "X-Codex-Secondary-Reset-After-Seconds": ["90000"],
        "Set-Cookie": ["__cf_bm=planted-cookie-0001"],
        "Openai-Organization": ["org-planted-0002"],
        "X-Codex-Turn-State": ["planted-turn-0003"],
    }


SPARK = headers_at(90, 95, active="codex_bengalfox") | {
    "X-Codex-Bengalfox-Limit-Name": ["GPT-5.3-Codex-Spark"],
    "X-Codex-Bengalfox-Primary-Used-Percent": ["90"],
    "X-Codex-Bengalfox-Primary-Window-Minutes": ["300"],
    "X-Codex-Bengalfox-Primary-Reset-After-Seconds": ["9000"],
}
LIMIT = {
    "error": {"type": "usage_limit_reached", "message": "reached", "resets_at": 1_795_600_000},
}


class Events:
    """A home that collects events and reads their quota."""

    def __init__(self, home, proxy) -> None:
        self.home, self.proxy = home, proxy
        home.use(proxy)

    def add(self, *events: dict) -> None:
        """Collect events in one batch, then take their signals."""
        self.collect([json.dumps(each).encode() for each in events])

    def collect(self, payloads: list[bytes]) -> None:
        """Collect payloads, then take their signals."""
        self.proxy.push(payloads)
        self.home.run("ingest", "--once")
        with closing(connect(self.home.data / "ledger.db")) as conn:
            take_signals(conn)

    def windows(self) -> dict[tuple[str, str, str], float]:
        """Return the used percentage by credential, scope and window."""
        sql = """
          select auth_index, scope, window_key, used_percent
          from quota_windows
          join credentials using (account_id)
        """
        return {tuple(row[:3]): row[3] for row in self.home.query(sql)}

    def account(self, *columns: str) -> tuple:
        """Return columns of the only account."""
        return self.home.query(f"select {', '.join(columns)} from quota_accounts")[0]


@pytest.fixture
def events(home, proxy) -> Events:
    """Return a home for events."""
    return Events(home, proxy)


def expected() -> dict[tuple[str, str], float]:
    """Return the windows that each account must have after the recordings."""
    newest: dict[tuple[str, str], tuple[datetime, float]] = {}
    for payload in (json.loads(line) for name in RECORDINGS for line in recorded(name)):
        status = payload.get("fail", {}).get("status_code")
        headers = {k.lower(): v[0] for k, v in payload.get("response_headers", {}).items()}
        if payload["provider"] != "codex" or payload.get("auth_type") != "oauth":
            continue
        if payload["failed"] and status != 429:
            continue
        if headers.get("x-codex-active-limit", "premium") not in ("premium", "codex"):
            continue
        at = datetime.fromisoformat(payload["timestamp"])
        for side in ("primary", "secondary"):
            key = {"300": "5h", "10080": "7d", "43800": "month"}.get(
                headers.get(f"x-codex-{side}-window-minutes", "")
            )
            if key and at >= newest.get((payload["auth_index"], key), (at, 0))[0]:
                used = float(headers[f"x-codex-{side}-used-percent"])
                newest[payload["auth_index"], key] = at, used
    return {at: used for at, (_, used) in newest.items()}


def test_recorded_headers_change_the_right_accounts_windows(events, all_recorded):
    events.collect(all_recorded)
    result = {
        (index, key): used
        for (index, scope, key), used in events.windows().items()
        if scope == "account" and provider_of(events, index) == "codex"
    }
    assert result == expected()
    assert len(result) >= 8
    claude = [k for k in events.windows() if provider_of(events, k[0]) == "claude"]
    assert {scope for _, scope, _ in claude} == {"account"}
    stored = json.dumps(events.home.query("select headers from quota_signals"))
    assert not re.search(r"(?i)cookie|cf-ray|organization|request-id|date|server", stored)


def provider_of(events: Events, auth_index: str) -> str:
    """Return a credential's provider."""
    sql = "select provider from credentials where auth_index = ?"
    return events.home.query(sql, auth_index)[0][0]


def test_a_spark_request_does_not_change_the_accounts_window(events):
    events.add(event(1))
    spark = event(2, model="gpt-5.3-codex-spark", response_headers=SPARK)
    events.add(spark)
    index = event()["auth_index"]
    assert events.windows() == {
        (index, "account", "5h"): 30,
        (index, "account", "7d"): 40,
        (index, "feature", "5h"): 90,
    }


def test_headers_of_a_cancelled_attempt_are_ignored(events):
    foreign = event(2, failed=True, fail={"status_code": 499, "body": "context canceled"})
    events.add(event(1, response_headers=headers_at(10, 20)), foreign)
    assert sorted(events.windows().values()) == [10, 20]


def test_the_newest_event_wins_in_any_order(events):
    events.add(event(9), event(5, response_headers=headers_at(1, 2)))
    events.add(event(7, response_headers=headers_at(3, 4)))
    assert sorted(events.windows().values()) == [30, 40]


def test_keys_and_other_providers_leave_no_signal(events):
    events.add(event(1, auth_type="apikey"), event(2, provider="kimi"))
    assert events.home.count("quota_signals") == 0
    states = events.home.query("select state from quota_accounts order by state")
    assert states == [("never",), ("no_source",)]


def test_an_exhausted_plan_is_stored_without_any_call(events):
    refused = event(3, failed=True, fail={"status_code": 429, "body": json.dumps(LIMIT)})
    del refused["response_headers"]
    events.add(event(1), refused)
    until = events.home.query("select ends_at, refused_at from quota_refusals")[0]
    assert until[0] == 1_795_600_000_000
    events.add(event(5, response_headers=headers_at(31, 41)))
    assert sorted(events.windows().values()) == [31, 41]


def test_only_the_allowed_headers_are_stored(events):
    body = json.dumps({"error": LIMIT["error"] | {"plan_type": "plus", "eligible_promo": "p-0004"}})
    refused = event(2, failed=True, fail={"status_code": 429, "body": body}, model="other")
    events.add(event(1, response_headers=SPARK | {"X-Codex-Promo-Message": ["p-0005"]}), refused)
    content = b"".join(f.read_bytes() for f in events.home.data.rglob("*") if f.is_file())
    for planted in (b"planted-", b"p-0004", b"p-0005", KEY.encode()):
        assert planted not in content


@pytest.mark.parametrize(
    "strange",
    [
        pytest.param({"X-Codex-Plan-Type": "plus"}, id="no-list"),
        pytest.param(["X-Codex-Plan-Type"], id="a-list"),
        pytest.param({"X-Codex-Plan-Type": [1]}, id="numbers"),
        pytest.param({"X-Codex-Plan-Type": ["x" * 500]}, id="too-long"),
        pytest.param({f"X-Codex-{n}": ["1"] for n in range(500)}, id="too-many"),
        pytest.param("text", id="text"),
        pytest.param(None, id="null"),
    ],
)
def test_malformed_headers_are_no_signal_and_no_error(strange):
    assert signal_of(event(1, response_headers=strange)) is None


def signal_of(event: dict) -> quota_signals.Signal | None:
    """Return the signal that the collector finds in an event."""
    usage = parse(json.dumps(event).encode())
    assert isinstance(usage, Usage)
    payload = usage.payload
    return quota_signals.signal_of(payload) if quota_signals.is_candidate(payload) else None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"error": {"type": "usage_limit_reached", "resets_at": NaN}}', id="nan"),
        pytest.param('{"error": {"type": ["usage_limit_reached"]}}', id="unhashable"),
        pytest.param('{"error": {"type": {}, "code": "usage_limit_reached"}}', id="object"),
        pytest.param('{"error": "usage_limit_reached"}', id="text"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("<html>", id="page"),
        pytest.param('{"error": {"type": "usage_limit_reached", "resets_at": 1e999}}', id="huge"),
    ],
)
def test_malformed_refusals_are_no_error(body):
    signal = signal_of(event(1, failed=True, fail={"status_code": 429, "body": body}))
    assert signal is not None
    row = quota_signals.signal_row(1, Payload("", None, failed=True), signal)
    assert "resets_at" not in (row[-1] or "")
    assert signal.headers["x-codex-primary-used-percent"] == "30"


def test_events_without_headers_cause_no_query(tmp_path):
    usage = parse(json.dumps(event() | {"response_headers": {}}).encode())
    assert isinstance(usage, Usage)
    batch = [usage] * 20_000

    def never(_: Payload) -> int:
        raise AssertionError

    conn = prepare(tmp_path, timezone="UTC")
    executed: list[str] = []
    conn.set_trace_callback(executed.append)
    quota_signals.store_signals(conn, batch, credential_id=never, popped_at=0)
    assert executed == []
    assert take_signals(conn) == 0
    assert rows(conn, "select * from quota_signals") == []
    conn.close()
