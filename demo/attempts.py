"""Attempts: the event that the proxy makes of each, and the errors of each upstream."""

import json
from dataclasses import dataclass
from datetime import tzinfo
from random import Random

from msgspec import UNSET

from demo import payload
from demo.accounts import LUMEN, Account
from demo.payload import NO_FAIL, Breakdown, Fail, Headers, Payload, Tokens
from demo.quotas import QuotaHeaders, Quotas
from demo.request_mix import (
    IMAGE,
    MAX_LATENCY_MS,
    Model,
    RequestKind,
    draw_usage,
    log_normal,
)

EXECUTORS = {
    "codex": "CodexExecutor",
    "claude": "ClaudeExecutor",
    "antigravity": "AntigravityExecutor",
    "kimi": "KimiExecutor",
    "xai": "XAIExecutor",
    LUMEN.provider: "OpenAICompatExecutor",
}
# The providers whose answers name the service tier.
REPORTS_TIER = ("codex", "kimi", LUMEN.provider)
FORWARDED_FOR = ("", "", "", "", "", "203.0.113.7", "198.51.100.4, 10.0.0.2")


@dataclass(frozen=True)
class Failure:
    """An upstream error. `latency_ms` is the median; `answered`: the upstream sent headers.

    `tries_another` means that the proxy tries another credential afterwards.
    """

    status: int
    body: str
    latency_ms: float = 400
    answered: bool = True
    tries_another: bool = False


def _error(**fields: str) -> str:
    return json.dumps({"error": fields})


def usage_limit(account: Account, *, resets_at: int, moment: float) -> Failure:
    """Return the error of a Codex or Claude account whose limit is used up."""
    if account.provider == "claude":
        message = "This request would exceed your account's rate limit. Please try again later."
        body = {"type": "error", "error": {"type": "rate_limit_error", "message": message}}
        return Failure(429, json.dumps(body), 250, tries_another=True)
    error = {
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": account.plan,
        "resets_at": resets_at,
        "resets_in_seconds": resets_at - int(moment),
        "eligible_promo": None,
    }
    return Failure(429, json.dumps({"error": error}), 180, tries_another=True)


