"""The commands of `python -m ledger account`: each prints the sums before and after."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager

from tabulate import tabulate

from ledger import account_changes as changes
from ledger.account_changes import Account, ChangeRefused, Sums
from ledger.commands import existing_file, open_ledger
from ledger.settings import is_name, read

TOTAL = "(all accounts)"


def print_accounts() -> None:
    """Print every account with its number and sums, and the open changes."""
    with _ledger() as conn:
        rows = [
            (account.id, account.name, account.provider, *_shown(changes.sums(conn, account.id)))
            for account in changes.all_accounts(conn)
        ]
        print(_table(("number", "account", "provider", "requests", "tokens", "cost"), rows))
        for change in changes.open_changes(conn):
            other = f" {change.other_id}" if change.other_id else ""
            print(f"change {change.id}: {change.action} {change.account_id}{other}, not confirmed")


def merge(name: str, into: str) -> None:
    """Merge an account into another."""
    with _ledger() as conn:
        accounts = changes.find_account(conn, name), changes.find_account(conn, into)
        _make(conn, accounts, lambda: changes.merge(conn, *accounts, now=_now()))


def split(name: str, credential: str) -> None:
    """Split a credential off into an account of its own."""
    with _ledger() as conn:
        account = changes.find_account(conn, name)
        _make(conn, (account,), lambda: changes.split(conn, account, credential, now=_now()))


def rename(name: str, new_name: str) -> None:
    """Set the name of an account."""
    with _ledger() as conn:
        account = changes.find_account(conn, name)
        if new_name and not is_name(new_name):
            raise ChangeRefused(f"{new_name!r} is no name: at most 60 printable characters")
        _make(conn, (account,), lambda: changes.rename(conn, account, new_name, now=_now()))


def forget(name: str) -> None:
    """Hide the address of an account that no proxy lists."""
    with _ledger() as conn:
        account = changes.find_account(conn, name)
        _make(conn, (account,), lambda: changes.forget(conn, account, now=_now()))


def undo(change_id: int | None) -> None:
    """Undo a change."""
    with _ledger() as conn:
        before = _all_sums(conn)
        change = changes.undo(conn, change_id, now=_now())
        _print_sums(conn, before, change.accounts())
        print(f"Change {change.id} ({change.action}) is undone.")


def confirm(change_id: int | None) -> None:
    """Confirm a change."""
    with _ledger() as conn:
        before = _all_sums(conn)
        change = changes.confirm(conn, change_id, now=_now())
        _print_sums(conn, before, change.accounts())
        print(f"Change {change.id} ({change.action}) is confirmed and cannot be undone.")


@contextmanager
def _ledger() -> Iterator[sqlite3.Connection]:
    """Open the ledger; a change that cannot be made ends the program with its sentence."""
    settings = read()
    existing_file(settings)
    with closing(open_ledger(settings)) as conn:
        try:
            yield conn
        except ChangeRefused as error:
            raise SystemExit(f"{str(error)[:1].upper()}{str(error)[1:]}.") from error


def _make(conn: sqlite3.Connection, accounts: Iterable[Account], change: Callable[[], int]) -> None:
    """Make a change, and print the sums before and after, and how to undo it."""
    before = _all_sums(conn)
    change_id = change()
    (made,) = [item for item in changes.open_changes(conn) if item.id == change_id]
    _print_sums(conn, before, {*made.accounts(), *(account.id for account in accounts)})
    print(
        f"Change {change_id}. Undo it with `python -m ledger account undo {change_id}`; "
        f"`python -m ledger account confirm {change_id}` makes it final."
    )


def _all_sums(conn: sqlite3.Connection) -> dict[int | None, tuple[str, Sums]]:
    """Return the name and the sums of every account, and of all under None."""
    by_account: dict[int | None, tuple[str, Sums]] = {
        account.id: (account.name, changes.sums(conn, account.id))
        for account in changes.all_accounts(conn)
    }
    return {**by_account, None: (TOTAL, changes.sums(conn))}


def _print_sums(
    conn: sqlite3.Connection,
    before: dict[int | None, tuple[str, Sums]],
    accounts: Iterable[int],
) -> None:
    after = _all_sums(conn)
    rows = [
        (when, name, *_shown(sums))
        for when, states in (("before", before), ("after", after))
        for name, sums in (states[id_] for id_ in (*sorted(accounts), None) if id_ in states)
    ]
    print(_table(("", "account", "requests", "tokens", "cost"), rows))


def _shown(sums: Sums) -> tuple[str, str, str]:
    cost = f"${sums.cost_microdollars / 1e6:,.6f}"
    return f"{sums.requests:,}", f"{sums.tokens:,}", cost


def _table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    alignment = [*("left" for _ in headers[:-3]), "right", "right", "right"]
    return tabulate(rows, headers, colalign=alignment, disable_numparse=True)


def _now() -> int:
    return time.time_ns() // 1_000_000
