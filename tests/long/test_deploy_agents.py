"""launchd's agents: their settings, and an installation under a fake launchd."""

import json
import os
import plistlib
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.launchd import GUARDED, Launchd
from deploy.manager import SERVICES, Place
from tests.support.home import KEY, ROOT, eventually, recorded
from tests.support.sites import free_port

LABELS = {f"cliproxy-ledger.{service}" for service in SERVICES}
ODD = 'Ann\'s "led ger" 100% $HOME & <x> \\'


class Mac:
    """A user's home, with a checkout at a path of any spelling, and a fake launchd."""

    def __init__(self, folder: Path, port: int) -> None:
        self.home = folder / ODD
        self.home.mkdir()
        self.checkout = self.home / "check out"
        self.checkout.symlink_to(ROOT)
        self.config = self.home / "config.json"
        self.data = self.home / "da ta"
        self.launchd = folder / "launchd"
        self.launchd.mkdir()
        self.port = free_port()
        settings = {
            "management_key": KEY,
            "cliproxy_port": port,
            "dashboard_port": self.port,
            "data_dir": str(self.data),
            "auth_dir": str(self.home / "auth"),
        }
        self.config.write_text(json.dumps(settings))
        program = folder / "bin" / "launchctl"
        program.parent.mkdir()
        words = shlex.join([sys.executable, str(ROOT / "tests" / "support" / "launchctl.py")])
        program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        program.chmod(0o755)
        self.env = {
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "HOME": str(self.home),
            "LAUNCHD": str(self.launchd),
            "LEDGER_CONFIG": str(self.config),
        }

    def service(self, command: str, **more: str) -> tuple[int, str]:
        """Run `python -m cli service` as on a Mac."""
        inside = Path(sys.executable).relative_to(Path(sys.prefix))
        python = self.checkout / Path(sys.prefix).relative_to(ROOT) / inside
        done = subprocess.run(
            [python, "-m", "cli", "service", command, "--manager", "launchd"],
            cwd=self.checkout,
            env={**self.env, "PYTHONPATH": str(self.checkout), **more},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout

    def agents(self) -> list[Path]:
        """Return the installed files."""
        return sorted((self.home / "Library" / "LaunchAgents").glob("*"))

    def processes(self) -> dict[str, str]:
        """Return the process id of each loaded agent."""
        words_by_name = {file.name: file.read_text().split() for file in self.launchd.iterdir()}
        return {name: words[1] for name, words in words_by_name.items() if len(words) == 2}


@pytest.fixture
def mac(tmp_path, proxy):
    """A user without services."""
    proxy.push(recorded("recorded-v7.2.140"))
    mac = Mac(tmp_path, proxy.port)
    yield mac
    mac.service("uninstall")


def test_an_installation_runs_everything_and_prints_where_it_is(mac, home):
    status, output = mac.service("install")
    assert status == 0, output
    for service in ("ingest", "quota", "alerts"):
        assert re.search(rf"^{service} runs \(process \d+\): ", output, re.MULTILINE)
    assert f"answers at http://127.0.0.1:{mac.port}/" in output
    logs = mac.home / "Library" / "Logs" / "cliproxy-ledger"
    assert f"tail -f {shlex.quote(f'{logs}/ingest.log')}" in output
    home.data = mac.data
    eventually(lambda: home.count() == 318)
    assert {file.stat().st_mode & 0o777 for file in logs.iterdir()} == {0o600}
    assert logs.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in mac.agents()} == {0o644}
    assert mac.service("status")[0] == 0


def test_a_second_installation_restarts_everything_and_a_removal_ends_it(mac):
    assert mac.service("install")[0] == 0
    before = mac.processes()
    assert set(before) == LABELS
    assert mac.service("install")[0] == 0
    after = mac.processes()
    assert {label for label in LABELS if after[label] == before[label]} == set()
    status, output = mac.service("uninstall")
    assert status == 0
    assert f"The data stays in {mac.data}" in output
    assert (mac.processes(), mac.agents()) == ({}, [])
    assert [pid for pid in after.values() if Path(f"/proc/{pid}").exists()] == []
    assert (mac.data / "ledger.db").exists()


def test_a_killed_agent_starts_again_alone(mac):
    assert mac.service("install")[0] == 0
    before = mac.processes()
    os.kill(int(before["cliproxy-ledger.quota"]), signal.SIGKILL)
    eventually(lambda: mac.service("status")[0] == 0 and mac.processes() != before)
    after = mac.processes()
    assert {name for name in LABELS if after[name] != before[name]} == {"cliproxy-ledger.quota"}


def test_without_a_user_at_the_screen_the_agents_are_left_with_a_command(mac):
    status, output = mac.service("install", LAUNCHD="/nowhere")
    assert status == 1
    assert "agents need a user at the screen" in output
    assert len(mac.agents()) == 4
    command = re.search(r"launchctl bootstrap .*", output)[0]
    assert subprocess.run(["sh", "-c", command], env=mac.env, check=False).returncode == 0
    eventually(lambda: mac.service("status")[0] == 0)


@pytest.mark.parametrize("name", GUARDED)
def test_a_checkout_that_macos_guards_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    inside = tmp_path / name / "ledger"
    place = Place(inside, inside / "python", inside / "c.json", inside / "data", ())
    with pytest.raises(SystemExit, match="lets no agent read"):
        Launchd().files(place)


@pytest.fixture
def agents(tmp_path, monkeypatch):
    """The agents of a checkout at an odd path, by service."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    base = Path("/srv") / ODD
    files = Launchd().files(Place(base / "c", base / "python", base / "c.json", base / "d", ()))
    loaded = map(plistlib.loads, files.values())
    return {agent["Label"].rpartition(".")[2]: agent for agent in loaded}


@pytest.mark.parametrize("service", SERVICES)
def test_every_agent_has_its_limits(agents, service):
    agent = agents[service]
    assert agent["Label"] == f"cliproxy-ledger.{service}"
    assert (agent["KeepAlive"], agent["RunAtLoad"]) == (True, True)
    assert agent["ThrottleInterval"] == 15
    assert agent["Umask"] == 0o077
    assert agent["ProcessType"] == ("Standard" if service == "web" else "Background")
    module = agent["ProgramArguments"][2].replace(".", "/")
    assert (ROOT / f"{module}.py").exists() or (ROOT / module / "__main__.py").exists()


def test_nothing_is_left_to_fill_in_and_every_path_is_as_it_is(agents):
    base = Path("/srv") / ODD
    assert set(agents) == set(SERVICES)
    for agent in agents.values():
        assert agent["WorkingDirectory"] == str(base / "c")
        assert agent["ProgramArguments"][0] == str(base / "python")
        assert agent["EnvironmentVariables"]["LEDGER_CONFIG"] == str(base / "c.json")
        assert not re.search(r"@[a-z_]+@", str(agent))
