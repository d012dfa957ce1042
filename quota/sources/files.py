"""Credential files: the proxy's auth folder, read and never written.

The proxy truncates a file before it rewrites it, so a reader may meet an empty or cut one. A
file is a credential by its content (`type`), not by its name; any JSON file may lie there.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from stat import S_ISREG

from ledger import Unavailable
from quota.http import TOTAL_SECONDS, Call, NoAnswer, ShouldStop, fetch
from quota.identity import access_token, from_file
from quota.json_fields import mapping
from quota.model import TOKEN, Answer, Credential, Request
from quota.sources import CredentialChanged, ListedCredential, fingerprint

MAX_FILE_BYTES = 1_000_000
# The proxy's own folder holds some hundreds; a home folder, set by mistake, holds far more.
MAX_ENTRIES = 20_000
RETRY_SECONDS = (0.05, 0.15)
# Size and time of change.
Mark = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file as last read: its mark, and the credential in it, if any."""

    mark: Mark
    listed: ListedCredential | None


class CredentialFiles:
    """The credential files of a folder and its subfolders."""

    name = "files"

    def __init__(
        self, folder: Path, should_stop: ShouldStop, *, seconds: float = TOTAL_SECONDS
    ) -> None:
        self._folder = Path(os.path.normpath(folder))
        self._should_stop = should_stop
        self._seconds = seconds
        self._cache: dict[str, CachedFile] = {}

    def list_credentials(self) -> list[ListedCredential]:
        """Return the credentials; only files that changed are read again."""
        marks = dict(self._marks())
        self._cache = {name: self._cached(name, mark) for name, mark in marks.items()}
        return [file.listed for file in self._cache.values() if file.listed]

    def send(self, listed: ListedCredential, request: Request, *, base: str) -> Answer:
        """Send a request with the token that the file holds now."""
        file_name = listed.credential.file_name
        content = read_json(self._folder / file_name)
        credential = from_file(file_name, content)
        token = access_token(mapping(content))
        if credential is None or credential.account_key != listed.credential.account_key:
            raise CredentialChanged
        if token is None:
            raise NoAnswer("the credential file holds no access token", code="no_token")
        call = Call(
            method=request.method,
            url=base + request.path,
            headers=with_token(request.headers, token),
            body=request.body,
            proxy=credential.proxy_url,
        )
        return fetch(call, should_stop=self._should_stop, seconds=self._seconds)

    def _marks(self) -> Iterator[tuple[str, Mark]]:
        entries = 0
        try:
            os.scandir(self._folder).close()
            for folder, folders, names in os.walk(self._folder):
                entries += len(names) + len(folders)
                if entries > MAX_ENTRIES:
                    raise Unavailable(
                        f"{self._folder} has too many entries to be the proxy's auth_dir"
                    )
                for name in names:
                    yield from self._mark(os.path.join(folder, name))
        except OSError as error:
            reason = (error.strerror or "unreadable").lower()
            raise Unavailable(
                f"no credential files at {self._folder} ({reason}): set auth_dir, or "
                "management_key to let the proxy send the requests"
            ) from error

    def _mark(self, path: str) -> Iterator[tuple[str, Mark]]:
        if not path.endswith(".json") or not path.isprintable():
            return
        try:
            status = os.stat(path)
        except OSError:
            return
        if S_ISREG(status.st_mode) and status.st_size <= MAX_FILE_BYTES:
            yield os.path.relpath(path, self._folder), (status.st_size, status.st_mtime_ns)

    def _cached(self, name: str, mark: Mark) -> CachedFile:
        cached = self._cache.get(name)
        if cached and cached.mark == mark:
            return cached
        content = read_json(self._folder / name)
        if content is None:
            # Half-written: the previous content counts until the file can be read again.
            return CachedFile(mark, cached.listed if cached else None)
        return CachedFile(mark, self._listed(name, content, mark))

    def _listed(self, name: str, content: object, mark: Mark) -> ListedCredential | None:
        credential = from_file(name, content)
        if credential is None:
            return None
        index = auth_index(credential, str(self._folder / name))
        return ListedCredential(replace(credential, auth_index=index), fingerprint(name, *mark))


def read_json(file: Path) -> object:
    """Return a file's JSON, waiting shortly for one that is being written; None if it has none."""
    for seconds in (*RETRY_SECONDS, None):
        try:
            return json.loads(file.read_bytes())
        except (OSError, ValueError, RecursionError):
            if seconds is None:
                return None
            time.sleep(seconds)
    return None


def with_token(headers: Mapping[str, str], token: str) -> dict[str, str]:
    """Return request headers with the token in the place of the placeholder."""
    return {name: value.replace(TOKEN, token) for name, value in headers.items()}


def auth_index(credential: Credential, path: str) -> str:
    """Return the proxy's index of a credential in its events, if it sees the same path.

    As in `sdk/cliproxy/auth/types.go` of CLIProxyAPI since v6.9.46.
    """
    return hashlib.sha256(f"{credential.provider}:{path}".encode()).hexdigest()[:16]
