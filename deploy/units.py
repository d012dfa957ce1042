"""The services of a user under systemd."""

import getpass
import os
import re
from collections.abc import Mapping
from pathlib import Path

from deploy.manager import HERE, SERVICES, Place, ask, tell

TEMPLATES = HERE / "systemd"
TARGET = "cliproxy-ledger.target"
MARK = "# Filled in by `make install-service`"
# Each service has a /tmp of its own.
PRIVATE = (Path("/tmp"), Path("/var/tmp"))
SYSTEMCTL = ("systemctl", "--user")


class Systemd:
    """A user's own systemd."""

    name = "systemd"

    def __init__(self) -> None:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        self._folder = Path(base) / "systemd" / "user"
        runtime = Path(f"/run/user/{os.getuid()}")
        missing = "XDG_RUNTIME_DIR" not in os.environ and runtime.is_dir()
        # After `su` the variable is missing, and systemctl could not find the user's systemd.
        self._environment = {"XDG_RUNTIME_DIR": str(runtime)} if missing else {}

    def files(self, place: Place) -> Mapping[Path, bytes]:
        """Give the units, filled in. Raises `SystemExit` where a path cannot work."""
        refuse_impossible(place)
        values = {
            "checkout": doubled(str(place.checkout)),
            "python": word(str(place.python)),
            "config": word(str(place.config)),
            "config_variable": word(f"LEDGER_CONFIG={place.config}"),
            "data": word(str(place.data)),
            "auth": " ".join(f"-{word(str(folder))}" for folder in hidden(place)),
            "user_namespaces": "yes" if has_user_namespaces() else "no",
        }
        return {
            self._folder / file.name: filled(file.read_text("utf-8"), values).encode()
            for file in sorted(TEMPLATES.iterdir())
        }

    def installed(self) -> list[Path]:
        """Give the units that an earlier installation left."""
        found = sorted(self._folder.glob("cliproxy-ledger*"))
        return [file for file in found if file.is_file() and is_ours(file)]

    def away(self) -> str | None:
        """Say why the user's systemd cannot be spoken to."""
        status, said = self._ask("show", "--property=Version")
        if status == 0:
            return None
        reason = said.splitlines()[0] if said else f"status {status}"
        return f"This user's systemd cannot be reached from here ({reason})."

    def by_hand(self) -> str:
        """Give the command that starts the installed units."""
        return f"systemctl --user daemon-reload && systemctl --user enable --now {TARGET}"

    def start(self) -> None:
        """Read the units, start them, now and at each login."""
        self.reload()
        self._tell("enable", "--quiet", TARGET)
        self._tell("start", TARGET)

    def stop(self) -> None:
        """Stop the units, and wait for their end."""
        for name in (TARGET, *map(unit, SERVICES)):
            # One that was never loaded cannot be stopped, and systemd says so.
            self._ask("stop", name)

    def forget(self) -> None:
        """Start nothing at the next login."""
        (self._folder / "default.target.wants" / TARGET).unlink(missing_ok=True)

    def reload(self) -> None:
        """Let systemd read the units anew."""
        self._tell("daemon-reload")
        self._ask("reset-failed", *map(unit, SERVICES))

    def process(self, service: str) -> int | None:
        """Give the number of a unit's main process, while it runs."""
        _, said = self._ask("show", unit(service), "--property=MainPID", "--value")
        return int(said) if said.isdecimal() and int(said) else None

    def logs(self, service: str) -> str:
        """Give the command that shows a unit's log."""
        return f"journalctl --user -u {unit(service).removesuffix('.service')} -f"

    def advice(self) -> str | None:
        """Say that everything ends with the last session, unless the user lingers."""
        _, said = ask("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value")
        if said == "yes":
            return None
        return (
            "They end when you log out and start when you log in. To keep them running: "
            "loginctl enable-linger"
        )

    def _ask(self, *words: str) -> tuple[int, str]:
        return ask(*SYSTEMCTL, *words, environment=self._environment)

    def _tell(self, *words: str) -> None:
        tell(*SYSTEMCTL, *words, environment=self._environment)


def unit(service: str) -> str:
    """Give the name of a service's unit."""
    return f"cliproxy-ledger-{service}.service"


def is_ours(file: Path) -> bool:
    """Tell whether a unit was written by us, and not by its owner."""
    return file.read_text("utf-8", "replace").startswith(MARK)


def filled(template: str, values: Mapping[str, str]) -> str:
    """Put the values in the place of their names between two at signs."""
    # `@system-service`, a group of system calls, has one only.
    return re.sub(r"@([a-z_]+)@", lambda match: values[match[1]], template)


def doubled(text: str) -> str:
    """Write a text where systemd looks for specifiers, which begin with a percent sign."""
    return text.replace("%", "%%")


def word(text: str) -> str:
    """Write a text as one word of a list."""
    return '"{}"'.format(doubled(text).replace("\\", "\\\\").replace('"', '\\"'))


def seen(place: Place) -> tuple[Path, ...]:
    """Give what every service has to see."""
    return place.checkout, place.python, place.config, place.data


def hidden(place: Place) -> list[Path]:
    """Give the folders of credential files, but for one that holds what a service has to see."""
    return [
        folder
        for folder in dict.fromkeys(place.auth)
        if not any(path.resolve().is_relative_to(folder.resolve()) for path in seen(place))
    ]


def refuse_impossible(place: Place) -> None:
    """End with a sentence where a unit could not name a path, or its process not see it."""
    for path in (*seen(place), *place.auth):
        if any(ord(letter) < 32 for letter in str(path)):
            raise SystemExit(f"A unit cannot name the path {str(path)!r}: rename its folder.")
    for path in seen(place):
        if any(path.resolve().is_relative_to(folder) for folder in PRIVATE):
            raise SystemExit(f"{path} is for a short time only: move it out of {path.parents[-2]}.")


def has_user_namespaces() -> bool:
    """Tell whether this user may have a user namespace, which hides files from a service."""
    return ask("unshare", "--user", "true")[0] == 0
