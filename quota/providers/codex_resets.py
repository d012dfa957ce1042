"""Banked full resets: GET /backend-api/wham/rate-limit-reset-credits, as read by openai/codex.

Only for showing when they lapse. Redeeming one is the owner's to do, never a ledger's.
"""

from dataclasses import dataclass, replace

from quota.errors import opened
from quota.fields import field, items
from quota.identity import Credential
from quota.model import Answer, Reading, Request
from quota.numbers import count, instant
from quota.providers import codex

PATH = "/backend-api/wham/rate-limit-reset-credits"


@dataclass(frozen=True, slots=True)
class ResetCredits:
    """How many resets are banked, and when the first of them lapses."""

    available: int | None
    first_expires_at: int | None


def request(credential: Credential) -> Request:
    """Ask for the banked resets of an account."""
    asked = codex.request(credential)
    extra = {"OpenAI-Beta": "codex-1", "originator": "Codex Desktop"}
    return replace(asked, path=PATH, headers={**asked.headers, **extra})


def parse(answer: Answer) -> ResetCredits | Reading:
    """Read the banked resets, or the reading of a failed answer."""
    found = opened(answer, "available_count", "credits")
    if isinstance(found, Reading):
        return found
    _, body = found
    available = [c for c in items(field(body, "credits")) if field(c, "status") == "available"]
    ends = (instant(field(each, "expires_at")) for each in available)
    told = count(field(body, "available_count"))
    return ResetCredits(told, min((end for end in ends if end), default=None))
