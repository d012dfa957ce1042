"""Detect the format of a file by its content, and open it with the reader for it."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ingest.importers.export import Export
from ingest.importers.keeper import Keeper
from ingest.importers.lines import Lines, start_of
from ingest.importers.original import Original
from ingest.importers.reader import Reader, Unreadable, columns, open_database

SQLITE_MAGIC = b"SQLite format 3\0"
# The start of an export, and of a response of `GET usage`.
EXPORT = re.compile(rb'\{\s*"(?:version|exported_at|usage|failed_requests)"\s*:')
# An event may be longer than the part of the file that is examined.
CUT_EVENT = re.compile(rb'\{"timestamp":')
LINES_EXAMINED = 20
UNKNOWN = (
    "{name} has no format that can be imported: usage.sqlite of the original script, the database "
    "of cpa-usage-keeper, a usage export of the proxy, usage events as JSON lines."
)


class Event(msgspec.Struct):
    """The fields that every usage event has."""

    timestamp: str
    tokens: msgspec.Raw


event_decoder = msgspec.json.Decoder(Event)


def open_reader(file: Path, providers: Callable[[], Mapping[str, str]]) -> Reader:
    """Open a file; `providers` returns the providers in the ledger by `auth_index`.

    Raises `Unreadable`.
    """
    if not file.is_file():
        raise Unreadable(f"There is no file {file}.")
    start = start_of(file)
    if not start:
        raise Unreadable(f"{file.name} is empty.")
    if start.startswith(SQLITE_MAGIC):
        return database_reader(file)
    if EXPORT.match(start):
        return Export(file, providers())
    if start.startswith(b"[") or any(map(is_event, start.splitlines()[:LINES_EXAMINED])):
        return Lines(file)
    raise Unreadable(UNKNOWN.format(name=file.name))


def database_reader(file: Path) -> Reader:
    """Open a SQLite file with the reader for the program that wrote it."""
    conn = open_database(file)
    names = columns(conn, "usage_events")
    if {"raw_json", "event_key"} <= names:
        return Original(file, conn)
    if {"api_group_key", "event_key", "timestamp"} <= names:
        return Keeper(file, conn)
    conn.close()
    if "event_hash" in names:
        raise Unreadable(
            f"{file.name} is a ledger of cliproxy-ledger itself: `make restore FILE=…` "
            "makes it the ledger in use."
        )
    raise Unreadable(UNKNOWN.format(name=file.name))


def is_event(line: bytes) -> bool:
    """Return whether a line is a usage event, or the start of a long one."""
    if CUT_EVENT.match(line):
        return True
    try:
        return bool(event_decoder.decode(line))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
