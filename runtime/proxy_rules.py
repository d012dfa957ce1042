"""What the settings of proxies must be like to work: where they are, and each by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ledger import config
from runtime import pool

if TYPE_CHECKING:
    from runtime.settings import Settings

# A host name, an IPv4 address or an IPv6 address.
HOST = re.compile(r"[\w.-]+|[0-9a-fA-F.]*(?::[0-9a-fA-F.]*){2,}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
KEY_VARIABLE = "CLIPROXY_MANAGEMENT_KEY"
LONGEST_NAME = 60
NAME_RULE = f"be a name of at most {LONGEST_NAME} printable characters"
ADDRESS_RULE = "be an address such as 127.0.0.1:8317 or https://proxy.example.com"
KEY_RULE = "have either a management_key or a management_key_variable"
VARIABLE_RULE = "be the name of an environment variable"

Demand = tuple[str, bool, str]


def demands(entries: Sequence[pool.Listed]) -> Iterator[Demand]:
    """Give (setting, whether it can work, what it must be); each relies on those before it."""
    for number, entry in enumerate(entries):
        yield from demands_of(f"proxies[{number}]", entry)
    yield "proxies", differ(entry.name for entry in entries), "give each proxy a name of its own"
    addresses = (proxy.address.casefold() for proxy in pool.listed(entries))
    yield "proxies", differ(addresses), "name each address only once"


def demands_of(at: str, entry: pool.Listed) -> Iterator[Demand]:
    """Give the demands of one entry."""
    yield f"{at}.name", is_name(entry.name), NAME_RULE
    yield f"{at}.address", is_address(entry.address), ADDRESS_RULE
    has_key, variable = bool(entry.management_key), entry.management_key_variable
    yield at, has_key != bool(variable), KEY_RULE
    is_variable = not variable or bool(VARIABLE.fullmatch(variable))
    yield f"{at}.management_key_variable", is_variable, VARIABLE_RULE
    yield f"{at}.auth_dir", not entry.auth_dir or is_path(entry.auth_dir), "be a path"


def refuse_both(settings: Settings) -> None:
    """End with a sentence where the single proxy's key is set beside a list that may lack it."""
    variables = [entry.management_key_variable for entry in settings.proxies]
    if settings.proxies and settings.management_key and KEY_VARIABLE not in variables:
        raise SystemExit(
            "Both management_key and proxies are set: proxies is the whole list, so give the proxy "
            "of management_key an entry there, with its key, and take management_key out."
        )


def require_key(settings: Settings) -> None:
    """End with a sentence when a proxy has no management key."""
    without = next((proxy for proxy in settings.pool if not proxy.key), None)
    if without is None:
        return
    if settings.proxies:
        raise SystemExit(
            f"No management key for the proxy {without.name}: the variable that its "
            "management_key_variable names is not set."
        )
    raise SystemExit(
        f"No management key: set management_key in {config.path()} (or the variable "
        f"{KEY_VARIABLE}) to the proxy's remote-management.secret-key. "
        "`make demo` needs no key and no proxy."
    )


def is_name(text: str) -> bool:
    """Tell whether a proxy can be shown by a name."""
    return text.isprintable() and text == text.strip() and 0 < len(text) <= LONGEST_NAME


def is_address(text: str) -> bool:
    """Tell whether a proxy of the list can be reached there: host:port, or a URL."""
    if "://" in text:
        return is_host_or_url(text)
    match = pool.HOST_AND_PORT.fullmatch(text)
    host = match and (match["six"] or match["host"])
    return bool(match and HOST.fullmatch(host) and 1 <= int(match["port"]) <= 65535)


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


def is_path(text: str) -> bool:
    """Tell whether a text can be the path of a folder."""
    try:
        return bool(config.folder(text).resolve())
    except (RuntimeError, ValueError, OSError):
        return False


def differ(found: Iterable[str]) -> bool:
    """Tell whether no text stands there twice."""
    texts = list(found)
    return len(set(texts)) == len(texts)
