"""One attempt of one request: the event that the proxy makes of it."""

from dataclasses import dataclass
from datetime import tzinfo
from random import Random

from msgspec import UNSET

from demo import models, payload, pool
from demo.failures import Failure
from demo.habits import Habit
from demo.models import IMAGE, Model, spread
from demo.payload import NO_FAIL, Breakdown, Fail, Headers, Payload, Tokens
from demo.quota import Quotas
from demo.signals import Signals

EXECUTORS = {
    "codex": "CodexExecutor",
    "claude": "ClaudeExecutor",
    "antigravity": "AntigravityExecutor",
    "kimi": "KimiExecutor",
    "xai": "XAIExecutor",
    pool.LUMEN.provider: "OpenAICompatExecutor",
}
REPORTS_TIER = ("codex", "kimi", pool.LUMEN.provider)
ELSEWHERE = ("", "", "", "", "", "203.0.113.7", "198.51.100.4, 10.0.0.2")


@dataclass(frozen=True)
class Call:
    """A client's request, which may need several attempts."""

    model: Model
    client: str
    endpoint: str
    agent: str
    alias: str
    effort: str
    tier: str
    forwarded: str
    id: str


@dataclass(frozen=True)
class Attempt:
    """A finished attempt. Times are unix seconds; `ended_at` is when the proxy publishes it."""

    began_at: float
    ended_at: float
    payload: Payload


class Attempts:
    """Makes attempts, all of one random sequence."""

    def __init__(self, rng: Random, quotas: Quotas, zone: tzinfo) -> None:
        self._rng = rng
        self._zone = zone
        self._signals = Signals(rng, quotas)

    def call(self, habit: Habit) -> Call:
        """Draw the request that a habit leads to."""
        choice = self._rng.choice
        endpoint, agent = choice(habit.ways)
        effort = choice(habit.model.efforts)
        alias = choice(habit.aliases) or habit.model.name
        if effort in ("high", "xhigh") and self._rng.random() < 0.15:
            alias = f"{alias}({effort})"
        return Call(
            model=habit.model,
            client=choice(habit.clients),
            endpoint=endpoint,
            agent=agent,
            alias=alias,
            effort=effort,
            tier=choice(habit.tiers),
            forwarded=choice(ELSEWHERE),
            id=f"{self._rng.getrandbits(32):08x}",
        )

    def success(
        self, call: Call, account: pool.Account, *, at: float, growth: float = 1.0
    ) -> Attempt:
        """Draw an attempt that works."""
        took = models.use(self._rng, call.model, provider=account.provider, growth=growth)
        tokens, breakdown = took.tokens, took.breakdown
        if account is pool.LUMEN and self._rng.random() < 0.1:
            tokens, breakdown = models.total_only(took.tokens.total_tokens)
        made = self._payload(call, account, at=at, tokens=tokens, breakdown=breakdown)
        made.latency_ms, made.ttft_ms = took.latency_ms, took.ttft_ms
        answered_at = at + took.ttft_ms / 1000
        made.response_headers = self._signals.headers(account, call.model, at=answered_at)
        if account.provider in REPORTS_TIER:
            made.response_service_tier = "priority" if call.tier == "priority" else "default"
        return Attempt(at, at + took.latency_ms / 1000, made)

    def failure(self, call: Call, account: pool.Account, *, at: float, failure: Failure) -> Attempt:
        """Draw an attempt that ends as told."""
        made = self._payload(call, account, at=at, tokens=Tokens(), breakdown=Breakdown())
        made.failed = True
        made.fail = Fail(failure.status, failure.body)
        latency = spread(self._rng, failure.latency_ms, 0.5) if failure.latency_ms else 0.0
        made.latency_ms = int(min(latency, models.LONGEST_LATENCY_MS))
        ended_at = at + made.latency_ms / 1000
        if failure.answered:
            made.ttft_ms = made.latency_ms
            made.response_headers = self._signals.headers(
                account, call.model, at=ended_at, body=failure.body
            )
        return Attempt(at, ended_at, made)

    def image(self, call: Call, account: pool.Account, *, beside: Attempt) -> Attempt:
        """Make the extra event of a picture: same request and instant, another model."""
        tokens, breakdown = models.subset(IMAGE.context, read=0, output=IMAGE.output, reasoning=0)
        made = self._payload(call, account, at=beside.began_at, tokens=tokens, breakdown=breakdown)
        made.latency_ms, made.ttft_ms = beside.payload.latency_ms + 1, beside.payload.ttft_ms
        made.response_headers = beside.payload.response_headers
        made.model = IMAGE.name
        return Attempt(beside.began_at, beside.ended_at, made)

    def turn(self, call: Call, account: pool.Account, *, at: float, number: int) -> Attempt:
        """Draw one turn of a websocket conversation; only the handshake had headers."""
        made = self.success(call, account, at=at, growth=0.6 + 0.15 * number)
        made.payload.executor_type = "CodexWebsocketsExecutor"
        made.payload.response_headers = UNSET
        if number == 0:
            made.payload.response_headers = _handshake(at)
        return made

    def _payload(
        self,
        call: Call,
        account: pool.Account,
        *,
        at: float,
        tokens: Tokens,
        breakdown: Breakdown,
    ) -> Payload:
        return Payload(
            timestamp=payload.timestamp(at, self._zone),
            latency_ms=0,
            ttft_ms=0,
            source=account.source(call.client),
            auth_index=account.auth_index,
            access_token_sha256=UNSET if account.key else account.token_sha256(at),
            client_ip="127.0.0.1",
            x_forwarded_for=call.forwarded,
            user_agent=call.agent,
            tokens=tokens,
            failed=False,
            fail=NO_FAIL,
            token_breakdown=breakdown,
            provider=account.provider,
            executor_type=EXECUTORS[account.provider],
            model=call.model.name,
            alias=call.alias,
            endpoint=call.endpoint,
            auth_type="apikey" if account.key else "oauth",
            api_key=call.client,
            request_id=call.id,
            reasoning_effort=call.effort,
            service_tier=call.tier,
        )


def _handshake(at: float) -> Headers:
    return {
        "Connection": ["Upgrade"],
        "Date": [payload.http_date(at)],
        "Server": ["cloudflare"],
        "Upgrade": ["websocket"],
    }
