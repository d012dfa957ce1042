"""What a hostile web page can send is refused before Datasette sees it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from datasette.app import Datasette

from plugins.security import own_hosts, refusal
from tests.support.home import ROOT

FOREIGN_HOST = (421, "This ledger does not answer under that host name.")
FOREIGN_SITE = (403, "This request comes from another site.")
CLOSED = (403, "This page is closed.")
HOME = "127.0.0.1:8320"


def answer(path: str, *, method: str = "GET", **headers: str) -> tuple[int, str]:
    """Send a request to a Datasette behind the guard; return status and text."""

    async def ask() -> httpx.Response:
        datasette = Datasette(memory=True, plugins_dir=str(ROOT / "plugins"))
        sent = {name.replace("_", "-"): value for name, value in {"host": HOME, **headers}.items()}
        response = await datasette.client.request(method, path, headers=sent)
        for database in datasette.databases.values():
            database.close()
        return response

    response = asyncio.run(ask())
    return response.status_code, response.text


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that give the dashboard a name of its own."""
    (tmp_path / "config.json").write_text(json.dumps({"dashboard_host": "Ledger.Home"}))
    monkeypatch.setenv("LEDGER_CONFIG", str(tmp_path / "config.json"))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8320", "localhost", "LOCALHOST:8320", "localhost:", "[::1]"),
        *("[::1]:8320", "ledger.home", "Ledger.HOME:8320"),
    ],
)
def test_the_dashboard_answers_under_its_own_names(host: str) -> None:
    assert answer("/-/versions.json", host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        *("", "evil.example", "evil.example:8320", "127.0.0.1.evil.example", "localhost.evil"),
        *("evil-localhost", "localhost.", "127.1", "2130706433", "0.0.0.0", "127.0.0.2", "::1"),
        *("user@127.0.0.1", "evil.example@localhost", "localhost@evil.example", "localhost:80:90"),
        *(
            "localhost/x",
            "localhost?x",
            "localhost#x",
            "localhost\\x",
            "localhost:x",
            "localhost,x",
        ),
        *(" localhost", "localhost ", "[::1", "[::1]x", "[::1%25lo]", "[::2]", "localhost\x00"),
    ],
)
def test_under_a_foreign_name_nothing_answers(host: str) -> None:
    scope = {"method": "GET", "path": "/", "headers": [(b"host", host.encode())]}
    assert refusal(scope, own_hosts()) == FOREIGN_HOST


def test_a_foreign_name_is_refused_on_the_wire() -> None:
    assert answer("/", host="evil.example") == FOREIGN_HOST


def test_a_request_without_a_host_is_refused() -> None:
    scope = {"method": "GET", "path": "/", "headers": []}
    assert refusal(scope, own_hosts()) == FOREIGN_HOST


CLOSED_PAGES = [
    *("databases", "settings", "threads", "plugins", "metadata", "config", "permissions"),
    *("allow-debug", "patterns", "messages", "password-tool"),
]


@pytest.mark.parametrize("page", CLOSED_PAGES)
@pytest.mark.parametrize(
    "spelling",
    [
        *("/-/{}", "/-/{}.json", "/-/{}/", "/-/{}.json/", "/-/{}?x=1", "/-/{}.json?_shape=array"),
        *("//-/{}", "/-//{}", "/-/{}//", "/%2d/{}", "/%2D/{}.json", "/-%2F{}", "/x/-/{}"),
    ],
)
def test_a_closed_page_is_closed_in_every_spelling(spelling: str, page: str) -> None:
    assert answer(spelling.format(page)) == CLOSED


@pytest.mark.parametrize("letter", range(8))
def test_a_closed_page_is_closed_with_any_letter_encoded(letter: int) -> None:
    name = "settings"
    encoded = f"{name[:letter]}%{ord(name[letter]):x}{name[letter + 1 :]}"
    assert answer(f"/-/{encoded}") == CLOSED


@pytest.mark.parametrize(
    "path", ["/-/versions", "/-/actor.json", "/_memory", "/_memory.json?sql=select+1"]
)
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no-browser"),
        pytest.param({"sec_fetch_site": "none"}, id="typed"),
        pytest.param({"sec_fetch_site": "cross-site"}, id="followed-link"),
        pytest.param({"origin": "https://evil.example"}, id="foreign-script"),
    ],
)
def test_pages_can_be_read(path: str, headers: dict[str, str]) -> None:
    assert answer(path, **headers)[0] in (200, 302)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"origin": "https://evil.example"}, id="foreign"),
        pytest.param({"origin": "null"}, id="null"),
        pytest.param({"origin": ""}, id="empty"),
        pytest.param({"origin": "http://["}, id="malformed"),
        pytest.param({"origin": "http://127.0.0.1:8321"}, id="other-port"),
        pytest.param({"origin": "http://127.0.0.1"}, id="no-port"),
        pytest.param({"origin": "http://localhost:8320"}, id="other-name"),
        pytest.param({"origin": f"http://user@{HOME}"}, id="with-user"),
        pytest.param({"origin": f"http://{HOME}.evil.example"}, id="longer"),
        pytest.param({"origin": f"evil://{HOME}"}, id="other-scheme"),
        pytest.param({"sec_fetch_site": "cross-site"}, id="cross-site"),
        pytest.param({"sec_fetch_site": "same-site"}, id="same-site"),
        pytest.param({"sec_fetch_site": "new-word"}, id="unknown-word"),
        pytest.param({"origin": f"http://{HOME}", "sec_fetch_site": "cross-site"}, id="one-of-two"),
    ],
)
def test_another_site_cannot_change_anything(method: str, headers: dict[str, str]) -> None:
    assert answer("/", method=method, **headers) == FOREIGN_SITE


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no-browser"),
        pytest.param({"origin": f"http://{HOME}"}, id="own-origin"),
        pytest.param({"origin": f"https://{HOME}"}, id="behind-tls"),
        pytest.param({"origin": f"http://{HOME}", "sec_fetch_site": "same-origin"}, id="both"),
        pytest.param({"sec_fetch_site": "none"}, id="typed"),
    ],
)
def test_the_dashboards_own_forms_pass(headers: dict[str, str]) -> None:
    assert answer("/-/versions", method="POST", **headers) not in (
        FOREIGN_SITE,
        FOREIGN_HOST,
        CLOSED,
    )
