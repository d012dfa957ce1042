"""Codex: GET https://chatgpt.com/backend-api/wham/usage, as read by openai/codex."""

from quota.durations import settled
from quota.errors import opened
from quota.fields import field, text, word
from quota.identity import Credential
from quota.model import TOKEN, Answer, Reading, Request
from quota.numbers import count, flag
from quota.providers.codex_limits import Limit, additional, windows
from quota.providers.codex_spend import credits, spend

BASES = ("https://chatgpt.com",)
PATH = "/backend-api/wham/usage"
AGENT = "codex_cli_rs/0.144.1 (Debian 13.0.0; x86_64) WindowsTerminal"
KNOWN = ("rate_limit", "rate_limits", "plan_type", "spend_control")
REVIEW = ("code_review_rate_limit", "code_review_rate_limits")


def request(credential: Credential) -> Request:
    """Ask for an account's usage; without the account id a team's token shows another workspace."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
    headers["User-Agent"] = AGENT
    if credential.account_id:
        headers["ChatGPT-Account-Id"] = credential.account_id
    if credential.fedramp:
        headers["X-OpenAI-Fedramp"] = "true"
    return Request("GET", PATH, headers)


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Read plan, flags, credits, and the windows of the account, its features and its spend."""
    found = opened(answer, *KNOWN)
    if isinstance(found, Reading):
        return found
    answer, body = found
    if _is_foreign(body, expected_account_id):
        return Reading(
            state="wrong_workspace", observed_at=answer.observed_at, http_status=answer.status
        )
    rate_limit = field(body, "rate_limit", "rate_limits")
    review = Limit(
        answer.observed_at, scope="feature", scope_key="code_review", title="Code review"
    )
    account = Limit(answer.observed_at)
    plan = word(field(body, "plan_type"))
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        plan_raw=plan,
        plan_source="endpoint" if plan else None,
        allowed=flag(field(rate_limit, "allowed")),
        limit_reached=flag(field(rate_limit, "limit_reached")),
        reached_type=reached_type(field(body, "rate_limit_reached_type")),
        reset_credits=count(field(field(body, "rate_limit_reset_credits"), "available_count")),
        windows=settled(
            [
                *windows(rate_limit, account),
                *windows(field(body, *REVIEW), review),
                *additional(field(body, "additional_rate_limits"), account),
                *spend(body, answer.observed_at),
            ],
            answer.observed_at,
        ),
        complete=rate_limit is None or isinstance(rate_limit, dict),
        **credits(body),
    )


def reached_type(told: object) -> str | None:
    """Return why an account is blocked: `{type}`, or a bare word in older answers."""
    return text(field(told, "type")) or text(told)


def _is_foreign(body: object, expected: str | None) -> bool:
    answered, user = text(field(body, "account_id")), text(field(body, "user_id"))
    # A personal account may answer with its user id, which no token calls an account.
    if not (expected and answered) or answered == user or answered.startswith("user-"):
        return False
    return answered.lower() != expected.lower()
