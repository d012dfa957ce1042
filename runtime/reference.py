"""`python -m runtime.reference`: write the pages of `docs/` that the program itself knows best."""

import ast
import inspect
import json
import re
import tempfile
from collections.abc import Iterable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect as types

from ledger import prepare, reference
from ledger.settings import PROXY_VARIABLES, ROOT, Settings

VARIABLES = {setting: variable for variable, setting in PROXY_VARIABLES.items()}
EXAMPLE = re.compile(r"^(.+) Example: `(.+)`$")
INTRODUCTION = """\
# Settings

Written by `make docs` from the class `Settings` in `ledger/settings.py`.

They are in `config.json` beside the program, made with mode 600 by the first start; the variable \
`LEDGER_CONFIG` names another file. What the environment says wins. An unknown name, a wrong type \
or an impossible value ends the program with a sentence before anything starts. \
[`config.example.json`](../config.example.json) has them all, with their defaults. A change counts \
from the next start on.

In the environment a mapping or a list is written as JSON; an empty variable counts as none.
"""


class Setting(NamedTuple):
    """A setting as the page shows it."""

    name: str
    variable: str
    kind: str
    default: Any
    meaning: str
    example: Any


def settings() -> list[Setting]:
    """Give every setting, in the order of the class."""
    said = meanings()
    return [
        Setting(
            field.name,
            VARIABLES.get(field.name, f"LEDGER_{field.name.upper()}"),
            worded(field.type),
            getattr(Settings(), field.name),
            *told(said[field.name]),
        )
        for field in types.type_info(Settings).fields
    ]


def meanings() -> dict[str, str]:
    """Give the text below each setting in the class."""
    body = ast.parse(inspect.getsource(Settings)).body[0].body
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def told(text: str) -> tuple[str, Any]:
    """Part a setting's text into its meaning and its example."""
    meaning, example = EXAMPLE.fullmatch(text).groups()
    try:
        return meaning, json.loads(example)
    except ValueError:
        return meaning, example


def worded(kind: types.Type) -> str:
    """Say what values a type takes."""
    match kind:
        case types.LiteralType(values=values):
            return "one of " + listed(values)
        case types.IntType():
            return "whole number" + bounds(kind)
        case types.FloatType():
            return "number" + bounds(kind)
        case types.BoolType():
            return "true or false"
        case types.StrType(min_length=shortest):
            return "text, not empty" if shortest else "text"
        case types.DictType(value_type=value):
            return f"mapping of names, each with {worded(value)}"
        case types.ListType(item_type=item):
            return f"list, each entry {worded(item)}"
        case types.UnionType(types=several):
            return " or ".join(map(worded, several))
        case types.StructType(fields=fields):
            return "an object of " + listed(field.name for field in fields)
    raise TypeError(f"no words for {kind}")


def listed(names: Iterable[str]) -> str:
    """List names as code."""
    return ", ".join(f"`{name}`" for name in names)


def bounds(kind: types.IntType | types.FloatType) -> str:
    """Say between what a number must lie."""
    least = "" if kind.ge is None else f", at least {kind.ge:,g}"
    most = "" if kind.le is None else f", at most {kind.le:,g}"
    return least + most


def settings_page() -> str:
    """Give the page of settings, as Markdown."""
    found = settings()
    return "\n".join(
        [
            INTRODUCTION,
            "| setting | variable | default |",
            "| --- | --- | --- |",
            *(
                f"| [`{one.name}`](#{one.name}) | `{one.variable}` | `{shown(one.default)}` |"
                for one in found
            ),
            "",
            *map(entry, found),
        ]
    )


def entry(one: Setting) -> str:
    """Give one setting's part of the page."""
    value = one.example if isinstance(one.example, str) else shown(one.example)
    return "\n".join(
        [
            f"## {one.name}",
            "",
            one.meaning,
            "",
            f"- Takes: {one.kind}",
            f"- Default: `{shown(one.default)}`",
            f"- For example: `\"{one.name}\": {shown(one.example)}`, or `{one.variable}='{value}'`",
            "",
        ]
    )


def shown(value: Any) -> str:
    """Write a value as `config.json` has it."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)


def tables_page() -> str:
    """Give the page of tables and views, of a ledger made for it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(prepare(Path(folder), timezone="UTC")) as conn,
    ):
        return reference.page(conn)


PAGES = {"settings.md": settings_page, "tables.md": tables_page}


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (ROOT / "docs" / name).write_text(page(), "utf-8")
        print(f"docs/{name}")


if __name__ == "__main__":
    main()
