"""The settings: one class, filled from `config.json` and the environment, which wins."""

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
import tzlocal
from msgspec import Meta

from ledger import config
from ledger.own_prices import Price

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(ge=0.1, le=86400)]
Text = Annotated[str, Meta(min_length=1)]
MASK, SECRETS = "…", ("management_key", "dashboard_password_hash")
# A host name, an IPv4 address or an IPv6 address.
HOST = re.compile(r"[\w.-]+|[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}")


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


def refuse_impossible(settings: Settings) -> None:
    """Refuse what is well-formed but cannot work."""
    for name, works, rule in demands(settings):
        if not works:
            raise SystemExit(f"The setting {name} is malformed: it must {rule}.")


def demands(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Give (setting, whether it can work, what it must be); each relies on those before it."""
    proxy, dashboard = settings.cliproxy_host, settings.dashboard_host
    yield "cliproxy_host", is_host_or_url(proxy), "be a host name or address, or an http(s):// URL"
    yield "dashboard_host", bool(HOST.fullmatch(dashboard)), "be a host name or address"
    # Tokens are sent there.
    urls = settings.provider_urls.values()
    yield "provider_urls", all(map(is_here, urls)), "hold URLs such as http://127.0.0.1:9000"
    yield "timezone", has_zone(settings), "be an IANA name such as Europe/Berlin"
    kept = settings.keep_events_days
    yield "keep_events_days", kept == 0 or kept >= 7, "be 0, for ever, or at least 7"
    yield "auth_dir", is_path(settings.auth_dir), "be a path"
    yield "data_dir", is_path(settings.data_dir), "be a path"
    data, auth = settings.data_folder.resolve(), settings.auth_folder.resolve()
    # The proxy scans its folder for JSON files and would take ours for credentials.
    yield "data_dir", not data.is_relative_to(auth), "not lie inside the proxy's auth_dir"


def is_host_or_url(text: str) -> bool:
    """Tell whether a proxy can be reached there; a URL may bring port and path, but no password."""
    if "://" not in text:
        return bool(HOST.fullmatch(text))
    try:
        given = urlsplit(text)
        is_web = given.scheme in ("http", "https") and given.port != 0 and "@" not in given.netloc
    except ValueError:
        return False
    return is_web and bool(HOST.fullmatch(given.hostname or ""))


def is_here(url: str) -> bool:
    """Tell whether a URL is one of this machine."""
    try:
        given = urlsplit(url)
    except ValueError:
        return False
    return given.scheme == "http" and given.hostname in ("127.0.0.1", "localhost", "::1")


def has_zone(settings: Settings) -> bool:
    """Tell whether the time zone, the machine's own included, is a known one."""
    try:
        return bool(ZoneInfo(settings.zone_name))
    except (KeyError, ValueError, OSError):
        return False


def is_path(text: str) -> bool:
    """Tell whether a text can be the path of a folder."""
    try:
        return bool(config.folder(text).resolve())
    except (RuntimeError, ValueError, OSError):
        return False


def require_key(settings: Settings) -> None:
    """End with a sentence when there is no management key."""
    if not settings.management_key:
        raise SystemExit(
            f"No management key: set management_key in {config.path()} (or the variable "
            "CLIPROXY_MANAGEMENT_KEY) to the proxy's remote-management.secret-key. "
            "`make demo` needs no key and no proxy."
        )
