"""The made-up traffic is the same every time, adds up, and has everything in it."""

import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import httpx
import pytest

from demo import payload
from demo.accounts import (
    ACCOUNTS,
    ALICE,
    ALICE_TEAM,
    BOB,
    CAROL,
    CLIENT_KEYS,
    DAVE,
    ERIN,
    LUMEN,
    Account,
)
from demo.fake_proxy import FakeProxy, serving
from demo.traffic import ZONE, Traffic, history

Event = dict[str, Any]

END = datetime(2026, 11, 24, 15, tzinfo=ZONE).timestamp()
START = END - 28 * 86400
COUNT = 15_000
SUBSET = ("codex", "kimi", "xai", LUMEN.provider)

ORDER = """timestamp latency_ms ttft_ms source auth_index access_token_sha256 client_ip
x_forwarded_for user_agent tokens failed generate fail response_headers accounting_version
token_breakdown provider executor_type model alias endpoint auth_type api_key request_id
reasoning_effort service_tier response_service_tier"""
FIELDS = ORDER.split()


@pytest.fixture(scope="module")
def raw() -> list[bytes]:
    return list(history(START, END, count=COUNT, seed=7))


@pytest.fixture(scope="module")
def events(raw: list[bytes]) -> list[Event]:
    return [json.loads(line) for line in raw]


def began_at(event: Event) -> float:
    """Return an event's timestamp in unix seconds."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def status(event: Event) -> int:
    """Return how an attempt ended."""
    return event["fail"]["status_code"]


def header(event: Event, name: str) -> str:
    """Return a response header's first value, empty when it is missing."""
    return event.get("response_headers", {}).get(name, [""])[0]


def by_request(events: list[Event]) -> list[list[Event]]:
    """Group events by the client request they belong to."""
    groups: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        groups[event["request_id"]].append(event)
    return list(groups.values())


def test_the_same_seed_makes_the_same_bytes() -> None:
    once, again = (list(history(START, END, count=300, seed=1)) for _ in range(2))
    assert once == again
    assert once != list(history(START, END, count=300, seed=2))


@pytest.mark.parametrize("count", [0, 1, 199, 1000])
def test_history_is_as_long_as_asked(count: int) -> None:
    assert len(list(history(START, END, count=count, seed=1))) == count


def test_history_needs_time() -> None:
    with pytest.raises(ValueError, match="before its end"):
        next(history(END, START, count=1, seed=1))


def test_history_is_in_order_within_its_time_and_never_repeats(
    raw: list[bytes], events: list[Event]
) -> None:
    times = [began_at(event) for event in events]
    assert times == sorted(times)
    assert START <= times[0] < times[-1] < END
    assert len(set(raw)) == COUNT


def test_live_stretches_join_without_gap_or_overlap() -> None:
    whole = Traffic(seed=3, anchor=END).between(END, END + 700)
    traffic = Traffic(seed=3, anchor=END)
    pieces = [traffic.between(END + at, END + at + 7) for at in range(0, 700, 7)]
    assert [line for piece in pieces for line in piece] == whole


def test_live_traffic_is_published_when_it_ends() -> None:
    lines = Traffic(seed=3, anchor=END).between(END, END + 60)
    ends = [
        began_at(event) + event["latency_ms"] / 1000
        for event in (json.loads(line) for line in lines)
    ]
    assert all(END - 0.001 <= end < END + 60 for end in ends)


def test_live_traffic_has_the_asked_rate_at_a_busy_hour() -> None:
    lines = Traffic(seed=3, anchor=END, busiest=2).between(END, END + 1200)
    assert 1.7 < len(lines) / 1200 < 2.3


def test_fields_stand_in_the_proxys_order(events: list[Event]) -> None:
    for event in events:
        assert list(event) == [field for field in FIELDS if field in event]
    assert any(list(event) == FIELDS for event in events)


def test_headers_are_sorted_as_the_proxy_sorts_them(events: list[Event]) -> None:
    for event in events:
        names = list(event.get("response_headers", {}))
        assert names == sorted(names)


def test_every_breakdown_adds_up(events: list[Event]) -> None:
    for event in events:
        parts = event["token_breakdown"]
        read_in, written = parts["input"], parts["output"]
        assert read_in["total_tokens"] == (
            read_in["uncached_tokens"]
            + read_in["cache_read_tokens"]
            + read_in["cache_write_tokens"]
        )
        assert written["total_tokens"] == (
            written["non_reasoning_tokens"] + written["reasoning_tokens"]
        )
        assert parts["total_tokens"] == (
            read_in["total_tokens"] + written["total_tokens"] + parts["unclassified_tokens"]
        )
        assert min(*read_in.values(), *written.values(), parts["unclassified_tokens"]) >= 0


def test_raw_tokens_mean_what_each_family_means(events: list[Event]) -> None:
    for event in events:
        if event["token_breakdown"]["quality"] == "complete":
            assert _from_raw(event) == _from_breakdown(event)
            assert event["tokens"]["total_tokens"] == event["token_breakdown"]["total_tokens"]


