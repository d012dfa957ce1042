"""What one popped record means: a `Usage`, or a `Rejected` with its reason. Pure."""

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from ingest.payload import Payload
from ingest.scrub import Failure, failure
from ingest.tokens import Tokens, normalised

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AFTER = datetime(2200, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
decoder = msgspec.json.Decoder(Payload)


class Usage(NamedTuple):
    """One upstream attempt, understood. Instants and durations in ms; keys still in clear."""

    hash: bytes
    occurred_at: int
    tokens: Tokens
    failure: Failure | None
    payload: Payload

    def __repr__(self) -> str:
        """Show no key, header or body."""
        return f"Usage({self.occurred_at}, {self.payload.model!r}, {self.tokens})"


class Rejected(NamedTuple):
    """A record that could not be understood, and why."""

    reason: str
    raw: bytes


def parse(raw: bytes) -> Usage | Rejected:
    """Understand one record, as popped from the proxy's queue; never raises for what it says."""
    try:
        payload = decoder.decode(raw)
        moment = instant(payload.timestamp)
    except msgspec.ValidationError as error:
        return Rejected(worded(error), raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Rejected("not JSON", raw)
    except RecursionError:
        return Rejected("JSON nested too deeply", raw)
    except ValueError as error:
        return Rejected(str(error), raw)
    return Usage(
        hash=hashlib.blake2b(raw, digest_size=16).digest(),
        occurred_at=moment,
        tokens=normalised(payload),
        failure=failure(payload) if payload.failed else None,
        payload=payload,
    )


def instant(text: str) -> int:
    """Give an RFC 3339 text with a zone as ms since 1970, UTC.

    Raises `ValueError` with the reason.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("timestamp: not a time") from None
    if moment.tzinfo is None:
        raise ValueError("timestamp: no time zone")
    if not EPOCH <= moment < AFTER:
        raise ValueError("timestamp: out of range")
    return (moment - EPOCH) // MILLISECOND


def worded(error: msgspec.ValidationError) -> str:
    """Give msgspec's reason as `field: reason`; it names types and places, never values."""
    reason, _, place = str(error).partition(" - at `$")
    place = place.strip(".`")
    return f"{place}: {reason[:1].lower()}{reason[1:]}" if place else lacking(reason)


def lacking(reason: str) -> str:
    """Reword the reasons that concern the whole object."""
    if missing := re.search(r"missing required field `(\w+)`", reason):
        return f"{missing[1]}: missing"
    return f"not a usage event: {reason}"
