"""The ways in which an attempt goes wrong, in the words of each upstream."""

import json
from dataclasses import dataclass

from demo import pool


@dataclass(frozen=True)
class Failure:
    """A failed attempt. `latency_ms` is its median; `answered` means the upstream sent headers.

    `elsewhere` means that the proxy tries another credential.
    """

    status: int
    body: str
    latency_ms: float = 400
    answered: bool = True
    elsewhere: bool = False


def _error(**fields: str) -> str:
    return json.dumps({"error": fields})


def usage_limit(account: pool.Account, *, resets_at: int, at: float) -> Failure:
    """Word a used-up Codex plan, or a Claude account over its limit."""
    if account.provider == "claude":
        said = "This request would exceed your account's rate limit. Please try again later."
        body = {"type": "error", "error": {"type": "rate_limit_error", "message": said}}
        return Failure(429, json.dumps(body), 250, elsewhere=True)
    error = {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": account.plan,
        "resets_at": resets_at,
        "resets_in_seconds": resets_at - int(at),
        "eligible_promo": None,
    }
    return Failure(429, json.dumps({"error": error}), 180, elsewhere=True)


CODEX_URL = "https://chatgpt.com/backend-api/codex/responses"
CANCELLED_UPSTREAM = Failure(499, f'Post "{CODEX_URL}": context canceled', 6_000, answered=False)
CANCELLED = Failure(499, "context canceled", 9_000, answered=False)
BUSY = Failure(
    502,
    _error(code="server_is_overloaded", message="Our servers are currently overloaded."),
    900,
    elsewhere=True,
)
OVERLOADED = Failure(
    529,
    json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    700,
)
CUT = Failure(
    408,
    "stream error: stream disconnected before completion: stream closed before response.completed",
    20_000,
)
TOO_LONG = Failure(
    400,
    _error(
        type="invalid_request_error",
        code="context_length_exceeded",
        message="Your input exceeds the context window of this model.",
    ),
    350,
)
# The proxy itself refuses this one, before any upstream is asked.
NO_SUCH_EFFORT = Failure(
    400, 'level "minimal" not supported, valid levels: low, medium, high, xhigh', 0, answered=False
)
LOGGED_OUT = Failure(
    401,
    _error(
        type="invalid_request_error",
        code="token_invalidated",
        message="Your authentication token has been invalidated. Please try signing in again.",
    ),
    220,
    elsewhere=True,
)
RESOURCE_EXHAUSTED = Failure(
    429,
    json.dumps(
        {
            "error": {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "message": "You have exhausted your capacity on this model.",
                "details": [
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "37s"}
                ],
            }
        }
    ),
    300,
)
TOO_FAST = Failure(
    429,
    _error(
        type="rate_limit_error",
        code="rate_limit_exceeded",
        message="Rate limit reached for requests",
    ),
    160,
)
BAD_GATEWAY = Failure(
    502,
    "<html><head><title>502 Bad Gateway</title></head>"
    "<body><center><h1>502 Bad Gateway</h1></center></body></html>",
    1_500,
)
WRONG_KEY = Failure(
    401,
    _error(code="invalid_api_key", message=f"Incorrect API key provided: {pool.LUMEN.key}."),
    140,
)

BY_PROVIDER: dict[str, tuple[Failure, ...]] = {
    "codex": (CANCELLED_UPSTREAM, CANCELLED_UPSTREAM, BUSY, CUT, TOO_LONG, LOGGED_OUT),
    "claude": (OVERLOADED, OVERLOADED, CANCELLED, TOO_LONG),
    "antigravity": (RESOURCE_EXHAUSTED, CANCELLED),
    "kimi": (CANCELLED, TOO_FAST),
    "xai": (TOO_FAST, CANCELLED),
    pool.LUMEN.provider: (BAD_GATEWAY, TOO_FAST, WRONG_KEY),
}
