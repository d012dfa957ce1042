"""What people do with the proxy: which client asks which model through which accounts."""

from dataclasses import dataclass

from demo import models, pool
from demo.models import Model

ALPHA, BETA, GAMMA, DELTA, NIGHT = pool.CLIENT_KEYS
EVERYBODY = (ALPHA,) * 5 + (BETA,) * 4 + (GAMMA,) * 3 + (DELTA,)
SCRIPTS = (NIGHT, NIGHT, NIGHT, DELTA)

CODEX_CLI = ("POST /v1/responses", "codex_cli_rs/0.153.4 (Mac OS 15.5.0; arm64) Terminal")
COMPACT = ("POST /v1/responses/compact", CODEX_CLI[1])
CLAUDE_CODE = ("POST /v1/messages", "claude-cli/2.1.236 (external, cli)")
OPENCODE = ("POST /v1/chat/completions", "opencode/1.2.0")
PYTHON = ("POST /v1/chat/completions", "OpenAI/Python 2.3.0")
GOOGLE = ("POST /v1beta/models/*action", "google-genai-sdk/1.20.0")
WEBSOCKET = ("GET /v1/responses", CODEX_CLI[1])

CODEX = (
    (pool.ALICE,) * 4 + (pool.ALICE_TEAM,) * 4 + (pool.BOB,) * 4 + (pool.DAVE,) * 3 + (pool.FRANK,)
)
CLAUDE = (pool.CAROL,) * 5 + (pool.GRACE,) * 2


@dataclass(frozen=True, eq=False)
class Habit:
    """A kind of request. Tuples are drawn from evenly: what is usual stands there often."""

    model: Model
    accounts: tuple[pool.Account, ...]
    ways: tuple[tuple[str, str], ...]
    clients: tuple[str, ...] = EVERYBODY
    aliases: tuple[str, ...] = ("",)
    tiers: tuple[str, ...] = ("auto",)


_CODEX_WAYS = (CODEX_CLI,) * 6 + (OPENCODE, CLAUDE_CODE)
_TIERS = ("auto",) * 9 + ("priority",)

CODING = Habit(models.GPT, CODEX, (*_CODEX_WAYS, COMPACT), tiers=_TIERS)
SMALL = Habit(
    models.GPT_MINI, CODEX, (PYTHON, OPENCODE, CODEX_CLI), aliases=("", "fast"), tiers=_TIERS
)
HARD = Habit(models.GPT_SOL, CODEX, _CODEX_WAYS, tiers=_TIERS)
QUICK = Habit(models.SPARK, (pool.BOB,), (CODEX_CLI,))
ARCHITECTURE = Habit(models.OPUS, (pool.CAROL,), (CLAUDE_CODE,))
AGENT = Habit(models.SONNET, CLAUDE, (CLAUDE_CODE, CLAUDE_CODE, CLAUDE_CODE, OPENCODE))
TITLES = Habit(models.HAIKU, CLAUDE, (CLAUDE_CODE,), aliases=("", "claude-haiku-4-5"))
LOOKING = Habit(models.GEMINI_PRO, (pool.HEIDI,), (GOOGLE, OPENCODE))
SKIMMING = Habit(models.GEMINI_FLASH, (pool.HEIDI,), (GOOGLE, PYTHON), clients=SCRIPTS)
KIMI = Habit(models.KIMI_K2, (pool.KIMI,), (OPENCODE, PYTHON))
GROK = Habit(models.GROK, (pool.JUDY,), (PYTHON, OPENCODE))
BATCH = Habit(
    models.LUMEN_LARGE, (pool.LUMEN,), (PYTHON,), clients=SCRIPTS, aliases=("lumen-large",)
)

HABITS = (
    (CODING,) * 26
    + (SMALL,) * 9
    + (HARD,) * 8
    + (QUICK,) * 3
    + (ARCHITECTURE,) * 6
    + (AGENT,) * 20
    + (TITLES,) * 7
    + (LOOKING,) * 5
    + (SKIMMING,) * 4
    + (KIMI,) * 5
    + (GROK,) * 3
    + (BATCH,) * 4
)
