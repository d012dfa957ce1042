"""Fetch the newest price list once a day, beside collection, where the settings ask for it."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from ledger.prices.calculator import Prices
from ledger.prices.snapshot import BadPrices, fetch, fetched_at, lists
from ledger.settings import Settings
from runtime.stop import Stop

log = logging.getLogger(__name__)

EVERY = timedelta(days=1)
RETRY_SECONDS = 3600.0


def start(prices: Prices, settings: Settings, stop: Stop) -> None:
    """Start the thread that keeps the price list new, if `price_updates` is on."""
    if settings.price_updates == "on":
        arguments = (prices, settings.data_folder, settings.price_updates_url, stop)
        threading.Thread(target=run, args=arguments, name="prices", daemon=True).start()


def run(prices: Prices, folder: Path, url: str, stop: Stop) -> None:
    """Fetch whenever the list is a day old, until it is time to stop; a failure is tried again."""
    while not stop.check():
        if is_due(folder, datetime.now(UTC)):
            update(prices, folder, url)
        stop.rest(RETRY_SECONDS)


def is_due(folder: Path, now: datetime) -> bool:
    """Return whether the list of a data folder is absent or older than a day."""
    text = fetched_at(folder)
    return text is None or now - datetime.fromisoformat(text) >= EVERY


def update(prices: Prices, folder: Path, url: str) -> bool:
    """Fetch the list and use it for new events; return whether that worked."""
    try:
        models = fetch(folder, url=url)
    except (httpx.HTTPError, BadPrices, OSError) as error:
        log.warning("no newer prices: %s", error or type(error).__name__)
        return False
    prices.use(lists(folder))
    log.info(
        "newer prices of %d models: `python -m ledger reprice` applies them to the past", models
    )
    return True
