"""Read the statistics of proxies before v6.10.0, as their `usage/export` or `usage` returned them.

File format: `internal/usage/logger_plugin.go` of CLIProxyAPI v6.9: a map from client key, or
`METHOD /path`, or provider, to models, to attempts. It has no request ids, and no provider beside
a client key.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ingest.importers.lines import BYTE_ORDER_MARK, open_unpacked
from ingest.importers.reader import (
    ENDPOINT,
    PROVIDERS,
    Record,
    Unreadable,
    is_client_key,
    reading,
)
from ledger.redaction import EMAIL

NEWEST_VERSION = 1
# The provider by the start of a model's name: (of an e-mail address, of a key).
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
    """The fields that are read of an attempt."""

    timestamp: str = ""
    latency_ms: int | None = None
    source: str = ""
    auth_index: str = ""
    tokens: msgspec.Raw = msgspec.Raw(b"{}")
    failed: bool = False


class Model(msgspec.Struct):
    """The attempts of a model, not decoded yet, since there may be a great many."""

    details: list[msgspec.Raw] = []


class Api(msgspec.Struct):
    """The models of one client key, one path or one provider."""

    models: dict[str, Model] = {}


class Statistics(msgspec.Struct):
    """The field `usage`."""

    apis: dict[str, Api]


class File(msgspec.Struct):
    """The whole file."""

    usage: Statistics
    version: int = 0


class Export:
    """An export of the proxy's statistics; `providers` are those of the ledger by `auth_index`."""

    origin, program = "export", "the proxy's usage/export"

    def __init__(self, file: Path, providers: Mapping[str, str]) -> None:
        self._providers = providers
        with reading(file.name), open_unpacked(file) as opened:
            content = opened.read()
        try:
            self._file = msgspec.json.decode(content.removeprefix(BYTE_ORDER_MARK), type=File)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(f"{file.name} is not a complete usage export: {error}.") from error
        if self._file.version > NEWEST_VERSION:
            raise Unreadable(
                f"{file.name} is an export of version {self._file.version}; "
                f"versions up to {NEWEST_VERSION} are supported."
            )

    def count(self) -> int:
        """Return the number of attempts."""
        return sum(len(details) for _, _, details in self._models())

    def parts(self) -> list[Iterator[Record]]:
        """Return each attempt as an event."""
        return [self._records()]

    def _records(self) -> Iterator[Record]:
        number = 0
        for api, model, details in self._models():
            for raw in details:
                number += 1
                yield Record(f"detail {number}", self._event(api, model, bytes(raw)))

    def close(self) -> None:
        """Do nothing: the file is read and closed already."""

    def _models(self) -> Iterator[tuple[str, str, list[msgspec.Raw]]]:
        for name, api in self._file.usage.apis.items():
            for model, attempts in api.models.items():
                yield name, model, attempts.details

    def _event(self, api: str, model: str, raw: bytes) -> bytes:
        """Return an attempt in the proxy's wire format; one of another shape unchanged."""
        try:
            attempt = msgspec.json.decode(raw, type=Attempt)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return raw
        is_email = bool(EMAIL.fullmatch(attempt.source))
        event: dict[str, Any] = msgspec.structs.asdict(attempt)
        event |= {"model": model, "auth_type": "oauth" if is_email else "unknown"}
        if attempt.latency_ms is None:
            del event["latency_ms"]
        if ENDPOINT.match(api):
            event["endpoint"] = api
        elif is_client_key(api):
            event["api_key"] = api
        event["provider"] = (
            self._providers.get(attempt.auth_index)
            or (api if api in PROVIDERS else None)
            or provider_of(model, is_email=is_email)
        )
        return msgspec.json.encode(event)


def provider_of(model: str, *, is_email: bool) -> str:
    """Return the provider of a model by its name."""
    for start, (with_email, with_key) in FAMILIES.items():
        if model.lower().startswith(start):
            return with_email if is_email else with_key
    return "unknown"
