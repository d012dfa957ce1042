"""Every command and address in the documents is tried, on a ledger with 30 days in it."""

import ast
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
import yaml

from ledger.settings import Settings
from tests.support import documents
from tests.support.home import ROOT, Home
from tests.support.sites import Site

BIN = Path(sys.executable).parent
COOKBOOK = (ROOT / "docs" / "cookbook.md").read_text("utf-8")
RECIPES = re.split(r"^### ", COOKBOOK, flags=re.MULTILINE)[1:]
PROGRAMS = "make curl sqlite3 git cp cd docker launchctl systemctl journalctl loginctl tail"
COMMAND = re.compile(rf"(?:[A-Z_]+='?[^ ]*'? )?(?:{PROGRAMS.replace(' ', '|')}|\.venv/bin/\S+)\b")
# Blocks that are no commands, by how they begin: what they are.
SHOWN = {
    r"\s+CLIProxyAPI ": "a diagram",
    r"keeper\.db: ": "what a command prints",
    r"12\.3M tok ": "what a command prints",
    r"set -g ": "settings of tmux",
    r"\* \* ": "a line of cron's",
    r"\[custom\.ledger\]": "settings of starship",
    r'"custom/ledger"': "settings of waybar",
    r"#!/bin/sh": "a plugin of SwiftBar",
    r"install sqlite;": "SQL of a program that is not installed with the ledger",
}
# Commands that no test of the documents runs: why.
NOT_RUN = {
    r"make demo": "goes on until it is stopped; tests/long/test_demo_run.py",
    r"make run": "goes on until it is stopped; tests/test_run.py",
    r"make alerts": "goes on until it is stopped; tests/test_alert_worker.py",
    r"make alert-test": "sends messages; tests/test_alert_worker.py",
    r"launchctl ": "of macOS",
    r"docker ": "of Docker",
    r"make (un)?install-service": "changes services; tests/long/test_deploy_service.py",
    r"git pull ": "fetches the newest version",
    r"(systemctl|journalctl|loginctl|tail) ": "of a machine with the services",
    r"cp ~/": "a file of another program",
    r"\.venv/bin/python -m ledger import (FILE|~/)": "a file of the user's; tests/test_import.py",
    r"\.venv/bin/python -m quota --once": "asks a proxy; tests/test_quota_worker.py",
    r"\.venv/bin/python -m ledger account (?!list)": "tests/quota/test_accounts.py",
    r"\.venv/bin/python -m ingest replay": "tests/test_replay.py",
    r"\.venv/bin/datasette hash-password": "asks for a password; tests/test_security.py",
}
# SQLite's own shell, which may not be there, and the file that it is given.
SHELL = re.compile(r"^sqlite3 '?(?:file:)?([\w./]+)(?:\?mode=ro)?'?")
# What may well be without a row.
OFTEN_NOTHING = {"Was anything lost last night?"}


def where_it_is_noon() -> str:
    """Return a time zone in which it is about noon."""
    ahead = 12 - datetime.now(UTC).hour
    # The names of these zones count westwards.
    return f"Etc/GMT{-ahead:+d}" if ahead else "UTC"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A home with the demo's ledger, a backup of it, and an import."""
    home = Home(tmp_path_factory.mktemp("documents"))
    home.env["LEDGER_TIMEZONE"] = where_it_is_noon()
    home.run("demo", "fill")
    home.run("ledger", "backup")
    home.run("ledger", "import", str(ROOT / "tests/data/events/recorded-v7.1.10.jsonl"))
    yield home
    home.end()


@pytest.fixture(scope="module")
def site(filled):
    """Its dashboard."""
    return Site(filled)


def code() -> list[tuple[str, str]]:
    """Return every block of code with the name of its page."""
    return [(page.name, block) for page in documents.pages() for block in page.blocks]


def is_shown(block: str) -> bool:
    """Return whether a block is an example that is not run."""
    return any(re.match(beginning, block) for beginning in SHOWN)


def commands() -> list[str]:
    """Return every command in a block of code."""
    blocks = [block for _, block in code() if COMMAND.match(block)]
    found = {one for block in blocks for one in documents.commands(block)}
    return sorted(one for one in found if not one.startswith("# "))


def run_here() -> list[str]:
    """Return the commands that can run in a test."""
    return [one for one in commands() if not any(re.match(why, one) for why in NOT_RUN)]


def here(command: str, home: Home, site: Site) -> str:
    """Point a command at the ledger and the dashboard of the test."""
    backup = next((home.data / "backups").glob("*.db"))
    if shutil.which("sqlite3") is None:
        command = SHELL.sub(r".venv/bin/sqlite-utils \1", command)
    return (
        command.replace(".venv/bin/", f"{BIN}/")
        .replace("curl ", "curl --fail ")
        .replace("data/backups/ledger.db", str(backup))
        .replace("data/ledger.db", str(home.data / "ledger.db"))
        .replace("http://127.0.0.1:8320", site.address)
    )


