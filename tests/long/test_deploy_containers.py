"""The image and the compose file, and the processes that they would run."""

import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest
import yaml

from deploy.manager import SERVICES
from ledger.settings import PREFIX, PROXY_VARIABLES, RESERVED, Settings
from tests.support.home import KEY, ROOT, eventually, recorded
from tests.support.sites import free_port

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text("utf-8"))
IMAGE = (ROOT / "deploy" / "Containerfile").read_text("utf-8")
IGNORE = (ROOT / ".dockerignore").read_text("utf-8")
EXAMPLE = (ROOT / "deploy" / "env.example").read_text("utf-8")
OURS = {name: COMPOSE["services"][name] for name in SERVICES}
PROXY = COMPOSE["services"]["cli-proxy-api"]
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
PASSWORD = "correct horse"


def setting_variables() -> set[str]:
    """Return every variable of the settings, and the reserved ones."""
    settings = {f"{PREFIX}{name.upper()}" for name in Settings.__struct_fields__}
    return settings | set(PROXY_VARIABLES) | RESERVED


def of_image() -> dict[str, str]:
    """Return the variables that the image sets."""
    return dict(re.findall(r"^(?:ENV|   ) (\w+)=(\S+)(?: \\)?$", IMAGE, re.MULTILINE))


def interpolated(text: str, variables: dict[str, str]) -> str:
    """Return a text with its variables replaced as compose does it."""

    def value(match: re.Match[str]) -> str:
        name, kind, other = match.groups()
        if variables.get(name):
            return variables[name]
        assert kind == "-", f"{name} is missing: {other}"
        return other

    return VARIABLE.sub(value, str(text))


def test_every_service_of_ours_runs_with_the_least_rights():
    for name, service in OURS.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"].endswith("m"), name
        assert service["pids_limit"] <= 64, name
        assert service["init"] is True, name
        assert not {"privileged", "user", "network_mode", "pid"} & set(service), name


def test_every_service_of_ours_is_one_image_on_one_volume():
    assert {service["image"] for service in OURS.values()} == {"cliproxy-ledger"}
    assert [service["volumes"] for service in OURS.values()] == [["data:/data"]] * 4
    assert "data" in COMPOSE["volumes"]
    assert COMPOSE["volumes"]["data"] is None, "a folder of this machine, not of a network"
    build = OURS["web"]["build"]
    assert (ROOT / "deploy" / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).exists()


def test_ports_are_published_for_this_machine_alone():
    ports = {name: one.get("ports", []) for name, one in COMPOSE["services"].items()}
    assert {port for found in ports.values() for port in found} == {
        "127.0.0.1:8317:8317",
        "127.0.0.1:8320:8320",
    }
    assert [name for name, found in ports.items() if found] == ["cli-proxy-api", "web"]


def test_every_variable_is_one_that_the_program_knows():
    for service in OURS.values():
        assert set(service["environment"]) <= setting_variables()
        assert "LEDGER_PARENT_PID" not in service["environment"], "it would end with that process"
    ours = {name for name in of_image() if name.startswith(("LEDGER", "CLIPROXY"))}
    assert {"LEDGER_DATA_DIR", "LEDGER_CONFIG", "LEDGER_DASHBOARD_HOST"} == ours
    assert ours <= setting_variables()


