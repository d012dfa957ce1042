"""`python -m alerts [--once]`: say when something needs a person."""

from alerts import receivers, store
from alerts.job import Parts, Watcher
from alerts.source import clock
from ledger.settings import Settings, effective_rules
from runtime.start import Given, start

LONGEST_REST = 1.0
# It reads a little of much, and writes hardly anything: a large cache would only cost memory.
SMALL_CACHE = "pragma cache_size = -2000"


def watcher(given: Given) -> Watcher:
    """Wire the worker."""
    conn, chosen = given.conn, given.settings
    conn.execute(SMALL_CACHE)
    store.keep_settings(conn, effective_rules(chosen.alert_rules), chosen.budgets, clock(conn))
    calm_ms = 0 if given.options.once else int(2000 * chosen.alert_check_seconds)
    return Watcher(
        Parts(
            conn=conn,
            folder=chosen.data_folder,
            urls=receivers.keep(conn, chosen.alert_urls, chosen.data_folder),
            quiet_hours=chosen.quiet_hours,
            zone=chosen.zone_name,
            every_seconds=chosen.alert_check_seconds,
            calm_ms=calm_ms,
        )
    )


def rest(chosen: Settings) -> float:
    """Give how long to rest after a step that did nothing."""
    return min(chosen.alert_check_seconds, LONGEST_REST)


def main() -> None:
    """Run the worker."""
    start("alerts", watcher, rest=rest)


if __name__ == "__main__":
    main()
