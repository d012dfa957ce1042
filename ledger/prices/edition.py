"""The price list in use by its name and date, without loading it: it is large."""

import re
from importlib.metadata import version
from pathlib import Path

PACKAGE = "genai-prices"
# The package has no date of its own: on this day its prices were last looked through.
CHECKED = "2026-11-27"
# The newer list of a data folder, which begins with the time of its fetching.
FILE = "list-prices.json"
FETCHED_AT = re.compile(rb'\{"fetched_at": "([0-9T:+-]{19,35})"')
HEAD_BYTES = 100


def package_edition() -> str:
    """Return the version of the package and the date of its corrections."""
    return f"{version(PACKAGE)}, corrected {CHECKED}"


def fetched_edition(fetched_at: str) -> str:
    """Return the date of a fetched list (ISO text)."""
    return f"fetched {fetched_at[:10]}"


def fetched_at(folder: Path) -> str | None:
    """Return when the list of a data folder was fetched, as ISO text in UTC, if it was."""
    try:
        with (folder / FILE).open("rb") as stream:
            found = FETCHED_AT.match(stream.read(HEAD_BYTES))
    except OSError:
        return None
    return found[1].decode() if found else None


def price_list(folder: Path) -> str:
    """Return the name and date of the list that costs are worked out by."""
    moment = fetched_at(folder)
    return f"{PACKAGE} {fetched_edition(moment) if moment else package_edition()}"
