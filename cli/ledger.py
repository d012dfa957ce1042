"""`python -m ledger COMMAND`: the commands that work on the ledger file."""

import re
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click

from cli.accounts import account
from cli.group import Group

STYLES = ("table", "json", "csv", "markdown")
GROUPS = ("account", "model", "client", "proxy", "day")
SHARES = ("cost", "tokens")
MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@click.group(cls=Group)
def ledger() -> None:
    """Create, check, report, copy and repair the ledger file."""


ledger.add_command(account)


@ledger.command()
def init() -> None:
    """Create or upgrade the ledger, and print its path."""
    from ledger import commands

    commands.init()


@ledger.command()
def check() -> None:
    """Check that the ledger is intact.

    Its sums are compared too. The exit status is 1 when something is wrong.
    """
    from ledger import commands

    if not commands.check():
        raise SystemExit(1)


@ledger.command()
def rebuild() -> None:
    """Compute every rollup again.

    They are computed from the raw events; workers may run meanwhile.
    """
    from ledger import commands

    commands.rebuild()


def parse_day(context: click.Context, parameter: click.Parameter, text: str | None) -> date | None:
    """Return a day written as YYYY-MM-DD."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date() if text else None
    except ValueError:
        raise click.BadParameter(f"{text} is not a day: write it as 2026-11-30") from None


@ledger.command()
@click.option("--from", "first", metavar="DAY", callback=parse_day, help="The first local day.")
@click.option("--to", "last", metavar="DAY", callback=parse_day, help="The last local day.")
def reprice(first: date | None, last: date | None) -> None:
    """Compute stored costs again.

    By default those of all events, else of whole local days.
    """
    from ledger import commands

    commands.reprice(first, last)


@ledger.command()
@click.argument("model")
@click.option("--provider", default="", help="The proxy's name of the provider, such as codex.")
@click.option("--auth", "auth_type", default="", help="How it is used: oauth or apikey.")
@click.option("--tier", "requested_tier", default="", help="The service tier asked for.")
@click.option("--alias", default="", help="The model that the client asked for.")
@click.option("--client", default="", help="The client key, by its label or your name for it.")
@click.option("--account", default="", help="The account, by its label or your name for it.")
@click.option("--at", "day", metavar="DAY", callback=parse_day, help="A day (UTC), at noon.")
def price(day: date | None, **attempt: str) -> None:
    """Print what a model costs.

    The rule by which its price was found is printed too; see docs/costs.md.
    """
    from ledger import commands

    commands.explain_price(attempt, day)


@ledger.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--proxy", metavar="NAME", help="The proxy that the events are of.")
@click.option("--differences", is_flag=True, help="List the events whose totals differ.")
def import_file(file: Path, proxy: str | None, differences: bool) -> None:
    """Import what another program recorded.

    See docs/migration.md for the formats of FILE.
    """
    from ingest.importers import command

    command.main(file, proxy_name=proxy, all_differences=differences)


@ledger.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--keep", type=int, default=7, show_default=True, help="How many copies to keep.")
def backup(folder: Path | None, keep: int) -> None:
    """Copy the ledger while it is in use.

    The copy is checked, and all but the newest copies are deleted. FOLDER is the folder of the
    copies, by default `backups` in the data folder.
    """
    from ledger import commands

    commands.backup(folder, keep)


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path))
def restore(file: Path) -> None:
    """Restore a backup as the ledger.

    No worker may run meanwhile. The old ledger is kept.
    """
    from ledger import commands

    commands.restore(file)


@ledger.command()
def retain() -> None:
    """Delete old events.

    Those are older than keep_events_days. Their space is released, and every sum is kept.
    """
    from ledger import commands

    commands.retain()


def parse_month(context: click.Context, parameter: click.Parameter, text: str | None) -> str:
    """Return a month written as YYYY-MM; empty when there is none."""
    if text is None or MONTH.fullmatch(text):
        return text or ""
    raise click.BadParameter(f"{text} is no month: write it as 2026-11")


def parse_price(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> float | None:
    """Return a price in dollars."""
    if text is None:
        return None
    try:
        dollars = float(text)
    except ValueError:
        dollars = -1.0
    if 0 <= dollars <= 1e9:
        return dollars
    raise click.BadParameter(f"{text} is no price: write dollars, as 200 or 19.99")


def bill_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that only the bill of a month takes."""
    price = click.option(
        "--price", metavar="DOLLARS", callback=parse_price, help="Of a month: the price to share."
    )
    share = click.option(
        "--share", type=click.Choice(SHARES), help="Of a month: what shares count.  [default: cost]"
    )
    return price(share(function))


@ledger.command()
@click.argument("window", metavar="WINDOW|month")
@click.argument("month", required=False, callback=parse_month, metavar="[YYYY-MM]")
@click.option("--by", type=click.Choice(GROUPS), help="Of a window: only this table.")
@click.option("--format", "style", type=click.Choice(STYLES), default="table", show_default=True)
@bill_options
def report(
    window: str,
    month: str,
    by: str | None,
    style: str,
    price: float | None,
    share: str | None,
) -> None:
    """Print a window's use or a month's bill.

    For example 24h, or: month 2026-11. Without YYYY-MM it is the current month.
    """
    from ledger import commands

    if window == "month" and by:
        raise click.UsageError("a month is shown by client; --by is for windows")
    if window != "month" and (month or price is not None or share):
        raise click.UsageError("a month, --price and --share belong to: month 2026-11")
    if window == "month":
        commands.print_bill(month, price=price, share=share or SHARES[0], style=style)
    else:
        commands.print_report(window, by=by, style=style)


# A prompt waits for the status, so that `ledger.status` parses its options without click.
@ledger.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def status(options: tuple[str, ...]) -> None:
    """Print the status in one line."""
    from ledger import status

    raise SystemExit(status.main(list(options)))


@ledger.command()
def docs() -> None:
    """Write docs/settings.md and docs/tables.md."""
    from ledger import commands

    commands.write_docs()
