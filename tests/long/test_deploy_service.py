"""Services are installed, watched, upgraded and removed, under a real systemd of a user.

The checkout, the settings and the data lie at paths with blanks, quotes and signs.
"""

import json
import re
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from demo.fake_proxy import FakeProxy, serving
from deploy.manager import SERVICES
from tests.support.home import KEY, eventually, recorded
from tests.support.old_ledger import NEWEST, OLD, old_ledger, select
from tests.support.sites import free_port
from tests.support.user_manager import CHECKOUT, HOME, UserManager, cannot_run

PYTHON = str(CHECKOUT / Path(sys.executable).relative_to(Path(sys.prefix).parent))
DATA = "led ger 50% \"q\" $x \\ 'y'"
AUTH = "au th %h"
UNITS = ".config/systemd/user"
EVENTS = "select count(*) from usage_events"
STATES = "select worker, state from heartbeats order by worker"


class Installed:
    """A user with a checkout and a proxy, and the commands for the services."""

    def __init__(self, manager: UserManager, proxy: FakeProxy) -> None:
        self.manager = manager
        self.home = manager.home
        self.port = free_port()
        self.settings = {
            "management_key": KEY,
            "cliproxy_port": proxy.port,
            "dashboard_port": self.port,
            "data_dir": str(HOME / DATA),
            "auth_dir": str(HOME / AUTH),
            "timezone": "Asia/Shanghai",
        }
        (self.home / AUTH).mkdir()
        (self.home / AUTH / "codex.json").write_text("{}")
        self.configure()

    def configure(self, **more: object) -> None:
        """Write the settings."""
        written = json.dumps({**self.settings, **more})
        (self.home / "config.json").write_text(written)

    def service(self, command: str, **more: str) -> tuple[int, str]:
        """Run `python -m cli service`."""
        config = {"LEDGER_CONFIG": str(HOME / "config.json")}
        return self.manager.run(PYTHON, "-m", "cli", "service", command, **config, **more)

    def systemctl(self, *words: str) -> str:
        """Run a command of systemd."""
        return self.manager.run("systemctl", "--user", *words)[1].strip()

    def show(self, service: str, name: str) -> str:
        """Return a property of a service."""
        return self.systemctl("show", f"cliproxy-ledger-{service}", "--value", "-p", name)

    def processes(self) -> dict[str, str]:
        """Return the process id of each service."""
        return {service: self.show(service, "MainPID") for service in SERVICES}

    def inside(self, service: str, *command: str) -> tuple[int, str]:
        """Run a command that sees what a service sees."""
        process = self.show(service, "MainPID")
        return self.manager.run("nsenter", "-t", process, "-m", "--", *command)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """Query the ledger; return no rows while there is none."""
        file = self.home / DATA / "ledger.db"
        if not file.exists():
            return []
        with closing(sqlite3.connect(file)) as conn:
            return conn.execute(sql).fetchall()

    def units(self) -> set[str]:
        """Return the names of the files in the folder of units."""
        return {file.name for file in (self.home / UNITS).rglob("*") if not file.is_dir()}


@pytest.fixture(scope="module")
def manager(tmp_path_factory):
    """A systemd for all of these tests."""
    if why := cannot_run():
        pytest.skip(why)
    manager = UserManager(tmp_path_factory.mktemp("home"))
    yield manager
    manager.end()


@pytest.fixture(scope="module")
def proxy():
    """A fake proxy with events."""
    with serving(FakeProxy(key=KEY, retention=3600)) as served:
        yield served


@pytest.fixture(scope="module")
def user(manager, proxy):
    """A user who has the settings and nothing else."""
    return Installed(manager, proxy)


@pytest.fixture
def installed(user):
    """The services, freshly installed."""
    user.configure()
    status, user.output = user.service("install")
    assert status == 0, user.output
    yield user
    user.service("uninstall")


def test_an_installation_runs_everything_and_prints_where_it_is(installed, proxy):
    proxy.push(recorded("recorded-v7.2.140"))
    for service in ("ingest", "quota", "alerts"):
        assert re.search(rf"^{service} runs \(process \d+\): ", installed.output, re.MULTILINE)
    assert f"answers at http://127.0.0.1:{installed.port}/" in installed.output
    assert f"The data is in {HOME / DATA}; the settings are in {HOME / 'config.json'}." in (
        installed.output
    )
    assert "journalctl --user -u cliproxy-ledger-ingest" in installed.output
    assert "loginctl enable-linger" in installed.output
    eventually(lambda: installed.query(EVENTS)[0][0] >= 318)
    status, output = installed.service("status")
    assert (status, output.count("runs (process")) == (0, 4)
    assert (installed.home / DATA).stat().st_mode & 0o777 == 0o700


