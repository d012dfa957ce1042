"""A stand-in for macOS' `launchctl` and the launchd behind it, as far as agents need them.

It keeps what is loaded in the folder that `LAUNCHD` names; without that folder nobody is at the
screen. Each loaded agent has a keeper, which starts its program again whenever it ends.
"""

import contextlib
import os
import plistlib
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["LAUNCHD"])
# launchd(8) and launchctl(1): no domain, no service, and a service that is loaded already.
NO_DOMAIN, NO_SERVICE, LOADED = 112, 113, 5
KNOWN = {
    *("Label", "ProgramArguments", "WorkingDirectory", "EnvironmentVariables", "RunAtLoad"),
    *("KeepAlive", "ThrottleInterval", "ExitTimeOut", "ProcessType", "Nice", "Umask"),
    *("SoftResourceLimits", "StandardOutPath", "StandardErrorPath"),
}


def keep(agent: dict, process: Path) -> None:
    """Run an agent's program again and again, until SIGTERM."""
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
        process.write_text(f"{os.getpid()} {program.pid}")
        while program.poll() is None and not ended:
            time.sleep(0.05)
        process.write_text(f"{os.getpid()} 0")
        if not ended:
            time.sleep(0.2)
    program.terminate()
    program.wait(agent["ExitTimeOut"])
    process.unlink()


def bootstrap(path: Path) -> int:
    """Load an agent, which starts it."""
    agent = plistlib.loads(path.read_bytes())
    unknown = set(agent) - KNOWN
    if unknown or path.stat().st_mode & 0o022 or not agent["RunAtLoad"]:
        print(f"Bootstrap failed: {unknown or path}")
        return 78
    process = FOLDER / agent["Label"]
    if process.exists():
        print("Bootstrap failed: 5: Input/output error")
        return LOADED
    process.write_text("0 0")
    os.umask(agent["Umask"])
    if os.fork() == 0:
        os.setsid()
        for number in (0, 1, 2):
            os.close(number)
            os.open(os.devnull, os.O_RDWR)
        keep(agent, process)
        os._exit(0)
    while process.read_text() in ("", "0 0"):
        time.sleep(0.02)
    return 0


def bootout(label: str) -> int:
    """Unload an agent; its end is on its way when this answers."""
    with contextlib.suppress(FileNotFoundError):
        os.kill(int((FOLDER / label).read_text().split()[0]), signal.SIGTERM)
        return 0
    print("Boot-out failed: 113: Could not find specified service")
    return NO_SERVICE


def shown(target: str) -> int:
    """Print what is known of a domain or a service."""
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
    """Do what the command line says."""
    command, *targets = sys.argv[1:]
    if not FOLDER.is_dir():
        print("Could not find domain for user")
        return NO_DOMAIN
    if command == "bootstrap":
        return max(bootstrap(Path(path)) for path in targets[1:])
    if command == "bootout":
        return bootout(targets[0].split("/")[2])
    return shown(targets[0]) if command == "print" else 0


if __name__ == "__main__":
    sys.exit(main())
