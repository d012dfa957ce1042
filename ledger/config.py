"""Raw settings: `config.json` with the environment laid over it, not yet checked."""

import errno
import json
import os
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The original script's users have these three in their environment.
PROXY_VARIABLES = {
    "CLIPROXY_HOST": "cliproxy_host",
    "CLIPROXY_PORT": "cliproxy_port",
    "CLIPROXY_MANAGEMENT_KEY": "management_key",
}
PREFIX = "LEDGER_"
# Names with our prefix that are not settings: where the file is, and who started us.
RESERVED = {"LEDGER_CONFIG", "LEDGER_PARENT_PID"}


def path() -> Path:
    """Tell where `config.json` lies: in the checkout, unless `LEDGER_CONFIG` names another file."""
    return Path(os.environ.get("LEDGER_CONFIG") or ROOT / "config.json").expanduser().absolute()


def keep_private(file: Path) -> None:
    """Create the settings file with mode 600, or tighten it."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as opened:
            os.fchmod(opened.fileno(), 0o600)
            if not opened.read(1):
                opened.write(b'{\n  "management_key": ""\n}\n')
    except OSError as error:
        # A container may only be lent the file; whoever lends it keeps it private.
        if os.access(file, os.R_OK) and (error.errno == errno.EROFS or not is_ours(file)):
            return
        raise SystemExit(f"{file} cannot be used as settings file: {error.strerror}.") from error


def is_ours(file: Path) -> bool:
    """Tell whether a file belongs to whoever runs this."""
    return file.stat().st_uid == os.getuid()


def from_file(file: Path) -> dict[str, Any]:
    """Read the settings file; a missing one is empty.

    Raises `SystemExit` with a sentence when it is not a JSON object or cannot be read.
    """
    try:
        found = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SystemExit(f"{file} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise SystemExit(f"{file} is not valid JSON.") from error
    if not isinstance(found, dict):
        raise SystemExit(f"{file} must hold a JSON object.")
    return found


def from_environment() -> dict[str, str]:
    """Give the settings that the environment names, as text."""
    found = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in os.environ.items()
        if name.startswith(PREFIX) and name not in RESERVED
    }
    # An empty variable is what an unset one becomes in a unit or compose file.
    named = {
        setting: os.environ[name]
        for name, setting in PROXY_VARIABLES.items()
        if os.environ.get(name)
    }
    return {name: value for name, value in found.items() if value} | named


def merged() -> dict[str, Any]:
    """Give the settings file with the environment laid over it.

    Raises `SystemExit` as `from_file` does.
    """
    return from_file(path()) | from_environment()


def data_dir() -> Path:
    """Tell the folder that holds the ledger, relative to the checkout when not absolute."""
    return folder(str(merged().get("data_dir") or "data"))


def folder(text: str) -> Path:
    """Resolve a folder as written in the settings."""
    return (ROOT / Path(text).expanduser()).absolute()
