"""Any bytes become a usage that adds up, or a rejection with its reason."""

import json
from collections import ChainMap
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parse import Rejected, Usage, parse
from ingest.payload import MAX_COUNT

FOLDER = Path(__file__).parents[1] / "data" / "events"
RECORDED = [line for file in sorted(FOLDER.iterdir()) for line in file.read_bytes().splitlines()]
WHOLE = json.loads((FOLDER / "written-from-source.jsonl").read_bytes().splitlines()[0])
WHOLE = {**WHOLE, "response_service_tier": "default", "response_headers": {}}

UNREAD = {
    *("access_token_sha256", "client_ip", "x_forwarded_for", "user_agent", "accounting_version"),
    *("tokens.cache_read_tokens_present", "token_breakdown.quality", "response_headers"),
}
TOO_LARGE = "expected `int` <= 1000000000000"
NO_EVENT = "not a usage event: Expected `object`, got "
MAY_BE_NULL = {
    *("latency_ms", "ttft_ms", "fail", "generate", "token_breakdown", "tokens.cache_read_tokens"),
}
# For each right type the values that are wrong.
WRONG: dict[type, list[Any]] = {
    str: [1, 1.5, True, None, [], {}],
    int: ["1", 1.5, 1e300, True, None, [], {}],
    bool: ["true", 0, 1.0, None, [], {}],
    dict: ["{}", 1, True, None, []],
}


def paths(value: Any, above: str = "") -> dict[str, Any]:
    """Return every field of a record by its dotted path."""
    if not isinstance(value, dict):
        return {}
    here = {f"{above}{name}": inner for name, inner in value.items()}
    return dict(ChainMap(here, *(paths(inner, f"{path}.") for path, inner in here.items())))


def changed(path: str, value: Any, record: dict[str, Any] = WHOLE) -> bytes:
    """Return a record with another value at a dotted path."""
    name, _, rest = path.partition(".")
    inner = json.loads(changed(rest, value, record[name])) if rest else value
    return json.dumps(record | {name: inner}).encode()


def outcome(raw: bytes) -> str | int:
    """Return the instant of a valid record, the reason of a rejected one."""
    record = parse(raw)
    return record.reason if isinstance(record, Rejected) else record.occurred_at


def test_every_recorded_payload_is_valid() -> None:
    assert [isinstance(parse(raw), Usage) for raw in RECORDED] == [True] * 370


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            pytest.param(f"2026-08-22T03:15:21{fraction}Z", 1_787_368_521_000 + ms, id=fraction)
            for fraction, ms in [
                *(("", 0), (".4", 400), (".48", 480), (".482", 482), (".4829", 482)),
                *((".48291", 482), (".482913", 482), (".4829133", 482), (".48291337", 482)),
                *((".999999999", 999), (".000000001", 0)),
            ]
        ),
        pytest.param("2026-08-22T11:15:21+08:00", 1_787_368_521_000, id="east"),
        pytest.param("2026-08-21T23:45:21-03:30", 1_787_368_521_000, id="west-half-hour"),
        pytest.param("1970-01-01T00:00:00Z", 0, id="first"),
        pytest.param("2199-12-31T23:59:59.999Z", 7_258_118_399_999, id="last"),
        pytest.param("1970-01-01T07:59:59+08:00", "timestamp: out of range", id="before-1970"),
        pytest.param("2199-12-31T23:59:59-00:30", "timestamp: out of range", id="after-2199"),
        pytest.param("0001-01-01T00:00:00+08:00", "timestamp: out of range", id="year-1"),
        pytest.param("9999-12-31T23:59:59-08:00", "timestamp: out of range", id="year-9999"),
        pytest.param("2026-08-22T11:15:21", "timestamp: no time zone", id="no-zone"),
        pytest.param("2026-08-22", "timestamp: no time zone", id="no-time"),
        pytest.param("2026-02-30T11:15:21Z", "timestamp: not a time", id="bad-date"),
        pytest.param("2026-08-22T25:15:21Z", "timestamp: not a time", id="bad-hour"),
        pytest.param("2026-08-22T11:15:21+24:00", "timestamp: not a time", id="bad-zone"),
        pytest.param("", "timestamp: not a time", id="empty"),
    ],
)
def test_a_time_is_exact_or_rejected(text: str, expected: int | str) -> None:
    assert outcome(changed("timestamp", text)) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(path, value, id=f"{path}-{json.dumps(value)}")
        for path, right in paths(WHOLE).items()
        for value in WRONG[type(right)]
        if path not in UNREAD and (value is not None or path not in MAY_BE_NULL)
    ],
)
def test_a_wrong_type_is_rejected_by_the_name_of_its_field(path: str, value: Any) -> None:
    assert str(outcome(changed(path, value))).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("path", "value"),
    [(path, None) for path in sorted(MAY_BE_NULL)]
    + [("response_headers", value) for value in (None, "x", 1, [], {}, [{"Date": 1}])],
)
def test_a_field_that_may_be_missing_may_be_null(path: str, value: Any) -> None:
    assert isinstance(parse(changed(path, value)), Usage)


