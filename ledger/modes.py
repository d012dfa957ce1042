"""Nobody but the owner may read what lies in the data folder."""

import logging
import stat
from pathlib import Path

log = logging.getLogger(__name__)


def tighten(folder: Path) -> int:
    """Take the rights of others away from everything in a folder; give how often that was needed.

    Links are left alone, and so is what belongs to somebody else.
    """
    found = [entry for entry in folder.rglob("*") if not entry.is_symlink()]
    loose = [entry for entry in [folder, *found] if entry.lstat().st_mode & 0o077]
    for entry in loose:
        try:
            entry.chmod(0o700 if stat.S_ISDIR(entry.lstat().st_mode) else 0o600)
        except OSError as error:
            log.warning("%s can be read by others: %s", entry.name, error.strerror)
    if loose:
        log.warning("took the rights of others away from %d files in the data folder", len(loose))
    return len(loose)
