"""The settings: one class, filled from `config.json` and the environment, which wins."""

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
import tzlocal
from msgspec import Meta

from ledger import config
from ledger.own_prices import Price
from worker.setting_rules import refuse_impossible

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400)]
Text = Annotated[str, Meta(min_length=1)]
MASK, SECRETS = "…", ("management_key", "dashboard_password_hash")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every setting with its default; `config.json` and the environment use these names."""

    cliproxy_host: Text = "127.0.0.1"
    cliproxy_port: Port = 8317
    management_key: str = ""
    poll_interval_seconds: Seconds = 1.0
    quota_refresh_seconds: Annotated[int, Meta(ge=60)] = 300
    dashboard_host: Text = "127.0.0.1"
    dashboard_port: Port = 8320
    data_dir: Text = "data"
    auth_dir: Text = "~/.cli-proxy-api"
    timezone: str = ""
    batch_size: Annotated[int, Meta(ge=1, le=5000)] = 500
    usage_source: Literal["auto", "resp", "http"] = "auto"
    prices: dict[str, Price] = {}
    quota_source: Literal["auto", "files", "management", "off"] = "auto"
    provider_urls: dict[str, str] = {}
    dashboard_password_hash: str = ""
    keep_events_days: Annotated[int, Meta(ge=0, le=36500)] = 0

    def __repr__(self) -> str:
        """Show every setting, the key masked."""
        shown = msgspec.structs.asdict(self)
        shown |= {name: MASK for name in SECRETS if shown[name]}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def data_folder(self) -> Path:
        """The folder that holds the ledger."""
        return config.folder(self.data_dir)

    @property
    def auth_folder(self) -> Path:
        """The proxy's folder of credential files."""
        return config.folder(self.auth_dir)

    @property
    def zone_name(self) -> str:
        """The IANA name of the time zone that days and hours are shown in."""
        return self.timezone or tzlocal.get_localzone_name() or "UTC"


def load() -> Settings:
    """Read, check and return the settings; create `config.json` or make it private.

    Raises `SystemExit` with one sentence naming each setting that is unknown or malformed.
    """
    file = config.path()
    keep_private(file)
    from_file, from_environment = config.from_file(file), config.from_environment()
    name_unknown(from_file, f"in {file}")
    name_unknown(from_environment, "in the environment, with the prefix LEDGER_")
    settings = converted(from_file, strict=True, where=f"in {file}")
    merged = {**msgspec.to_builtins(settings), **opened(from_environment)}
    settings = converted(merged, strict=False, where="in the environment")
    refuse_impossible(settings)
    return settings


def keep_private(file: Path) -> None:
    """Create the settings file with mode 600, or tighten it."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(file, os.O_CREAT | os.O_RDWR, 0o600), "r+b") as opened:
            os.fchmod(opened.fileno(), 0o600)
            if not opened.read(1):
                opened.write(b'{\n  "management_key": ""\n}\n')
    except OSError as error:
        raise SystemExit(f"{file} cannot be used as settings file: {error.strerror}.") from error


def name_unknown(found: dict[str, Any], where: str) -> None:
    """Refuse names that are not settings."""
    unknown = sorted(set(found) - set(Settings.__struct_fields__))
    if unknown:
        raise SystemExit(f"Unknown setting {', '.join(unknown)} {where}.")


def opened(found: dict[str, Any]) -> dict[str, Any]:
    """Read the mappings among the environment's settings, which are JSON there."""
    mappings = [name for name in found if isinstance(getattr(Settings(), name), dict)]
    for name in mappings:
        with contextlib.suppress(ValueError):
            found = {**found, name: json.loads(found[name])}
    return found


def converted(raw: dict[str, Any], *, strict: bool, where: str) -> Settings:
    """Check types and ranges; the sentence names the setting, never its value."""
    try:
        return msgspec.convert(raw, Settings, strict=strict)
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at `$.")
        name = re.sub(r"\W.*", "", place)
        if reason.startswith("Invalid enum value"):
            reason = f"it must be {' or '.join(get_args(Settings.__annotations__[name]))}"
        raise SystemExit(f"The setting {name} {where} is malformed: {reason}.") from None


def require_key(settings: Settings) -> None:
    """End with a sentence when there is no management key."""
    if not settings.management_key:
        raise SystemExit(
            f"No management key: set management_key in {config.path()} (or the variable "
            "CLIPROXY_MANAGEMENT_KEY) to the proxy's remote-management.secret-key. "
            "`make demo` needs no key and no proxy."
        )
