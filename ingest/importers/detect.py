"""Tell what a file is by what is in it, and open it as that."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ingest.importers import databases
from ingest.importers.export import Export
from ingest.importers.keeper import Keeper
from ingest.importers.lines import Lines, beginning
from ingest.importers.original import Original
from ingest.importers.reader import Reader, Unreadable

SQLITE_MAGIC = b"SQLite format 3\0"
# How an export and the answer of `GET usage` begin.
EXPORT = re.compile(rb'\{\s*"(?:version|exported_at|usage|failed_requests)"\s*:')
# An event may be longer than what is looked at.
CUT_EVENT = re.compile(rb'\{"timestamp":')
LINES_LOOKED_AT = 20
UNKNOWN = (
    "{name} is none of the files that can be brought in: usage.sqlite of the original script, "
    "the database of cpa-usage-keeper, a usage export of the proxy, usage events as JSON lines."
)


class Event(msgspec.Struct):
    """What makes an object a usage event."""

    timestamp: str
    tokens: msgspec.Raw


is_event = msgspec.json.Decoder(Event)


def reader(file: Path, providers: Callable[[], Mapping[str, str]]) -> Reader:
    """Open a file as what it is; `providers` gives the known providers by auth_index.

    Raises `Unreadable` with a sentence.
    """
    if not file.is_file():
        raise Unreadable(f"There is no file {file}.")
    start = beginning(file)
    if not start:
        raise Unreadable(f"{file.name} is empty.")
    if start.startswith(SQLITE_MAGIC):
        return database(file)
    if EXPORT.match(start):
        return Export(file, providers())
    if start.startswith(b"[") or any(map(looks_like_event, start.splitlines()[:LINES_LOOKED_AT])):
        return Lines(file)
    raise Unreadable(UNKNOWN.format(name=file.name))


def database(file: Path) -> Reader:
    """Open a SQLite file as the program's that wrote it."""
    conn = databases.open_database(file)
    names = databases.columns(conn, "usage_events")
    if {"raw_json", "event_key"} <= names:
        return Original(file, conn)
    if {"api_group_key", "event_key", "timestamp"} <= names:
        return Keeper(file, conn)
    conn.close()
    if "event_hash" in names:
        raise Unreadable(
            f"{file.name} is a ledger of cliproxy-ledger itself: `make restore FILE=…` "
            "puts it in the place of the one in use."
        )
    raise Unreadable(UNKNOWN.format(name=file.name))


def looks_like_event(line: bytes) -> bool:
    """Tell whether a line is a usage event, or the beginning of a long one."""
    if CUT_EVENT.match(line):
        return True
    try:
        return bool(is_event.decode(line))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
