"""Series, and the window before each window, against brute force over random events."""

from collections import Counter
from contextlib import closing
from random import Random

import pytest

from tests.support.brute import DAY, HOUR, LENGTHS, MINUTE, Ledger, local, midnight, span

STEPS = {"minute": MINUTE, "quarter hour": 15 * MINUTE, "hour": HOUR}
MOMENTS = [
    pytest.param(("Europe/Berlin", 1_774_746_000_000), id="berlin-spring"),
    pytest.param(("America/New_York", 1_793_512_800_000), id="new-york-autumn"),
    pytest.param(("Asia/Kathmandu", 1_795_500_000_000), id="kathmandu-05:45"),
]
MODELS = [f"model-{n}" for n in range(9)]


def random_events(anchor: int, rng: Random) -> list[dict]:
    """Return random events, most of them near an instant."""
    reach = [HOUR, 6 * HOUR, 2 * DAY, 14 * DAY, 61 * DAY]
    return [
        {
            "at": anchor - rng.randrange(rng.choice(reach)),
            "proxy": rng.choice(["north", "south"]),
            "account": rng.choice(["ann", "bob", "cem", "dan", "eve", "fay", "gus", "hal"]),
            "model": rng.choice(MODELS),
            "client": rng.choice(["", "alpha1", "beta22"]),
            "input": rng.randrange(1000),
            "output": rng.randrange(1000),
            "latency": rng.randrange(1, 100_000),
            "failed": rng.random() < 0.2,
            "id": f"{number}",
        }
        for number in range(160)
    ]


def begins(at: int, step: str, zone: str) -> int:
    """Return the instant at which the local step of an event begins."""
    if step == "day":
        return midnight(local(at, zone).date(), zone)
    offset = int(local(at, zone).utcoffset().total_seconds() * 1000)
    return at - (at + offset) % STEPS[step]


def counted(events: list[dict], step: str, zone: str) -> Counter:
    """Count requests by step."""
    return Counter(begins(event["at"], step, zone) for event in events)


def requests_by_step(rows: list[dict], measure: str = "requests") -> Counter:
    """Count a query's requests by step."""
    sums: Counter = Counter()
    for row in rows:
        sums[row["starts_at"]] += row[measure]
    return sums