def test_a_service_is_started_at_each_login(installed):
    assert installed.systemctl("is-enabled", "cliproxy-ledger.target") == "enabled"


def test_a_service_writes_its_data_and_nothing_else(installed):
    for service in SERVICES:
        assert installed.inside(service, "touch", str(HOME / DATA / "mine"))[0] == 0
        for path in (HOME / "mine", CHECKOUT / "mine", Path("/usr/mine"), HOME / AUTH / "mine"):
            status, output = installed.inside(service, "touch", str(path))
            assert status != 0, f"{service} wrote {path}"
            assert "Read-only" in output
    (installed.home / DATA / "mine").unlink()


def test_only_the_quota_worker_sees_the_credential_files(installed):
    files = {name: installed.inside(name, "ls", str(HOME / AUTH))[1].strip() for name in SERVICES}
    assert files == {"ingest": "", "alerts": "", "web": "", "quota": "codex.json"}


def test_a_service_cannot_gain_rights_or_make_any_system_call(installed):
    for process in installed.processes().values():
        _, status = installed.manager.run("cat", f"/proc/{process}/status")
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)


def test_a_killed_service_starts_again_alone(installed):
    fast = installed.home / UNITS / "cliproxy-ledger-ingest.service.d" / "fast.conf"
    fast.parent.mkdir()
    fast.write_text("[Service]\nRestartSec=0.1\n")
    installed.systemctl("daemon-reload")
    before = installed.processes()
    installed.manager.run("kill", "-9", before["ingest"])
    eventually(lambda: installed.show("ingest", "MainPID") not in ("0", before["ingest"]))
    after = installed.processes()
    assert {name for name in SERVICES if after[name] != before[name]} == {"ingest"}
    assert installed.service("uninstall")[0] == 0
    assert installed.units() == {"fast.conf"}, "what the user added stays"
    fast.unlink()
    fast.parent.rmdir()


def test_a_service_that_cannot_start_is_tried_again_slowly(installed):
    installed.configure(batch_size=0)
    installed.systemctl("restart", "cliproxy-ledger-ingest")
    eventually(lambda: installed.show("ingest", "SubState") == "auto-restart")
    assert installed.show("ingest", "RestartUSec") == "15s"
    assert installed.show("ingest", "ExecMainStatus") == "1"
    log = ("journalctl", "--no-pager", "-t", "cliproxy-ledger-ingest")
    eventually(lambda: "batch_size" in installed.manager.run(*log)[1])
    status, output = installed.service("status")
    assert status == 1
    assert "batch_size" in output


def test_a_second_installation_restarts_everything(installed):
    before = installed.processes()
    (installed.home / UNITS / "cliproxy-ledger-web.service").unlink()
    status, output = installed.service("install")
    assert status == 0, output
    after = installed.processes()
    assert all(after[name] not in ("0", before[name]) for name in SERVICES)
    assert len(installed.units()) == 5


def test_an_installation_upgrades_an_old_ledger(user):
    user.configure(data_dir=str(HOME / "old"))
    file = old_ledger(user.home / "old")
    status, output = user.service("install")
    assert status == 0, output
    assert select(file, "pragma user_version") == [(NEWEST,)]
    assert select(file, "select count(*) from usage_events") == [(600,)]
    [copy] = file.parent.glob("ledger-before-*")
    assert select(copy, "pragma user_version") == [(OLD,)]
    assert user.service("uninstall")[0] == 0


def test_a_stop_is_clean(installed):
    installed.systemctl("stop", "cliproxy-ledger.target")
    for service in SERVICES:
        eventually(lambda name=service: installed.show(name, "ActiveState") == "inactive")
        assert installed.show(service, "Result") == "success"
    assert installed.query(STATES) == [(name, "stopped") for name in ("alerts", "ingest", "quota")]
    assert {file.read_bytes() for file in (installed.home / DATA).glob("*.spool")} == {b""}


