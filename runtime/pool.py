"""The proxies: those of the list `proxies`, else the one of the single settings."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from ledger import config
from runtime.proxies import address

Text = Annotated[str, Meta(min_length=1)]
# An IPv6 address is written in brackets, as in a URL.
HOST_AND_PORT = re.compile(r"(?:\[(?P<six>[^\]]+)\]|(?P<host>[^:\[\]/]+)):(?P<port>\d{1,5})")
PORTS = {"http": 80, "https": 443}
MASK = "…"


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One entry of the setting `proxies`; the key stands there, or in the variable it names."""

    name: Text
    address: Text
    management_key: str = ""
    management_key_variable: str = ""
    auth_dir: str = ""

    def __repr__(self) -> str:
        """Show the entry, the key masked."""
        shown = msgspec.structs.asdict(self)
        if self.management_key:
            shown["management_key"] = MASK
        return f"Listed({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy as workers use it. `host` may bring a scheme; without `auth_folder` no file is read.

    Its `key` is empty where nobody has said it.
    """

    name: str
    host: str
    port: int
    key: str = field(repr=False)
    auth_folder: Path | None

    @property
    def url(self) -> str:
        """Where its HTTP API begins."""
        return address(self.host, self.port)

    @property
    def address(self) -> str:
        """What the ledger knows it by when its name changes."""
        return self.url.partition("://")[2]


def single(host: str, port: int, key: str, auth_folder: Path) -> Proxy:
    """Give the proxy of the single settings, which is named by its address."""
    name = address(host, port).partition("://")[2]
    return Proxy(name=name, host=host, port=port, key=key, auth_folder=auth_folder)


def listed(entries: Iterable[Listed]) -> list[Proxy]:
    """Give the proxies of the list."""
    return [
        Proxy(
            name=entry.name,
            **place(entry.address),
            key=entry.management_key or os.environ.get(entry.management_key_variable, ""),
            auth_folder=config.folder(entry.auth_dir) if entry.auth_dir else None,
        )
        for entry in entries
    ]


def place(text: str) -> dict[str, str | int]:
    """Part a well-formed address into host and port; a URL's port is its scheme's by default."""
    if match := HOST_AND_PORT.fullmatch(text):
        return {"host": match["six"] or match["host"], "port": int(match["port"])}
    given = urlsplit(text)
    return {"host": text, "port": given.port or PORTS[given.scheme]}