@pytest.mark.parametrize("name", WHOLE)
def test_only_three_fields_must_be_there(name: str) -> None:
    rest = {other: value for other, value in WHOLE.items() if other != name}
    required = name in ("timestamp", "tokens", "failed")
    assert (outcome(json.dumps(rest).encode()) == f"{name}: missing") == required


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        pytest.param("latency_ms", -1, "latency_ms: expected `int` >= 0", id="negative-duration"),
        pytest.param("latency_ms", 10**30, f"latency_ms: {TOO_LARGE}", id="30-digits"),
        pytest.param("model", "m" * 301, "model: expected `str` of length <= 300", id="long-name"),
        pytest.param("tokens.total_tokens", 10**13, f"tokens.total_tokens: {TOO_LARGE}", id="many"),
    ],
)
def test_a_number_out_of_range_is_rejected(path: str, value: Any, reason: str) -> None:
    assert outcome(changed(path, value)) == reason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"\xef\xbb\xbf{}", "not JSON", id="byte-order-mark"),
        pytest.param(b'{"timestamp":', "not JSON", id="cut-off"),
        pytest.param(changed("model", "m") + b"{}", "not JSON", id="two-records"),
        pytest.param(changed("latency_ms", float("nan")), "not JSON", id="nan"),
        pytest.param(changed("model", "\ud800"), "not JSON", id="lone-surrogate"),
        pytest.param(changed("model", "X").replace(b"X", b"\xff"), "not JSON", id="invalid-utf-8"),
        pytest.param(b'{"a":' * 100_000, "JSON nested too deeply", id="deep"),
        pytest.param(b'{"refresh":true}', "timestamp: missing", id="control-message"),
        pytest.param(b"{}", "timestamp: missing", id="empty-object"),
        pytest.param(b'"no json"', f"{NO_EVENT}`str`", id="string"),
        pytest.param(b"1", f"{NO_EVENT}`int`", id="number"),
        pytest.param(b"[{}]", f"{NO_EVENT}`array`", id="array"),
    ],
)
def test_what_is_no_event_is_rejected_with_its_reason(raw: bytes, reason: str) -> None:
    assert parse(raw) == Rejected(reason, raw)


def test_of_a_key_given_twice_the_last_one_counts() -> None:
    raw = b'{"timestamp":"no",' + json.dumps(WHOLE).encode()[1:]
    assert outcome(raw) == outcome(json.dumps(WHOLE).encode())


def test_each_byte_counts_for_the_identity() -> None:
    once, again, longer = (parse(RECORDED[0] + more) for more in (b"", b"", b" "))
    assert (once == again, once[0] == longer[0], once[1:] == longer[1:]) == (True, False, True)


def is_sound(record: Usage | Rejected) -> bool:
    """Return whether the table accepts a usage; a rejected record is always sound."""
    if isinstance(record, Rejected):
        return True
    counts = record.tokens
    return (
        min(*counts, record.occurred_at, record.payload.latency_ms or 0) >= 0
        and counts.cached + counts.cache_write <= counts.input
        and counts.reasoning <= counts.output
        and counts.total == counts.input + counts.output + counts.unclassified
    )


COUNT = st.integers(-MAX_COUNT, MAX_COUNT)
ODD = st.one_of(COUNT, st.none(), st.booleans(), st.integers(), st.floats(), st.text())


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RECORDED), st.data())
def test_a_record_with_fields_changed_is_sound(raw: bytes, data: Any) -> None:
    for _ in range(data.draw(st.integers(1, 4))):
        record = json.loads(raw)
        raw = changed(data.draw(st.sampled_from(list(paths(record)))), data.draw(ODD), record)
    assert is_sound(parse(raw))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RECORDED), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3))))
def test_a_record_with_bytes_changed_is_sound(raw: bytes, changes: list[tuple[int, bytes]]) -> None:
    for at, instead in changes:
        raw = raw[: at % len(raw)] + instead + raw[at % len(raw) + 1 :]
    assert is_sound(parse(raw))
