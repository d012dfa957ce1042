"""The services of a user under launchd, macOS' manager: agents."""

import os
import plistlib
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.manager import HERE, SERVICES, Place, ask, tell

TEMPLATES = HERE / "launchd"
LABEL = "cliproxy-ledger"
PID = re.compile(r"^\s*pid = (\d+)$", re.MULTILINE)
END_SECONDS, LOOK_SECONDS = 40.0, 0.2
# macOS asks the person at the screen before a program may read these, and an agent cannot.
GUARDED = ("Desktop", "Documents", "Downloads", "Library/Mobile Documents")


class Launchd:
    """The agents of the user who is at the screen."""

    name = "launchd"

    def __init__(self) -> None:
        self._folder = Path.home() / "Library" / "LaunchAgents"
        self._logs = Path.home() / "Library" / "Logs" / "cliproxy-ledger"
        self._domain = f"gui/{os.getuid()}"

    def files(self, place: Place) -> Mapping[Path, bytes]:
        """Give the agents, filled in. Raises `SystemExit` where a path cannot work."""
        for path in (place.checkout, place.python, place.config, place.data):
            refuse_guarded(path)
        self._logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        values = {
            "checkout": str(place.checkout),
            "python": str(place.python),
            "config": str(place.config),
            "logs": str(self._logs),
        }
        return {
            self._folder / file.name: plistlib.dumps(
                filled(plistlib.loads(file.read_bytes()), values)
            )
            for file in sorted(TEMPLATES.iterdir())
        }

    def installed(self) -> list[Path]:
        """Give the agents that an earlier installation left."""
        return sorted(self._folder.glob(f"{LABEL}.*.plist"))

    def away(self) -> str | None:
        """Say why launchd cannot be spoken to."""
        status, said = ask("launchctl", "print", self._domain)
        if status == 0:
            return None
        reason = said.splitlines()[0] if said else f"status {status}"
        return f"launchd cannot be reached: agents need a user at the screen ({reason})."

    def by_hand(self) -> str:
        """Give the command that starts the installed agents."""
        folder = shlex.quote(str(self._folder))
        return f"launchctl bootstrap {self._domain} {folder}/{LABEL}.*.plist"

    def start(self) -> None:
        """Load the agents, which start now and at each login."""
        for service in SERVICES:
            tell("launchctl", "enable", self._target(service))
            tell("launchctl", "bootstrap", self._domain, str(self._file(service)))

    def stop(self) -> None:
        """Unload the agents, and wait for their end: they cannot be loaded before."""
        loaded = [service for service in SERVICES if self._is_loaded(service)]
        for service in loaded:
            # It may answer that the end is on its way.
            ask("launchctl", "bootout", self._target(service))
        until = time.monotonic() + END_SECONDS
        while any(map(self._is_loaded, loaded)):
            if time.monotonic() > until:
                raise SystemExit("The agents do not end: log out and in, and try again.")
            time.sleep(LOOK_SECONDS)

    def forget(self) -> None:
        """Start nothing at the next login: agents without a file are not."""

    def reload(self) -> None:
        """Take note that the files are gone: launchd reads them at a login only."""

    def process(self, service: str) -> int | None:
        """Give the number of an agent's process, while it runs."""
        found = PID.search(ask("launchctl", "print", self._target(service))[1])
        return int(found[1]) if found else None

    def logs(self, service: str) -> str:
        """Give the command that shows an agent's log."""
        return f"tail -f {shlex.quote(f'{self._logs / service}.log')}"

    def advice(self) -> str | None:
        """Say nothing: agents end with the session, and start with the next."""

    def _target(self, service: str) -> str:
        return f"{self._domain}/{LABEL}.{service}"

    def _file(self, service: str) -> Path:
        return self._folder / f"{LABEL}.{service}.plist"

    def _is_loaded(self, service: str) -> bool:
        return ask("launchctl", "print", self._target(service))[0] == 0


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """Put the values in the place of their names between two at signs, however deep."""
    if isinstance(value, dict):
        return {name: filled(inner, values) for name, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, values) for inner in value]
    if isinstance(value, str):
        return re.sub(r"@([a-z]+)@", lambda match: values[match[1]], value)
    return value


def refuse_guarded(folder: Path) -> None:
    """End with a sentence where macOS would not let an agent read."""
    for name in GUARDED:
        if folder.resolve().is_relative_to((Path.home() / name).resolve()):
            raise SystemExit(
                f"macOS lets no agent read {Path.home() / name}: move {folder} out of it."
            )
