"""The services as agents of launchd, the service manager of macOS."""

import os
import plistlib
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.manager import DEPLOY_FOLDER, SERVICES, Place, Service, run, run_or_exit

TEMPLATE = DEPLOY_FOLDER / "launchd" / "cliproxy-ledger.plist"
LABEL = "cliproxy-ledger"
PROCESS_ID = re.compile(r"^\s*pid = (\d+)$", re.MULTILINE)
END_SECONDS, POLL_SECONDS = 40.0, 0.2
# macOS asks the user before a program may read these folders; an agent cannot show that question.
GUARDED = ("Desktop", "Documents", "Downloads", "Library/Mobile Documents")


class Launchd:
    """The agents of the user who is logged in."""

    name = "launchd"

    def __init__(self) -> None:
        self._folder = Path.home() / "Library" / "LaunchAgents"
        self._logs = Path.home() / "Library" / "Logs" / "cliproxy-ledger"
        self._domain = f"gui/{os.getuid()}"

    def files(self, place: Place) -> Mapping[Path, bytes]:
        """Return the agents, filled in. Raises `SystemExit` when a path cannot work."""
        for path in (place.checkout, place.python, place.config, place.data):
            refuse_guarded(path)
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        template = plistlib.loads(TEMPLATE.read_bytes())
        return {
            self._file(name): plistlib.dumps(fill(template, self._values(name, service, place)))
            for name, service in SERVICES.items()
        }

    def installed(self) -> list[Path]:
        """Return the agents of an earlier installation."""
        return sorted(self._folder.glob(f"{LABEL}.*.plist"))

    def unavailable(self) -> str | None:
        """Return a sentence on why launchd cannot be reached."""
        status, output = run("launchctl", "print", self._domain)
        if status == 0:
            return None
        reason = output.splitlines()[0] if output else f"status {status}"
        return f"launchd cannot be reached: agents need a user at the screen ({reason})."

    def start_command(self) -> str:
        """Return the command that starts the installed agents."""
        folder = shlex.quote(str(self._folder))
        return f"launchctl bootstrap {self._domain} {folder}/{LABEL}.*.plist"

    def start(self) -> None:
        """Load the agents, which start now and at each login."""
        for service in SERVICES:
            run_or_exit("launchctl", "enable", self._target(service))
            run_or_exit("launchctl", "bootstrap", self._domain, str(self._file(service)))

    def stop(self) -> None:
        """Unload the agents and wait for their end: they cannot be loaded before."""
        loaded = [service for service in SERVICES if self._is_loaded(service)]
        for service in loaded:
            # It fails when the agent is already ending.
            run("launchctl", "bootout", self._target(service))
        deadline = time.monotonic() + END_SECONDS
        while any(map(self._is_loaded, loaded)):
            if time.monotonic() > deadline:
                raise SystemExit("The agents do not end: log out and in, and try again.")
            time.sleep(POLL_SECONDS)

    def disable(self) -> None:
        """Do nothing: an agent without a file does not start at the next login."""

    def reload(self) -> None:
        """Do nothing: launchd reads the files only at a login."""

    def process_id(self, service: str) -> int | None:
        """Return the process id of a running agent."""
        match = PROCESS_ID.search(run("launchctl", "print", self._target(service))[1])
        return int(match[1]) if match else None

    def log_command(self, service: str) -> str:
        """Return the command that shows an agent's log."""
        return f"tail -f {shlex.quote(str(self._log(service)))}"

    def hint(self) -> str | None:
        """Return nothing: agents end with the session and start with the next."""
        return None

    def _values(self, name: str, service: Service, place: Place) -> dict[str, str | int]:
        return {
            "label": f"{LABEL}.{name}",
            "python": str(place.python),
            "module": service.module,
            "checkout": str(place.checkout),
            "config": str(place.config),
            "stop_seconds": service.stop_seconds,
            "process_type": "Standard" if service.is_interactive else "Background",
            "nice": service.nice,
            "log": str(self._log(name)),
        }

    def _target(self, service: str) -> str:
        return f"{self._domain}/{LABEL}.{service}"

    def _file(self, service: str) -> Path:
        return self._folder / f"{LABEL}.{service}.plist"

    def _log(self, service: str) -> Path:
        return self._logs / f"{service}.log"

    def _is_loaded(self, service: str) -> bool:
        return run("launchctl", "print", self._target(service))[0] == 0


def fill(template: Any, values: Mapping[str, str | int]) -> Any:
    """Replace each text that is a name between two at signs by its value, at any depth."""
    if isinstance(template, dict):
        return {name: fill(inner, values) for name, inner in template.items()}
    if isinstance(template, list):
        return [fill(inner, values) for inner in template]
    match = re.fullmatch(r"@([a-z_]+)@", template) if isinstance(template, str) else None
    return values[match[1]] if match else template


def refuse_guarded(path: Path) -> None:
    """Raise SystemExit when macOS does not let an agent read a path."""
    for name in GUARDED:
        if path.resolve().is_relative_to((Path.home() / name).resolve()):
            raise SystemExit(
                f"macOS lets no agent read {Path.home() / name}: move {path} out of it."
            )
