"""The services as units of a user's systemd."""

import getpass
import os
import re
from collections.abc import Mapping
from pathlib import Path

from deploy.manager import DEPLOY_FOLDER, SERVICES, Place, Service, run, run_or_exit

TEMPLATES = DEPLOY_FOLDER / "systemd"
TARGET = "cliproxy-ledger.target"
FIRST_WORDS = "# Filled in by `make install-service`"
# systemd gives each service its own empty folders in their place.
TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
SYSTEMCTL = ("systemctl", "--user")
USER_SECRETS = "-%h/.ssh -%h/.gnupg"


class Systemd:
    """The systemd instance of a user."""

    name = "systemd"

    def __init__(self) -> None:
        base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        self._folder = Path(base) / "systemd" / "user"
        runtime = Path(f"/run/user/{os.getuid()}")
        is_missing = "XDG_RUNTIME_DIR" not in os.environ and runtime.is_dir()
        # After `su` the variable is missing, and systemctl could not find the user's systemd.
        self._environment = {"XDG_RUNTIME_DIR": str(runtime)} if is_missing else {}

    def files(self, place: Place) -> Mapping[Path, bytes]:
        """Return the units, filled in. Raises `SystemExit` when a path cannot work."""
        refuse_paths(place)
        template = (TEMPLATES / "cliproxy-ledger.service").read_text("utf-8")
        common = place_values(place)
        units = {
            unit(name): fill(template, {**common, **service_values(name, service, place)})
            for name, service in SERVICES.items()
        }
        wants = "\n".join(f"Wants={unit(name)}" for name in SERVICES)
        units[TARGET] = fill((TEMPLATES / TARGET).read_text("utf-8"), {"wants": wants})
        return {self._folder / name: text.encode() for name, text in units.items()}

    def installed(self) -> list[Path]:
        """Return the units of an earlier installation."""
        files = sorted(self._folder.glob("cliproxy-ledger*"))
        return [file for file in files if file.is_file() and is_ours(file)]

    def unavailable(self) -> str | None:
        """Return a sentence on why the user's systemd cannot be reached."""
        status, output = self._run("show", "--property=Version")
        if status == 0:
            return None
        reason = output.splitlines()[0] if output else f"status {status}"
        return f"This user's systemd cannot be reached from here ({reason})."

    def start_command(self) -> str:
        """Return the command that starts the installed units."""
        return f"systemctl --user daemon-reload && systemctl --user enable --now {TARGET}"

    def start(self) -> None:
        """Read the units and start them, now and at each login."""
        self.reload()
        self._run_or_exit("enable", "--quiet", TARGET)
        self._run_or_exit("start", TARGET)

    def stop(self) -> None:
        """Stop the units and wait for their end."""
        for name in (TARGET, *map(unit, SERVICES)):
            # Fails for a unit that was never loaded.
            self._run("stop", name)

    def disable(self) -> None:
        """Do not start the units at the next login."""
        (self._folder / "default.target.wants" / TARGET).unlink(missing_ok=True)

    def reload(self) -> None:
        """Make systemd read the units again."""
        self._run_or_exit("daemon-reload")
        self._run("reset-failed", *map(unit, SERVICES))

    def process_id(self, service: str) -> int | None:
        """Return the main process id of a running unit."""
        _, output = self._run("show", unit(service), "--property=MainPID", "--value")
        return int(output) if output.isdecimal() and int(output) else None

    def log_command(self, service: str) -> str:
        """Return the command that shows a unit's log."""
        return f"journalctl --user -u {unit(service).removesuffix('.service')} -f"

    def hint(self) -> str | None:
        """Return a sentence on lingering, without which the units end with the last session."""
        _, output = run("loginctl", "show-user", getpass.getuser(), "--property=Linger", "--value")
        if output == "yes":
            return None
        return (
            "They end when you log out and start when you log in. To keep them running: "
            "loginctl enable-linger"
        )

    def _run(self, *words: str) -> tuple[int, str]:
        return run(*SYSTEMCTL, *words, environment=self._environment)

    def _run_or_exit(self, *words: str) -> None:
        run_or_exit(*SYSTEMCTL, *words, environment=self._environment)


def unit(service: str) -> str:
    """Return the name of a service's unit."""
    return f"cliproxy-ledger-{service}.service"


def is_ours(file: Path) -> bool:
    """Return whether a unit was written by `install`, and not by the user."""
    return file.read_text("utf-8", "replace").startswith(FIRST_WORDS)


def place_values(place: Place) -> dict[str, str]:
    """Return the values that all units have in common."""
    return {
        "checkout": escape_percent(str(place.checkout)),
        "python": word(str(place.python)),
        "config": word(str(place.config)),
        "config_variable": word(f"LEDGER_CONFIG={place.config}"),
        "data": word(str(place.data)),
        "user_namespaces": "yes" if has_user_namespaces() else "no",
    }


def service_values(name: str, service: Service, place: Place) -> dict[str, str]:
    """Return the values of one service's unit."""
    auth = [] if service.reads_credentials else hidden_folders(place)
    return {
        **{field: str(value) for field, value in service._asdict().items()},
        "name": unit(name).removesuffix(".service"),
        "unit": unit(name),
        "hidden": " ".join([USER_SECRETS, *(f"-{word(str(folder))}" for folder in auth)]),
    }


def fill(template: str, values: Mapping[str, str]) -> str:
    """Replace each name between two at signs by its value."""
    # `@system-service`, a group of system calls, has only one at sign.
    return re.sub(r"@([a-z_]+)@", lambda match: values[match[1]], template)


def escape_percent(text: str) -> str:
    """Return a text for a place where a percent sign begins a specifier of systemd."""
    return text.replace("%", "%%")


def word(text: str) -> str:
    """Return a text as one quoted word of a list."""
    return '"{}"'.format(escape_percent(text).replace("\\", "\\\\").replace('"', '\\"'))


def visible_paths(place: Place) -> tuple[Path, ...]:
    """Return the paths that every service has to see."""
    return place.checkout, place.python, place.config, place.data


def hidden_folders(place: Place) -> list[Path]:
    """Return the folders of credential files, except one that holds a path a service must see."""
    return [
        folder
        for folder in dict.fromkeys(place.auth)
        if not any(path.resolve().is_relative_to(folder.resolve()) for path in visible_paths(place))
    ]


def refuse_paths(place: Place) -> None:
    """Raise SystemExit when a unit cannot name a path, or its process cannot see it."""
    for path in (*visible_paths(place), *place.auth):
        if any(ord(letter) < 32 for letter in str(path)):
            raise SystemExit(f"A unit cannot name the path {str(path)!r}: rename its folder.")
    for path in visible_paths(place):
        if any(path.resolve().is_relative_to(folder) for folder in TEMPORARY):
            raise SystemExit(f"{path} is temporary: move it out of {path.parents[-2]}.")


def has_user_namespaces() -> bool:
    """Return whether this user may have a user namespace, which hides files from a service."""
    return run("unshare", "--user", "true")[0] == 0
