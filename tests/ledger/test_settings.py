"""The settings are valid, or the process ends with one sentence that names the one that is not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ledger.settings import read_file, restrict_file
from tests.support.home import ROOT, unwritable

KEY = "very-secret-management-key"
CLEAN = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("LEDGER_", "CLIPROXY_")) and name != "TZ"
}
SHOW = "from ledger import settings; s = settings.load(); print({}, end='')"


class Settings:
    """A settings file of the test's own, read by another process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "config.json"

    def load(self, shown: str = "s", **environment: str) -> tuple[str, str, int]:
        """Load the settings; returns the text of `shown`, the error and the exit status."""
        done = subprocess.run(
            [sys.executable, "-c", SHOW.format(shown)],
            cwd=ROOT,
            env={**CLEAN, "LEDGER_CONFIG": str(self.file), "LEDGER_TIMEZONE": "UTC", **environment},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return done.stdout, done.stderr, done.returncode

    def error(self, content: bytes, **environment: str) -> str:
        """Return the one sentence that loading ends with."""
        self.file.write_bytes(content)
        shown, message, status = self.load(**environment)
        assert (shown, status, message.count("\n"), message[-2:]) == ("", 1, 1, ".\n"), message
        return message.strip()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """No settings yet."""
    return Settings(tmp_path)


def test_without_a_file_the_defaults_hold_and_a_private_file_is_made(settings: Settings) -> None:
    shown, message, status = settings.load(LEDGER_TIMEZONE="")
    assert (message, status) == ("", 0)
    assert shown.startswith(
        "Settings(cliproxy_host='127.0.0.1', cliproxy_port=8317, management_key='', "
        "poll_interval_seconds=1.0, quota_refresh_seconds=300, dashboard_host='127.0.0.1', "
        "dashboard_port=8320, query_seconds=3.0, data_dir='data', auth_dir='~/.cli-proxy-api', "
        "timezone='', "
        "batch_size=1000, usage_source='auto'"
    )
    assert settings.file.stat().st_mode & 0o777 == 0o600
    assert json.loads(settings.file.read_text()) == {"management_key": ""}


def test_a_file_that_others_can_read_is_tightened_and_kept(settings: Settings) -> None:
    settings.file.write_text('{"batch_size": 7}')
    settings.file.chmod(0o666)
    assert settings.load("s.batch_size") == ("7", "", 0)
    assert settings.file.stat().st_mode & 0o777 == 0o600
    assert settings.file.read_text() == '{"batch_size": 7}'


def test_the_environment_wins_over_the_file(settings: Settings) -> None:
    settings.file.write_text(
        json.dumps({"batch_size": 7, "cliproxy_port": 1, "timezone": "Asia/Shanghai"})
    )
    loaded = settings.load(
        "s.batch_size, s.cliproxy_port, s.cliproxy_host, s.zone_name, s.poll_interval_seconds",
        LEDGER_BATCH_SIZE="8",
        CLIPROXY_PORT="2",
        LEDGER_CLIPROXY_HOST="proxy.example",
        LEDGER_TIMEZONE="",
        LEDGER_POLL_INTERVAL_SECONDS="0.5",
    )
    assert loaded == ("8 2 proxy.example Asia/Shanghai 0.5", "", 0)


def test_the_key_is_shown_to_nobody(settings: Settings) -> None:
    settings.file.write_text(json.dumps({"management_key": KEY}))
    shown, _, _ = settings.load("repr(s), str(s), f'{s}', [s]")
    assert (KEY in shown, shown.count("management_key='…'")) == (False, 4)
    assert settings.load("s.management_key") == (KEY, "", 0)


def test_folders_are_relative_to_the_checkout_or_to_the_home(
    settings: Settings, tmp_path: Path
) -> None:
    shown = "s.data_folder, s.auth_folder"
    relative = settings.load(shown, LEDGER_DATA_DIR="some/data", LEDGER_AUTH_DIR="~/auth")
    assert relative == (f"{ROOT}/some/data {Path.home()}/auth", "", 0)
    absolute = settings.load(shown, LEDGER_DATA_DIR=f"{tmp_path}/d", LEDGER_AUTH_DIR="a")
    assert absolute == (f"{tmp_path}/d {ROOT}/a", "", 0)


def test_an_unknown_name_in_the_file_is_named(settings: Settings) -> None:
    message = settings.error(json.dumps({"managment_key": KEY, "batch_size": "?"}).encode())
    assert message == f"Unknown setting managment_key in {settings.file}."


def test_all_unknown_names_in_the_environment_are_named(settings: Settings) -> None:
    message = settings.error(b"{}", LEDGER_MANAGMENT_KEY=KEY, LEDGER_A="1", LEDGER_EMPTY="")
    assert message == (
        "Unknown setting a, managment_key in the environment, with the prefix LEDGER_."
    )


WRONG: list[tuple[str, Any]] = [
    ("cliproxy_port", 0),
    ("cliproxy_port", 65536),
    ("cliproxy_port", "8317"),
    ("cliproxy_host", ""),
    ("cliproxy_host", "127.0.0.1:8317"),
    ("cliproxy_host", "ftp://proxy.example"),
    ("cliproxy_host", "https://proxy.example:x"),
    ("cliproxy_host", "two words"),
    ("management_key", 12345678),
    ("management_key", None),
    ("poll_interval_seconds", 0),
    ("poll_interval_seconds", float("nan")),
    ("poll_interval_seconds", "1"),
    ("quota_refresh_seconds", 59),
    ("dashboard_host", ""),
    ("dashboard_port", 1.5),
    ("query_seconds", 0.5),
    ("data_dir", ""),
    ("data_dir", "~nobody-of-that-name/data"),
    ("data_dir", "zero\0byte"),
    ("data_dir", "~/.cli-proxy-api"),
    ("auth_dir", ["~/auth"]),
    ("timezone", "Mars/Olympus"),
    ("timezone", "../../etc/passwd"),
    ("batch_size", True),
    ("usage_source", "carrier-pigeon"),
    ("alert_urls", ["ntfy://one,ntfy://two"]),
]


@pytest.mark.parametrize(
    ("name", "value"), [pytest.param(*case, id=f"{case[0]}-{case[1]!r}") for case in WRONG]
)
def test_a_malformed_value_is_named_and_not_shown(
    settings: Settings, name: str, value: Any
) -> None:
    message = settings.error(
        json.dumps({"management_key": KEY, name: value}).encode(), LEDGER_TIMEZONE=""
    )
    assert message.startswith(f"The setting {name} ")
    assert "malformed" in message
    assert KEY not in message
    assert len(str(value)) < 4 or str(value) not in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("CLIPROXY_PORT", "eighty", id="word"),
        pytest.param("LEDGER_BATCH_SIZE", "5001", id="too-large"),
        pytest.param("LEDGER_POLL_INTERVAL_SECONDS", "nan", id="nan"),
        pytest.param("LEDGER_USAGE_SOURCE", "carrier-pigeon", id="no-choice"),
        pytest.param("LEDGER_DATA_DIR", "~/.cli-proxy-api/data", id="inside-auth-dir"),
    ],
)
def test_a_malformed_variable_is_named_and_not_shown(
    settings: Settings, name: str, value: str
) -> None:
    message = settings.error(b"{}", **{name: value})
    setting = name.removeprefix("LEDGER_").lower()
    assert message.startswith(f"The setting {setting} ")
    assert value not in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"{not json", "is not valid JSON.", id="no-json"),
        pytest.param(b'{"management_key": "\xff"}', "is not valid JSON.", id="invalid-utf-8"),
        pytest.param(b"\xff", "is not valid JSON.", id="no-text"),
        pytest.param(b"[]", "must hold a JSON object.", id="list"),
        pytest.param(b'"very-secret-management-key"', "must hold a JSON object.", id="text"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused(
    settings: Settings, content: bytes, message: str
) -> None:
    assert settings.error(content) == f"{settings.file} {message}"


def test_a_folder_in_place_of_the_file_is_refused(settings: Settings) -> None:
    settings.file.mkdir()
    message = f"{settings.file} cannot be used as settings file: Is a directory.\n"
    assert settings.load() == ("", message, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_a_lent_file_is_read_as_it_is() -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "lent" / "config.json"
        file.parent.mkdir()
        file.write_text('{"timezone": "Asia/Shanghai"}')
        file.chmod(0o644)
        with unwritable(file.parent):
            restrict_file(file)
            assert read_file(file) == {"timezone": "Asia/Shanghai"}
        file.chmod(0o600)
        with unwritable(file.parent), pytest.raises(SystemExit, match="cannot be used"):
            restrict_file(file)