def test_an_uninstallation_leaves_the_data(installed):
    before = installed.processes()
    status, output = installed.service("uninstall")
    assert status == 0
    assert f"The data stays in {HOME / DATA}" in output
    assert installed.units() == set()
    assert (installed.home / DATA / "ledger.db").exists()
    assert (installed.home / "config.json").exists()
    for process in before.values():
        assert installed.manager.run("kill", "-0", process)[0] != 0
    assert "No services are installed" in installed.service("uninstall")[1]


def test_an_installation_beside_a_running_worker_is_refused(user):
    user.configure()
    config = {"LEDGER_CONFIG": str(HOME / "config.json")}
    user.manager.run(
        "sh", "-c", '"$0" -m ingest >/dev/null 2>&1 & echo $! > "$HOME/pid"', PYTHON, **config
    )
    process = (user.home / "pid").read_text().strip()
    lock = user.home / DATA / "ingest.lock"
    eventually(lambda: lock.exists() and lock.read_text() == process)
    status, output = user.service("install")
    assert status == 1
    assert f"ingest (process {process}) is running on {HOME / DATA}: end it first" in output
    assert user.units() == set()
    user.manager.run("kill", process)
    eventually(lambda: user.manager.run("kill", "-0", process)[0] != 0)


REFUSED = [
    pytest.param({"management_key": ""}, {}, "No management key", id="no-key"),
    pytest.param({"dashboard_host": "0.0.0.0"}, {}, "without a password", id="no-password"),
    pytest.param({"batch_size": 0}, {}, "batch_size", id="wrong-setting"),
    pytest.param({}, {"LEDGER_BATCH_SIZE": "7"}, "put batch_size into", id="terminal"),
    pytest.param({}, {"CLIPROXY_MANAGEMENT_KEY": KEY}, "put management_key into", id="key"),
    pytest.param(
        {
            "management_key": "",
            "proxies": [{"name": "a", "address": "h:1", "management_key_variable": "HOME"}],
        },
        {},
        "put the key of a into",
        id="key-in-a-variable",
    ),
]


@pytest.mark.parametrize(("settings", "environment", "sentence"), REFUSED)
def test_services_that_could_not_run_are_not_installed(user, settings, environment, sentence):
    user.configure(**settings)
    status, output = user.service("install", **environment)
    assert (status, output.count("\n")) == (1, 1), output
    assert sentence in output
    assert KEY not in output
    assert user.units() == set()


def test_a_port_of_another_program_is_refused(user):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        user.configure(dashboard_port=taken.getsockname()[1])
        status, output = user.service("install")
    assert status == 1
    assert "cannot listen" in output
    assert user.units() == set()


def test_without_a_systemd_of_the_user_the_units_are_left_with_a_command(user):
    user.configure()
    away = {"XDG_RUNTIME_DIR": "/nowhere"}
    status, output = user.service("install", **away)
    assert status == 1
    assert "systemd cannot be reached from here" in output
    assert "systemctl --user daemon-reload && systemctl --user enable --now" in output
    assert len(user.units()) == 5
    command = re.search(r"systemctl --user daemon-reload.*", output)[0]
    assert user.manager.run("sh", "-c", command)[0] == 0
    eventually(lambda: user.service("status")[0] == 0)
    assert user.service("uninstall")[0] == 0
    assert user.units() == set()


def test_a_removal_without_a_systemd_reports_that_services_go_on(user):
    user.configure()
    away = {"XDG_RUNTIME_DIR": "/nowhere"}
    user.service("install", **away)
    status, output = user.service("uninstall", **away)
    assert status == 0
    assert "continue until you log out" in output
    assert user.units() == set()


LENT = """
mount --bind "$LEDGER_CONFIG" "$LEDGER_CONFIG"
mount -o remount,ro,bind "$LEDGER_CONFIG"
"$0" -m cli preflight
status=$?
umount "$LEDGER_CONFIG"
exit $status
"""


def test_settings_may_be_mounted_read_only(user):
    user.configure()
    config = {"LEDGER_CONFIG": str(HOME / "config.json")}
    status, output = user.manager.run("sh", "-c", LENT, PYTHON, **config)
    assert (status, output) == (0, f"The dashboard will be at http://127.0.0.1:{user.port}/\n")
