"""Files as other programs write them, made from the proxy's own events."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from bench.importing import insert_keeper_events
from tests.support.home import ROOT

IMPORTS = ROOT / "tests" / "data" / "imports"
KEEPER, ORIGINAL, EXPORT = (
    IMPORTS / name
    for name in ("keeper-v1.14.6.db", "original-usage.sqlite", "proxy-usage-export.json")
)


def schema_of(file: Path, *tables: str) -> str:
    """Return the statements that created a file's tables."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as conn:
        rows = conn.execute("select name, sql from sqlite_schema where sql is not null")
        return ";\n".join(sql for name, sql in rows.fetchall() if name in tables)


def write_keeper(file: Path, raws: Iterable[bytes], *, waiting: Iterable[bytes] = ()) -> None:
    """Write keeper's database of events; `waiting` ones are in its inbox only."""
    tables = ("usage_events", "usage_events_archive", "redis_usage_inboxes")
    with closing(sqlite3.connect(file)) as conn:
        conn.executescript(schema_of(KEEPER, *tables))
        insert_keeper_events(conn, raws)
        conn.executemany(
            "insert into redis_usage_inboxes (source, message_hash, raw_message, status, popped_at)"
            " values ('redis', 'x', ?, 'pending', '2026-11-24')",
            [(raw.decode(),) for raw in waiting],
        )
        conn.commit()


def write_original(file: Path, raws: Iterable[bytes]) -> None:
    """Write the original script's database; it keeps the first event of each request."""
    with closing(sqlite3.connect(file)) as conn:
        conn.executescript(schema_of(ORIGINAL, "usage_events"))
        for raw in raws:
            event = json.loads(raw)
            conn.execute(
                "insert or ignore into usage_events"
                " (event_key, timestamp, ts_epoch, local_date, local_hour, raw_json)"
                " values (?, ?, 0, '', '', ?)",
                (event["request_id"], event["timestamp"], raw.decode()),
            )
        conn.commit()


def write_export(file: Path, raws: Iterable[bytes]) -> None:
    """Write the statistics that an old proxy would have exported."""
    apis: dict[str, dict[str, list[object]]] = defaultdict(lambda: defaultdict(list))
    names = ("timestamp", "latency_ms", "source", "auth_index", "tokens", "failed")
    for raw in raws:
        event = json.loads(raw)
        detail = {name: event[name] for name in names if name in event}
        apis[event["api_key"] or event["endpoint"]][event["model"]].append(detail)
    written = {
        api: {"models": {model: {"details": details} for model, details in models.items()}}
        for api, models in apis.items()
    }
    file.write_text(json.dumps({"version": 1, "usage": {"apis": written}}))


def write_lines(file: Path, raws: Iterable[bytes]) -> None:
    """Write events as JSON lines."""
    file.write_bytes(b"".join(raw + b"\n" for raw in raws))


WRITERS = {
    "keeper": write_keeper,
    "original": write_original,
    "export": write_export,
    "events": write_lines,
}