def _from_raw(event: Event) -> tuple[int, ...]:
    tokens = event["tokens"]
    input_tokens, out, thought = (
        tokens[name] for name in ("input_tokens", "output_tokens", "reasoning_tokens")
    )
    read, write = tokens["cache_read_tokens"], tokens["cache_creation_tokens"]
    if event["provider"] == "claude":
        return input_tokens, read, write, out - thought, thought
    if event["provider"] in SUBSET:
        return input_tokens - read - write, read, write, out - thought, thought
    return input_tokens - read - write, read, write, out, thought


def _from_breakdown(event: Event) -> tuple[int, ...]:
    read_in, written = event["token_breakdown"]["input"], event["token_breakdown"]["output"]
    return (
        read_in["uncached_tokens"],
        read_in["cache_read_tokens"],
        read_in["cache_write_tokens"],
        written["non_reasoning_tokens"],
        written["reasoning_tokens"],
    )


def test_a_few_attempts_in_a_hundred_fail(events: list[Event]) -> None:
    assert 0.02 < sum(event["failed"] for event in events) / COUNT < 0.04


def test_failed_attempts_took_no_tokens(events: list[Event]) -> None:
    assert {event["tokens"]["total_tokens"] for event in events if event["failed"]} == {0}


def test_every_credential_has_work(events: list[Event]) -> None:
    attempts = Counter(event["auth_index"] for event in events)
    working = set(ACCOUNTS) - {ERIN}
    assert set(attempts) == {account.auth_index for account in working}
    assert min(attempts.values()) > COUNT / 100


@pytest.mark.parametrize(
    "holds",
    [
        pytest.param(
            lambda e: status(e) == 429 and "usage_limit_reached" in e["fail"]["body"],
            id="plan-used-up",
        ),
        pytest.param(
            lambda e: status(e) == 429 and "rate_limit_error" in e["fail"]["body"], id="too-fast"
        ),
        pytest.param(lambda e: status(e) == 429 and "RetryInfo" in e["fail"]["body"], id="google"),
        *(
            pytest.param(lambda e, code=code: status(e) == code, id=str(code))
            for code in (400, 401, 408, 499, 502, 529)
        ),
        pytest.param(lambda e: e["fail"]["body"].startswith("<html>"), id="html-page"),
        pytest.param(lambda e: e["failed"] and e["latency_ms"] == 0, id="refused-by-the-proxy"),
        pytest.param(lambda e: e["alias"] != e["model"], id="alias"),
        pytest.param(lambda e: e["alias"].endswith("(high)"), id="alias-with-effort"),
        pytest.param(lambda e: e["service_tier"] == "priority", id="priority"),
        pytest.param(lambda e: e["x_forwarded_for"], id="forwarded"),
        pytest.param(lambda e: e["endpoint"] == "POST /v1beta/models/*action", id="template"),
        pytest.param(lambda e: e["endpoint"] == "POST /v1/responses/compact", id="compact"),
        pytest.param(lambda e: e["source"] == e["api_key"], id="source-is-the-clients-key"),
        pytest.param(lambda e: e["source"] == LUMEN.key, id="source-is-an-upstream-key"),
        pytest.param(lambda e: e["token_breakdown"]["quality"] == "unclassified", id="total-only"),
        pytest.param(lambda e: e["tokens"]["cache_creation_tokens"], id="cache-written"),
        pytest.param(lambda e: header(e, "X-Codex-Active-Limit") == "codex_bengalfox", id="spark"),
        pytest.param(lambda e: header(e, "X-Codex-Primary-Window-Minutes") == "43800", id="month"),
        pytest.param(lambda e: header(e, "X-Codex-Secondary-Window-Minutes") == "0", id="alone"),
        pytest.param(lambda e: header(e, "X-Codex-Secondary-Window-Minutes") == "300", id="5h-2nd"),
        pytest.param(lambda e: "Set-Cookie" in e.get("response_headers", {}), id="cookie"),
    ],
)
def test_the_traffic_has(events: list[Event], holds: Callable[[Event], object]) -> None:
    assert any(map(holds, events))


def test_a_failed_request_is_tried_on_another_account_under_the_same_id(
    events: list[Event],
) -> None:
    retried = [
        (first, then)
        for group in by_request(events)
        for first, then in pairwise(group)
        if first["failed"] and not then["failed"]
    ]
    assert any(status(first) == 429 for first, _ in retried)
    assert all(first["auth_index"] != then["auth_index"] for first, then in retried)


def test_websocket_turns_share_one_id_and_carry_no_quota(events: list[Event]) -> None:
    turns = [e for e in events if e["executor_type"] == "CodexWebsocketsExecutor"]
    assert {turn["endpoint"] for turn in turns} == {"GET /v1/responses"}
    assert max(len(group) for group in by_request(turns)) >= 8
    assert not any(header(turn, "X-Codex-Plan-Type") for turn in turns)
    assert any("response_headers" not in turn for turn in turns)


def test_a_picture_is_an_extra_event_of_the_same_instant(events: list[Event]) -> None:
    pictures = [
        group for group in by_request(events) if any(e["model"] == "gpt-image-2" for e in group)
    ]
    assert pictures
    for group in pictures:
        assert len({(event["timestamp"], event["auth_index"]) for event in group}) == 1


