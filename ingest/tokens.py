"""Token counts that add up, whatever the provider meant by its own."""

from collections.abc import Callable
from typing import NamedTuple

from ingest.payload import Breakdown, Payload
from ingest.payload import Tokens as Raw


class Tokens(NamedTuple):
    """Counts without overlap: input holds cached and cache_write, output holds reasoning."""

    input: int
    cached: int
    cache_write: int
    output: int
    reasoning: int
    unclassified: int

    @property
    def total(self) -> int:
        """The sum of all parts."""
        return self.input + self.output + self.unclassified


def normalised(payload: Payload) -> Tokens:
    """Take the proxy's own breakdown, or build the same from the provider family's rules.

    Families as in `sdk/cliproxy/usage/accounting.go`: Claude counts cached input beside the
    input, Gemini counts thoughts beside the output, everybody else counts both inside.
    Counts that contradict each other become one unclassified total, as the proxy does it.
    """
    if payload.token_breakdown is not None and adds_up(payload.token_breakdown):
        return taken(payload.token_breakdown)
    family, raw = family_of(payload), payload.tokens
    if min(raw.input_tokens, raw.output_tokens, raw.reasoning_tokens, raw.cached_tokens) < 0:
        return unclassified(raw.total_tokens)
    if min(raw.cache_creation_tokens, raw.total_tokens, raw.cache_read_tokens or 0) < 0:
        return unclassified(raw.total_tokens)
    return family(raw)


def adds_up(given: Breakdown) -> bool:
    """Tell whether the parts of a breakdown give its totals."""
    read, written = given.input, given.output
    return (
        read.total_tokens == read.uncached_tokens + read.cache_read_tokens + read.cache_write_tokens
        and written.total_tokens == written.non_reasoning_tokens + written.reasoning_tokens
        and given.total_tokens
        == read.total_tokens + written.total_tokens + given.unclassified_tokens
    )


def taken(given: Breakdown) -> Tokens:
    """Take the counts of a breakdown that adds up."""
    return Tokens(
        given.input.total_tokens,
        given.input.cache_read_tokens,
        given.input.cache_write_tokens,
        given.output.total_tokens,
        given.output.reasoning_tokens,
        given.unclassified_tokens,
    )


def family_of(payload: Payload) -> Callable[[Raw], Tokens]:
    """Choose the rule by executor where it is a known one, else by provider."""
    # An OpenAI-compatible upstream may be called "claude" or "gemini" by its owner.
    by_provider = BY_PROVIDER.get(payload.provider.lower(), subset)
    return BY_EXECUTOR.get(payload.executor_type, by_provider)


def subset(raw: Raw) -> Tokens:
    """Count cached input inside the input, and reasoning inside the output."""
    cached, written = raw.cached_tokens, raw.cache_creation_tokens
    read, said, thought = raw.input_tokens, raw.output_tokens, raw.reasoning_tokens
    if thought > said and raw.total_tokens == read + said + thought:
        said += thought
    if cached + written > read or thought > said:
        return unclassified(raw.total_tokens or read + said)
    # Without an upstream total the proxy once added reasoning a second time.
    total = 0 if raw.total_tokens == read + said + thought else raw.total_tokens
    return completed(Tokens(read, cached, written, said, thought, 0), total)


def separate(raw: Raw) -> Tokens:
    """Count cached input inside the input, and reasoning beside the output."""
    cached, written = raw.cached_tokens, raw.cache_creation_tokens
    if cached + written > raw.input_tokens:
        parts = raw.input_tokens + raw.output_tokens + raw.reasoning_tokens
        return unclassified(raw.total_tokens or parts)
    said = raw.output_tokens + raw.reasoning_tokens
    parts = Tokens(raw.input_tokens, cached, written, said, raw.reasoning_tokens, 0)
    return completed(parts, raw.total_tokens)


def independent(raw: Raw) -> Tokens:
    """Count cached input beside the input; the total of older versions leaves it out."""
    # Before v7.0.3 there is only cached_tokens, the read count unless that is 0.
    cached = raw.cached_tokens if raw.cache_read_tokens is None else raw.cache_read_tokens
    written, said, thought = raw.cache_creation_tokens, raw.output_tokens, raw.reasoning_tokens
    read = raw.input_tokens + cached + written
    total = max(raw.total_tokens, read + said)
    if thought > said:
        return unclassified(total)
    return completed(Tokens(read, cached, written, said, thought, 0), total)


def completed(parts: Tokens, total: int) -> Tokens:
    """Set the parts against the upstream's total; 0 means that it gave none."""
    if not total or total == parts.total:
        return parts
    if total < parts.total:
        return unclassified(total)
    return parts._replace(unclassified=total - parts.total)


def unclassified(total: int) -> Tokens:
    """Keep a total whose parts cannot be believed."""
    return Tokens(0, 0, 0, 0, 0, max(total, 0))


BY_PROVIDER = {
    "claude": independent,
    "gemini": separate,
    "gemini-cli": separate,
    "gemini-interactions": separate,
    "vertex": separate,
    "aistudio": separate,
    "antigravity": separate,
}
BY_EXECUTOR = {
    "ClaudeExecutor": independent,
    "AIStudioExecutor": separate,
    "AntigravityExecutor": separate,
    "GeminiCLIExecutor": separate,
    "GeminiExecutor": separate,
    "GeminiInteractionsExecutor": separate,
    "GeminiVertexExecutor": separate,
    "OpenAICompatExecutor": subset,
}
