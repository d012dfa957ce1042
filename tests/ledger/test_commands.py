"""Every command validates the settings before it does anything."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.home import ROOT, Home

RULE = "The setting keep_events_days is malformed: it must be 0, for ever, or at least 7."
COMMANDS = [
    "ledger init",
    "ledger check",
    "ledger rebuild",
    "ledger reprice",
    "ledger import events.jsonl",
    "ledger backup",
    "ledger restore ledger.db",
    "ledger retain",
    "ledger status",
    "ledger report 24h",
    "ledger report month",
    "ingest --once",
    "ingest replay",
    "quota --once",
    "quota --once --force",
    "alerts --once",
    "cli alert-test",
    "cli preflight",
    "cli run",
    "runtime.serve",
    "deploy.service install",
    "deploy.service status",
    "deploy.service uninstall",
    "deploy.health ingest",
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
        timeout=60,
    )


@pytest.fixture
def configured(home: Home) -> Home:
    """A home whose settings are all in its file, since services refuse others."""
    for name in ("LEDGER_TIMEZONE", "LEDGER_POLL_INTERVAL_SECONDS", "CLIPROXY_MANAGEMENT_KEY"):
        del home.env[name]
    folders = {name: home.env.pop(f"LEDGER_{name.upper()}") for name in ("data_dir", "auth_dir")}
    write_settings(home, **folders, timezone="UTC", keep_events_days=3)
    return home


def write_settings(home: Home, **settings: object) -> None:
    """Write the settings file of a home."""
    Path(home.env["LEDGER_CONFIG"]).write_text(json.dumps(settings), "utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_refuses_malformed_settings_before_it_acts(
    configured: Home, command: str
) -> None:
    done = run(configured, command)
    assert done.stdout.removeprefix("! ") == f"{RULE}\n"
    assert done.returncode == 1
    assert not configured.data.exists()


@pytest.mark.parametrize("command", ["ledger retain", "ledger status", "ledger report 24h"])
def test_a_value_of_another_type_is_refused_without_a_traceback(home: Home, command: str) -> None:
    home.env["LEDGER_KEEP_EVENTS_DAYS"] = "abc"
    done = run(home, command)
    assert done.stdout.removeprefix("! ") == (
        "The setting keep_events_days in the environment is malformed: Expected `int`, got `str`.\n"
    )
    assert done.returncode == 1
    assert not home.data.exists()
