"""The services, and the interface of the programs that keep them running: systemd, launchd."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from ledger.settings import ROOT, Settings, config_path

DEPLOY_FOLDER = Path(__file__).parent
COMMAND_TIMEOUT_SECONDS = 120


class Service(NamedTuple):
    """A service; `on_stop` is its reaction to SIGTERM, `measured_mb` its memory in use."""

    title: str
    module: str
    on_stop: str
    stop_seconds: int
    measured_mb: int
    memory_mb: int
    nice: int
    reads_credentials: bool = False
    is_interactive: bool = False


SERVICES = {
    "ingest": Service(
        title="the collector",
        module="ingest",
        on_stop="the popped batch is stored first",
        stop_seconds=30,
        # Measured by the benchmark.
        measured_mb=61,
        memory_mb=256,
        nice=5,
    ),
    "quota": Service(
        title="the quota worker",
        module="quota",
        on_stop="the answer that it is waiting for is stored first",
        stop_seconds=30,
        measured_mb=34,
        memory_mb=256,
        nice=10,
        reads_credentials=True,
    ),
    "alerts": Service(
        title="the alerts worker",
        module="alerts",
        on_stop="a message that is being sent is sent first",
        stop_seconds=30,
        measured_mb=35,
        memory_mb=256,
        nice=10,
    ),
    "web": Service(
        title="the dashboard",
        module="runtime.serve",
        on_stop="it only reads, so an export that is still running may be cut off",
        stop_seconds=10,
        # Measured by the benchmark.
        measured_mb=95,
        memory_mb=512,
        nice=0,
        is_interactive=True,
    ),
}


class Place(NamedTuple):
    """The paths that a unit names."""

    checkout: Path
    python: Path
    config: Path
    data: Path
    auth: tuple[Path, ...]


class Manager(Protocol):
    """A program that starts, monitors and stops the services of a user."""

    name: str

    def files(self, place: Place) -> Mapping[Path, bytes]:
        """Return every file to install, filled in. Raises `SystemExit` when a path cannot work."""

    def installed(self) -> list[Path]:
        """Return the files of an earlier installation."""

    def unavailable(self) -> str | None:
        """Return a sentence on why the manager cannot be reached; None when it can."""

    def start_command(self) -> str:
        """Return the command that starts the installed services."""

    def start(self) -> None:
        """Read the installed files and start the services, now and at each login."""

    def stop(self) -> None:
        """Stop the running services and wait for their end."""

    def disable(self) -> None:
        """Do not start the services at the next login; called before the files are removed."""

    def reload(self) -> None:
        """Make the manager read its files again after some were removed."""

    def process_id(self, service: str) -> int | None:
        """Return the process id of a running service."""

    def log_command(self, service: str) -> str:
        """Return the command that shows a service's log."""

    def hint(self) -> str | None:
        """Return a sentence on what else is needed to keep the services running."""


def place(settings: Settings, python: Path) -> Place:
    """Return the paths of the services that use these settings."""
    auth = tuple(settings.auth_folders)
    return Place(ROOT, python, config_path(), settings.data_folder, auth)


def write(file: Path, content: bytes) -> None:
    """Write a file in one step, readable by all users, since it holds no secret."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=file.parent, prefix=".", delete=False) as draft:
        draft.write(content)
        os.fchmod(draft.fileno(), 0o644)
    os.replace(draft.name, file)


def run(*command: str, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a manager's command; return its status and output. A missing command has status 127."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_TIMEOUT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        return 127, f"there is no {command[0]}"
    except subprocess.TimeoutExpired:
        return 124, f"{command[0]} did not answer"
    return done.returncode, done.stdout.strip()


def run_or_exit(*command: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a manager's command; raise SystemExit with a sentence when it fails."""
    status, output = run(*command, environment=environment)
    if status:
        raise SystemExit(f"`{' '.join(command)}` failed: {output or f'status {status}'}")