def ran(command: str, home: Home, site: Site, folder: Path) -> str:
    """Run a command as a shell does, and give what it printed."""
    done = subprocess.run(
        ["bash", "-c", here(command, home, site)],
        cwd=ROOT if command.startswith("make") else folder,
        env=home.env | {"PYTHONWARNINGS": "", "NO_PROXY": "*"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-500:]}{done.stderr[-500:]}"
    return done.stdout


def test_every_block_of_code_is_a_command_a_setting_or_something_to_read():
    for name, block in code():
        if is_shown(block):
            continue
        if block.startswith("{"):
            assert msgspec.convert(json.loads(block), Settings), name
        elif "import pandas" in block:
            assert ast.parse(block), name
        elif re.match(r"(?:- )?[\w-]+:[ \n]", block):
            assert isinstance(yaml.safe_load(block), dict | list), name
        elif block.startswith("select"):
            assert block.endswith(";"), name
        else:
            for command in documents.commands(block):
                assert COMMAND.match(command) or command.startswith("# "), f"{name}: {command}"


@pytest.mark.parametrize("why", NOT_RUN)
def test_what_is_not_run_is_in_the_documents(why):
    assert [one for one in commands() if re.match(why, one)], why


@pytest.mark.parametrize("command", run_here())
def test_the_command_runs(filled, site, tmp_path, command):
    ran(command, filled, site, tmp_path)


def test_every_query_in_a_block_of_its_own_runs(filled):
    queries = [block for _, block in code() if block.startswith("select")]
    assert queries
    for query in queries:
        assert filled.query(query) is not None


def helped(program: str, home: Home) -> str:
    """Return the help text of a command, which must have one."""
    done = subprocess.run(
        [*program.replace(".venv/bin/", f"{BIN}/").split(), "--help"],
        cwd=ROOT,
        env=home.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{program}: {done.stderr}"
    return done.stdout


def test_every_flag_in_the_documents_is_one_of_its_command(filled):
    text = "\n".join(page.text for page in documents.pages())
    helps = {".venv/bin/sqlite-utils query": helped(".venv/bin/sqlite-utils query", filled)}
    for command in sorted(set(re.findall(r"python -m ([\w.]+(?: [^`\n…|>]*)?)", text))):
        module, *words = command.split()
        sub = f" {words[0]}" if words and re.fullmatch(r"[a-z]+|24h", words[0]) else ""
        program = f".venv/bin/python -m {module}{sub}"
        helps.setdefault(program, helped(program, filled))
        for flag in re.findall(r"--[a-z][a-z-]+", command):
            assert flag in helps[program], command
    assert len(helps) > 10
    alone = set(re.findall(r"`(--[a-z][a-z-]+)[^`]*`", text))
    assert {flag for flag in alone if flag not in "\n".join(helps.values())} == set()


def addresses() -> list[str]:
    """Return every address of the dashboard in the documents, as a URL or a path."""
    text = "\n".join(page.text for page in documents.pages())
    paths = set(documents.ADDRESS.findall(text))
    paths |= set(re.findall(r"`(/(?:ledger|export|api)/[^`\s]*[^`\s/*])`", text))
    return sorted(path for path in paths if "…" not in path)


def test_every_address_in_the_documents_answers(site):
    with httpx.Client(base_url=site.address, trust_env=False, timeout=120) as client:
        wrong = {path: client.get(path).status_code for path in addresses()}
    assert {path: status for path, status in wrong.items() if status != 200} == {}
    assert len(wrong) > 60


def sql_of(command: str) -> str:
    """Return the SQL in a command of `sqlite-utils`."""
    return documents.dedented(command.split('"')[1], 2).rstrip()


@pytest.mark.parametrize("recipe", RECIPES, ids=[text.splitlines()[0] for text in RECIPES])
def test_every_question_is_answered_by_an_address_and_a_command(filled, site, tmp_path, recipe):
    title = recipe.splitlines()[0].partition(". ")[2]
    address = documents.ADDRESS.search(recipe)
    blocks = documents.Page(Path(), recipe).blocks
    found = [one for block in blocks for one in documents.commands(block) if "sqlite-utils" in one]
    if title == "How do I get the data into pandas or DuckDB?":
        return
    assert found, title
    if "--csv" in found[0]:
        return
    rows = json.loads(ran(found[0].replace(" --table", ""), filled, site, tmp_path))
    assert rows or title in OFTEN_NOTHING
    if address and (asked := parse_qs(urlsplit(address[1]).query).get("sql")):
        assert asked == [sql_of(found[0])], "the address and the command ask different things"
        path = address[1].replace("/ledger?", "/ledger.json?") + "&_shape=array"
        served = httpx.get(site.address + path, trust_env=False, timeout=120).json()
        # The window has moved on meanwhile, so that the numbers may differ.
        assert list(map(list, served[:1])) == list(map(list, rows[:1]))


def test_the_cookbook_has_enough_questions():
    titles = [text.splitlines()[0] for text in RECIPES]
    assert len(titles) >= 25
    assert [int(title.split(".")[0]) for title in titles] == list(range(1, len(titles) + 1))
