"""Token counts add up across providers and versions."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parse import Usage, parse
from ingest.payload import MAX_COUNT, Breakdown, InputParts, OutputParts, Payload
from ingest.tokens import Tokens, normalise

RECORDED = (Path(__file__).parents[1] / "data" / "events" / "recorded-v7.2.140.jsonl").read_bytes()
EXECUTOR = {"claude": "ClaudeExecutor", "gemini": "GeminiExecutor", "codex": "CodexExecutor"}
NAMES = {
    "input": "input_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "cached": "cached_tokens",
    "cache_read": "cache_read_tokens",
    "cache_write": "cache_creation_tokens",
    "total": "total_tokens",
}


def counted(provider: str, executor: str = "", parts: Any = None, **counts: int) -> Tokens:
    """Return the tokens of an event with these counts, by the short names of `NAMES`."""
    event = {
        "timestamp": "2026-08-22T03:15:21Z",
        "failed": False,
        "provider": provider,
        "executor_type": executor,
        "tokens": {NAMES[name]: count for name, count in counts.items()},
        "token_breakdown": parts,
    }
    return normalise(msgspec.convert(event, Payload))


def only(total: int) -> Tokens:
    """Return a total without parts."""
    return Tokens(0, 0, 0, 0, 0, total)


def case(id: str, provider: str, counts: dict[str, int], expected: Tokens) -> Any:
    """Return a case of `test_counts_of_every_age_become_parts_without_overlap`."""
    return pytest.param(provider, counts, expected, id=f"{provider}-{id}")


GPT = {"input": 1000, "output": 200, "reasoning": 150, "cached": 800, "total": 1200}
GPT_PARTS = Tokens(1000, 800, 0, 200, 150, 0)
CLAUDE = {"input": 100, "output": 50, "cached": 900, "cache_read": 900, "cache_write": 300}
CLAUDE_PARTS = Tokens(1300, 900, 300, 50, 0, 0)
CREATED = {**CLAUDE, "cached": 300, "cache_read": 0}
GEMINI = {"input": 1000, "output": 100, "reasoning": 50, "cached": 400, "total": 1150}
GEMINI_PARTS = Tokens(1000, 400, 0, 150, 50, 0)
SMALL = {"input": 100, "output": 10}
DEEP = {**SMALL, "reasoning": 50}


@pytest.mark.parametrize(
    ("provider", "counts", "expected"),
    [
        case("v6.9.38", "codex", GPT, GPT_PARTS),
        case("v7.0.3-has-no-read-count", "codex", {**GPT, "cache_read": 0}, GPT_PARTS),
        case("v7.2.67", "codex", {**GPT, "cache_read": 800}, GPT_PARTS),
        case(
            "cache-write",
            "compat",
            {**GPT, "cache_write": 200},
            GPT_PARTS._replace(cache_write=200),
        ),
        case("reasoning-added-twice", "codex", {**GPT, "total": 1350}, GPT_PARTS),
        case("no-total", "kimi", {**GPT, "total": 0}, GPT_PARTS),
        case("remainder", "xai", {**GPT, "total": 1230}, GPT_PARTS._replace(unclassified=30)),
        case("total-below-parts", "xai", {**GPT, "total": 1100}, only(1100)),
        case("reasoning-beside", "xai", {**DEEP, "total": 160}, Tokens(100, 0, 0, 60, 50, 0)),
        case("reasoning-outside", "xai", {**DEEP, "total": 120}, only(120)),
        case("reasoning-no-total", "xai", DEEP, only(110)),
        case("cache-above-input", "codex", {**SMALL, "cached": 101}, only(110)),
        case("written-above-input", "codex", {**GPT, "cache_write": 201}, only(1200)),
        case("only-a-total", "plugin", {"total": 900}, only(900)),
        case("nothing", "compat", {}, only(0)),
        case("negative", "codex", {**GPT, "input": -1}, only(1200)),
        case("negative-cache-read", "claude", {**SMALL, "cache_read": -1, "total": 9}, only(9)),
        case("negative-total", "gemini", {**GEMINI, "total": -1}, only(0)),
        case(
            "v6.9.38",
            "claude",
            {**SMALL, "cached": 900, "total": 110},
            Tokens(1000, 900, 0, 10, 0, 0),
        ),
        case("v7.0.3-total-without-cache", "claude", {**CLAUDE, "total": 150}, CLAUDE_PARTS),
        case("v7.1.26-total-with-cache", "claude", {**CLAUDE, "total": 1350}, CLAUDE_PARTS),
        case("written-is-called-cached", "claude", CREATED, Tokens(400, 0, 300, 50, 0, 0)),
        case(
            "v7.2.117", "claude", {**CLAUDE, "reasoning": 20}, CLAUDE_PARTS._replace(reasoning=20)
        ),
        case("reasoning-above-output", "claude", {**CLAUDE, "reasoning": 51}, only(1350)),
        case("remainder", "claude", {**CREATED, "total": 460}, Tokens(400, 0, 300, 50, 0, 10)),
        case("upstream-total", "gemini", GEMINI, GEMINI_PARTS),
        case("no-total", "vertex", {**GEMINI, "total": 0}, GEMINI_PARTS),
        case(
            "tool-use", "gemini", {**GEMINI, "total": 1170}, GEMINI_PARTS._replace(unclassified=20)
        ),
        case("total-below-parts", "gemini", {**GEMINI, "total": 1100}, only(1100)),
        case("cache-above-input", "gemini", {**GEMINI, "cached": 1001}, only(1150)),
        case("cache-no-total", "aistudio", {**GEMINI, "cached": 1001, "total": 0}, only(1150)),
    ],
)
def test_counts_of_every_age_become_parts_without_overlap(
    provider: str, counts: dict[str, int], expected: Tokens
) -> None:
    assert counted(provider, EXECUTOR.get(provider, ""), **counts) == expected
    assert counted(provider, **counts) == expected


ASIDE = {"input": 100, "output": 50, "cached": 30, "reasoning": 20}
SUBSET, INDEPENDENT, SEPARATE = (
    Tokens(100, 30, 0, 50, 20, 0),
    Tokens(130, 30, 0, 50, 20, 0),
    Tokens(100, 30, 0, 70, 20, 0),
)


@pytest.mark.parametrize(
    ("provider", "executor", "expected"),
    [
        pytest.param("codex", "CodexWebsocketsExecutor", SUBSET, id="websockets"),
        pytest.param("Claude", "", INDEPENDENT, id="no-executor"),
        pytest.param("claude", "unknown", INDEPENDENT, id="unknown-executor"),
        pytest.param("claude", "OpenAICompatExecutor", SUBSET, id="compat-called-claude"),
        pytest.param("openai-compatible-gemini", "OpenAICompatExecutor", SUBSET, id="compat"),
        pytest.param("own-name", "ClaudeExecutor", INDEPENDENT, id="claude-of-any-name"),
        pytest.param("own-name", "GeminiVertexExecutor", SEPARATE, id="vertex-of-any-name"),
        pytest.param("antigravity", "PluginExecutor", SEPARATE, id="antigravity-by-name"),
        pytest.param("some-plugin", "PluginExecutor", SUBSET, id="plugin"),
    ],
)
def test_the_executor_decides_the_family_before_the_provider(
    provider: str, executor: str, expected: Tokens
) -> None:
    assert counted(provider, executor, **ASIDE) == expected


def breakdown(total: int, input: list[int], output: list[int], unclassified: int) -> Breakdown:
    """Write a breakdown: total, (total, uncached, read, written), (total, visible, reasoning)."""
    return Breakdown(InputParts(*input), OutputParts(*output), total, unclassified)


FROM_BREAKDOWN = Tokens(12, 4, 5, 7, 6, 1)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        pytest.param(breakdown(20, [12, 3, 4, 5], [7, 1, 6], 1), FROM_BREAKDOWN, id="complete"),
        pytest.param(breakdown(9, [0] * 4, [0] * 3, 9), only(9), id="inconsistent-to-the-proxy"),
        pytest.param(breakdown(21, [12, 3, 4, 5], [7, 1, 6], 1), GPT_PARTS, id="total-differs"),
        pytest.param(breakdown(20, [12, 3, 4, 4], [7, 1, 6], 1), GPT_PARTS, id="input-differs"),
        pytest.param(breakdown(20, [12, 3, 4, 5], [7, 2, 6], 1), GPT_PARTS, id="output-differs"),
        pytest.param(None, GPT_PARTS, id="none"),
    ],
)
def test_a_breakdown_is_used_only_when_it_adds_up(parts: Any, expected: Tokens) -> None:
    assert counted("codex", "CodexExecutor", parts, **GPT) == expected


def test_the_rules_give_the_proxys_own_breakdown_for_every_recorded_event() -> None:
    for raw in RECORDED.splitlines():
        event = json.loads(raw)
        del event["token_breakdown"]
        with_it, without_it = parse(raw), parse(json.dumps(event).encode())
        assert isinstance(with_it, Usage)
        assert isinstance(without_it, Usage)
        assert with_it.tokens == without_it.tokens


COUNTS = st.dictionaries(st.sampled_from(list(NAMES)), st.integers(-2, 5) | st.just(MAX_COUNT))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["codex", "claude", "gemini"]), COUNTS)
def test_no_part_is_negative_or_larger_than_its_whole(
    provider: str, counts: dict[str, int]
) -> None:
    tokens = counted(provider, **counts)
    assert min(tokens) >= 0
    assert tokens.cached + tokens.cache_write <= tokens.input
    assert tokens.reasoning <= tokens.output
    assert tokens.total == tokens.input + tokens.output + tokens.unclassified
