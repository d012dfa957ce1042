"""Start the alerts worker."""

from typing import NoReturn

from alerts import conditions, delivery, episodes
from alerts.worker import AlertsWorker, Parts
from ledger.settings import Settings, effective_rules
from runtime.tasks import Context, start

MAX_REST_SECONDS = 1.0
# The worker reads little and hardly writes: a larger cache would only use memory.
SMALL_CACHE = "pragma cache_size = -2000"


def create(context: Context) -> AlertsWorker:
    """Return the worker for an open ledger and its settings."""
    conn, settings = context.conn, context.settings
    conn.execute(SMALL_CACHE)
    now = conditions.clock(conn)
    episodes.write_settings(conn, effective_rules(settings.alert_rules), settings.budgets, now)
    return AlertsWorker(
        Parts(
            conn=conn,
            folder=settings.data_folder,
            urls=delivery.register(conn, settings.alert_urls, settings.data_folder),
            quiet_hours=settings.quiet_hours,
            zone=settings.zone_name,
            language=settings.language,
            every_seconds=settings.alert_check_seconds,
            calm_ms=0 if context.once else int(2000 * settings.alert_check_seconds),
        )
    )


def rest(settings: Settings) -> float:
    """Return how many seconds to rest after a step that did nothing."""
    return min(settings.alert_check_seconds, MAX_REST_SECONDS)


def main(*, once: bool) -> NoReturn:
    """Run the worker; with `once`, until nothing is left to do."""
    start("alerts", create, rest=rest, once=once)
