"""`python -m tests.frozen.compare OLD NEW`: print each difference between two recordings.

Old names are read as `renames.json` says. The exit status is 1 when there is a difference.
"""

import argparse
import json
import math
import re
from collections.abc import Iterator
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from tests.frozen.record import Answer, read
from tests.frozen.renames import Renames

Difference = tuple[str, Any, Any]
MAX_PRINTED = 60
TABLE = {"columns", "rows"}


def differences(old: Answer, new: Answer, scope: str, renames: Renames) -> Iterator[Difference]:
    """Yield (place, old, new) of what differs between two answers to one question."""
    if "dropped" in new or ("lines" in old and renames.has_new_layout(scope)):
        return
    if "error" in old or "error" in new:
        if old != new:
            yield "answer", old.get("error", "an answer"), new.get("error", "an answer")
    elif "rows" in old and "rows" in new:
        yield from of_tables(old, new, scope, renames)
    elif "sections" in old and "sections" in new:
        yield from of_sections(old["sections"], new["sections"], renames)
    else:
        yield from of_values(translated(old, scope, renames), new, "", scope, renames)


def of_sections(old: dict[str, Any], new: dict[str, Any], renames: Renames) -> Iterator[Difference]:
    """Compare the parts of the page."""
    left = dict(new)
    for old_name, section in old.items():
        name = renames.name("sections", old_name)
        if name is None:
            continue
        new_section = left.pop(name, "no such section")
        if section is None or not isinstance(new_section, dict):
            if section != new_section:
                yield name, section and "a section", new_section
            continue
        query = section["query"]
        if (renamed := renames.name("queries", query)) != new_section["query"]:
            yield f"{name} query", renamed, new_section["query"]
        if section["count"] != new_section["count"]:
            yield f"{name} count", section["count"], new_section["count"]
        today = renames.question({"kind": "query", **section, "name": query})
        parameters = today and (today["parameters"] if section["parameters"] is not None else None)
        if parameters != new_section["parameters"]:
            yield f"{name} parameters", parameters, new_section["parameters"]
        for place, one, other in of_tables(section, new_section, query, renames):
            yield f"{name} {place}", one, other
    added = [n for n in left if n not in old and not renames.is_added("sections", n)]
    yield from ((name, "no such section", "a section") for name in added)


def of_tables(old: Answer, new: Answer, scope: str, renames: Renames) -> Iterator[Difference]:
    """Compare two tables column by column, in the order of their rows."""
    if len(old["rows"]) != len(new["rows"]) or old.get("count") != new.get("count"):
        yield "rows", old.get("count", len(old["rows"])), new.get("count", len(new["rows"]))
        return
    columns = {name: renames.scoped("columns", scope, name) for name in old["columns"]}
    missing = [name for name in columns.values() if name and name not in new["columns"]]
    # Nothing tells the columns of an empty export.
    if missing and (new["rows"] or new["columns"]):
        yield "columns", missing, None
    renamed_columns = set(columns.values())
    more = [
        c for c in new["columns"] if c not in renamed_columns and not renames.is_added(scope, c)
    ]
    if more:
        yield "columns", None, more
    compared = [(name, to) for name, to in columns.items() if to in new["columns"]]
    old_rows, new_rows = (
        in_order(rows, renames.ties(scope))
        for rows in (old_as_new(old, compared, renames), as_mappings(new, compared))
    )
    for number, (one, other) in enumerate(zip(old_rows, new_rows, strict=True)):
        for name in one:
            if not same(one[name], other[name]):
                yield f"row {number} {name}", one[name], other[name]
    if "hashes" in old and "hashes" in new:
        for name, to in compared:
            one = old["hashes"][old["columns"].index(name)]
            other = new["hashes"][new["columns"].index(to)]
            if one != other:
                yield f"all rows {to}", one, other


