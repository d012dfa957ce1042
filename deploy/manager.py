"""What keeps services running, as `install` and `uninstall` see it: systemd or launchd."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from ledger.settings import ROOT, Settings, config_path

SERVICES = ("ingest", "quota", "alerts", "web")
HERE = Path(__file__).parent
LONGEST_SECONDS = 120


class Place(NamedTuple):
    """What a unit has to name."""

    checkout: Path
    python: Path
    config: Path
    data: Path
    auth: tuple[Path, ...]


class Manager(Protocol):
    """The program that starts, watches and stops the services of a user."""

    name: str

    def files(self, place: Place) -> Mapping[Path, bytes]:
        """Give every file to install, filled in. Raises `SystemExit` where a path cannot work."""

    def installed(self) -> list[Path]:
        """Give the files of an earlier installation that are there."""

    def away(self) -> str | None:
        """Say in a sentence why it cannot be spoken to; None when it can."""

    def by_hand(self) -> str:
        """Give the command that starts the installed services."""

    def start(self) -> None:
        """Read the installed files, start the services, now and at each login."""

    def stop(self) -> None:
        """Stop the services that run, and wait for their end."""

    def forget(self) -> None:
        """Start nothing again, before the files are removed."""

    def reload(self) -> None:
        """Take note that the files are gone."""

    def process(self, service: str) -> int | None:
        """Give the number of a service's process, while it runs."""

    def logs(self, service: str) -> str:
        """Give the command that shows a service's log."""

    def advice(self) -> str | None:
        """Say what else is needed to keep the services running."""


def place(chosen: Settings, python: Path) -> Place:
    """Give the place of the services that use these settings."""
    auth = tuple(chosen.auth_folders)
    return Place(ROOT, python, config_path(), chosen.data_folder, auth)


def write(file: Path, content: bytes) -> None:
    """Write a file in one step; everybody may read it, since it holds no secret."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as draft:
        draft.write(content)
        os.fchmod(draft.fileno(), 0o644)
    os.replace(draft.name, file)


def ask(*command: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a manager's command; give its status and what it said, 127 when there is no such one."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return 127, f"there is no {command[0]}"
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} did not answer"
    return done.returncode, done.stdout.strip()


def tell(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a manager's command that has to succeed, or end with a sentence."""
    status, said = ask(*command, environment=environment)
    if status:
        raise SystemExit(f"`{' '.join(command)}` failed: {said or f'status {status}'}")
