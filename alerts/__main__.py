"""`python -m alerts [--once]`: send a message when something needs a person."""

from cli.workers import alerts

if __name__ == "__main__":
    alerts(prog_name="python -m alerts")
