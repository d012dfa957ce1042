"""`python -m ledger init | check`: create the ledger file, or prove that it adds up."""

import argparse
import os
import sqlite3

import tzlocal

from ledger import NewerLedger, Unavailable, config, connect_read_only, prepare
from ledger.check import problems
from ledger.file import NAME


def init() -> None:
    """Create or upgrade the ledger and print where it is."""
    zone = os.environ.get("LEDGER_TIMEZONE") or config.from_file(config.path()).get("timezone")
    folder = config.data_dir()
    prepare(folder, timezone=zone or tzlocal.get_localzone_name()).close()
    print(folder / NAME)


def check() -> None:
    """Print each question with its answer; end with status 1 when one fails."""
    file = config.data_dir() / NAME
    if not file.exists():
        raise SystemExit(f"There is no ledger at {file}; `make init` creates one.")
    conn = connect_read_only(file)
    wrong = 0
    for question, problem in problems(conn):
        print(f"{'WRONG' if problem else 'ok':5}  {question}{': ' + problem if problem else ''}")
        wrong += bool(problem)
    conn.close()
    if wrong:
        raise SystemExit(1)


COMMANDS = {"init": init, "check": check}


def main() -> None:
    """Run the command named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m ledger", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    command = COMMANDS[parser.parse_args().command]
    try:
        command()
    except (Unavailable, NewerLedger) as error:
        raise SystemExit(str(error)) from error
    except sqlite3.DatabaseError as error:
        raise SystemExit(f"The ledger cannot be read: {error}.") from error


if __name__ == "__main__":
    main()
