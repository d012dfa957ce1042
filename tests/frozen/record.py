"""`python -m tests.frozen.record --ledger FILE --out FILE.json.gz`: what the program answers.

The clock stands still. `--like OLD` asks what another recording asked, under today's names.
"""

import argparse
import asyncio
import csv
import gzip
import io
import json
import os
import re
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.frozen import program
from tests.frozen.questions import Question, questions
from tests.frozen.renames import Renames

# 2026-11-20 14:37:23.456 UTC, the last moment of the ledgers that are recorded.
NOW = 1_795_185_443_456
ZONE = "Europe/Berlin"
MAX_ROWS = 400
TRIES = 5
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$")
# What depends on more than the ledger's content and the clock.
FILE_SIZE = re.compile(r"_bytes$")
SCHEMA = re.compile(r"schema is version \d+")

Answer = dict[str, Any]


class Recorder:
    """Asks one ledger, whose clock stands still."""

    def __init__(self, file: Path, renames: Renames) -> None:
        self._conn = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        program.add_functions(self._conn)
        self._queries = program.queries()
        self._site = program.site(file)
        self._renames = renames

    async def start(self) -> None:
        """Start the application."""
        await self._site.invoke_startup()

    async def answer(self, question: Question) -> Answer:
        """Return the answer to one question."""
        asked = self._renames.question(question)
        if asked is None:
            return {"dropped": True}
        return await getattr(self, f"_{question['kind']}")(asked)

    async def _query(self, question: Question) -> Answer:
        sql = self._queries.get(question["name"])
        if sql is None:
            return {"error": "no such query"}
        accepted = program.parameters(sql)
        if unknown := set(question["parameters"]) - set(accepted):
            return {"error": f"no such parameter: {sorted(unknown)}"}
        try:
            cursor = self._conn.execute(
                sql, {**dict.fromkeys(accepted, ""), **question["parameters"]}
            )
            return table([column[0] for column in cursor.description], cursor.fetchall())
        except sqlite3.Error as error:
            return {"error": str(error)}

    async def _page(self, question: Question) -> Answer:
        reply = await self._json(f"/-/page.json?{urlencode(question['parameters'])}")
        if "sections" not in reply:
            return {"json": reply}
        return {"sections": reply["sections"]}

    async def _api(self, question: Question) -> Answer:
        return {"json": await self._json(question["path"])}

    async def _served(self, question: Question) -> Answer:
        reply = await self._json(f"/ledger/{question['name']}.json")
        return table(reply.get("columns", []), reply.get("rows", [reply]))

    async def _export(self, question: Question) -> Answer:
        query_string = urlencode(question["parameters"])
        response = await self._get(f"/export/{question['name']}.jsonl?{query_string}")
        if response.status_code != 200:
            return {"error": response.status_code}
        rows = [json.loads(line) for line in response.text.splitlines()]
        columns = list(rows[0]) if rows else []
        return table(columns, [list(row.values()) for row in rows])

    async def _metrics(self, question: Question) -> Answer:
        lines = (await self._get("/metrics")).text.splitlines()
        samples = [match.groups() for line in lines if (match := SAMPLE.match(line))]
        rows = [
            (name, labels or "", 0.0 if FILE_SIZE.search(name) else float(value))
            for name, labels, value in samples
            if not self._is_added_sample(name, labels)
        ]
        return table(["metric", "labels", "value"], rows)

    def _is_added_sample(self, name: str, labels: str | None) -> bool:
        """Return whether only the new program has a metric, or a sample of it."""
        samples = (name, f"{name}{{{labels}}}")
        return any(self._renames.is_added("metrics", sample) for sample in samples)

    async def _command(self, question: Question) -> Answer:
        words = question["arguments"]
        text = await asyncio.to_thread(program.run, question["name"], *words)
        text = SCHEMA.sub("schema is version …", text)
        if "--json" in words or "json" in words:
            return {"json": json.loads(text)}
        if "csv" in words:
            rows = list(csv.reader(io.StringIO(text)))
            return table(rows[0] if rows else [], rows[1:])
        return {"lines": text.splitlines()}

    async def _json(self, path: str) -> Any:
        return (await self._get(path)).json()

    async def _get(self, path: str) -> Any:
        for _ in range(TRIES):
            response = await self._site.client.get(path)
            # The page and /metrics give up after three seconds, as on a busy machine.
            if response.status_code != 503:
                break
        return response

    def close(self) -> None:
        """Close what is open."""
        self._conn.close()


