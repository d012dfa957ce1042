"""Stand-ins for the providers' quota endpoints, on the proxy's own port below `/providers/`."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from demo import answers, pool
from demo.messages import NOT_FOUND, Reply, Request, reply
from demo.pool import Account
from demo.quota import Quotas
from demo.tokens import owner

PREFIX = "/providers/"
MOST_CALLS = 20_000
HOSTS = {
    "chatgpt.com": "codex",
    "api.anthropic.com": "claude",
    "daily-cloudcode-pa.googleapis.com": "antigravity",
    "api.kimi.com": "kimi",
    "cli-chat-proxy.grok.com": "xai",
}
LOGGED_OUT = reply(
    {
        "error": {
            "message": "Encountered invalidated oauth token for user, failing request",
            "type": None,
            "code": "token_revoked",
            "param": None,
        },
        "status": 401,
    },
    401,
)

View = Callable[[Account, Quotas, float], object]
VIEWS: dict[tuple[str, str, str], View] = {
    ("codex", "GET", "/backend-api/wham/usage"): answers.codex_usage,
    ("claude", "GET", "/api/oauth/usage"): answers.claude_usage,
    ("claude", "GET", "/api/oauth/profile"): answers.claude_profile,
    ("antigravity", "POST", "/v1internal:retrieveUserQuotaSummary"): answers.antigravity_summary,
    ("antigravity", "POST", "/v1internal:loadCodeAssist"): answers.antigravity_assist,
    ("kimi", "GET", "/coding/v1/usages"): answers.kimi_usages,
    ("xai", "GET", "/v1/billing"): answers.xai_billing,
}


class Asked(NamedTuple):
    """One call as a provider saw it; `at` is unix seconds."""

    account: Account | None
    provider: str
    path: str
    at: float
    headers: dict[str, str]


class Providers:
    """All providers. `faults` may be set at any time: what an account is answered instead."""

    def __init__(self, accounts: Sequence[Account], quotas: Quotas) -> None:
        self._accounts = accounts
        self._quotas = quotas
        # The demo runs for days.
        self.calls: deque[Asked] = deque(maxlen=MOST_CALLS)
        self.faults: dict[Account | None, Reply] = {}

    def answer(self, request: Request) -> Reply:
        """Answer one call, and note who asked for what."""
        provider, _, rest = request.path.removeprefix(PREFIX).partition("/")
        authorization = request.headers.get("authorization", "")
        account = owner(authorization, self._accounts)
        self.calls.append(Asked(account, provider, f"/{rest}", time.time(), request.headers))
        view = VIEWS.get((provider, request.method, f"/{rest}"))
        if view is None:
            return NOT_FOUND
        if account in self.faults:
            return self.faults[account]
        if account is None or account.provider != provider or account is pool.ERIN:
            return LOGGED_OUT
        return reply(view(account, self._quotas, time.time()))

    def count(self, account: Account, path: str = "") -> int:
        """Tell how often an account was asked for, at one path or at all."""
        return sum(call.account is account and path in call.path for call in self.calls)
