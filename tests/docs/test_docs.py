"""What the documents say is held against the program."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from cli.root import cli
from ledger import settings_reference as reference
from ledger.queries import metadata, windows
from ledger.settings import Settings
from tests.support import documents
from tests.support.home import ROOT

README = (ROOT / "README.md").read_text("utf-8")
CHINESE = (ROOT / "README.zh.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))
QUERIES = metadata()["queries"]
ROW = re.compile(r"^\| `(\w+)` \| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|", re.MULTILINE)
# A file of the checkout, as prose names it.
FILE = re.compile(r"`((?:[a-z_]+/)+[\w.]+\.(?:py|sql|yml|md|json|png|plist|service))`")


def plain(value: object) -> str:
    """Write a default as the README's table does."""
    return value if isinstance(value, str) else reference.as_json(value)


def test_the_settings_page_is_what_the_settings_class_says():
    assert (ROOT / "docs" / "settings.md").read_text("utf-8") == reference.page()


def test_every_setting_has_a_meaning_and_an_example_that_works():
    described = {one.name: one for one in reference.settings()}
    assert list(described) == list(Settings.__struct_fields__)
    for one in described.values():
        assert one.description.endswith("."), one.name
        assert msgspec.convert({one.name: one.example}, Settings) != Settings() or (
            one.example == one.default
        )


@pytest.mark.parametrize("readme", [README, CHINESE], ids=["english", "chinese"])
def test_the_settings_in_a_readme_are_as_the_class_has_them(readme):
    known = {(one.name, one.variable, plain(one.default)) for one in reference.settings()}
    rows = set(ROW.findall(readme))
    assert rows <= known
    assert len(rows) > 5


@pytest.mark.parametrize("readme", [README, CHINESE], ids=["english", "chinese"])
def test_every_list_of_windows_in_a_readme_is_the_view_windows(readme):
    lists = re.findall(r"\btoday(?:(?:, |、| or | 或 )\w+)+", readme)
    assert len(lists) > 1
    assert {tuple(re.findall(r"today|\d+[a-z]", one)) for one in lists} == {tuple(windows())}


@pytest.mark.parametrize("readme", [README, CHINESE], ids=["english", "chinese"])
def test_a_readme_names_every_setting(readme):
    missing = [name for name in Settings.__struct_fields__ if f"`{name}`" not in readme]
    assert missing == []


def test_the_example_settings_are_the_defaults():
    example = json.loads((ROOT / "config.example.json").read_text("utf-8"))
    assert msgspec.convert(example, Settings) == Settings()
    assert list(example) == list(Settings.__struct_fields__)


def test_every_make_command_in_the_readme_exists_and_every_target_is_in_it():
    named = set(re.findall(r"`make ([a-z-]+)", README))
    named |= set(re.findall(r"^    make ([a-z-]+)", README, re.MULTILINE))
    assert named | {"help"} == TARGETS | {"help"}


@pytest.mark.parametrize("readme", [README, CHINESE], ids=["english", "chinese"])
def test_a_readme_names_every_command(readme):
    others = [name for name in cli.commands if name not in TARGETS]
    assert [name for name in others if not re.search(rf"^\| `{name}\b", readme, re.MULTILINE)] == []


def test_every_make_command_in_any_document_exists():
    for page in documents.pages():
        named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", page.text, re.MULTILINE))
        assert named <= TARGETS, page.name


def test_every_target_is_phony_and_has_a_help_line():
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert set(phony[1].split()) == TARGETS
    rules = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
    assert set(rules) == TARGETS


def test_every_page_in_the_readme_is_a_canned_query_and_the_other_way_round():
    pages = set(re.findall(r"`/ledger/(\w+)`", README))
    assert pages == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_every_canned_query_has_title_and_description(name):
    query = QUERIES[name]
    assert query["title"]
    assert query.get("description") or query.get("description_html")


def test_both_readmes_have_the_same_commands_links_pages_and_settings():
    for found in (
        r"`((?:make|\.venv/bin/)[^`]*)`",
        r"^    (.+)$",
        r"\]\(((?!README|#)[^)]+)\)",
        r"<(http[^>]+)>",
        r"`(/(?:ledger|export)/[^`]+)`",
        r"^\| `(\w+)` \| `[A-Z_]+`",
    ):
        english, chinese = (re.findall(found, text, re.MULTILINE) for text in (README, CHINESE))
        assert sorted(english) == sorted(chinese), found
    assert len(re.findall("^#", README, re.MULTILINE)) == len(
        re.findall("^#", CHINESE, re.MULTILINE)
    )


def test_every_document_is_in_the_readme():
    pages = {page.name for page in documents.pages() if page.name.startswith("docs/")}
    assert pages <= set(re.findall(r"\]\((docs/[\w.]+\.md)\)", README))


def test_every_relative_link_anchor_and_picture_is_there():
    anchors = {page.path.resolve(): page.anchors for page in documents.pages()}
    for page in documents.pages():
        for _, target in documents.LINK.findall(page.prose):
            if target.startswith(("http://", "https://")):
                continue
            path, _, anchor = unquote(target).partition("#")
            file = (page.path.parent / path).resolve() if path else page.path.resolve()
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors[file], f"{page.name}: {target}"


def test_every_file_that_a_document_names_is_there():
    for page in documents.pages():
        for name in FILE.findall(page.text):
            assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_every_quoted_sentence_is_one_that_the_program_says():
    corpus = documents.program_texts()
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    quotes = documents.QUOTE.findall(page)
    assert len(quotes) > 50
    for quote in quotes:
        parts = [part.strip() for part in quote.split("…") if part.strip(" .,:;()")]
        assert parts, quote
        assert [part for part in parts if part not in corpus] == [], quote


def test_troubleshooting_has_a_symptom_for_each_part_of_it():
    page = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
    symptoms = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    assert len(symptoms) >= 25
    assert [text.splitlines()[0] for text in symptoms if len(text.splitlines()) < 3] == []


def test_every_test_that_the_security_page_names_exists():
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    written = "".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in written} == set()


def test_the_quotas_page_explains_every_reason():
    page = (ROOT / "docs" / "quotas.md").read_text("utf-8")
    known = json.loads((ROOT / "plugins/text/en.json").read_text("utf-8"))["reasons"]
    cells = re.findall(r"^\| (`.+`) \| (?:yes|no|unknown) \|", page, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(cells))) == sorted(known)


def test_an_environment_that_was_left_half_made_is_made_anew(tmp_path: Path) -> None:
    # Without the package python3-venv, Debian's Python makes the folder and leaves pip out.
    python = tmp_path / "python3"
    python.write_text(
        '#!/bin/sh\ntest "$2" = venv || exit 0\necho "$@" >> made\nmkdir -p .venv/bin\n'
        "printf '#!/bin/sh\\nexit 1\\n' > .venv/bin/python\n"
        "chmod +x .venv/bin/python\nexit 1\n"
    )
    python.chmod(0o755)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    (tmp_path / "requirements.lock").touch()
    for _ in range(2):
        done = subprocess.run(
            ["make", "init", f"PYTHON={python}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert "apt install python3-venv" in done.stderr
    assert (tmp_path / "made").read_text() == "-m venv .venv\n" * 2
