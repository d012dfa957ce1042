"""`python -m cli COMMAND`: every command of cliproxy-ledger."""

from cli.root import cli

if __name__ == "__main__":
    cli(prog_name="python -m cli")