def test_no_secret_stands_in_any_file_of_it():
    for service in COMPOSE["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEY|PASSWORD", name):
                assert re.fullmatch(r"\$\{\w+:\?put it into deploy/\.env\}", value), name
    assert not re.search(r"(KEY|PASSWORD\w*|HASH)=\S", IMAGE)
    assert re.search(r"^CLIPROXY_MANAGEMENT_KEY=$", EXAMPLE, re.MULTILINE)
    ignored = subprocess.run(
        ["git", "check-ignore", "deploy/.env", "deploy/proxy/settings.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout.split() == ["deploy/.env", "deploy/proxy/settings.yaml"]


def test_the_example_has_every_variable_that_is_demanded():
    text = (ROOT / "deploy" / "compose.yml").read_text("utf-8")
    demanded = {name for name, kind, _ in VARIABLE.findall(text) if kind == "?"}
    assert demanded == {"CLIPROXY_MANAGEMENT_KEY", "LEDGER_DASHBOARD_PASSWORD_HASH"}
    assert demanded <= set(re.findall(r"^(\w+)=", EXAMPLE, re.MULTILINE))


def test_the_proxy_takes_the_same_key_and_takes_it_from_other_containers():
    key = OURS["ingest"]["environment"]["CLIPROXY_MANAGEMENT_KEY"]
    assert PROXY["environment"] == {"MANAGEMENT_PASSWORD": key}
    assert OURS["ingest"]["environment"]["CLIPROXY_HOST"] == "${CLIPROXY_HOST:-cli-proxy-api}"


def test_every_service_is_looked_at_by_our_own_program():
    for name, service in OURS.items():
        assert service["healthcheck"]["test"] == ["CMD", "python", "-m", "cli", "health", name]
    assert '"-m", "cli", "health", "web"' in IMAGE
    assert not re.search(r"\b(curl|wget|apt-get|sudo)\b", IMAGE)


def test_the_image_runs_as_nobody_special():
    last = IMAGE[IMAGE.rindex("\nFROM ") :]
    assert re.search(r"^USER 1000:1000$", last, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", last, re.MULTILINE)
    assert "--requirement requirements.lock" in IMAGE


def is_ignored(path: str) -> bool:
    """Return whether a file stays out of the image: the last matching line decides."""
    parts = path.split("/")
    ahead = ["/".join(parts[:n]) for n in range(1, len(parts) + 1)]
    ignored = False
    for line in filter(lambda line: line and not line.startswith("#"), IGNORE.splitlines()):
        pattern = line.removeprefix("!")
        anywhere = pattern.startswith("**/")
        if any(fnmatch(one, pattern.removeprefix("**/")) for one in (parts if anywhere else ahead)):
            ignored = not line.startswith("!")
    return ignored


def contents() -> list[str]:
    """Return the files that go into the image."""
    rooms = [entry for entry in ROOT.iterdir() if not entry.name.startswith(".")]
    files = [file for room in rooms for file in [room, *room.rglob("*")] if file.is_file()]
    names = [file.relative_to(ROOT).as_posix() for file in files]
    return [name for name in names if not is_ignored(name)]


def test_only_the_program_goes_into_the_image():
    assert {name.split("/")[0] for name in contents()} == {
        *("alerts", "cli", "deploy", "ingest", "ledger", "plugins", "quota", "runtime"),
        *("metadata.yml", "views.sql", "pyproject.toml", "requirements.lock"),
    }
    assert [name for name in contents() if "__pycache__" in name or name.endswith(".db")] == []
    assert is_ignored("data/ledger.db")
    assert is_ignored("settings.json")
    assert is_ignored("deploy/.env")


class Containers:
    """The processes of the containers, with their files and variables, but without containers."""

    def __init__(self, home, folder: Path) -> None:
        self.home = home
        self.app = folder / "app"
        for name in contents():
            (self.app / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.app / name)
        hashed = subprocess.run(
            [sys.executable, "-m", "datasette", "hash-password", "--password", PASSWORD],
            env={"PATH": home.env["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )
        self.variables = {
            "CLIPROXY_MANAGEMENT_KEY": KEY,
            "CLIPROXY_HOST": "127.0.0.1",
            "LEDGER_DASHBOARD_PASSWORD_HASH": hashed.stdout.strip(),
        }
        self.port = free_port()

    def environment(self, service: str) -> dict[str, str]:
        """Return the variables of a container; its volume is the test's data folder."""
        named = OURS[service]["environment"].items()
        composed = {name: interpolated(value, self.variables) for name, value in named}
        image = {
            name: value.replace("/data", str(self.home.data)) for name, value in of_image().items()
        }
        path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        return image | composed | path | {"LEDGER_DASHBOARD_PORT": str(self.port)}

    def start(self, service: str, *command: str) -> subprocess.Popen[str]:
        """Start a command in the container of a service."""
        process = subprocess.Popen(
            command or OURS[service]["command"],
            cwd=self.app,
            env=self.environment(service),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.home.started.append(process)
        return process

    def health(self, service: str) -> int:
        """Run the health check of a service."""
        process = self.start(service, *OURS[service]["healthcheck"]["test"][1:])
        process.communicate(timeout=300)
        return process.returncode


@pytest.fixture
def containers(home, proxy, tmp_path):
    """Containers beside a proxy with events."""
    proxy.push(recorded("recorded-v7.2.140"))
    containers = Containers(home, tmp_path)
    containers.variables["CLIPROXY_PORT"] = str(proxy.port)
    return containers


def test_every_container_runs_is_healthy_and_stops_cleanly(containers, home):
    assert containers.health("ingest") == 1
    running = {service: containers.start(service) for service in SERVICES}
    eventually(lambda: home.count() == 318)
    for service in SERVICES:
        eventually(lambda name=service: containers.health(name) == 0)
    for process in running.values():
        process.terminate()
    for service, process in running.items():
        output, _ = process.communicate(timeout=300)
        # The dashboard's server ends by the signal that it was sent, as it should.
        assert process.returncode in ((0, -15) if service == "web" else (0,)), output
        assert "Traceback" not in output
    assert containers.health("ingest") == 1
    assert containers.health("web") == 1


def test_the_dashboard_in_a_container_asks_for_its_password(containers):
    containers.start("web")
    eventually(lambda: containers.health("web") == 0)
    page = f"http://127.0.0.1:{containers.port}/ledger/summary.json?window=24h"
    with httpx.Client(trust_env=False, timeout=120) as client:
        assert client.get(page).status_code == 401
        assert client.get(page, auth=("ledger", "wrong")).status_code == 401
        assert client.get(page, auth=("ledger", PASSWORD)).status_code == 200


def test_without_a_password_the_container_does_not_start(containers):
    containers.variables["LEDGER_DASHBOARD_PASSWORD_HASH"] = ""
    with pytest.raises(AssertionError, match=r"put it into deploy/\.env"):
        containers.start("web")
    containers.variables["LEDGER_DASHBOARD_PASSWORD_HASH"] = " "
    process = containers.start("web")
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "dashboard_password_hash" in output
