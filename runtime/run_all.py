"""`python -m runtime.run_all [PROCFILE]`: run all that a Procfile names, until one of it ends."""

import os
import signal
import sys

from honcho.command import main as honcho

from ledger.settings import ROOT


def main() -> None:
    """Be the process manager, whose end is the end of every worker."""
    os.environ["LEDGER_PARENT_PID"] = str(os.getpid())
    # Else the end of whoever reads what is said, as `| head` does, would leave honcho deaf.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    honcho(["-f", *(sys.argv[1:] or ["Procfile"]), "-d", str(ROOT), "start"])


if __name__ == "__main__":
    main()
