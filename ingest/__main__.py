"""`python -m ingest [--once]`: collect the proxies' usage events; `python -m ingest replay`."""

from cli.workers import ingest

if __name__ == "__main__":
    ingest(prog_name="python -m ingest")
