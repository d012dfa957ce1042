"""The request mix: which client asks for which model, through which accounts and endpoints."""

import math
from dataclasses import dataclass
from random import Random

from demo import accounts
from demo.payload import Breakdown, Tokens, claude_tokens, gemini_tokens, openai_tokens

MAX_CONTEXT = 380_000
MAX_LATENCY_MS = 240_000


@dataclass(frozen=True)
class Usage:
    """The tokens and times (ms) of one successful attempt."""

    tokens: Tokens
    breakdown: Breakdown
    ttft_ms: int
    latency_ms: int


@dataclass(frozen=True, eq=False)
class Model:
    """A model by its medians; `cached` is a share of the input, `reasoning` of the output."""

    name: str
    context: int
    cached: float
    output: int
    reasoning: float = 0.0
    ttft_ms: int = 900
    per_second: int = 70
    efforts: tuple[str, ...] = ("",)


def log_normal(rng: Random, median: float, sigma: float) -> float:
    """Draw a log-normal number."""
    return median * math.exp(sigma * rng.gauss())


def draw_usage(rng: Random, model: Model, *, provider: str, growth: float = 1.0) -> Usage:
    """Draw the usage of a successful attempt; `growth` multiplies the length of its context."""
    context = int(min(200 + log_normal(rng, model.context, 0.9) * growth, MAX_CONTEXT))
    share = min(model.cached * (0.7 + 0.4 * rng.random()), 0.995)
    read = int(context * share) if rng.random() < 0.85 else 0
    output = int(20 + log_normal(rng, model.output, 0.8))
    reasoning = int(output * model.reasoning * rng.random() * 1.3) if model.reasoning else 0
    count = {"claude": claude_tokens, "antigravity": gemini_tokens}.get(provider, openai_tokens)
    tokens, breakdown = count(context, read=read, output=output, reasoning=min(reasoning, output))
    ttft = log_normal(rng, model.ttft_ms, 0.45)
    latency = ttft + 1000 * output / (model.per_second * (0.6 + 0.8 * rng.random()))
    return Usage(tokens, breakdown, int(ttft), int(min(latency, MAX_LATENCY_MS)))


_EFFORTS = ("low", "medium", "medium", "high", "high", "xhigh", "")
_CLAUDE_EFFORTS = ("", "", "medium", "high")

GPT = Model("gpt-5.5", 42_000, 0.90, 900, 0.6, 1300, 75, _EFFORTS)
GPT_MINI = Model("gpt-5.4-mini", 9_000, 0.6, 500, 0.4, 600, 140, _EFFORTS)
GPT_SOL = Model("gpt-5.6-sol", 60_000, 0.92, 1600, 0.7, 1900, 60, _EFFORTS)
SPARK = Model("gpt-5.3-codex-spark", 14_000, 0.8, 700, 0.3, 220, 900, ("", "low", "medium"))
IMAGE = Model("gpt-image-2", 412, 0.0, 4160)
OPUS = Model("claude-opus-5", 70_000, 0.97, 900, 0.4, 1700, 55, _CLAUDE_EFFORTS)
SONNET = Model("claude-sonnet-5", 48_000, 0.96, 800, 0.3, 1200, 80, _CLAUDE_EFFORTS)
HAIKU = Model("claude-haiku-4-5-20251001", 6_000, 0.7, 300, 0.0, 500, 160)
GEMINI_PRO = Model("gemini-3-pro-preview", 24_000, 0.6, 700, 0.5, 1800, 90, ("auto",))
GEMINI_FLASH = Model("gemini-2.5-flash", 8_000, 0.5, 500, 0.3, 450, 190, ("auto",))
KIMI_K2 = Model("kimi-k2.6", 20_000, 0.75, 900, 0.4, 1100, 60)
GROK = Model("grok-4.3", 12_000, 0.5, 600, 0.4, 900, 85)
LUMEN_LARGE = Model("lumen-large-2", 3_000, 0.0, 400, 0.0, 350, 110)

