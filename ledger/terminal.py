"""What the ledger's commands share: the file of the settings, and a bar that shows progress."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tzlocal
from tqdm import tqdm

from ledger import aliases, config, prepare
from ledger.file import NAME


def opened() -> sqlite3.Connection:
    """Create or upgrade the ledger and open it."""
    raw = config.merged()
    zone = raw.get("timezone") or tzlocal.get_localzone_name()
    return prepare(config.data_dir(), timezone=zone, names=aliases.from_settings(raw))


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
