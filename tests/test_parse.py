"""Any bytes become a usage that adds up, or a rejection that says why."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parse import Rejected, Usage, parse
from ingest.payload import LARGEST

FOLDER = Path(__file__).parent / "data" / "events"
RECORDED = [line for file in sorted(FOLDER.iterdir()) for line in file.read_bytes().splitlines()]
WHOLE = json.loads((FOLDER / "written-from-source.jsonl").read_bytes().splitlines()[0])
WHOLE["response_service_tier"] = "default"
del WHOLE["response_headers"]

UNREAD = {
    *("access_token_sha256", "client_ip", "x_forwarded_for", "user_agent", "accounting_version"),
    *("tokens.cache_read_tokens_present", "token_breakdown.quality"),
}
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
    """Give every field of a record by its dotted path."""
    if not isinstance(value, dict):
        return {}
    found = {f"{above}{name}": inner for name, inner in value.items()}
    for path, inner in list(found.items()):
        found |= paths(inner, f"{path}.")
    return found


def changed(path: str, value: Any, record: dict[str, Any] = WHOLE) -> bytes:
    """Give a record with another value at a dotted path."""
    copy = json.loads(json.dumps(record))
    *outer, last = path.split(".")
    inner = copy
    for name in outer:
        inner = inner[name]
    inner[last] = value
    return json.dumps(copy).encode()


def outcome(raw: bytes) -> str | int:
    """Give the instant of a record that is understood, the reason of another."""
    record = parse(raw)
    return record.reason if isinstance(record, Rejected) else record.occurred_at


def test_every_recorded_payload_is_understood() -> None:
    assert (len(RECORDED), [raw for raw in RECORDED if not isinstance(parse(raw), Usage)]) == (
        370,
        [],
    )


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
        pytest.param("yesterday", "timestamp: not a time", id="word"),
        pytest.param("", "timestamp: not a time", id="empty"),
    ],
)
def test_a_time_is_exact_or_refused(text: str, expected: int | str) -> None:
    assert outcome(changed("timestamp", text)) == expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        pytest.param(path, value, id=f"{path}-{json.dumps(value)}")
        for path, right in paths(WHOLE).items()
        for value in WRONG[type(right)]
        if path not in UNREAD
        if not (value is None and path in MAY_BE_NULL)
    ],
)
def test_a_wrong_type_is_refused_by_the_name_of_its_field(path: str, value: Any) -> None:
    assert str(outcome(changed(path, value))).startswith(f"{path}: ")


@pytest.mark.parametrize("path", sorted(MAY_BE_NULL))
def test_null_is_harmless_where_a_field_may_be_missing(path: str) -> None:
    assert isinstance(parse(changed(path, None)), Usage)


@pytest.mark.parametrize("value", [None, "x", 1, [], {}, [{"Date": 1}]], ids=json.dumps)
def test_headers_of_any_shape_are_harmless(value: Any) -> None:
    assert isinstance(parse(changed("response_headers", value)), Usage)


@pytest.mark.parametrize("name", WHOLE)
def test_only_three_fields_must_be_there(name: str) -> None:
    rest = {other: value for other, value in WHOLE.items() if other != name}
    required = name in ("timestamp", "tokens", "failed")
    assert (outcome(json.dumps(rest).encode()) == f"{name}: missing") == required


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        pytest.param("latency_ms", -1, "latency_ms: expected `int` >= 0", id="negative-duration"),
        pytest.param(
            "latency_ms", 10**30, f"latency_ms: expected `int` <= {LARGEST}", id="30-digits"
        ),
        pytest.param("model", "m" * 301, "model: expected `str` of length <= 300", id="long-name"),
        pytest.param(
            "tokens.input_tokens",
            LARGEST + 1,
            f"tokens.input_tokens: expected `int` <= {LARGEST}",
            id="absurd-count",
        ),
    ],
)
def test_a_number_out_of_range_is_refused(path: str, value: Any, reason: str) -> None:
    assert outcome(changed(path, value)) == reason


NO_EVENT = "not a usage event: Expected `object`, got "


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
        pytest.param(b'{"support_refresh":true}', "timestamp: missing", id="control-greeting"),
        pytest.param(b"{}", "timestamp: missing", id="empty-object"),
        pytest.param(b'"no json"', f"{NO_EVENT}`str`", id="string"),
        pytest.param(b"1", f"{NO_EVENT}`int`", id="number"),
        pytest.param(b"[{}]", f"{NO_EVENT}`array`", id="array"),
        pytest.param(b"null", f"{NO_EVENT}`null`", id="null"),
    ],
)
def test_what_is_no_event_is_kept_with_its_reason(raw: bytes, reason: str) -> None:
    assert parse(raw) == Rejected(reason, raw)


def test_of_a_key_given_twice_the_last_one_counts() -> None:
    raw = b'{"timestamp":"no",' + json.dumps(WHOLE).encode()[1:]
    assert outcome(raw) == outcome(json.dumps(WHOLE).encode())


def test_each_byte_counts_for_the_identity() -> None:
    records = [parse(raw) for raw in (RECORDED[0], RECORDED[0] + b" ", RECORDED[0])]
    first, other, again = (record.hash for record in records if isinstance(record, Usage))
    assert (first == again, first == other, len(first)) == (True, False, 16)


def adds_up(record: Usage) -> bool:
    """Tell what the checks of the table demand."""
    counts = record.tokens
    return (
        min(counts) >= 0
        and counts.cached + counts.cache_write <= counts.input
        and counts.reasoning <= counts.output
        and counts.total == counts.input + counts.output + counts.unclassified
        and record.occurred_at >= 0
        and (record.payload.latency_ms or 0) >= 0
    )


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-LARGEST, LARGEST), st.integers(), st.floats(), st.text()
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RECORDED), st.data())
def test_a_record_with_a_field_changed_adds_up_or_is_rejected(raw: bytes, data: Any) -> None:
    record = json.loads(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        raw = changed(data.draw(st.sampled_from(list(paths(record)))), data.draw(ODD), record)
    understood = parse(raw)
    assert isinstance(understood, Rejected) or adds_up(understood)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(RECORDED), st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3))))
def test_a_record_with_bytes_changed_adds_up_or_is_rejected(
    raw: bytes, changes: list[tuple[int, bytes]]
) -> None:
    for at, instead in changes:
        raw = raw[: at % len(raw)] + instead + raw[at % len(raw) + 1 :]
    understood = parse(raw)
    assert isinstance(understood, Rejected) or adds_up(understood)
