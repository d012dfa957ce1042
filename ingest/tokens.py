"""Normalise token counts: the same parts without overlap for every provider. Pure."""

from collections.abc import Callable
from typing import NamedTuple

from ingest.payload import Breakdown, Payload, RawTokens


class Tokens(NamedTuple):
    """Counts of one attempt: `input` includes both cache parts, `output` includes `reasoning`.

    The table `usage_events` has a column `…_tokens` for each field, in this order, then the total.
    """

    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int
    unclassified: int

    @property
    def total(self) -> int:
        """The sum of the parts."""
        return self.input + self.output + self.unclassified


def normalise(payload: Payload) -> Tokens:
    """Return the proxy's own breakdown, or one by the rules of the provider family.

    Families as in `sdk/cliproxy/usage/accounting.go`: Claude's input excludes cached input,
    Gemini's output excludes reasoning, all others include both. Counts that contradict each other
    become one unclassified total, as in the proxy.
    """
    if payload.token_breakdown is not None and adds_up(payload.token_breakdown):
        return from_breakdown(payload.token_breakdown)
    family, raw = counting_rule(payload), payload.tokens
    if min(raw.input_tokens, raw.output_tokens, raw.reasoning_tokens, raw.cached_tokens) < 0:
        return unclassified(raw.total_tokens)
    if min(raw.cache_creation_tokens, raw.total_tokens, raw.cache_read_tokens or 0) < 0:
        return unclassified(raw.total_tokens)
    return family(raw)


def adds_up(breakdown: Breakdown) -> bool:
    """Return whether the parts of a breakdown sum to its totals."""
    input, output = breakdown.input, breakdown.output
    return (
        input.total_tokens
        == input.uncached_tokens + input.cache_read_tokens + input.cache_write_tokens
        and output.total_tokens == output.non_reasoning_tokens + output.reasoning_tokens
        and breakdown.total_tokens
        == input.total_tokens + output.total_tokens + breakdown.unclassified_tokens
    )


def from_breakdown(breakdown: Breakdown) -> Tokens:
    """Return the counts of a breakdown that adds up."""
    return Tokens(
        input=breakdown.input.total_tokens,
        cached=breakdown.input.cache_read_tokens,
        cache_write=breakdown.input.cache_write_tokens,
        output=breakdown.output.total_tokens,
        reasoning=breakdown.output.reasoning_tokens,
        unclassified=breakdown.unclassified_tokens,
    )


def counting_rule(payload: Payload) -> Callable[[RawTokens], Tokens]:
    """Return the counting rule of a known executor, else that of the provider."""
    # Users name OpenAI-compatible upstreams, so one may be called "claude" or "gemini".
    by_provider = BY_PROVIDER.get(payload.provider.lower(), cache_and_reasoning_included)
    return BY_EXECUTOR.get(payload.executor_type, by_provider)


def cache_and_reasoning_included(raw: RawTokens) -> Tokens:
    """Return the counts where input includes cached input, and output includes reasoning."""
    cached, cache_write = raw.cached_tokens, raw.cache_creation_tokens
    input, output, reasoning = raw.input_tokens, raw.output_tokens, raw.reasoning_tokens
    if reasoning > output and raw.total_tokens == input + output + reasoning:
        output += reasoning
    if cached + cache_write > input or reasoning > output:
        return unclassified(raw.total_tokens or input + output)
    # Where the upstream gave no total, some versions of the proxy counted reasoning twice.
    total = 0 if raw.total_tokens == input + output + reasoning else raw.total_tokens
    return with_total(Tokens(input, cached, cache_write, output, reasoning, 0), total)


def reasoning_separate(raw: RawTokens) -> Tokens:
    """Return the counts where input includes cached input, and output excludes reasoning."""
    cached, cache_write = raw.cached_tokens, raw.cache_creation_tokens
    output = raw.output_tokens + raw.reasoning_tokens
    if cached + cache_write > raw.input_tokens:
        return unclassified(raw.total_tokens or raw.input_tokens + output)
    parts = Tokens(raw.input_tokens, cached, cache_write, output, raw.reasoning_tokens, 0)
    return with_total(parts, raw.total_tokens)


def cache_separate(raw: RawTokens) -> Tokens:
    """Return the counts where input excludes cached input, as does the total of older versions."""
    # Before v7.0.3 there is only cached_tokens, which is the read count unless that is 0.
    cached = raw.cached_tokens if raw.cache_read_tokens is None else raw.cache_read_tokens
    cache_write, output, reasoning = (
        raw.cache_creation_tokens,
        raw.output_tokens,
        raw.reasoning_tokens,
    )
    input = raw.input_tokens + cached + cache_write
    total = max(raw.total_tokens, input + output)
    if reasoning > output:
        return unclassified(total)
    return with_total(Tokens(input, cached, cache_write, output, reasoning, 0), total)


def with_total(parts: Tokens, total: int) -> Tokens:
    """Return the parts; what the upstream's total has beyond them is unclassified.

    A total of 0 means that the upstream reported none.
    """
    if not total or total == parts.total:
        return parts
    if total < parts.total:
        return unclassified(total)
    return parts._replace(unclassified=total - parts.total)


def unclassified(total: int) -> Tokens:
    """Return the counts of a total whose parts contradict each other."""
    return Tokens(0, 0, 0, 0, 0, unclassified=max(total, 0))


BY_PROVIDER = {
    "claude": cache_separate,
    "gemini": reasoning_separate,
    "gemini-cli": reasoning_separate,
    "gemini-interactions": reasoning_separate,
    "vertex": reasoning_separate,
    "aistudio": reasoning_separate,
    "antigravity": reasoning_separate,
}
BY_EXECUTOR = {
    "ClaudeExecutor": cache_separate,
    "AIStudioExecutor": reasoning_separate,
    "AntigravityExecutor": reasoning_separate,
    "GeminiCLIExecutor": reasoning_separate,
    "GeminiExecutor": reasoning_separate,
    "GeminiInteractionsExecutor": reasoning_separate,
    "GeminiVertexExecutor": reasoning_separate,
    "OpenAICompatExecutor": cache_and_reasoning_included,
}
