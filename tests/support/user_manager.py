"""A real systemd of a user in its own namespaces, in which the machine's units do not exist.

This needs root, since only root may create the namespaces; the user is then user 0.
"""

import contextlib
import os
import shlex
import subprocess
from pathlib import Path

from tests.support.home import ROOT, eventually

SYSTEMD = "/usr/lib/systemd/systemd"
JOURNAL = "/usr/lib/systemd/systemd-journald"
CGROUP = "user.slice/user-0.slice/user@0.service"
# The names of the home and the checkout have every character that could cause trouble.
HOME = Path('/home/Ann\'s "home" 100% $HOME')
CHECKOUT = HOME / "check out & <x> \\ %h"
PREPARE = """
set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd/system /run/systemd/journal /run/user/0
chmod 700 /run/user/0
mount -t tmpfs none /home
mount -t tmpfs none /var/log
mkdir -p "$HOME"
mount --bind "$LENT_HOME" "$HOME"
mkdir -p "$CHECKOUT"
mount --bind "$LENT_CHECKOUT" "$CHECKOUT"
mount -t cgroup2 none /sys/fs/cgroup
mkdir -p "/sys/fs/cgroup/$CGROUP" /sys/fs/cgroup/init
echo 1 > /sys/fs/cgroup/init/cgroup.procs
# The machine's first systemd creates these; they are mounted over hidden files.
mkdir -p /run/systemd/inaccessible/dir
touch /run/systemd/inaccessible/reg
mkfifo /run/systemd/inaccessible/fifo
mkdir -p /run/systemd/journald.conf.d
printf '[Journal]\\nReadKMsg=no\\n' > /run/systemd/journald.conf.d/test.conf
"$JOURNAL" &
until test -S /run/systemd/journal/stdout; do sleep 0.05; done
(
  echo 0 > "/sys/fs/cgroup/$CGROUP/cgroup.procs"
  exec "$SYSTEMD" --user --log-target=journal --unit=basic.target
) &
manager=$!
trap 'kill $manager' TERM
while kill -0 $manager 2>/dev/null; do wait $manager || true; done
"""
IN_CHECKOUT = f'cd {shlex.quote(str(CHECKOUT))} && exec "$0" "$@"'
SYSTEMCTL = ("systemctl", "--user")
NAMESPACES = ("--mount", "--pid", "--cgroup", "--fork", "--kill-child", "--mount-proc")


class UserManager:
    """A running systemd; `run` runs a command as in a terminal of the user."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._cgroup = unified() / f"ledger-test-{os.getpid()}"
        self._cgroup.mkdir()
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(HOME),
            "USER": "root",
            "XDG_RUNTIME_DIR": "/run/user/0",
            "PYTHONWARNINGS": "error::ResourceWarning",
        }
        paths = {
            "LENT_HOME": str(home),
            "LENT_CHECKOUT": str(ROOT),
            "CHECKOUT": str(CHECKOUT),
            "CGROUP": CGROUP,
            "SYSTEMD": SYSTEMD,
            "JOURNAL": JOURNAL,
        }
        enter = f'echo 0 > "{self._cgroup}/cgroup.procs"; exec unshare "$@"'
        with (home / "systemd.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", enter, "sh", *NAMESPACES, "bash", "-c", PREPARE],
                env={**self.env, **paths},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            eventually(self._is_up)
        except BaseException:
            self.end()
            raise

    def _is_up(self) -> bool:
        return bool(self._init()) and self.run(*SYSTEMCTL, "is-active", "basic.target")[0] == 0

    def _init(self) -> str:
        """Return the id of the first process in the namespaces, empty before it has started."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return children.read_text().strip()

    def run(self, *command: str, **more: str) -> tuple[int, str]:
        """Run a command in the checkout; return its status and output."""
        done = subprocess.run(
            ["nsenter", "-t", self._init(), "-m", "-p", "-C", "sh", "-c", IN_CHECKOUT, *command],
            env={**self.env, **more},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    def end(self) -> None:
        """End everything that runs in the namespaces."""
        self._process.kill()
        self._process.wait()
        for folder in sorted(self._cgroup.rglob("*"), reverse=True):
            if folder.is_dir():
                eventually(lambda folder=folder: removed(folder))
        eventually(lambda: removed(self._cgroup))


def removed(folder: Path) -> bool:
    """Remove a control group unless a process is in it; return whether it is gone."""
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def unified() -> Path:
    """Return the folder of the machine's control groups of version 2."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise FileNotFoundError("there are no control groups of version 2 here")


def cannot_run() -> str | None:
    """Return why no such systemd can run here; None when it can."""
    if os.geteuid() != 0 or not Path(SYSTEMD).exists():
        return "only root can give a systemd namespaces of its own"
    try:
        return None if os.access(unified(), os.W_OK) else "control groups cannot be written here"
    except FileNotFoundError as error:
        return str(error)
