"""A rejected record is stored without secrets, and can be replayed."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parse import Rejected, Usage, parse
from ingest.rejected import redact_record
from ledger.keys import Salt
from tests.support.home import RECORDINGS, recorded

RECORDED = [payload for name in RECORDINGS for payload in recorded(name)]
SALT = Salt(b"0" * 32)
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def shape(value: Any) -> Any:
    """Return a value without its texts and field names."""
    if isinstance(value, dict):
        return [shape(inner) for inner in value.values()]
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return "" if isinstance(value, str) else value


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return (container, key) of every text and of every field in a record."""
    if not isinstance(value, dict | list):
        return []
    items = list(value.items() if isinstance(value, dict) else enumerate(value))
    here = [(value, key) for key, inner in items if isinstance(inner, str)]
    return here + [place for _, inner in items for place in places(inner)]


HEX = st.text("0123456789abcdef", min_size=32, max_size=64).filter(
    lambda text: re.search("[a-f]", text) and re.search("[0-9]", text)
)
SECRETS = st.one_of(
    HEX,
    HEX.map("sk-{}".format),
    HEX.map("AIza{}".format),
    HEX.map("someone-{}@example.com".format),
    HEX.map("https://example.com/?token={}".format),
    st.uuids().map(str),
    st.just(JWT),
)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(RECORDED), SECRETS, st.sampled_from(["{}", "{} x", "see {}"]), st.data())
def test_a_planted_secret_is_not_stored(raw: bytes, secret: str, around: str, data: Any) -> None:
    record = json.loads(raw) | {"timestamp": "never"}
    container, key = data.draw(st.sampled_from([p for p in places(record) if p[1] != "source"]))
    if isinstance(container, dict) and data.draw(st.booleans()):
        container[around.format(secret)] = container.pop(key)
    else:
        container[key] = around.format(secret)
    whole = json.dumps(record).encode()
    form, redacted = redact_record(whole, SALT.placeholder)
    _, torn = redact_record(whole[: data.draw(st.integers(0, len(whole) - 1))], SALT.placeholder)
    assert (form, secret in redacted, secret in torn) == ("json", False, False)
    assert shape(json.loads(redacted)) == shape(record)


@pytest.mark.parametrize(
    "raw", [b'{"a":NaN}', b'{"a":1e999}', b"\xff", b"[" * 100_000, b""], ids=len
)
def test_what_is_not_json_is_stored_as_an_excerpt(raw: bytes) -> None:
    form, redacted = redact_record(raw, SALT.placeholder)
    assert (form, len(redacted) <= 300) == ("excerpt", True)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            b'{"timestamp":"2026-08-22","api_key":"hunter2","model":"gpt-5.5","tok', id="torn"
        ),
        pytest.param(b'{"timestamp":"2026-08-22","api_key":"hunter2\\', id="torn-at-backslash"),
        pytest.param(b'{"timestamp":"2026-08-22","x":["hunter2"],"hunter2":1}, x', id="surplus"),
    ],
)
def test_an_excerpt_shows_no_text_of_an_unknown_kind(raw: bytes) -> None:
    form, redacted = redact_record(raw, SALT.placeholder)
    assert (form, redacted[:25], "hunter2" in redacted) == (
        "excerpt",
        '{"timestamp":"2026-08-22"',
        False,
    )


def test_a_record_with_a_lone_surrogate_is_stored_whole() -> None:
    assert redact_record(b'{"model":"\\ud800"}', SALT.placeholder)[0] == "json"


@pytest.mark.parametrize("broken", ["timestamp", "tokens", "latency_ms", "failed"])
def test_a_corrected_record_is_the_same_usage_of_the_same_client(broken: str) -> None:
    for raw in RECORDED:
        whole = json.loads(raw)
        damaged = json.dumps(whole | {broken: ["?"]}).encode()
        assert isinstance(parse(damaged), Rejected)
        redacted = json.loads(redact_record(damaged, SALT.placeholder)[1])
        first, again = parse(raw), parse(json.dumps(redacted | {broken: whole[broken]}).encode())
        assert isinstance(first, Usage)
        assert isinstance(again, Usage)
        assert again[1:4] == first[1:4]
        assert SALT.key(again.payload.api_key) == SALT.key(first.payload.api_key)
        assert again.payload.model == first.payload.model


def test_a_record_that_is_too_long_leaves_an_excerpt() -> None:
    form, redacted = redact_record(b'{"a": "' + b"x" * 300_000 + b'"}', lambda text: "hash")
    assert form == "excerpt"
    assert len(redacted) <= 300