ALPHA, BETA, GAMMA, DELTA, NIGHT = accounts.CLIENT_KEYS
ALL_CLIENTS = (ALPHA,) * 5 + (BETA,) * 4 + (GAMMA,) * 3 + (DELTA,)
SCRIPTS = (NIGHT, NIGHT, NIGHT, DELTA)

CODEX_CLI = ("POST /v1/responses", "codex_cli_rs/0.153.4 (Mac OS 15.5.0; arm64) Terminal")
COMPACT = ("POST /v1/responses/compact", CODEX_CLI[1])
CLAUDE_CODE = ("POST /v1/messages", "claude-cli/2.1.236 (external, cli)")
OPENCODE = ("POST /v1/chat/completions", "opencode/1.2.0")
PYTHON = ("POST /v1/chat/completions", "OpenAI/Python 2.3.0")
GOOGLE = ("POST /v1beta/models/*action", "google-genai-sdk/1.20.0")
WEBSOCKET = ("GET /v1/responses", CODEX_CLI[1])

CODEX = (
    (accounts.ALICE,) * 4
    + (accounts.ALICE_TEAM,) * 4
    + (accounts.BOB,) * 4
    + (accounts.DAVE,) * 3
    + (accounts.FRANK,)
)
CLAUDE = (accounts.CAROL,) * 5 + (accounts.GRACE,) * 2


@dataclass(frozen=True, eq=False)
class RequestKind:
    """A kind of request. A value is drawn evenly from each tuple; a frequent one is repeated.

    `endpoints` are pairs of endpoint and user agent.
    """

    model: Model
    accounts: tuple[accounts.Account, ...]
    endpoints: tuple[tuple[str, str], ...]
    clients: tuple[str, ...] = ALL_CLIENTS
    aliases: tuple[str, ...] = ("",)
    tiers: tuple[str, ...] = ("auto",)


_CODEX_ENDPOINTS = (CODEX_CLI,) * 6 + (OPENCODE, CLAUDE_CODE)
_TIERS = ("auto",) * 9 + ("priority",)

CODING = RequestKind(GPT, CODEX, (*_CODEX_ENDPOINTS, COMPACT), tiers=_TIERS)
SMALL = RequestKind(
    GPT_MINI, CODEX, (PYTHON, OPENCODE, CODEX_CLI), aliases=("", "fast"), tiers=_TIERS
)
HARD = RequestKind(GPT_SOL, CODEX, _CODEX_ENDPOINTS, tiers=_TIERS)
QUICK = RequestKind(SPARK, (accounts.BOB,), (CODEX_CLI,))
ARCHITECTURE = RequestKind(OPUS, (accounts.CAROL,), (CLAUDE_CODE,))
AGENT = RequestKind(SONNET, CLAUDE, (CLAUDE_CODE, CLAUDE_CODE, CLAUDE_CODE, OPENCODE))
TITLES = RequestKind(HAIKU, CLAUDE, (CLAUDE_CODE,), aliases=("", "claude-haiku-4-5"))
LONG_DOCUMENTS = RequestKind(GEMINI_PRO, (accounts.HEIDI,), (GOOGLE, OPENCODE))
SUMMARIES = RequestKind(GEMINI_FLASH, (accounts.HEIDI,), (GOOGLE, PYTHON), clients=SCRIPTS)
KIMI = RequestKind(KIMI_K2, (accounts.KIMI,), (OPENCODE, PYTHON))
XAI = RequestKind(GROK, (accounts.JUDY,), (PYTHON, OPENCODE))
BATCH = RequestKind(
    LUMEN_LARGE, (accounts.LUMEN,), (PYTHON,), clients=SCRIPTS, aliases=("lumen-large",)
)

REQUEST_MIX = (
    (CODING,) * 26
    + (SMALL,) * 9
    + (HARD,) * 8
    + (QUICK,) * 3
    + (ARCHITECTURE,) * 6
    + (AGENT,) * 20
    + (TITLES,) * 7
    + (LONG_DOCUMENTS,) * 5
    + (SUMMARIES,) * 4
    + (KIMI,) * 5
    + (XAI,) * 3
    + (BATCH,) * 4
)
