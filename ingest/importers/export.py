"""The statistics that proxies before v6.10.0 kept, as their `usage/export` or `usage` gave them.

File format: `internal/usage/logger_plugin.go` of CLIProxyAPI v6.9: a map of client key, or
`METHOD /path`, or provider, to models, to attempts. It names no provider beside the key, and no
request.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ingest.importers.clients import ENDPOINT, PROVIDERS, is_key
from ingest.importers.lines import BOM, unpacked
from ingest.importers.reader import Found, Unreadable, readable
from ledger.redaction import EMAIL

NEWEST_VERSION = 1
# Whose model it is, where nobody told the provider: (with an account's address, with a key).
FAMILIES = {
    "claude": ("claude", "claude"),
    "gpt": ("codex", "unknown"),
    "codex": ("codex", "unknown"),
    "gemini": ("gemini-cli", "gemini"),
    "kimi": ("kimi", "kimi"),
    "grok": ("xai", "xai"),
    "qwen": ("qwen", "qwen"),
}


class Attempt(msgspec.Struct):
    """One attempt, as little as is looked at of it."""

    timestamp: str = ""
    latency_ms: int | None = None
    source: str = ""
    auth_index: str = ""
    tokens: msgspec.Raw = msgspec.Raw(b"{}")
    failed: bool = False


class Model(msgspec.Struct):
    """The attempts of a model, each still as text, since there may be a great many."""

    details: list[msgspec.Raw] = []


class Api(msgspec.Struct):
    """What came by one client key, one path or one provider."""

    models: dict[str, Model] = {}


class Statistics(msgspec.Struct):
    """The statistics themselves."""

    apis: dict[str, Api]


class File(msgspec.Struct):
    """The whole file."""

    usage: Statistics
    version: int = 0


class Export:
    """An export of the proxy's statistics; `providers` are the known ones by auth_index."""

    origin, program = "export", "the proxy's usage/export"

    def __init__(self, file: Path, providers: Mapping[str, str]) -> None:
        self._providers = providers
        with readable(file.name), unpacked(file) as opened:
            content = opened.read()
        try:
            self._file = msgspec.json.decode(content.removeprefix(BOM), type=File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(f"{file.name} is not a whole usage export: {error}.") from error
        if self._file.version > NEWEST_VERSION:
            raise Unreadable(
                f"{file.name} is an export of version {self._file.version}; "
                f"versions up to {NEWEST_VERSION} are known."
            )

    def count(self) -> int:
        """Tell how many attempts there are."""
        return sum(len(details) for _, _, details in self._models())

    def parts(self) -> list[Iterator[Found]]:
        """Give each attempt as an event."""
        return [self._records()]

    def _records(self) -> Iterator[Found]:
        number = 0
        for api, model, details in self._models():
            for raw in details:
                number += 1
                yield Found(f"detail {number}", self._event(api, model, bytes(raw)))

    def close(self) -> None:
        """Hold nothing that would have to be let go."""

    def _models(self) -> Iterator[tuple[str, str, list[msgspec.Raw]]]:
        for api, found in self._file.usage.apis.items():
            for model, attempts in found.models.items():
                yield api, model, attempts.details

    def _event(self, api: str, model: str, raw: bytes) -> bytes:
        """Give an attempt in the words of the proxy's own events; one of another shape as it is."""
        try:
            attempt = msgspec.json.decode(raw, type=Attempt)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return raw
        has_address = bool(EMAIL.fullmatch(attempt.source))
        found: dict[str, Any] = msgspec.structs.asdict(attempt)
        found |= {"model": model, "auth_type": "oauth" if has_address else "unknown"}
        if attempt.latency_ms is None:
            del found["latency_ms"]
        if ENDPOINT.match(api):
            found["endpoint"] = api
        elif is_key(api):
            found["api_key"] = api
        known = self._providers.get(attempt.auth_index)
        told = api if api in PROVIDERS else None
        found["provider"] = known or told or family(model, has_address=has_address)
        return msgspec.json.encode(found)


def family(model: str, *, has_address: bool) -> str:
    """Tell whose model it is by its name."""
    for beginning, (by_address, by_key) in FAMILIES.items():
        if model.lower().startswith(beginning):
            return by_address if has_address else by_key
    return "unknown"
