"""What settings must be like to work, beyond their types."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from ledger import aliases
from runtime import alert_rules, proxy_rules
from runtime.proxy_rules import HOST, is_host_or_url, is_path

if TYPE_CHECKING:
    from runtime.settings import Settings


def refuse_impossible(settings: Settings) -> None:
    """Refuse what is well-formed but cannot work."""
    for name, works, rule in demands(settings):
        if not works:
            raise SystemExit(f"The setting {name} is malformed: it must {rule}.")
    proxy_rules.refuse_both(settings)


def demands(settings: Settings) -> Iterator[tuple[str, bool, str]]:
    """Give (setting, whether it can work, what it must be); each relies on those before it."""
    proxy, dashboard = settings.cliproxy_host, settings.dashboard_host
    yield "cliproxy_host", is_host_or_url(proxy), "be a host name or address, or an http(s):// URL"
    yield "dashboard_host", bool(HOST.fullmatch(dashboard)), "be a host name or address"
    # Tokens are sent there.
    urls = settings.provider_urls.values()
    yield "provider_urls", all(map(is_here, urls)), "hold URLs such as http://127.0.0.1:9000"
    yield "timezone", has_zone(settings), "be an IANA name such as Europe/Berlin"
    yield "account_aliases", aliases.are_names(settings.account_aliases), aliases.RULE
    yield "client_aliases", aliases.are_names(settings.client_aliases), aliases.RULE
    kept = settings.keep_events_days
    yield "keep_events_days", kept == 0 or kept >= 7, "be 0, for ever, or at least 7"
    yield "auth_dir", is_path(settings.auth_dir), "be a path"
    yield "data_dir", is_path(settings.data_dir), "be a path"
    yield from proxy_rules.demands(settings.proxies)
    yield from alert_rules.demands(settings)
    data, auth = settings.data_folder.resolve(), settings.auth_folders
    # The proxy scans its folder for JSON files and would take ours for credentials.
    is_apart = not any(data.is_relative_to(folder.resolve()) for folder in auth)
    yield "data_dir", is_apart, "not lie inside a proxy's auth_dir"


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
