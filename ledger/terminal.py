"""What the ledger's commands share: the file of the settings, and a bar that shows progress."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from ledger import prepare, settings
from ledger.file import NAME


def opened() -> sqlite3.Connection:
    """Create or upgrade the ledger and open it."""
    current = settings.read()
    return prepare(current.data_folder, timezone=current.zone_name, names=current.aliases)


def existing() -> Path:
    """Give the ledger's file, or end with a sentence when there is none."""
    file = settings.read().data_folder / NAME
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
