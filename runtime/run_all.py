"""`python -m runtime.run_all [PROCFILE]`: run the processes of a Procfile until one ends."""

import os
import signal
import sys

from honcho.command import main as honcho

from ledger.settings import ROOT, load, require_key
from runtime.dashboard import require_password, require_port


def preflight() -> None:
    """Check everything that can prevent a process from starting, before any is started.

    Raises `SystemExit` with a sentence.
    """
    settings = load()
    require_key(settings)
    require_password(settings)
    require_port(settings)
    address = f"http://{settings.dashboard_host}:{settings.dashboard_port}/"
    print(f"The dashboard will be at {address}", flush=True)


def run(procfile: str = "Procfile") -> None:
    """Replace this process by the process manager, which ends with every process that it starts."""
    os.environ["LEDGER_PARENT_PID"] = str(os.getpid())
    # Without this, honcho would continue after the reader of its output, such as `| head`, ended.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    honcho(["-f", procfile, "-d", str(ROOT), "start"])


if __name__ == "__main__":
    run(*sys.argv[1:])
