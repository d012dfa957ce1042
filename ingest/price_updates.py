"""Fetch the newest price list once a day, in a thread of the collector, if the settings say so."""

import logging
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from ledger.prices.calculator import Prices
from ledger.prices.edition import fetched_at
from ledger.prices.snapshot import BadPrices, fetch, lists
from ledger.settings import Settings
from runtime.stop import Stop

log = logging.getLogger(__name__)

UPDATE_INTERVAL = timedelta(days=1)
RETRY_SECONDS = 3600.0


def start(prices: Prices, settings: Settings, stop: Stop) -> threading.Thread | None:
    """Start the thread that updates the price list, if `price_updates` is on, and return it."""
    if settings.price_updates != "on":
        return None
    arguments = (prices, settings.data_folder, settings.price_updates_url, stop)
    thread = threading.Thread(target=run, args=arguments, name="prices", daemon=True)
    thread.start()
    return thread


def run(prices: Prices, folder: Path, url: str, stop: Stop) -> None:
    """Fetch the list whenever it is a day old, until it is time to stop; retry after a failure."""
    while not stop.check():
        if is_due(folder, datetime.now(UTC)):
            update(prices, folder, url)
        stop.rest(RETRY_SECONDS)


def is_due(folder: Path, now: datetime) -> bool:
    """Return whether the list of a data folder is absent or older than a day."""
    text = fetched_at(folder)
    return text is None or now - datetime.fromisoformat(text) >= UPDATE_INTERVAL


def update(prices: Prices, folder: Path, url: str) -> bool:
    """Fetch the list and use it for new events; return whether that succeeded."""
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
