"""Nobody but the owner may read what lies in the data folder."""

import logging
import stat
from pathlib import Path

log = logging.getLogger(__name__)


def tighten(folder: Path) -> int:
    """Take the rights of others away from everything in a folder; give how often that was needed.

    Links are left alone, and so is what belongs to somebody else or is gone meanwhile.
    """
    tightened = sum(make_owners(entry) for entry in [folder, *folder.rglob("*")])
    if tightened:
        log.warning("took the rights of others away from %d files in the data folder", tightened)
    return tightened


def make_owners(entry: Path) -> bool:
    """Give a file or folder to its owner alone; tell whether it was not."""
    try:
        mode = entry.lstat().st_mode
        if stat.S_ISLNK(mode) or not mode & 0o077:
            return False
        entry.chmod(0o700 if stat.S_ISDIR(mode) else 0o600)
    except FileNotFoundError:
        # The log of a ledger comes and goes with the processes that use it.
        return False
    except OSError as error:
        log.warning("%s can be read by others: %s", entry.name, error.strerror)
        return False
    return True
