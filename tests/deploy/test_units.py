"""The systemd units: their settings, and paths of any spelling in them."""

import os
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from deploy.manager import SERVICES, Place, write
from deploy.systemd import TARGET, Systemd, hidden_folders
from tests.support.home import ROOT

PLAIN = Path("/srv/ledger")
ODD = Path('/srv/Ann\'s "led ger" 100% $HOME & <x> \\ %h')
ALWAYS = {
    "Restart": "always",
    "RestartSec": "15",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "read-only",
    "PrivateTmp": "yes",
    "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "UMask": "0077",
    "LockPersonality": "yes",
    "MemoryDenyWriteExecute": "yes",
}


def place(base: Path) -> Place:
    """A place below a folder."""
    python = base / "checkout" / ".venv" / "bin" / "python"
    return Place(base / "checkout", python, base / "c.json", base / "data", (base / "auth",))


@pytest.fixture
def manager(tmp_path, monkeypatch):
    """A systemd whose units lie in a folder of the test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return Systemd()


def verified(folder: Path, units: list[Path]) -> tuple[int, str]:
    """Return the status and output of systemd's check of units."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", *map(str, units)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder), "SYSTEMD_LOG_LEVEL": "warning"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("base", [PLAIN, ODD], ids=["plain", "odd"])
def test_systemd_finds_nothing_wrong_with_the_units(manager, tmp_path, base):
    files = manager.files(place(base))
    for file, content in files.items():
        write(file, content)
    assert verified(tmp_path, list(files)) == (0, "")


def test_systemd_would_find_a_mistake(manager, tmp_path):
    files = manager.files(place(PLAIN))
    for file, content in files.items():
        write(file, content.replace(b"TasksMax=", b"TaskMax="))
    assert "TaskMax" in verified(tmp_path, list(files))[1]


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_its_limits_and_its_hardening(manager, service):
    text = manager.files(place(PLAIN))[unit_of(manager, service)].decode()
    unit = ConfigParser(strict=False, interpolation=None, delimiters="=")
    unit.optionxform = str
    unit.read_string(text)
    assert dict(unit["Service"]).items() >= ALWAYS.items()
    assert {"MemoryMax", "TasksMax", "Nice", "TimeoutStopSec"} <= set(unit["Service"])
    assert unit["Unit"]["PartOf"] == TARGET
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    assert not re.search("^(After|Requires|BindsTo)=", text, re.MULTILINE), (
        "it waits for no other unit"
    )


def unit_of(manager: Systemd, service: str) -> Path:
    """Return where a service's unit is written."""
    [file] = [one for one in manager.files(place(PLAIN)) if service in one.name]
    return file


def test_the_target_wants_every_service(manager):
    text = next(
        content for file, content in manager.files(place(PLAIN)).items() if TARGET in file.name
    )
    wants = set(re.findall(r"^Wants=(.+)$", text.decode(), re.MULTILINE))
    assert wants == {f"cliproxy-ledger-{service}.service" for service in SERVICES}


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_is_a_module_that_is_there(manager, service):
    text = manager.files(place(PLAIN))[unit_of(manager, service)].decode()
    module = re.search(r"^ExecStart=.* -m (\S+)$", text, re.MULTILINE)[1].replace(".", "/")
    assert (ROOT / f"{module}.py").exists() or (ROOT / module / "__main__.py").exists()


def test_nothing_is_left_to_fill_in(manager):
    for content in manager.files(place(PLAIN)).values():
        assert not re.search(rb"@[a-z_]+@", content)


def test_the_credential_files_are_hidden_but_from_the_quota_worker(manager):
    files = manager.files(place(PLAIN))
    hidden_too = b'InaccessiblePaths=-%h/.ssh -%h/.gnupg -"/srv'
    hiding = {file.name for file, text in files.items() if hidden_too in text}
    assert hiding == {
        f"cliproxy-ledger-{service}.service" for service in SERVICES if service != "quota"
    }


def test_a_checkout_among_the_credential_files_stays_visible():
    inside = place(PLAIN)._replace(auth=(PLAIN, PLAIN / "auth", PLAIN / "auth"))
    assert hidden_folders(inside) == [PLAIN / "auth"]


def test_keys_of_the_user_are_hidden_where_no_credential_file_is(manager):
    for file, text in manager.files(place(PLAIN)._replace(auth=())).items():
        if file.suffix == ".service":
            lists = re.findall(rb"^InaccessiblePaths=(.*)$", text, re.MULTILINE)
            # An empty one would forget those before it.
            assert [value.strip() for value in lists] == [b"-%h/.ssh -%h/.gnupg"], file.name


@pytest.mark.parametrize("path", [Path("/tmp/ledger"), Path("/var/tmp/x/ledger")])
def test_a_folder_that_a_service_would_not_see_is_refused(manager, path):
    with pytest.raises(SystemExit, match="is temporary: move it out of"):
        manager.files(place(PLAIN)._replace(data=path))


def test_a_path_that_no_unit_can_name_is_refused(manager):
    with pytest.raises(SystemExit, match="cannot name the path"):
        manager.files(place(PLAIN)._replace(data=Path("/srv/two\nlines")))


def test_units_are_replaced_in_one_step_and_readable(tmp_path):
    file = tmp_path / "units" / "x.service"
    write(file, b"one")
    before = file.stat().st_ino
    write(file, b"two")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"two", 0o644)
    assert file.stat().st_ino != before
    assert list(file.parent.iterdir()) == [file]


def test_a_unit_of_somebody_else_is_not_ours(manager, tmp_path):
    for file, content in manager.files(place(PLAIN)).items():
        write(file, content)
    own = tmp_path / "systemd" / "user" / "cliproxy-ledger-mine.service"
    own.write_text("[Service]\nExecStart=/bin/true\n")
    assert len(manager.installed()) == len(SERVICES) + 1
    assert own not in manager.installed()