@pytest.fixture(scope="module", params=MOMENTS)
def ledger(request, tmp_path_factory):
    """A ledger of random events, its zone and clock."""
    zone, now = request.param
    events, folder = random_events(now, Random(zone)), tmp_path_factory.mktemp("series")
    with closing(Ledger(folder, zone, recent_from=(now - 48 * HOUR) // HOUR * HOUR)) as ledger:
        ledger.keep(events)
        ledger.set_clock(now)
        yield ledger, events, zone, now


@pytest.mark.parametrize("window", ["today", *LENGTHS])
def test_series_equal_brute_force(ledger, window):
    _, every, zone, now = ledger
    start, end = span(now, zone, window)
    inside = [event for event in every if start <= event["at"] < end]
    for proxy in ("", "south", "nowhere"):
        events = [event for event in inside if proxy in ("", event["proxy"])]
        compare(ledger, events, is_recent=start >= now - 48 * HOUR, window=window, proxy=proxy)


def compare(ledger, events, *, is_recent, **parameters):
    """Compare every series of a window, in every step."""
    brute, _, zone, _ = ledger
    failed = [event for event in events if event["failed"]]
    # Quarter hours of accounts are sums of minutes, which are kept for two days.
    for step in (*(STEPS if is_recent else ["hour"]), "day"):
        expected = counted(events, step, zone)
        for name in ("series", "model_series", "account_series"):
            rows = brute.ask(name, **parameters, step=step)
            assert requests_by_step(rows) == expected, (name, step)
            assert all(row["requests"] > 0 for row in rows)
        failures = brute.ask("failure_series", **parameters, step=step)
        assert requests_by_step(failures, "failed") == counted(failed, step, zone), step


def test_a_stack_names_the_six_largest_and_all_others_together(ledger):
    brute, events, zone, now = ledger
    start, end = span(now, zone, "30d")
    names = {"model_series": ("model", lambda e: e["model"])}
    names["account_series"] = ("account", lambda e: f"{e['account']}@example.com")
    for query, (column, name) in names.items():
        for proxy in ("", "north"):
            tokens: Counter = Counter()
            for event in events:
                if start <= event["at"] < end and proxy in ("", event["proxy"]):
                    tokens[name(event)] += event["input"] + event["output"]
            top = dict(tokens.most_common(6))
            sums: Counter = Counter()
            for row in brute.ask(query, window="30d", step="day", proxy=proxy):
                sums[row[column]] += row["total_tokens"]
            assert sums == top | {"": sum(tokens.values()) - sum(top.values())}, (query, proxy)


def test_one_accounts_models_equal_brute_force(ledger):
    brute, events, zone, now = ledger
    start, end = span(now, zone, "7d")
    mine = [e for e in events if start <= e["at"] < end and e["account"] == "ann"]
    parameters = {"window": "7d", "step": "hour", "account": "ann@example.com"}
    assert requests_by_step(brute.ask("model_series", **parameters)) == counted(mine, "hour", zone)
    for proxy in ("north", "south"):
        some = [event for event in mine if event["proxy"] == proxy]
        for name in ("model_series", "series"):
            assert requests_by_step(brute.ask(name, **parameters, proxy=proxy)) == counted(
                some, "hour", zone
            )


@pytest.mark.parametrize("filters", [("model",), ("client",), ("account", "model")])
def test_filtered_series_equal_brute_force_at_each_proxy(ledger, filters):
    brute, events, zone, now = ledger
    start, end = span(now, zone, "30d")
    values = {
        "account": lambda e: f"{e['account']}@example.com",
        "model": lambda e: e["model"],
        "client": lambda e: f"…{e['client'][-4:]}" if e["client"] else "(none)",
    }
    one = next(event for event in events if start <= event["at"] < end)
    parameters = {name: values[name](one) for name in filters}
    for proxy in ("", "north", "south"):
        left = [
            event
            for event in events
            if start <= event["at"] < end
            and proxy in ("", event["proxy"])
            and all(values[name](event) == parameters[name] for name in filters)
        ]
        rows = brute.ask("series", window="30d", step="day", proxy=proxy, **parameters)
        assert requests_by_step(rows) == counted(left, "day", zone), proxy


@pytest.mark.parametrize("window", LENGTHS)
def test_the_window_before_is_as_long_and_ends_where_it_begins(ledger, window):
    brute, events, zone, now = ledger
    start, end = span(now, zone, window)
    [before] = brute.ask("range", **{"from": f"before {window}"})
    assert before["ends_at"] == start
    slack = HOUR if LENGTHS[window] > DAY else 1
    assert 0 <= (start - before["starts_at"]) - (end - start) < slack
    expected = [event for event in events if before["starts_at"] <= event["at"] < start]
    for filters in (
        {},
        {"account": "bob@example.com"},
        {"model": "model-1"},
        {"proxy": "north"},
        {"proxy": "south", "model": "model-1"},
    ):
        left = [
            event
            for event in expected
            if filters.get("account") in (None, f"{event['account']}@example.com")
            and filters.get("model") in (None, event["model"])
            and filters.get("proxy") in (None, event["proxy"])
        ]
        [row] = brute.ask("summary", **{"from": f"before {window}"}, **filters)
        assert (row["requests"], row["failed"], row["total_tokens"]) == (
            len(left),
            sum(event["failed"] for event in left),
            sum(event["input"] + event["output"] for event in left),
        ), filters


def test_before_today_is_yesterday_until_this_time(ledger):
    brute, _, zone, now = ledger
    start, _ = span(now, zone, "today")
    [before] = brute.ask("range", **{"from": "before today"})
    assert before["starts_at"] == midnight(local(start - 1, zone).date(), zone)
    assert before["ends_at"] - before["starts_at"] == now - start
