"""Every command has help, and validates the settings before it does anything."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.ledger import ledger
from cli.root import cli
from cli.services import service
from tests.support.home import ROOT, Home

RULE = "The setting keep_events_days is malformed: it must be 0, to keep all, or at least 7."
# `demo` has settings of its own, and writes the pages without any.
WITHOUT_SETTINGS = {"demo", "docs"}
ARGUMENTS = {
    "import": "events.jsonl",
    "restore": "ledger.db",
    "report": "24h",
    "price": "gpt-5",
    "account merge": "ann@example.com bob@example.com",
    "account split": "ann@example.com codex.json",
    "account rename": "ann@example.com Ann",
    "account forget": "ann@example.com",
    "health": "ingest",
    "ingest": "--once",
    "quota": "--once",
    "alerts": "--once",
}


def commands(group: click.Group, *names: str) -> Iterator[str]:
    """Return the words of every command of a group, its subgroups included."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield " ".join([*names, name])


EVERY = sorted(commands(cli))
# The same commands by the names that units, documents and habits have for them.
MODULES = [
    "ledger init",
    "ledger retain",
    "ledger report month",
    "ledger status",
    "ingest --once",
    "ingest replay",
    "quota --once --force",
    "alerts --once",
    "runtime.serve",
]
LINES = [
    *(f"cli {name} {ARGUMENTS.get(name, '')}" for name in EVERY if name not in WITHOUT_SETTINGS),
    *MODULES,
]


def run(home: Home, command: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m …` to its end."""
    return subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env=home.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )


@pytest.fixture
def configured(home: Home) -> Home:
    """A home whose settings are all in its file, since services refuse others."""
    for name in (
        "LEDGER_TIMEZONE",
        "LEDGER_POLL_INTERVAL_SECONDS",
        "LEDGER_QUERY_SECONDS",
        "CLIPROXY_MANAGEMENT_KEY",
    ):
        del home.env[name]
    folders = {name: home.env.pop(f"LEDGER_{name.upper()}") for name in ("data_dir", "auth_dir")}
    settings = {**folders, "timezone": "UTC", "keep_events_days": 3}
    Path(home.env["LEDGER_CONFIG"]).write_text(json.dumps(settings), "utf-8")
    return home


@pytest.mark.parametrize("line", LINES)
def test_a_command_refuses_malformed_settings_before_it_acts(configured: Home, line: str) -> None:
    done = run(configured, line)
    assert done.stdout.removeprefix("! ") == f"{RULE}\n"
    assert done.returncode == 1
    assert not configured.data.exists()


@pytest.mark.parametrize("line", ["ledger retain", "ledger status", "ledger report 24h"])
def test_a_value_of_another_type_is_refused_without_a_traceback(home: Home, line: str) -> None:
    home.env["LEDGER_KEEP_EVENTS_DAYS"] = "abc"
    done = run(home, line)
    assert done.stdout.removeprefix("! ") == (
        "The setting keep_events_days in the environment is malformed: Expected `int`, got `str`.\n"
    )
    assert done.returncode == 1
    assert not home.data.exists()


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli([*name.split(), "--help"], prog_name="python -m cli")
    assert ended.value.code == 0
    assert capsys.readouterr().out.lower().startswith("usage: python -m ")


def test_every_command_says_what_it_does_in_one_short_line() -> None:
    for group in (cli, ledger, service):
        for command in group.commands.values():
            line = command.get_short_help_str(limit=200)
            assert line.endswith("."), command.name
            assert len(line) <= 60, command.name


def test_a_report_of_no_window_names_the_windows(home: Home) -> None:
    home.run("ledger", "init")
    output = home.run("ledger", "report", "13h", status=1)
    names = ", ".join(name for (name,) in home.query("select window from windows"))
    assert output == f"13h is not a window; there are {names}.\n"
