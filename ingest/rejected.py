"""Redact a rejected record: it stays replayable but holds no secret. Pure."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import fields

from ingest.failures import summary
from ingest.payload import Breakdown, Fail, InputParts, OutputParts, Payload, RawTokens
from ledger.redaction import EMAIL, MAX_TEXT_LENGTH, redact

EXCERPT_LENGTH, MAX_RECORD_BYTES = 300, 256_000
NAME = re.compile(r"[\w./:*+()@ -]{0,120}")
TIME = re.compile(r"[0-9TZtz:+. -]{0,40}")
# A JSON string, with its field's name if it has one; the last one may be cut off.
STRING = re.compile(r'(?:"(\w{1,60})"\s*:\s*)?"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
# Fields with names that the proxy defines; every other string is treated as a secret.
NAME_FIELDS = {
    "alias",
    "auth_index",
    "auth_type",
    "endpoint",
    "executor_type",
    "model",
    "provider",
    "quality",
    "reasoning_effort",
    "request_id",
    "request_service_tier",
    "response_service_tier",
    "service_tier",
}
UNREAD_FIELDS = {"accounting_version", "cache_read_tokens_present"}
READ_FIELDS = {
    field.name
    for struct in (Payload, RawTokens, Breakdown, InputParts, OutputParts, Fail)
    for field in fields(struct)
}
FIELDS = NAME_FIELDS | READ_FIELDS | UNREAD_FIELDS


class Redactor(NamedTuple):
    """Redacts one record. `replace` returns the replacement of a secret.

    `secrets` are texts that must not appear even inside another one.
    """

    replace: Callable[[str], str]
    secrets: list[str]

    def value(self, value: Any, field: str = "") -> Any:
        """Replace each string that may be a secret; keep the shape, numbers and flags."""
        if isinstance(value, dict):
            return {self.name(name): self.value(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.value(inner, field) for inner in value]
        if not isinstance(value, str) or is_harmless(value, field):
            return value
        return self.body(value) if field == "body" else self.replace(value)

    def name(self, field: str) -> str:
        """Return the name of a field that the proxy is known to send; replace any other."""
        return field if field in FIELDS else self.replace(field)

    def body(self, text: str) -> str:
        """Return an error body from which the same code and line are extracted at a replay."""
        code, line = summary(text, self.secrets)
        return json.dumps({"error": {"code": code, "message": line}}) if code else line


def redact_record(raw: bytes, replace: Callable[[str], str]) -> tuple[str, str]:
    """Return ('json', the redacted record) or, where that is impossible, ('excerpt', text)."""
    try:
        if len(raw) > MAX_RECORD_BYTES:
            raise ValueError("too long")
        record = json.loads(raw)
        redactor = Redactor(replace, keys_of(record))
        return "json", json.dumps(redactor.value(record), ensure_ascii=True, allow_nan=False)
    except (ValueError, RecursionError):
        return "excerpt", excerpt(raw[:MAX_TEXT_LENGTH].decode("utf-8", "replace"))


def keys_of(record: Any) -> list[str]:
    """Return the keys in a record, since its error body may repeat them."""
    values = [record.get("api_key"), record.get("source")] if isinstance(record, dict) else []
    return [value for value in values if isinstance(value, str)]


def excerpt(text: str) -> str:
    """Return the beginning of a text that is not JSON, without the strings that may be secrets."""

    def redacted(match: re.Match[str]) -> str:
        field, value = match[1] or "", match[2]
        value = value if value in FIELDS or is_harmless(value, field) else "…"
        return f'"{field if field in FIELDS else "…"}":"{value}"' if field else f'"{value}"'

    return redact(STRING.sub(redacted, text))[:EXCERPT_LENGTH]


def is_harmless(text: str, field: str) -> bool:
    """Return whether a field's text may be stored as it is."""
    if field == "timestamp":
        return bool(TIME.fullmatch(text))
    if field == "source":
        return bool(EMAIL.fullmatch(text))
    is_name = field in NAME_FIELDS and bool(NAME.fullmatch(text))
    return is_name and redact(text) == " ".join(text.split())