CODEX_URL = "https://chatgpt.com/backend-api/codex/responses"
CANCELLED_UPSTREAM = Failure(499, f'Post "{CODEX_URL}": context canceled', 6_000, answered=False)
CANCELLED = Failure(499, "context canceled", 9_000, answered=False)
SERVER_OVERLOADED = Failure(
    502,
    _error(code="server_is_overloaded", message="Our servers are currently overloaded."),
    900,
    tries_another=True,
)
CLAUDE_OVERLOADED = Failure(
    529,
    json.dumps({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    700,
)
STREAM_CLOSED = Failure(
    408,
    "stream error: stream disconnected before completion: stream closed before response.completed",
    20_000,
)
CONTEXT_TOO_LONG = Failure(
    400,
    _error(
        type="invalid_request_error",
        code="context_length_exceeded",
        message="Your input exceeds the context window of this model.",
    ),
    350,
)
# The proxy itself refuses this request and sends nothing upstream.
UNSUPPORTED_EFFORT = Failure(
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
    tries_another=True,
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
RATE_LIMITED = Failure(
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
    _error(code="invalid_api_key", message=f"Incorrect API key provided: {LUMEN.key}."),
    140,
)

FAILURES: dict[str, tuple[Failure, ...]] = {
    "codex": (
        CANCELLED_UPSTREAM,
        CANCELLED_UPSTREAM,
        SERVER_OVERLOADED,
        STREAM_CLOSED,
        CONTEXT_TOO_LONG,
        LOGGED_OUT,
    ),
    "claude": (CLAUDE_OVERLOADED, CLAUDE_OVERLOADED, CANCELLED, CONTEXT_TOO_LONG),
    "antigravity": (RESOURCE_EXHAUSTED, CANCELLED),
    "kimi": (CANCELLED, RATE_LIMITED),
    "xai": (RATE_LIMITED, CANCELLED),
    LUMEN.provider: (BAD_GATEWAY, RATE_LIMITED, WRONG_KEY),
}


@dataclass(frozen=True)
class ClientRequest:
    """A client's request, which may need several attempts."""

    model: Model
    client: str
    endpoint: str
    user_agent: str
    alias: str
    effort: str
    tier: str
    forwarded_for: str
    id: str


@dataclass(frozen=True)
class Attempt:
    """A finished attempt. Times are unix seconds; the proxy publishes it at `ended_at`."""

    began_at: float
    ended_at: float
    payload: Payload


class Attempts:
    """Draws attempts from one random sequence."""

    def __init__(self, rng: Random, quotas: Quotas, zone: tzinfo) -> None:
        self._rng = rng
        self._zone = zone
        self._headers = QuotaHeaders(rng, quotas)

    def request(self, kind: RequestKind) -> ClientRequest:
        """Draw a request of a kind."""
        choice = self._rng.choice
        endpoint, user_agent = choice(kind.endpoints)
        effort = choice(kind.model.efforts)
        alias = choice(kind.aliases) or kind.model.name
        if effort in ("high", "xhigh") and self._rng.random() < 0.15:
            alias = f"{alias}({effort})"
        return ClientRequest(
            model=kind.model,
            client=choice(kind.clients),
            endpoint=endpoint,
            user_agent=user_agent,
            alias=alias,
            effort=effort,
            tier=choice(kind.tiers),
            forwarded_for=choice(FORWARDED_FOR),
            id=f"{self._rng.getrandbits(32):08x}",
        )

    def success(
        self, request: ClientRequest, account: Account, *, moment: float, growth: float = 1.0
    ) -> Attempt:
        """Draw an attempt that succeeds; `growth` multiplies the length of its context."""
        usage = draw_usage(self._rng, request.model, provider=account.provider, growth=growth)
        tokens, breakdown = usage.tokens, usage.breakdown
        if account is LUMEN and self._rng.random() < 0.1:
            tokens, breakdown = payload.total_only_tokens(usage.tokens.total_tokens)
        event = self._event(request, account, moment=moment, tokens=tokens, breakdown=breakdown)
        event.latency_ms, event.ttft_ms = usage.latency_ms, usage.ttft_ms
        answered_at = moment + usage.ttft_ms / 1000
        event.response_headers = self._headers.headers(account, request.model, moment=answered_at)
        if account.provider in REPORTS_TIER:
            event.response_service_tier = "priority" if request.tier == "priority" else "default"
        return Attempt(moment, moment + usage.latency_ms / 1000, event)

    def failure(
        self, request: ClientRequest, account: Account, *, moment: float, failure: Failure
    ) -> Attempt:
        """Draw an attempt that ends with an error."""
        event = self._event(request, account, moment=moment, tokens=Tokens(), breakdown=Breakdown())
        event.failed = True
        event.fail = Fail(failure.status, failure.body)
        latency = log_normal(self._rng, failure.latency_ms, 0.5) if failure.latency_ms else 0.0
        event.latency_ms = int(min(latency, MAX_LATENCY_MS))
        ended_at = moment + event.latency_ms / 1000
        if failure.answered:
            event.ttft_ms = event.latency_ms
            event.response_headers = self._headers.headers(
                account, request.model, moment=ended_at, body=failure.body
            )
        return Attempt(moment, ended_at, event)

    def image(self, request: ClientRequest, account: Account, *, answer: Attempt) -> Attempt:
        """Return the additional event of an image: same request and times, another model."""
        tokens, breakdown = payload.openai_tokens(
            IMAGE.context, read=0, output=IMAGE.output, reasoning=0
        )
        event = self._event(
            request, account, moment=answer.began_at, tokens=tokens, breakdown=breakdown
        )
        event.latency_ms, event.ttft_ms = answer.payload.latency_ms + 1, answer.payload.ttft_ms
        event.response_headers = answer.payload.response_headers
        event.model = IMAGE.name
        return Attempt(answer.began_at, answer.ended_at, event)

    def turn(
        self, request: ClientRequest, account: Account, *, moment: float, number: int
    ) -> Attempt:
        """Draw one turn of a WebSocket conversation; only its handshake has headers."""
        attempt = self.success(request, account, moment=moment, growth=0.6 + 0.15 * number)
        attempt.payload.executor_type = "CodexWebsocketsExecutor"
        attempt.payload.response_headers = UNSET
        if number == 0:
            attempt.payload.response_headers = _handshake(moment)
        return attempt

    def _event(
        self,
        request: ClientRequest,
        account: Account,
        *,
        moment: float,
        tokens: Tokens,
        breakdown: Breakdown,
    ) -> Payload:
        return Payload(
            timestamp=payload.timestamp(moment, self._zone),
            latency_ms=0,
            ttft_ms=0,
            source=account.source(request.client),
            auth_index=account.auth_index,
            access_token_sha256=UNSET if account.key else account.token_sha256(moment),
            client_ip="127.0.0.1",
            x_forwarded_for=request.forwarded_for,
            user_agent=request.user_agent,
            tokens=tokens,
            failed=False,
            fail=NO_FAIL,
            token_breakdown=breakdown,
            provider=account.provider,
            executor_type=EXECUTORS[account.provider],
            model=request.model.name,
            alias=request.alias,
            endpoint=request.endpoint,
            auth_type="apikey" if account.key else "oauth",
            api_key=request.client,
            request_id=request.id,
            reasoning_effort=request.effort,
            service_tier=request.tier,
        )


def _handshake(moment: float) -> Headers:
    return {
        "Connection": ["Upgrade"],
        "Date": [payload.http_date(moment)],
        "Server": ["cloudflare"],
        "Upgrade": ["websocket"],
    }
