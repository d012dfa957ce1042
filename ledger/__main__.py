"""`python -m ledger COMMAND`: work on the ledger file."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["status"]:
        # A prompt waits for the status. msgspec would import this package if it could, and with it
        # `inspect`: together they take as long as all the rest.
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
        from ledger import status

        raise SystemExit(status.main(sys.argv[2:]))

    from cli.ledger import ledger

    ledger(prog_name="python -m ledger")
