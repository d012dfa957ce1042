"""`python -m alerts [--once]`: send a message when something needs a person."""

from alerts import conditions, delivery, episodes
from alerts.worker import AlertsWorker, Parts
from ledger.settings import Settings, effective_rules
from runtime.start import Given, start

LONGEST_REST = 1.0
# The worker reads little and hardly writes: a larger cache would only use memory.
SMALL_CACHE = "pragma cache_size = -2000"


def create(given: Given) -> AlertsWorker:
    """Return the worker for an open ledger and its settings."""
    conn, settings = given.conn, given.settings
    conn.execute(SMALL_CACHE)
    at = conditions.clock(conn)
    episodes.write_settings(conn, effective_rules(settings.alert_rules), settings.budgets, at)
    return AlertsWorker(
        Parts(
            conn=conn,
            folder=settings.data_folder,
            urls=delivery.register(conn, settings.alert_urls, settings.data_folder),
            quiet_hours=settings.quiet_hours,
            zone=settings.zone_name,
            every_seconds=settings.alert_check_seconds,
            calm_ms=0 if given.options.once else int(2000 * settings.alert_check_seconds),
        )
    )


def rest(settings: Settings) -> float:
    """Return how many seconds to rest after a step that did nothing."""
    return min(settings.alert_check_seconds, LONGEST_REST)


def main() -> None:
    """Run the worker."""
    start("alerts", create, rest=rest)


if __name__ == "__main__":
    main()
