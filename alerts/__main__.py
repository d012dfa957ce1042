"""`python -m alerts [--once]`: send messages about problems."""

from cli.workers import alerts

if __name__ == "__main__":
    alerts(prog_name="python -m alerts")
