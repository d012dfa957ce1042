"""Raw HTTP answers made readable: header maps, JSON bodies, the clock they were given by."""

import json
from collections.abc import Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime

from quota.model import Answer

SKEW_MS = 60_000


def first_values(headers: Mapping[str, object]) -> dict[str, str]:
    """Lower-case header names and keep each one's first non-empty value.

    Takes both a plain map and the proxy's map of lists.
    """
    found: dict[str, str] = {}
    for name, values in headers.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, str) and value.strip():
                found.setdefault(str(name).strip().lower(), value.strip())
    return found


def decoded(body: bytes | str) -> object:
    """Decode JSON; None when it is none. NaN and infinity decode to None."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
    try:
        return json.loads(text.removeprefix("\ufeff"), parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def dated(answer: Answer) -> Answer:
    """Date an answer by its own `Date` header when the local clock is more than a minute off."""
    try:
        told = parsedate_to_datetime(answer.headers.get("date", ""))
        at = int(told.timestamp() * 1000)
    except (TypeError, ValueError, OverflowError):
        return answer
    return replace(answer, observed_at=at) if abs(at - answer.observed_at) > SKEW_MS else answer


def is_html(answer: Answer) -> bool:
    """Tell whether an answer is a web page, whatever its status says."""
    head = answer.body[:200]
    text = head.decode("utf-8", "replace") if isinstance(head, bytes) else head
    return "text/html" in answer.headers.get("content-type", "") or text.lstrip().startswith("<")
