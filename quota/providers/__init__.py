"""The providers whose quota can be read: one line each."""

from collections.abc import Callable
from dataclasses import dataclass

from quota.identity import Credential
from quota.model import Answer, Reading, Request
from quota.providers import antigravity, claude, codex, kimi, plans, xai

Ask = Callable[[Credential], Request]


@dataclass(frozen=True, slots=True)
class Provider:
    """How to ask one provider, and how to read its answer.

    `bases` are base URLs in the order to try. `fallback` is the request to make when an answer
    is fine but has no window of the account. `plan` asks for the plan and reads the answer,
    where the quota answer has none.
    """

    bases: tuple[str, ...]
    request: Ask
    parse: Callable[[Answer, str | None], Reading]
    fallback: Ask | None = None
    plan: tuple[Ask, Callable[[Answer], Reading]] | None = None


PROVIDERS = {
    "antigravity": Provider(
        antigravity.BASES,
        antigravity.request,
        antigravity.parse,
        plan=(plans.antigravity_request, plans.antigravity_plan),
    ),
    "claude": Provider(
        claude.BASES,
        claude.request,
        claude.parse,
        plan=(plans.claude_request, plans.claude_plan),
    ),
    "codex": Provider(codex.BASES, codex.request, codex.parse),
    "kimi": Provider(kimi.BASES, kimi.request, kimi.parse),
    "xai": Provider(xai.BASES, xai.request, xai.parse, xai.fallback_request),
}
