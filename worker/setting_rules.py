"""What settings must be like to work, beyond their types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from ledger import config

if TYPE_CHECKING:
    from worker.settings import Settings

# A host name, an IPv4 address or an IPv6 address.
HOST = re.compile(r"[\w.-]+|[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}")


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
