"""Put a backup in the place of the ledger; what was there is kept beside it."""

import os
import shutil
import time
from pathlib import Path

from ledger.backup import Damaged, keep_safe, private_copy, prove
from ledger.errors import Unavailable
from ledger.file import NAME, make_private
from ledger.keys import SALT_NAME
from ledger.locks import exclusive

PARTS = (NAME, f"{NAME}-wal", f"{NAME}-shm")


def restore(file: Path, data: Path) -> Path | None:
    """Restore the backup `file` into the folder `data`; give where the old ledger was put.

    Raises `Damaged` when the backup is not sound, `LockHeld` while a worker runs, `Unavailable`
    when the folder cannot be written.
    """
    if not file.is_file():
        raise Damaged(f"there is no file {file}")
    prove(file)
    make_private(data)
    try:
        with exclusive(data):
            draft = data / f"{NAME}.restoring"
            written = os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
            with open(written, "wb") as opened, file.open("rb") as source:
                shutil.copyfileobj(source, opened)
            prove(draft)
            keep_safe(draft)
            old = put_aside(data)
            draft.rename(data / NAME)
            private_copy(file.with_suffix(".salt"), data / SALT_NAME)
            keep_safe(data)
            return old
    except OSError as error:
        raise Unavailable(f"the backup cannot be restored: {error.strerror}") from error


def put_aside(data: Path) -> Path | None:
    """Move the ledger of a folder, its log and its salt, into a folder of their own beside it."""
    if not (data / NAME).exists():
        return None
    aside = data / time.strftime("before-restore-%Y%m%dT%H%M%SZ", time.gmtime())
    aside.mkdir(mode=0o700)
    private_copy(data / SALT_NAME, aside / SALT_NAME)
    for name in PARTS:
        if (data / name).exists():
            (data / name).rename(aside / name)
    return aside / NAME
