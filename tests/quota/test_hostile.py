"""Damaged answers cause no crash, no invented 0 and no invented yes."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.quota_headers import allowed
from quota.http import first_values
from quota.identity import from_file, from_listing
from quota.model import Answer, HeaderSignal, Reading
from quota.providers import PROVIDERS
from quota.signals import read_signal
from quota.sources.management import unwrap
from quota.verdict import account_verdict, group_verdicts
from tests.support.quota_samples import AT, DATA, account_of

DROP = object()
ODD = (DROP, None, "oops", "", True, -1, float("nan"), [], {}, [None], {"x": [1]}, 10**400)
SAMPLES = {
    path.stem: json.loads(path.read_text())
    for path in sorted(DATA.glob("*.json"))
    if path.stem.split("-")[0] in PROVIDERS and path.stem != "codex-usage-event-headers"
}
OBJECTS = [name for name, content in SAMPLES.items() if isinstance(content["body"], dict)]
GOOD = [name for name in OBJECTS if SAMPLES[name]["status"] == 200]
Path_ = tuple[str | int, ...]


def paths(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """Return the path of every value inside a JSON value."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*at, key)
            yield from paths(part, (*at, key))


def changed(value: Any, at: Path_, odd: Any) -> Any:
    """Return a JSON value with one path dropped or replaced."""
    if not at:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    key = at[0]
    present = key in copy if isinstance(copy, dict) else isinstance(key, int) and key < len(copy)
    if not present or (len(at) > 1 and not isinstance(copy[key], dict | list)):
        return copy
    part = changed(copy[key], at[1:], odd)
    if part is DROP:
        del copy[key]
    else:
        copy[key] = part
    return copy


def reversed_order(value: Any) -> Any:
    """Return a JSON value with every object and list reversed."""
    if isinstance(value, dict):
        return {key: reversed_order(value[key]) for key in reversed(value)}
    return [reversed_order(part) for part in reversed(value)] if isinstance(value, list) else value


def respelled(value: Any, spell: Any) -> Any:
    """Return a JSON value with every key in another spelling."""
    if isinstance(value, dict):
        return {spell(key): respelled(part, spell) for key, part in value.items()}
    return [respelled(part, spell) for part in value] if isinstance(value, list) else value


def camel(key: str) -> str:
    """Return a key in camelCase."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key)


def snake(key: str) -> str:
    """Return a key in snake_case."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", key).lower()


def reading(name: str, body: Any) -> Reading:
    """Parse a sample's answer with another body."""
    content = SAMPLES[name]
    text = body if isinstance(body, str) else json.dumps(body)
    answer = Answer(content["status"], first_values(content["headers"]), text, AT)
    return PROVIDERS[name.split("-")[0]].parse(answer, None)


def usable(result: Reading) -> bool | None:
    """Return whether an account with only this reading is usable."""
    return account_verdict(account_of(result), result.windows, now=AT).usable


def zeros(result: Reading) -> Counter[str]:
    """Return the number of unused windows of each scope."""
    return Counter(window.scope for window in result.windows if window.used_percent == 0)


def check(name: str, body: Any) -> None:
    """Compare the reading of a damaged answer with that of the whole one."""
    whole, result = reading(name, SAMPLES[name]["body"]), reading(name, body)
    present = {window.used_percent for window in whole.windows} | {None}
    # A spend cap without its percentage still has two amounts, sent as text.
    derived = {30.289912}
    assert {window.used_percent for window in result.windows} <= present | derived
    assert zeros(result) <= zeros(whole)
    for window in result.windows:
        assert isinstance(window.scope_key, str)
        assert window.label.isprintable()
        assert window.resets_at is None or 10**12 <= window.resets_at <= 10**13
    assert not re.search(r"@|SYNTH|[0-9a-f]{8}-[0-9a-f]{4}", repr(result))
    if result.state != "ok":
        assert (result.windows, result.complete) == ((), False)
    if usable(result):
        assert usable(whole)
        # Without any window the provider's own permission is enough.
        known = any(w.gating and w.used_percent is not None for w in result.windows)
        assert known or (result.allowed and not any(w.gating for w in result.windows))


@pytest.mark.parametrize("name", GOOD)
def test_one_damaged_value_is_never_read_as_another_value(name: str) -> None:
    body = SAMPLES[name]["body"]
    for at in paths(body):
        for odd in ODD:
            check(name, changed(body, at, odd))


