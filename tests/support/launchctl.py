"""A fake of macOS' `launchctl` and launchd, as far as agents need them.

The loaded agents are files in the folder that `LAUNCHD` names; without that folder no user is at
the screen. Each loaded agent has a process that starts its program again whenever it ends.
"""

import contextlib
import os
import plistlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["LAUNCHD"])
# launchd(8) and launchctl(1): no domain, no service, and a service that is loaded already.
NO_DOMAIN, NO_SERVICE, LOADED = 112, 113, 5
KEYS = {
    *("Label", "ProgramArguments", "WorkingDirectory", "EnvironmentVariables", "RunAtLoad"),
    *("KeepAlive", "ThrottleInterval", "ExitTimeOut", "ProcessType", "Nice", "Umask"),
    *("SoftResourceLimits", "StandardOutPath", "StandardErrorPath"),
}


def supervise(agent: dict[str, Any], file: Path) -> None:
    """Run an agent's program again and again until SIGTERM; its process ids are in `file`."""
    ended: list[bool] = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    while not ended:
        with open(
            os.open(agent["StandardOutPath"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), "ab"
        ) as log:
            program = subprocess.Popen(
                agent["ProgramArguments"],
                cwd=agent["WorkingDirectory"],
                env={
                    "PATH": "/usr/bin:/bin",
                    "HOME": os.environ["HOME"],
                    **agent["EnvironmentVariables"],
                },
                umask=agent["Umask"],
                stdout=log,
                stderr=log,
            )
        file.write_text(f"{os.getpid()} {program.pid}")
        while program.poll() is None and not ended:
            time.sleep(0.05)
        file.write_text(f"{os.getpid()} 0")
        if not ended:
            time.sleep(0.2)
    program.terminate()
    program.wait(agent["ExitTimeOut"])
    file.unlink()


def bootstrap(path: Path) -> int:
    """Load an agent and so start it; return the status of the command."""
    agent = plistlib.loads(path.read_bytes())
    unknown = set(agent) - KEYS
    if unknown or path.stat().st_mode & 0o022 or not agent["RunAtLoad"]:
        print(f"Bootstrap failed: {unknown or path}")
        return 78
    file = FOLDER / agent["Label"]
    if file.exists():
        print("Bootstrap failed: 5: Input/output error")
        return LOADED
    file.write_text("0 0")
    os.umask(agent["Umask"])
    if os.fork() == 0:
        os.setsid()
        for number in (0, 1, 2):
            os.close(number)
            os.open(os.devnull, os.O_RDWR)
        supervise(agent, file)
        os._exit(0)
    while file.read_text() in ("", "0 0"):
        time.sleep(0.02)
    return 0


def bootout(label: str) -> int:
    """Begin to unload an agent; it ends later. Return the status of the command."""
    with contextlib.suppress(FileNotFoundError):
        os.kill(int((FOLDER / label).read_text().split()[0]), signal.SIGTERM)
        return 0
    print("Boot-out failed: 113: Could not find specified service")
    return NO_SERVICE


def print_target(target: str) -> int:
    """Print the state of a domain or a service; return the status of the command."""
    if target.count("/") == 1:
        print(f"{target} = {{\n\ttype = login\n}}")
        return 0
    label = target.split("/")[2]
    try:
        process = (FOLDER / label).read_text().split()[1]
    except (FileNotFoundError, IndexError):
        print(f'Could not find service "{label}" in domain for login')
        return NO_SERVICE
    running = f"\tstate = running\n\tpid = {process}\n" if process != "0" else "\tstate = waiting\n"
    print(f"{target} = {{\n\tactive count = 1\n{running}}}")
    return 0


def main() -> int:
    """Run the command of the command line; return its status."""
    command, *targets = sys.argv[1:]
    if not FOLDER.is_dir():
        print("Could not find domain for user")
        return NO_DOMAIN
    if command == "bootstrap":
        return max(bootstrap(Path(path)) for path in targets[1:])
    if command == "bootout":
        return bootout(targets[0].split("/")[2])
    return print_target(targets[0]) if command == "print" else 0


if __name__ == "__main__":
    sys.exit(main())