def old_as_new(
    old: Answer, compared: list[tuple[str, str | None]], renames: Renames
) -> list[dict[str, Any]]:
    """Return the old rows by the new names of their columns, in the new words."""
    places = [(old["columns"].index(name), str(to)) for name, to in compared]
    is_metrics = old["columns"] == ["metric", "labels", "value"]
    rows = [{to: renames.value(to, row[place]) for place, to in places} for row in old["rows"]]
    for row in rows if is_metrics else ():
        row["metric"] = renames.name("metrics", row["metric"])
    return rows


def as_mappings(new: Answer, compared: list[tuple[str, str | None]]) -> list[dict[str, Any]]:
    """Return the new rows, as far as they are compared."""
    places = [(new["columns"].index(to), str(to)) for _, to in compared]
    return [{to: row[place] for place, to in places} for row in new["rows"]]


def in_order(rows: list[dict[str, Any]], ties: list[str]) -> list[dict[str, Any]]:
    """Put rows that are alike in some columns into an order of their own."""
    if not ties or not rows or not set(ties) <= set(rows[0]):
        return rows
    groups = groupby(rows, key=lambda row: [row[name] for name in ties])
    return [row for _, some in groups for row in sorted(some, key=json.dumps)]


def translated(old: Any, scope: str, renames: Renames) -> Any:
    """Return JSON with the new names of its keys and the new words of its texts."""
    if isinstance(old, dict):
        named = ((renames.scoped("columns", scope, key), key) for key in old)
        return {to: translated(old[key], scope, renames) for to, key in named if to is not None}
    if isinstance(old, list):
        return [translated(value, scope, renames) for value in old]
    return renames.value(scope, old)


def of_values(old: Any, new: Any, place: str, scope: str, renames: Renames) -> Iterator[Difference]:
    """Compare JSON."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key in old or not renames.is_added(scope, key):
                one, other = old.get(key, "nothing"), new.get(key, "nothing")
                yield from of_values(one, other, f"{place}.{key}", scope, renames)
    elif isinstance(old, list) and isinstance(new, list):
        pairs = zip_longest(old, new, fillvalue="nothing")
        for number, (one, other) in enumerate(pairs):
            yield from of_values(one, other, f"{place}[{number}]", scope, renames)
    elif not same(old, new):
        yield place or "answer", old, new


DECIMAL = re.compile(r"-?\d+\.\d+")


def same(old: Any, new: Any) -> bool:
    """Return whether two values are equal; of floats, also those of CSV, to 12 digits."""
    if all(isinstance(value, str) and DECIMAL.fullmatch(value) for value in (old, new)):
        old, new = float(old), float(new)
    if isinstance(old, float) and isinstance(new, float):
        return math.isclose(old, new, rel_tol=1e-12, abs_tol=1e-12) or (old != old and new != new)
    return type(old) is type(new) and old == new


def titled(question: dict[str, Any]) -> str:
    """Return a question in one line."""
    words = [question["kind"], question.get("name", ""), question.get("path", "")]
    words += question.get("arguments", [])
    words += [f"{name}={value!r}" for name, value in question.get("parameters", {}).items()]
    return " ".join(filter(None, words))


def compare(old_file: Path, new_file: Path, renames: Renames) -> list[str]:
    """Return a line for each difference."""
    old, new = read(old_file), read(new_file)
    if old["questions"] != new["questions"]:
        return ["the recordings ask different questions: record the new one with --like"]
    lines = []
    for question, one, other in zip(old["questions"], old["answers"], new["answers"], strict=True):
        scope = {"page": "page", "metrics": "metrics"}.get(
            question["kind"], question.get("name", question["kind"])
        )
        for place, before, now in differences(one, other, scope, renames):
            lines.append(f"{titled(question)}: {place}: {before!r} -> {now!r}")
    return lines


def main() -> None:
    """Print the differences, the first ones if there are many."""
    parser = argparse.ArgumentParser(prog="python -m tests.frozen.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--all", action="store_true", help="print every difference")
    options = parser.parse_args()
    lines = compare(options.old, options.new, Renames.load())
    for line in lines if options.all else lines[:MAX_PRINTED]:
        print(line[:1000])
    if lines:
        raise SystemExit(f"{len(lines):,} differences")
    print("OK: no difference")


if __name__ == "__main__":
    main()
