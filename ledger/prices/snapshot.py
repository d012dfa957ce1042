"""The price lists in use: those of the package, or newer ones that were fetched.

Fetching is off unless the setting `price_updates` asks for it. The fetched file stays in the data
folder and is used from then on, also without a network.
"""

import json
import os
import tempfile
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import Provider
from genai_prices.update_prices import DEFAULT_UPDATE_URL

from ledger.prices.corrections import corrected
from ledger.prices.edition import FILE, fetched_edition, package_edition

# The list has 2 MB today.
MAX_BYTES = 30_000_000
SECONDS = 60.0


class BadPrices(Exception):
    """What was fetched is not a price list."""


class Lists(NamedTuple):
    """The price lists by their id, and their version: the package's, or the day of fetching."""

    providers: dict[str, Provider]
    version: str


def lists(folder: Path | None = None) -> Lists:
    """Return the lists to use: the fetched ones of a data folder, else the package's.

    A fetched file that cannot be read counts as absent.
    """
    file = folder / FILE if folder else None
    try:
        stamp = file.stat().st_mtime_ns if file else 0
    except OSError:
        file, stamp = None, 0
    return _lists(file, stamp)


@lru_cache(maxsize=2)
def _lists(file: Path | None, stamp: int) -> Lists:
    if file is not None:
        try:
            content = json.loads(file.read_bytes())
            return Lists(
                corrected(snapshot(content["providers"])), fetched_edition(content["fetched_at"])
            )
        except (OSError, ValueError, KeyError, TypeError, BadPrices):
            pass
    return Lists(corrected(get_snapshot()), package_edition())


def snapshot(providers: Any) -> DataSnapshot:
    """Return the price lists of the package's JSON.

    Raises `BadPrices` when it is of another form.
    """
    # The package offers no public way to read a file of its own format.
    from genai_prices.types import _providers_from_raw

    if not isinstance(providers, list) or not providers:
        raise BadPrices("the answer is not a list of providers")
    try:
        return DataSnapshot(_providers_from_raw(providers), from_auto_update=True)
    except (TypeError, ValueError) as error:
        raise BadPrices("the list has a form that this version of genai-prices cannot read") from (
            error
        )


def fetch(folder: Path, *, url: str = "", now: datetime | None = None) -> int:
    """Fetch the newest lists, keep them in a data folder and return how many models they have.

    Raises `BadPrices` when the answer is not a price list, `httpx.HTTPError` when there is none.
    """
    content = b""
    with httpx.stream("GET", url or DEFAULT_UPDATE_URL, timeout=SECONDS) as answer:
        answer.raise_for_status()
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > MAX_BYTES:
                raise BadPrices(f"the answer is larger than {MAX_BYTES:,} bytes")
    try:
        providers = json.loads(content)
    except ValueError as error:
        raise BadPrices("the answer is not JSON") from error
    models = sum(len(provider.models) for provider in snapshot(providers).providers)
    moment = (now or datetime.now(UTC)).isoformat(timespec="seconds")
    _write(folder / FILE, json.dumps({"fetched_at": moment, "providers": providers}))
    return models


def _write(file: Path, text: str) -> None:
    """Write a file in one step, readable by its owner alone."""
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
        os.replace(draft, file)
    except BaseException:
        os.unlink(draft)
        raise
