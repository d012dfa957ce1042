"""The page that describes every setting, from the class `Settings`."""

import ast
import inspect
import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect as types

from ledger.settings import PROXY_VARIABLES, Settings

VARIABLES = {setting: variable for variable, setting in PROXY_VARIABLES.items()}
DESCRIPTION = re.compile(r"(.+) Example: `(.+)`")
INTRODUCTION = """\
# Settings

Written by `make docs` from the class `Settings` in `ledger/settings.py`.

The settings are in `config.json` beside the program, which the first start creates with mode 600; \
the variable `LEDGER_CONFIG` names another file. The environment wins over the file. An unknown \
name, a wrong type or an impossible value ends every command with a sentence before it does \
anything. [`config.example.json`](../config.example.json) has all of them with their defaults. A \
change takes effect at the next start.

In the environment a mapping or a list is written as JSON; an empty variable counts as unset.
"""


class Setting(NamedTuple):
    """A setting as the page shows it."""

    name: str
    variable: str
    type: str
    default: Any
    description: str
    example: Any


def page() -> str:
    """Return the whole page as Markdown."""
    every = settings()
    return "\n".join(
        [
            INTRODUCTION,
            "| setting | variable | default |",
            "| --- | --- | --- |",
            *map(table_line, every),
            "",
            *map(entry, every),
        ]
    )


def settings() -> list[Setting]:
    """Return every setting, in the order of the class."""
    texts = descriptions()
    return [
        Setting(
            field.name,
            VARIABLES.get(field.name, f"LEDGER_{field.name.upper()}"),
            type_text(field.type),
            getattr(Settings(), field.name),
            *split_example(texts[field.name]),
        )
        for field in types.type_info(Settings).fields  # type: ignore[attr-defined]
    ]


def descriptions() -> dict[str, str]:
    """Return the text below each setting in the class."""
    (definition,) = ast.parse(inspect.getsource(Settings)).body
    assert isinstance(definition, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(definition.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def split_example(text: str) -> tuple[str, Any]:
    """Split a setting's text into its description and its example."""
    match = DESCRIPTION.fullmatch(text)
    if match is None:
        raise ValueError(f"no example in: {text}")
    try:
        return match[1], json.loads(match[2])
    except ValueError:
        return match[1], match[2]


def type_text(type_: types.Type) -> str:
    """Return which values a type accepts."""
    match type_:
        case types.LiteralType(values=values):
            return "one of " + as_code(map(str, values))
        case types.IntType():
            return "whole number" + bounds_text(type_)
        case types.FloatType():
            return "number" + bounds_text(type_)
        case types.BoolType():
            return "true or false"
        case types.StrType(min_length=shortest):
            return "text, not empty" if shortest else "text"
        case types.DictType(value_type=value):
            return f"mapping of names, each with {type_text(value)}"
        case types.ListType(item_type=item):
            return f"list, each entry {type_text(item)}"
        case types.UnionType(types=several):
            return " or ".join(map(type_text, several))
        case types.StructType(fields=fields):
            return "an object of " + as_code(field.name for field in fields)
    raise TypeError(f"no text for {type_}")


def as_code(names: Iterable[str]) -> str:
    """Return a list of names as code."""
    return ", ".join(f"`{name}`" for name in names)


def bounds_text(type_: types.IntType | types.FloatType) -> str:
    """Return the bounds of a number."""
    least = "" if type_.ge is None else f", at least {type_.ge:,g}"
    most = "" if type_.le is None else f", at most {type_.le:,g}"
    return least + most


def table_line(setting: Setting) -> str:
    """Return one setting's line of the table."""
    name, default = setting.name, as_json(setting.default)
    return f"| [`{name}`](#{name}) | `{setting.variable}` | `{default}` |"


def entry(setting: Setting) -> str:
    """Return one setting's part of the page."""
    example = as_json(setting.example)
    value = setting.example if isinstance(setting.example, str) else example
    return "\n".join(
        [
            f"## {setting.name}",
            "",
            setting.description,
            "",
            f"- Accepts: {setting.type}",
            f"- Default: `{as_json(setting.default)}`",
            f"- Example: `\"{setting.name}\": {example}`, or `{setting.variable}='{value}'`",
            "",
        ]
    )


def as_json(value: Any) -> str:
    """Return a value as `config.json` contains it."""
    return json.dumps(msgspec.to_builtins(value), ensure_ascii=False)
