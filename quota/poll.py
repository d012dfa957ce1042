"""Poll one account: the request, other addresses where the first is away, plan and fallback."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from quota.fetch import NoAnswer
from quota.identity import Credential
from quota.model import Answer, Reading, Request, Window
from quota.providers import Provider

Ask = Callable[[Request, str], Answer]
AWAY = ("no_connection", "bad_address")


def poll(
    provider: Provider, credential: Credential, ask: Ask, *, bases: Sequence[str]
) -> tuple[Reading, str]:
    """Ask for an account's quota; give the reading and the base URL that it came from."""
    reading, base = _first(provider, credential, ask, bases=bases)
    if provider.fallback and reading.state == "ok" and not _has_window(reading):
        other = _ask(provider, provider.fallback(credential), credential, ask=ask, base=base)
        if other.state == "ok":
            windows = (*reading.windows, *_others(other, reading))
            reading = replace(reading, windows=windows, complete=other.complete)
    return reading, base


def poll_plan(provider: Provider, credential: Credential, ask: Ask, *, base: str) -> Reading | None:
    """Ask for an account's plan where the quota answer has none; None when nothing is told."""
    if provider.plan is None:
        return None
    request, parse = provider.plan
    try:
        reading = parse(ask(request(credential), base))
    except NoAnswer:
        return None
    return reading if reading.plan_raw else None


def _first(
    provider: Provider, credential: Credential, ask: Ask, *, bases: Sequence[str]
) -> tuple[Reading, str]:
    reading, used = NoAnswer("there is no address to ask", code="bad_address").reading(), ""
    for base in bases:
        request = provider.request(credential)
        reading, used = _ask(provider, request, credential, ask=ask, base=base), base
        # A slow answer is not tried elsewhere: the account has had its time.
        if reading.error_code not in AWAY and reading.http_status != 404:
            break
    return reading, used


def _ask(
    provider: Provider, request: Request, credential: Credential, *, ask: Ask, base: str
) -> Reading:
    try:
        return provider.parse(ask(request, base), credential.account_id)
    except NoAnswer as error:
        return error.reading()


def _has_window(reading: Reading) -> bool:
    return any(window.gating for window in reading.windows)


def _others(more: Reading, reading: Reading) -> list[Window]:
    known = {(w.scope, w.scope_key, w.window_key) for w in reading.windows}
    return [w for w in more.windows if (w.scope, w.scope_key, w.window_key) not in known]
