"""`python -m ledger account COMMAND`: merge, split, rename and forget accounts."""

import click

from cli.group import Group

CHANGE = click.argument("change", required=False, type=int, metavar="[CHANGE]")


@click.group(cls=Group)
def account() -> None:
    """Merge, split, rename and forget accounts.

    ACCOUNT is a name, an address, a credential file, an index of the proxy, or a number of
    `account list`. A change is undone with `account undo` until `account confirm`.
    """


@account.command("list")
def list_accounts() -> None:
    """Print every account with its number and sums, and the open changes."""
    from ledger import account_commands

    account_commands.print_accounts()


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("into", metavar="INTO")
def merge(name: str, into: str) -> None:
    """Merge an account into another.

    Both are of one provider. The second one keeps its name.
    """
    from ledger import account_commands

    account_commands.merge(name, into)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("credential")
def split(name: str, credential: str) -> None:
    """Split a credential off into an account of its own.

    CREDENTIAL is the name of its file, or its index at the proxy.
    """
    from ledger import account_commands

    account_commands.split(name, credential)


@account.command()
@click.argument("name", metavar="ACCOUNT")
@click.argument("new_name", metavar="NAME")
def rename(name: str, new_name: str) -> None:
    """Set the name of an account.

    An empty NAME restores its own name.
    """
    from ledger import account_commands

    account_commands.rename(name, new_name)


@account.command()
@click.argument("name", metavar="ACCOUNT")
def forget(name: str) -> None:
    """Hide the address of an account that no proxy lists.

    Its usage stays in every sum. Confirming it erases the address and the quotas.
    """
    from ledger import account_commands

    account_commands.forget(name)


@account.command()
@CHANGE
def undo(change: int | None) -> None:
    """Undo a change, by default the newest."""
    from ledger import account_commands

    account_commands.undo(change)


@account.command()
@CHANGE
def confirm(change: int | None) -> None:
    """Confirm a change, by default the newest.

    It cannot be undone any more.
    """
    from ledger import account_commands

    account_commands.confirm(change)
