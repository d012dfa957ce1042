"""Parse popped records: JSON array → records, record → `Usage` or `Rejected`. Pure."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from ingest.failures import Failure, failure
from ingest.payload import Payload
from ingest.tokens import Tokens, normalise

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime(2200, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
JSON_SPACE = " \t\r\n"
payload_decoder = msgspec.json.Decoder(Payload)
element_decoder = json.JSONDecoder()


class Usage(NamedTuple):
    """One upstream attempt. Instants and durations in ms; keys are still in clear."""

    hash: bytes
    occurred_at: int
    tokens: Tokens
    failure: Failure | None
    payload: Payload

    def __repr__(self) -> str:
        """Return a text without keys, headers and bodies."""
        return f"Usage({self.occurred_at}, {self.payload.model!r}, {self.tokens})"


class Rejected(NamedTuple):
    """A record that is not a valid usage event, and the reason."""

    reason: str
    raw: bytes


def parse(raw: bytes) -> Usage | Rejected:
    """Parse one record as popped from the proxy's queue; never raises for its content."""
    try:
        payload = payload_decoder.decode(raw)
        occurred_at = instant(payload.timestamp)
    except msgspec.ValidationError as error:
        return Rejected(validation_reason(error), raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Rejected("not JSON", raw)
    except RecursionError:
        return Rejected("JSON nested too deeply", raw)
    except ValueError as error:
        return Rejected(str(error), raw)
    return Usage(
        hash=hashlib.blake2b(raw, digest_size=16).digest(),
        occurred_at=occurred_at,
        tokens=normalise(payload),
        failure=failure(payload) if payload.failed else None,
        payload=payload,
    )


def instant(text: str) -> int:
    """Return an RFC 3339 text with a zone as ms since 1970, UTC.

    Raises `ValueError` with the reason.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("timestamp: not a time") from None
    if moment.tzinfo is None:
        raise ValueError("timestamp: no time zone")
    if not EPOCH <= moment < END:
        raise ValueError("timestamp: out of range")
    return (moment - EPOCH) // MILLISECOND


def validation_reason(error: msgspec.ValidationError) -> str:
    """Return msgspec's reason as `field: reason`; it names types and fields, never values."""
    reason, _, path = str(error).partition(" - at `$")
    path = path.strip(".`")
    if path:
        return f"{path}: {reason[:1].lower()}{reason[1:]}"
    if missing := re.search(r"missing required field `(\w+)`", reason):
        return f"{missing[1]}: missing"
    return f"not a usage event: {reason}"


def split_array(content: bytes) -> list[bytes]:
    """Return the elements of a JSON array, each byte for byte as it was written.

    The proxy sends a record that is not JSON as a string: it is returned without quotes. From the
    first syntax error on, the rest is one record. Raises `ValueError` when it is not an array.
    """
    # Bytes that are not UTF-8 pass through unchanged.
    text = content.decode("utf-8", "surrogateescape").strip(JSON_SPACE)
    if not text.startswith("["):
        raise ValueError("not a JSON array")
    records: list[bytes] = []
    start = skip_space(text, 1)
    while start < len(text) and text[start] != "]":
        try:
            value, end = element_decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            return [*records, text[start:].encode("utf-8", "surrogateescape")]
        records.append(element_bytes(text[start:end], value))
        start = skip_space(text, end)
        start = skip_space(text, start + 1) if text[start : start + 1] == "," else start
    return records


def element_bytes(text: str, value: object) -> bytes:
    """Return an element's own text, or the content of a string."""
    content = value if isinstance(value, str) else text
    try:
        return content.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def skip_space(text: str, start: int) -> int:
    """Return the index of the first character from `start` on that is not white space."""
    while text[start : start + 1] and text[start] in JSON_SPACE:
        start += 1
    return start
