"""`python -m ledger COMMAND`: what can be done with the ledger from a terminal."""

import sys


def main() -> None:
    """Run the command named on the command line; prompts wait for the status, so it loads least."""
    if sys.argv[1:2] == ["status"]:
        from ledger import status

        raise SystemExit(status.main(sys.argv[2:]))
    from ledger import commands

    commands.main()


if __name__ == "__main__":
    main()
