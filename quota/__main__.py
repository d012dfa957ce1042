"""`python -m quota [--once] [--force]`: request the quotas of the accounts."""

from cli.workers import quota

if __name__ == "__main__":
    quota(prog_name="python -m quota")
