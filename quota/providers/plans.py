"""Plans that the quota answer leaves out, asked for once a day: Claude's and Antigravity's.

GET https://api.anthropic.com/api/oauth/profile as read by Claude Code; POST
…googleapis.com/v1internal:loadCodeAssist as read by the Antigravity clients.
"""

import json
from collections.abc import Mapping

from quota.errors import opened
from quota.fields import field, word
from quota.identity import Credential
from quota.model import Answer, Reading, Request
from quota.numbers import flag
from quota.providers import antigravity, claude

PROFILE = "/api/oauth/profile"
ASSIST = "/v1internal:loadCodeAssist"


def claude_request(credential: Credential) -> Request:
    """Ask for the profile of the account whose token is sent."""
    return Request("GET", PROFILE, claude.headers())


def claude_plan(answer: Answer) -> Reading:
    """Read the plan: the organisation's type, else the account's own flags, max before pro."""
    found = opened(answer, "account", "organization")
    if isinstance(found, Reading):
        return found
    answer, body = found
    account = field(body, "account")
    plan = word(field(field(body, "organization"), "organization_type"))
    for name in ("claude_max", "claude_pro"):
        plan = plan or (name if flag(field(account, f"has_{name}")) else None)
    return _reading(answer, plan)


def antigravity_request(credential: Credential) -> Request:
    """Ask which tier the account is on."""
    client = json.dumps({"metadata": {"ideType": "ANTIGRAVITY"}})
    return Request("POST", ASSIST, antigravity.request(credential).headers, client)


def antigravity_plan(answer: Answer) -> Reading:
    """Read the paid tier, else the current one."""
    found = opened(answer, "paid_tier", "current_tier")
    if isinstance(found, Reading):
        return found
    answer, body = found
    tiers: tuple[object, ...] = (field(body, "paid_tier"), field(body, "current_tier"))
    names = (word(field(tier, "id")) for tier in tiers if isinstance(tier, Mapping))
    return _reading(answer, next(filter(None, names), None))


def _reading(answer: Answer, plan: str | None) -> Reading:
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
    )
