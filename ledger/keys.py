"""Keys as the ledger stores them: a salted hash and a label, never the key."""

import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple

SALT_NAME = "salt"
SALT_SIZE = 32
MIN_LENGTH_WITH_TAIL = 12
# The placeholder of a key in a redacted record, so that a replay finds the same client again.
HASHED = re.compile(r"hash:([0-9a-f]{32}):(.{0,4})", re.DOTALL)


class Key(NamedTuple):
    """A key's salted hash (16 bytes) and the last characters that may be shown."""

    hash: bytes
    tail: str

    @property
    def label(self) -> str:
        """The text that people see instead of the key."""
        return f"…{self.tail}"


class Salt:
    """The secret that is hashed with each key, so that keys cannot be guessed from their hashes."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def key(self, text: str) -> Key:
        """Return the hash and tail of a key, or of its placeholder."""
        if match := HASHED.fullmatch(text):
            return Key(bytes.fromhex(match[1]), match[2])
        content = text.encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(content, digest_size=16, key=self._value).digest()
        return Key(digest, tail(text))

    def placeholder(self, text: str) -> str:
        """Return the text that replaces a secret in a redacted record."""
        key = self.key(text)
        return f"hash:{key.hash.hex()}:{key.tail}"


def tail(text: str) -> str:
    """Return the last characters of a key that may be shown; none of a short key."""
    return text[-4:] if len(text) >= MIN_LENGTH_WITH_TAIL else ""


def load_salt(folder: Path) -> Salt:
    """Read the salt of a data folder, creating it (mode 600) when there is none.

    Raises `SystemExit` with a sentence when it is damaged.
    """
    file = folder / SALT_NAME
    if not file.exists():
        write_once(file, secrets.token_bytes(SALT_SIZE))
    value = file.read_bytes()
    if len(value) != SALT_SIZE:
        raise SystemExit(
            f"{file} is damaged: put back a copy of it, or delete it, after which the ledger "
            "treats every client as a new one."
        )
    return Salt(value)


def write_once(file: Path, content: bytes) -> None:
    """Create a private file with its content in one step, unless another process has created it."""
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    with open(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, file)
    draft.unlink()
