"""`python -m cli`: one command line for everything."""

import click

from cli import services, workers
from cli.group import Group
from cli.ledger import ledger


@click.group(cls=Group)
def cli() -> None:
    """Record the usage of CLIProxyAPI in one SQLite file, and show it."""


for command in (
    workers.run,
    workers.demo,
    workers.ingest,
    workers.quota,
    workers.alerts,
    workers.alert_test,
    workers.serve,
    workers.preflight,
    services.service,
    services.health,
    *ledger.commands.values(),
):
    cli.add_command(command)
