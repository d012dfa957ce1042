"""The documents as the tests read them: files, code, commands, links, addresses, quotes."""

import ast
import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.home import ROOT

# `make docs` writes it for those who want it.
GENERATED = ROOT / "docs" / "tables.md"
WRITTEN = sorted(set((ROOT / "docs").glob("*.md")) - {GENERATED})
PAGES = [ROOT / "README.md", ROOT / "README.zh.md", *WRITTEN]
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)\s]+)\)")
ADDRESS = re.compile(r"http://127\.0\.0\.1:8320(/[^\s)>'\"`]*)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
QUOTE = re.compile(r"^> (.+)$", re.MULTILINE)
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What has no place in a heading's anchor, as GitHub makes it.
PUNCTUATION = re.compile(r"[^\w\- ]")


class Page(NamedTuple):
    """A document."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its path in the checkout."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """Its text without blocks of code."""
        return "\n".join(line for line in self.text.splitlines() if not line.startswith("    "))

    @property
    def anchors(self) -> set[str]:
        """What a link can name in it."""
        return {slug(title) for title in HEADING.findall(self.prose)}

    @property
    def blocks(self) -> list[str]:
        """Its blocks of code, which stand four spaces in."""
        found = re.findall(r"(?:^(?:    .*|[ \t]*)\n)+", self.text + "\n", re.MULTILINE)
        return [block for raw in found if (block := dedented(raw))]


def pages() -> list[Page]:
    """Read every document, with each block of code four spaces in."""
    return [Page(path, FENCED.sub(moved_in, path.read_text("utf-8"))) for path in PAGES]


def moved_in(fenced: re.Match[str]) -> str:
    """Write a fenced block as an indented one."""
    return textwrap.indent(fenced[1], "    ")


def dedented(raw: str, by: int = 4) -> str:
    """Return the text without the first spaces of each line; empty without code."""
    return "\n".join(line[by:] for line in raw.strip("\n").splitlines()).strip("\n")


def slug(title: str) -> str:
    """Return the anchor of a heading, as GitHub makes it."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).replace("`", "")
    return PUNCTUATION.sub("", plain.lower()).replace(" ", "-")


def commands(block: str) -> Iterator[str]:
    """Return the commands of a block: one a line, or several lines up to a closing quote."""
    pending = ""
    for line in block.splitlines():
        pending = f"{pending}\n{line}" if pending else line
        if pending.count('"') % 2 == 0:
            yield pending
            pending = ""
    if pending:
        yield pending


def program_texts() -> str:
    """Return every text that the program can print, with … for its variable parts."""
    rooms = ("ledger", "runtime", "ingest", "quota", "alerts", "plugins", "deploy")
    files = [file for room in rooms for file in (ROOT / room).rglob("*.py")]
    texts = [text for file in files for text in of_python(file.read_text("utf-8"))]
    texts += [text for name in ("en", "zh") for text in of_json(ROOT / f"plugins/text/{name}.json")]
    for name in ("en", "zh"):
        problems = of_json(ROOT / f"ledger/text/{name}.json")
        texts += [re.sub(r"\{[^}]*\}", "…", re.sub(r"[\[\]]", "", each)) for each in problems]
    sql = re.sub(r"--.*", "", (ROOT / "views.sql").read_text("utf-8"))
    texts += [text.replace("''", "'") for text in re.findall(r"'((?:[^']|'')*)'", sql)]
    texts.append((ROOT / "Makefile").read_text("utf-8"))
    return "\n".join(texts)


def of_python(source: str) -> Iterator[str]:
    """Return the texts of a Python file; a text may be written on several lines."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "…" for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}", "…", node.value)


def of_json(file: Path) -> Iterator[str]:
    """Return the texts of a file of the page's texts."""
    waiting = [json.loads(file.read_text("utf-8"))]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield re.sub(r"\{\w+\}", "…", found)
        else:
            waiting += found.values() if isinstance(found, dict) else found
