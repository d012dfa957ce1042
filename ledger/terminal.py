"""What the ledger's commands share: the file of the settings, and a bar that shows progress."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tzlocal
from tqdm import tqdm

from ledger import config, prepare
from ledger.file import NAME


def opened() -> sqlite3.Connection:
    """Create or upgrade the ledger and open it."""
    zone = os.environ.get("LEDGER_TIMEZONE") or config.from_file(config.path()).get("timezone")
    return prepare(config.data_dir(), timezone=zone or tzlocal.get_localzone_name())


def existing() -> Path:
    """Give the ledger's file, or end with a sentence when there is none."""
    file = config.data_dir() / NAME
    if not file.exists():
        raise SystemExit(f"There is no ledger at {file}; `make init` creates one.")
    return file


@contextmanager
def progress(what: str, unit: str = "events") -> Iterator[Callable[[int, int], None]]:
    """Show a bar; what is given takes (done, all)."""
    with tqdm(desc=what, unit=f" {unit}", unit_scale=True) as bar:

        def told(done: int, whole: int) -> None:
            bar.total = whole
            bar.update(done - bar.n)

        yield told