@pytest.mark.parametrize("name", GOOD)
def test_two_damaged_values_are_never_read_as_other_values(name: str) -> None:
    body, chance = SAMPLES[name]["body"], random.Random(name)
    places = list(paths(body))
    for _ in range(250):
        first, second = chance.choice(places), chance.choice(places)
        damaged = changed(body, first, chance.choice(ODD))
        check(name, changed(damaged, second, chance.choice(ODD)))


@pytest.mark.parametrize("name", [name for name in OBJECTS if name not in GOOD])
def test_a_damaged_error_is_still_an_error(name: str) -> None:
    body = SAMPLES[name]["body"]
    for at in paths(body):
        for odd in ODD:
            result = reading(name, changed(body, at, odd))
            assert (result.state == "ok", result.windows, result.complete) == (False, (), False)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_order_of_keys_and_lists_does_not_matter(name: str) -> None:
    body = SAMPLES[name]["body"]
    whole, result = reading(name, body), reading(name, reversed_order(body))
    assert set(result.windows) == set(whole.windows)
    assert (result.state, result.error_code, result.plan_raw) == (
        whole.state,
        whole.error_code,
        whole.plan_raw,
    )


@pytest.mark.parametrize("spell", [camel, snake])
@pytest.mark.parametrize("name", GOOD)
def test_keys_in_the_other_spelling_are_read_alike(name: str, spell: Any) -> None:
    body = SAMPLES[name]["body"]
    assert reading(name, respelled(body, spell)) == reading(name, body)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_cut_off_answer_is_never_good(name: str) -> None:
    text = json.dumps(SAMPLES[name]["body"])
    for end in islice(range(len(text) - 1), 0, None, 7):
        result = reading(name, text[:end])
        assert (result.state == "ok", result.windows, result.complete) == (False, (), False)


KEYS = st.sampled_from(
    sorted(
        {str(key) for content in SAMPLES.values() for at in paths(content["body"]) for key in at}
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    [
        "x-codex-active-limit",
        "x-codex-credits-balance",
        "x-codex-plan-type",
        "retry-after",
        *(
            f"x-codex-{family}{side}-{part}"
            for family in ("", "bengalfox-", "code-review-", "additional-gpt-reserve-")
            for side in ("primary", "secondary")
            for part in ("used-percent", "window-minutes", "reset-at", "reset-after-seconds")
        ),
        *(
            f"anthropic-ratelimit-unified-{claim}{part}"
            for claim in ("", "5h-", "7d-", "7d_oi-", "999d-")
            for part in ("status", "utilization", "reset")
        ),
    ]
)
HEADER_VALUES = st.sampled_from(
    ["0", "1", "48.5", "", "x", "-1", "1e400", "nan", "rejected", "allowed", "1790000000", "9" * 40]
)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(body=st.dictionaries(KEYS, VALUES, max_size=6), status=st.sampled_from([200, 401, 403]))
def test_any_json_is_parsed_without_an_error(body: Any, status: int) -> None:
    answer = Answer(status, {}, json.dumps(body), AT)
    for provider in PROVIDERS.values():
        result = provider.parse(answer, "account")
        assert all(w.used_percent is None or w.used_percent >= 0 for w in result.windows)
        group_verdicts(account_of(result), result.windows, now=AT)
    unwrap(answer)
    from_file("file.json", body)
    from_listing(body)


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(headers=st.dictionaries(NAMES, HEADER_VALUES), provider=st.sampled_from(["codex", "claude"]))
def test_any_headers_are_parsed_without_invented_values(
    headers: dict[str, str], provider: str
) -> None:
    signal = HeaderSignal(
        provider=provider, headers=headers, failed=False, status_code=200, observed_at=AT
    )
    result = read_signal(signal)
    for window in result.windows if result else ():
        values = [float(v) for v in headers.values() if re.fullmatch(r"[0-9.]+", v)]
        percents = {*values, *(round(number * 100, 6) for number in values)}
        assert window.used_percent is None or window.used_percent in percents
        assert window.window_seconds


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(raw=st.binary(max_size=60), status=st.integers(min_value=0, max_value=599))
def test_any_bytes_are_a_failure_with_a_state(raw: bytes, status: int) -> None:
    for provider in PROVIDERS.values():
        assert provider.parse(Answer(status, {}, raw, AT), None).state not in ("ok", None)


def test_headers_are_stored_only_from_the_allowed_list() -> None:
    headers = {
        "Set-Cookie": ["a=b"],
        "X-Codex-Turn-State": ["opaque"],
        "Retry-After": ["", "5"],
    }
    assert allowed(headers) == {"retry-after": "5"}