def table(columns: list[str], rows: list[Any]) -> Answer:
    """Return rows with their columns; of very many rows the first ones, and a hash of each column.

    The hash is of the whole column, so that a renamed column can still be compared.
    """
    answer: Answer = {"columns": columns, "count": len(rows), "rows": [list(r) for r in rows]}
    if len(rows) > MAX_ROWS:
        answer["rows"] = answer["rows"][:50]
        answer["hashes"] = [digest([row[place] for row in rows]) for place in range(len(columns))]
    return answer


def digest(values: list[Any]) -> str:
    """Return a hash of values in their order; floats count to 12 digits."""
    plain = [float(f"{value:.12g}") if isinstance(value, float) else value for value in values]
    return sha256(json.dumps(plain).encode()).hexdigest()[:16]


def set_clock(conn: sqlite3.Connection, now: int) -> None:
    """Set the clock of the views to a constant instant."""
    conn.execute("drop view clock")
    conn.execute(f"create view clock as select {now} as now")


def opened(source: Path, folder: Path, renames: Renames) -> Path:
    """Copy a ledger, plain or compressed, open it as the program does, and stop its clock."""
    file = folder / "ledger.db"
    if source.suffix == ".gz":
        file.write_bytes(gzip.decompress(source.read_bytes()))
    else:
        shutil.copyfile(source, file)
    file.chmod(0o600)
    with closing(program.prepare(folder, timezone=ZONE)) as conn:
        for statement in renames.statements():
            conn.execute(statement)
        set_clock(conn, NOW)
        program.decide(conn, NOW)
    return file


def point_at(folder: Path) -> None:
    """Make the program read only the settings of the recording."""
    for name in list(os.environ):
        if name.startswith(("LEDGER_", "CLIPROXY_")):
            del os.environ[name]
    os.environ["LEDGER_DATA_DIR"] = str(folder)
    os.environ["LEDGER_CONFIG"] = str(folder / "config.json")
    os.environ["LEDGER_TIMEZONE"] = ZONE


async def recorded(file: Path, asked: list[Question], renames: Renames) -> list[Answer]:
    """Return the answer to each question."""
    recorder = Recorder(file, renames)
    await recorder.start()
    answers = [await recorder.answer(question) for question in asked]
    recorder.close()
    return answers


def thinned(asked: list[Question], every: int) -> list[Question]:
    """Return a sample of the questions of each query and kind: the first, then every n-th."""
    seen: dict[tuple[str, str], int] = {}
    sample = []
    for question in asked:
        key = (question["kind"], question.get("name", ""))
        number = seen[key] = seen.get(key, -1) + 1
        if number % every == 0:
            sample.append(question)
    return sample


def read(file: Path) -> dict[str, Any]:
    """Read a recording."""
    return json.loads(gzip.decompress(file.read_bytes()))


def write(file: Path, asked: list[Question], answers: list[Answer]) -> None:
    """Write a recording; the same one is the same bytes."""
    text = json.dumps({"questions": asked, "answers": answers}, ensure_ascii=False)
    file.write_bytes(gzip.compress(text.encode(), mtime=0))


def record(source: Path, out: Path, *, like: Path | None, every: int) -> int:
    """Record what the program answers of a ledger; return how many answers there are."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        point_at(folder)
        renames = Renames.load() if like else Renames({})
        file = opened(source, folder, renames)
        if like:
            asked = read(like)["questions"]
        else:
            with closing(sqlite3.connect(file)) as conn:
                asked = thinned(questions(conn), every)
        answers = asyncio.run(recorded(file, asked, renames))
    write(out, asked, answers)
    return len(answers)


def main() -> None:
    """Record, and print how many answers there are and how long it took."""
    parser = argparse.ArgumentParser(prog="python -m tests.frozen.record", description=__doc__)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--like", type=Path, help="a recording whose questions are asked again")
    parser.add_argument("--every", type=int, default=1, help="ask only each of so many questions")
    options = parser.parse_args()
    begun = time.time()
    count = record(options.ledger, options.out, like=options.like, every=options.every)
    print(f"{count:,} answers in {time.time() - begun:.1f} s")


if __name__ == "__main__":
    main()
