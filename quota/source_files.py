"""Credential files: the proxy's auth folder, read and never written.

The proxy truncates a file before it rewrites it, so a reader may meet an empty or cut one. A
file is a credential by what it holds (`type`), not by its name; any JSON file may lie there.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG

from ledger import Unavailable
from quota.envelope import filled
from quota.fetch import TOTAL_SECONDS, Call, IsOver, NoAnswer, fetch
from quota.fields import mapping
from quota.identity import Credential, from_file
from quota.model import Answer, Request
from quota.source import Found, Vanished
from quota.tokens import access_token

LARGEST_BYTES = 1_000_000
# The proxy's own folder holds some hundreds; a home folder by mistake would hold far more.
MOST_ENTRIES = 20_000
RETRY_SECONDS = (0.05, 0.15)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as last read: size and time of change, and the credential in it, if any."""

    mark: tuple[int, int]
    found: Found | None


class Files:
    """The credential files of a folder and below."""

    name = "files"

    def __init__(self, folder: Path, is_over: IsOver, *, seconds: float = TOTAL_SECONDS) -> None:
        self._folder = Path(os.path.normpath(folder))
        self._is_over = is_over
        self._seconds = seconds
        self._seen: dict[str, Seen] = {}

    def look(self) -> list[Found]:
        """List the credentials; only files that changed are read again."""
        marks = dict(self._marks())
        self._seen = {path: self._looked(path, mark) for path, mark in marks.items()}
        return [seen.found for seen in self._seen.values() if seen.found]

    def ask(self, found: Found, request: Request, *, base: str) -> Answer:
        """Make a request with the token that the file holds now."""
        file = self._folder / found.credential.file_name
        content = read(file)
        credential = from_file(found.credential.file_name, content)
        token = access_token(mapping(content))
        if credential is None or credential.account_key != found.credential.account_key:
            raise Vanished
        if token is None:
            raise NoAnswer("the credential file holds no access token", code="no_token")
        call = Call(
            method=request.method,
            url=base + request.path,
            headers=filled(request.headers, token),
            body=request.body,
            proxy=credential.proxy_url,
        )
        return fetch(call, is_over=self._is_over, seconds=self._seconds)

    def _marks(self) -> Iterator[tuple[str, tuple[int, int]]]:
        entries = 0
        try:
            os.scandir(self._folder).close()
            for folder, folders, names in os.walk(self._folder):
                entries += len(names) + len(folders)
                if entries > MOST_ENTRIES:
                    raise Unavailable(f"{self._folder} holds too much to be the proxy's auth_dir")
                for name in names:
                    yield from self._mark(os.path.join(folder, name))
        except OSError as error:
            reason = (error.strerror or "unreadable").lower()
            raise Unavailable(
                f"no credential files at {self._folder} ({reason}): set auth_dir, or "
                "management_key to let the proxy ask"
            ) from error

    def _mark(self, path: str) -> Iterator[tuple[str, tuple[int, int]]]:
        if not path.endswith(".json") or not path.isprintable():
            return
        try:
            status = os.stat(path)
        except OSError:
            return
        if S_ISREG(status.st_mode) and status.st_size <= LARGEST_BYTES:
            yield os.path.relpath(path, self._folder), (status.st_size, status.st_mtime_ns)

    def _looked(self, name: str, mark: tuple[int, int]) -> Seen:
        known = self._seen.get(name)
        if known and known.mark == mark:
            return known
        content = read(self._folder / name)
        if content is None:
            # Half-written: what it held before stands until it can be read again.
            return Seen(mark, known.found if known else None)
        return Seen(mark, self._found(name, content, mark))

    def _found(self, name: str, content: object, mark: tuple[int, int]) -> Found | None:
        credential = from_file(name, content)
        if credential is None:
            return None
        auth_index = index(credential, str(self._folder / name))
        return Found(replace(credential, auth_index=auth_index), fingerprint(name, *mark))


def read(file: Path) -> object:
    """Read a JSON file, waiting a moment for one that is being written; None when it is none."""
    for seconds in (*RETRY_SECONDS, None):
        try:
            return json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            if seconds is None:
                return None
            time.sleep(seconds)
    return None


def index(credential: Credential, path: str) -> str:
    """Return what the proxy calls the credential in its events, if it sees the same path.

    As in `sdk/cliproxy/auth/types.go` of CLIProxyAPI since v6.9.46.
    """
    return hashlib.sha256(f"{credential.provider}:{path}".encode()).hexdigest()[:16]


def fingerprint(*parts: object) -> str:
    """Return a short mark of a credential's state, without anything of what it holds."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
