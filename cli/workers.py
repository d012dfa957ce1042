"""The commands that run processes: the workers, the dashboard, and all of them together."""

import click

from cli.group import SETTINGS


@click.command(context_settings=SETTINGS)
def run() -> None:
    """Run everything.

    These are the collector, the quota worker, the alerts worker and the dashboard.
    """
    from runtime import run_all

    run_all.preflight()
    run_all.run()


@click.command(context_settings=SETTINGS)
def preflight() -> None:
    """Check what `run` needs.

    These are the settings, the management key and the port.
    """
    from runtime import run_all

    run_all.preflight()


@click.command(context_settings=SETTINGS)
def serve() -> None:
    """Serve the dashboard."""
    from runtime import dashboard

    dashboard.serve()


once = click.option("--once", is_flag=True, help="End when there is nothing left to do.")


@click.group(context_settings=SETTINGS, invoke_without_command=True)
@once
@click.pass_context
def ingest(context: click.Context, once: bool) -> None:
    """Collect the usage events of the proxies."""
    if context.invoked_subcommand is None:
        from ingest import start

        start.main(once=once)


@ingest.command(context_settings=SETTINGS)
def replay() -> None:
    """Parse rejected records again.

    After an upgrade the program may understand them.
    """
    from ingest import replay

    replay.main()


@click.group(context_settings=SETTINGS, invoke_without_command=True)
@once
@click.option(
    "--force",
    is_flag=True,
    help="Poll every account now that may be polled; with --once, print all quotas.",
)
@click.pass_context
def quota(context: click.Context, once: bool, force: bool) -> None:
    """Request the quotas of the accounts."""
    if context.invoked_subcommand is None:
        from quota import start

        start.main(once=once, force=force)


@quota.command("next", context_settings=SETTINGS)
@click.option("--provider", default="", help="Only accounts of this provider.")
@click.option("--model", default="", help="Only accounts that may use this model now.")
def next_account(provider: str, model: str) -> None:
    """Print the account to use next, as JSON.

    The exit status is 0 where it can be used now.
    """
    import sys

    from ledger import settings
    from quota import report

    status = report.print_next_account(settings.load(), sys.stdout, provider=provider, model=model)
    sys.exit(status)


@click.command(context_settings=SETTINGS)
@once
def alerts(once: bool) -> None:
    """Send alerts."""
    from alerts import start

    start.main(once=once)


@click.command("alert-test", context_settings=SETTINGS)
def alert_test() -> None:
    """Send a test message to all alert_urls."""
    from alerts import testing

    testing.main()


@click.command(context_settings=SETTINGS)
def demo() -> None:
    """Try everything without a proxy."""
    import os
    import sys

    os.execv(sys.executable, [sys.executable, "-m", "demo"])