def test_some_cancelled_attempts_carry_the_headers_of_another_account() -> None:
    limited = history(END - 6 * 3600, END, count=4000, seed=7)
    events = [json.loads(line) for line in limited]
    assert any(
        status(then) == 499 and then["response_headers"] == first["response_headers"]
        for group in by_request(events)
        for first, then in pairwise(group)
    )


def test_weekly_windows_rise_and_reset(events: list[Event]) -> None:
    used = _used(events, BOB, "X-Codex-Primary-Used-Percent")
    drops = [(before, after) for before, after in pairwise(used) if after < before]
    assert 3 <= len(drops) <= 4
    assert all(after <= 5 for _, after in drops)


@pytest.mark.parametrize(
    ("account", "name", "low", "high"),
    [
        pytest.param(BOB, "X-Codex-Primary-Used-Percent", 90, 95, id="nearly-used-up"),
        pytest.param(ALICE, "X-Codex-Secondary-Used-Percent", 58, 63, id="past-the-middle"),
        pytest.param(ALICE_TEAM, "X-Codex-Primary-Used-Percent", 40, 45, id="team"),
        pytest.param(CAROL, "Anthropic-Ratelimit-Unified-7d-Utilization", 0.38, 0.42, id="claude"),
    ],
)
def test_windows_stand_at_the_end_as_intended(
    events: list[Event], account: Account, name: str, low: float, high: float
) -> None:
    assert low <= _used(events, account, name)[-1] <= high


def _used(events: list[Event], account: Account, name: str) -> list[float]:
    own = [
        e
        for e in events
        if e["auth_index"] == account.auth_index
        and header(e, "X-Codex-Active-Limit") != "codex_bengalfox"
    ]
    return [float(header(event, name)) for event in own if header(event, name)]


def test_one_account_has_used_up_its_week_and_only_fails(events: list[Event]) -> None:
    last_day = [event for event in events if began_at(event) > END - 86400]
    dave = [event for event in last_day if event["auth_index"] == DAVE.auth_index]
    assert dave
    assert all(event["failed"] for event in dave)
    limits = [e for e in dave if "usage_limit_reached" in e["fail"]["body"]]
    assert {header(event, "X-Codex-Secondary-Used-Percent") for event in limits} == {"100"}
    resets = {json.loads(event["fail"]["body"])["error"]["resets_at"] for event in limits}
    assert resets == {int(END + 26 * 3600)}


def test_nights_and_weekends_are_quiet(events: list[Event]) -> None:
    times = [datetime.fromtimestamp(began_at(event), ZONE) for event in events]
    hours = Counter(time.hour for time in times)
    days = Counter(time.weekday() for time in times)
    assert hours[10] > 4 * hours[3]
    assert min(days[day] for day in range(5)) > 2 * max(days[5], days[6])


def test_every_name_and_key_is_visibly_made_up(events: list[Event]) -> None:
    sources = {event["source"] for event in events}
    assert all(
        source.endswith("@example.com") or source.startswith(("sk-demo-", "sk-fake-"))
        for source in sources
    )
    assert {event["api_key"] for event in events} == set(CLIENT_KEYS)


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        pytest.param(0.5, UTC, "1970-01-01T00:00:00.5Z", id="utc"),
        pytest.param(0, UTC, "1970-01-01T00:00:00Z", id="no-fraction"),
        pytest.param(
            0.25, timezone(timedelta(hours=8)), "1970-01-01T08:00:00.25+08:00", id="offset"
        ),
    ],
)
def test_timestamps_are_written_as_go_writes_them(
    moment: float, zone: timezone, expected: str
) -> None:
    assert payload.timestamp(moment, zone) == expected


def test_html_is_escaped_in_the_bytes(raw: list[bytes]) -> None:
    assert any(b"\\u003chtml\\u003e" in line for line in raw)
    assert not any(b"<" in line for line in raw)


def test_a_taken_port_is_said_in_a_sentence() -> None:
    with serving(FakeProxy(key=None)) as proxy:
        command = [sys.executable, "-m", "demo", "proxy", "--port", str(proxy.port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    sentence = f"cannot listen on port {proxy.port}: address already in use\n"
    assert (done.returncode, done.stderr) == (1, sentence)


def test_a_proxy_that_never_listens_is_one_sentence() -> None:
    with serving(FakeProxy(key=None)) as proxy:
        port = str(proxy.port)
    command = [sys.executable, "-m", "demo", "wait", "--port", port, "--seconds", "0.3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, f"nothing listens on port {port}\n")


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_fake_proxy_runs_alone_until_a_signal(name: signal.Signals) -> None:
    command = [sys.executable, "-m", "demo", "proxy", "--key", "k", "--rate", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        address = process.stdout.readline().decode().split()[2].rstrip(",")
        headers = {"X-Management-Key": "k"}
        answer = httpx.get(
            f"{address}/v0/management/config", headers=headers, trust_env=False, timeout=120
        )
        assert answer.status_code == 200
        process.send_signal(name)
        assert (process.wait(5), process.stderr.read()) == (0, b"")
