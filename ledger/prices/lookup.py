"""Find the list and the entry that price a model, by the names that the proxy reports.

The proxy names a provider (`codex`, `antigravity`, `openai-compatible-NAME`) and the upstream's
model, with prefixes and suffixes that price lists do not have. Every result says by which rule it
was found.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from genai_prices.types import ModelInfo, Provider

COMPATIBLE = "openai-compatible-"
# The proxy's provider names: the list that holds for them. Antigravity serves several vendors.
LISTS = {
    "codex": "openai",
    "openai": "openai",
    "claude": "anthropic",
    "gemini": "google",
    "gemini-cli": "google",
    "gemini-interactions": "google",
    "vertex": "google",
    "aistudio": "google",
    "xai": "x-ai",
    "kimi": "moonshotai",
    "qwen": "dashscope",
}
# Other names of a list: in the user's name for a relay, or before the slash of a model.
# z.ai bills in dollars and bigmodel.cn in yuan: only its own name leads to the latter's list.
LIST_NAMES = {
    "claude": "anthropic",
    "gemini": "google",
    "grok": "x-ai",
    "xai": "x-ai",
    "kimi": "moonshotai",
    "moonshot": "moonshotai",
    "z-ai": "zai",
    "z.ai": "zai",
    "zai-org": "zai",
    "glm": "zai",
    "zhipu": "zhipuai",
    "bigmodel": "zhipuai",
    "deepseek-ai": "deepseek",
    "minimaxai": "minimax",
    "mistralai": "mistral",
    "qwen": "dashscope",
    "alibaba": "dashscope",
    "bedrock": "aws",
    "copilot": "github-copilot",
    "fireworks-ai": "fireworks",
    "together-ai": "together",
    "togetherai": "together",
}
# Whose model a bare name is.
VENDORS = (
    (re.compile(r"gpt-|chatgpt-|o[134](-|$)|codex-|text-embedding-|whisper-|tts-"), "openai"),
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gemini|gemma-|imagen-|veo-|nano-banana"), "google"),
    (re.compile(r"grok"), "x-ai"),
    (re.compile(r"kimi|moonshot-"), "moonshotai"),
    (re.compile(r"glm-"), "zai"),
    (re.compile(r"deepseek-(?!.*distill)"), "deepseek"),
    (re.compile(r"minimax-"), "minimax"),
    (re.compile(r"(?:mi|code|dev|magi|mini)stral|mixtral|pixtral|voxtral"), "mistral"),
    (re.compile(r"qwen|qwq-"), "dashscope"),
    (re.compile(r"command-"), "cohere"),
    (re.compile(r"sonar"), "perplexity"),
)
# Names under which a product serves a model that its vendor's list has under another.
SERVED_AS = {
    # Antigravity's agent mode of its current Pro model.
    "gemini-pro-agent": "gemini-pro-latest",
    # https://developers.openai.com/api/docs/models
    "daybreak-red-latest": "gpt-daybreak-red-latest",
    "daybreak-blue-latest": "gpt-daybreak-blue-latest",
    "nano-banana-pro-preview": "gemini-3-pro-image",
    "moonshot-v1-auto": "moonshot-v1-128k",
}
SUFFIX = re.compile(
    r"\[\w+\]"  # [1m]: the client's context window
    r"|\([\w-]+\)"  # (high), (16384): the proxy's notation of a thinking budget
    r"|:(?:thinking|online|nitro|floor|exacto)"
    r"|-(?:extra-low|minimal|low|medium|high|xhigh|none|auto)"
    r"|-(?:thinking|nothinking|agent|256k)"
    r"|-\d{4}-\d{2}-\d{2}|-20\d{6}|-(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])"
    r"|-(?:non-)?reasoning|-beta|-experimental"
    r"|-(?:preview|latest|exp)(?:-\d{2}-\d{2,4})?"
)
ANY_SUFFIX = re.compile(rf"(?:{SUFFIX.pattern})$")


class Match(NamedTuple):
    """The entry that prices a model: its list, and the rule by which it was found."""

    list_id: str
    model: ModelInfo
    rule: str
    # Whether request tiers apply: a fallback to another list's entry has none.
    has_variants: bool

    @property
    def name(self) -> str:
        """The entry as `list/model`."""
        return f"{self.list_id}/{self.model.id}"


class Lookup:
    """Finds models in the price lists."""

    def __init__(self, lists: dict[str, Provider], chosen: Mapping[str, str] | None = None) -> None:
        """With `chosen`, lists by the name of a provider or relay."""
        self._lists = lists
        self._chosen = {name.lower(): list_id for name, list_id in (chosen or {}).items()}
        self._all = list(lists.values())
        # Some entries are matched by longer names than their own.
        self._by_id = {
            list_id: {model.id.lower(): model for model in provider.models}
            for list_id, provider in lists.items()
        }

    def find(self, provider: str, model: str, alias: str = "") -> Match | None:
        """Return the entry for a model, else for the alias that the client asked for.

        The list of the provider comes before the list of the model's own vendor. None when no list
        has it, or only a list of another currency or vendor.
        """
        for name, rule in ((model, ""), (alias, "alias ")):
            if name and (match := self._find(provider.lower(), name.lower().strip(), rule)):
                return match
        return None

    def _find(self, provider: str, name: str, rule: str) -> Match | None:
        name = name.removeprefix("models/")
        for list_id, reason in self._candidates(provider, name).items():
            for candidate, change in spellings(name):
                entry = self._entry(list_id, candidate)
                if entry is not None:
                    has_variants = any(entry is model for model in self._lists[list_id].models)
                    return Match(list_id, entry, f"{rule}{reason}{change}", has_variants)
        return None

    def _entry(self, list_id: str, name: str) -> ModelInfo | None:
        """Return the entry of a list that a name matches, else the one of that name."""
        found = self._lists[list_id].find_model(name, all_providers=self._all)
        return found or self._by_id[list_id].get(name)

    def _candidates(self, provider: str, name: str) -> dict[str, str]:
        """Return the lists that may price a model, each with the reason, the best first."""
        reasons = {list_id: "vendor's list" for list_id in reversed(self.vendors_of(name))}
        if own := self.list_of(provider):
            reasons.pop(own, None)
            reasons[own] = "provider's list"
        if own := self._chosen_for(provider):
            reasons.pop(own, None)
            reasons[own] = "list of the settings"
        return dict(reversed(reasons.items()))

    def _chosen_for(self, provider: str) -> str | None:
        """Return the list that the settings name for a provider or relay."""
        name = provider.removeprefix(COMPATIBLE)
        return self._chosen.get(provider) or self._chosen.get(name)

    def list_of(self, provider: str) -> str | None:
        """Return the list of a provider of the proxy's, or of the one that a relay's name names."""
        if not provider.startswith(COMPATIBLE):
            return LISTS.get(provider)
        name = provider.removeprefix(COMPATIBLE)
        if (list_id := self._named(name)) is not None:
            return list_id
        words = {self._named(word) for word in re.split(r"[^a-z0-9.]+|(?<=\D)\d+$", name) if word}
        words.discard(None)
        return words.pop() if len(words) == 1 else None

    def vendors_of(self, name: str) -> list[str]:
        """Return the lists of a model's own vendor: by the word before its slash, and by its name.

        A model of an unknown vendor belongs to nobody, whatever its name looks like.
        """
        *prefixes, bare = name.split("/")
        by_name = next((list_id for pattern, list_id in VENDORS if pattern.match(bare)), None)
        by_prefix = self._named(prefixes[-1]) if prefixes else None
        if prefixes and by_prefix is None:
            return []
        return [list_id for list_id in (by_prefix, by_name) if list_id is not None]

    def _named(self, word: str) -> str | None:
        """Return the list that a word names."""
        list_id = LIST_NAMES.get(word, word)
        return list_id if list_id in self._lists else None


def spellings(name: str) -> Iterator[tuple[str, str]]:
    """Yield the names to try, each with what was changed, in the order of their trust.

    As it is; without its vendor; as the vendor's list names it; with `-preview`; without suffixes,
    one after the other, the same again each time.
    """
    base, removed = name, ""
    while True:
        bare = base.rsplit("/", 1)[-1]
        for candidate in dict.fromkeys((base, bare)):
            yield candidate, removed
        if bare in SERVED_AS:
            yield SERVED_AS[bare], f"{removed}, served as {SERVED_AS[bare]}"
        yield f"{bare}-preview", f"{removed}, with -preview"
        suffix = ANY_SUFFIX.search(base)
        if suffix is None or not suffix.start():
            return
        base = base[: suffix.start()]
        removed += f", without {suffix.group()}"
