"""What is kept of a record that was not understood: enough to replay it, no secret. Pure."""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec.structs import fields

from ingest.payload import Breakdown, Fail, InputParts, OutputParts, Payload, Tokens
from ingest.scrub import told
from ledger.redaction import EMAIL, LONGEST_TEXT, redact

EXCERPT_LENGTH, LONGEST_KEPT = 300, 256_000
NAME = re.compile(r"[\w./:*+()@ -]{0,120}")
TIME = re.compile(r"[0-9TZtz:+. -]{0,40}")
# A JSON text, after the name of its field if it has one; the last one may be cut off.
QUOTED = re.compile(r'(?:"(\w{1,60})"\s*:\s*)?"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
# Fields whose text is a name of the proxy's own; every other text is taken for a secret.
NAMES = {
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
UNREAD = {"accounting_version", "cache_read_tokens_present"}
READ = {
    field.name
    for struct in (Payload, Tokens, Breakdown, InputParts, OutputParts, Fail)
    for field in fields(struct)
}
FIELDS = NAMES | READ | UNREAD


class Cleaner(NamedTuple):
    """How to take the secrets out of one record: what replaces them, and which ones are known."""

    replace: Callable[[str], str]
    known: list[str]

    def clean(self, value: Any, field: str = "") -> Any:
        """Replace every text that is not known to be harmless; keep shape, numbers and flags."""
        if isinstance(value, dict):
            return {self.name(name): self.clean(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.clean(inner, field) for inner in value]
        if not isinstance(value, str) or is_harmless(value, field):
            return value
        return self.body(value) if field == "body" else self.replace(value)

    def name(self, field: str) -> str:
        """Keep the name of a field that the proxy is known to send."""
        return field if field in FIELDS else self.replace(field)

    def body(self, text: str) -> str:
        """Keep what a failure would be told by."""
        code, line = told(text, self.known)
        return json.dumps({"error": {"code": code, "message": line}}) if code else line


def kept_record(raw: bytes, replace: Callable[[str], str]) -> tuple[str, str]:
    """Give ('json', the record with its secrets replaced) or ('excerpt', scrubbed text)."""
    try:
        if len(raw) > LONGEST_KEPT:
            raise ValueError("too long to be kept whole")
        record = json.loads(raw)
        cleaner = Cleaner(replace, keys_of(record))
        return "json", json.dumps(cleaner.clean(record), ensure_ascii=True, allow_nan=False)
    except (ValueError, RecursionError):
        return "excerpt", excerpt(raw[:LONGEST_TEXT].decode("utf-8", "replace"))


def keys_of(record: Any) -> list[str]:
    """Give the keys that a record names, since its failure may repeat them."""
    found = [record.get("api_key"), record.get("source")] if isinstance(record, dict) else []
    return [key for key in found if isinstance(key, str)]


def excerpt(text: str) -> str:
    """Give the beginning of a text that is no JSON, each quoted text in it by its field's rule."""

    def shown(match: re.Match[str]) -> str:
        field, value = match[1] or "", match[2]
        value = value if value in FIELDS or is_harmless(value, field) else "…"
        return f'"{field if field in FIELDS else "…"}":"{value}"' if field else f'"{value}"'

    return redact(QUOTED.sub(shown, text))[:EXCERPT_LENGTH]


def is_harmless(text: str, field: str) -> bool:
    """Tell whether a field's text may be kept as it is."""
    if field == "timestamp":
        return bool(TIME.fullmatch(text))
    if field == "source":
        return bool(EMAIL.fullmatch(text))
    is_name = field in NAMES and bool(NAME.fullmatch(text))
    return is_name and redact(text) == " ".join(text.split())
