"""Attacks on the web side, each with its answer; docs/security.md lists them."""

import base64
import contextlib
import hashlib
import re
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from ledger.data_folder import restrict_permissions
from plugins.security import complete_headers
from tests.support.home import KEY, RECORDINGS, ROOT, Home, recorded
from tests.support.sites import PASSWORD, client_of, names_of, recorded_home

EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory):
    """A home whose ledger holds every recorded event and a rejected one."""
    with recorded_home(tmp_path_factory.mktemp("attacked"), b"nonsense") as home:
        yield home


def events(home: Home) -> int:
    """Count the events."""
    return home.query("select count(*) from usage_events")[0][0]


def test_a_foreign_host_is_refused(site):
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8320"):
        assert site.get("/", headers={"host": host}).status_code == 421


def test_a_foreign_origin_cannot_post(site):
    for path in ("/", "/ledger", "/-/messages", "/api/quota?force=1"):
        assert site.post(path, headers={"origin": EVIL}).status_code == 403
        assert site.post(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_a_post_without_a_cookie_changes_nothing(site, seeded):
    before = events(seeded)
    for path in ("/ledger/requests", "/ledger/usage_events", "/ledger?sql=delete+from+proxies"):
        assert site.post(path, data={"sql": "delete from usage_events"}).status_code >= 400
    assert events(seeded) == before


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"sec-fetch-site": "cross-site", "sec-fetch-dest": "image"}, id="image"),
        pytest.param({"sec-fetch-site": "same-site"}, id="other-port"),
        pytest.param({"origin": EVIL}, id="script"),
        pytest.param({"referer": f"{EVIL}/page"}, id="old-browser"),
    ],
)
@pytest.mark.parametrize("query", ["force=1", "force=", "a=b&force=1", "%66orce=1", "FORCE=1"])
def test_another_site_cannot_force_a_refresh(site, sent, query):
    assert site.get(f"/api/quota?{query}", headers=sent).status_code == 403


def test_path_tricks_reach_no_file_and_no_closed_page(site):
    for path in (
        *("/assets/../ledger/settings.py", "/assets/%2e%2e/%2e%2e/etc/passwd"),
        *("/assets/..%2f..%2fconfig.json", "/-/static/../../../etc/passwd", "/ledger.db"),
        *("/-/static-plugins/datasette_vega/../../etc/passwd", "/.git/config", "/%00"),
        *("/export/..%2f..%2fetc%2fpasswd.csv", "/export/sqlite_schema.csv", "/data/salt"),
    ):
        # A client would tidy the path before it sends it.
        text = raw(site, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        status = int(text.split(" ", 2)[1])
        # Datasette writes strange characters its own way first.
        assert status in (400, 403, 404) or "\nLocation: /" in text, (path, text[:200])
        assert "root:" not in text


def raw(site: httpx.Client, request: str) -> str:
    """Send bytes and return the answer."""
    with socket.create_connection(("127.0.0.1", site.base_url.port), timeout=120) as line:
        line.sendall(request.encode())
        parts = []
        while part := line.recv(65536):
            parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


@pytest.mark.parametrize(
    "sql",
    [
        *("insert into proxies (name) values ('x')", "update usage_events set failed = 1"),
        *("delete from usage_events", "drop table usage_events", "vacuum into '/tmp/stolen.db'"),
        *("attach '/etc/passwd' as other", "select 1; attach ':memory:' as b", "create table t(a)"),
        *("pragma journal_mode = delete", "pragma writable_schema = 1", "begin immediate"),
        *("with a as (select 1) delete from usage_events", "explain delete from usage_events"),
        *("select load_extension('/tmp/x.so')", "select writefile('/tmp/x', 'y')"),
        *("select readfile('/etc/passwd')", "select * from fsdir('/')", "detach ledger"),
        *("pragma database_list", "select * from pragma_database_list"),
    ],
)
def test_sql_can_only_read(site, seeded, sql):
    before = events(seeded)
    answer = site.get("/ledger.json", params={"sql": sql})
    if "explain" not in sql:
        assert answer.status_code in (400, 403), answer.text
    assert str(seeded.data) not in answer.text
    assert events(seeded) == before


def test_endless_sql_ends_and_returns_few_rows(site, seeded):
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select "
    parameters = {"sql": f"{endless} max(i) from n"}
    with closing(client_of(seeded, LEDGER_QUERY_SECONDS="1")) as impatient:
        assert impatient.get("/ledger.json", params=parameters).status_code == 400
    seeded.env["LEDGER_QUERY_SECONDS"] = "60"
    answer = site.get("/ledger.json", params={"sql": f"{endless} i from n limit 1000000"})
    assert len(answer.json()["rows"]) <= 20_000


def test_huge_parameters_do_no_harm(site):
    for name in ("window", "account", "limit", "before", "from"):
        answer = site.get(f"/ledger/requests.json?{name}={'9' * 20_000}")
        assert answer.status_code in (200, 400, 404)
    with contextlib.suppress(ConnectionResetError):
        text = raw(site, f"GET /?{'a' * 200_000} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert text.startswith("HTTP/1.1 4") or not text
    assert site.get("/ledger/state.json").status_code == 200


def test_slow_requests_keep_nobody_else_waiting(site):
    lines = [socket.create_connection(("127.0.0.1", site.base_url.port)) for _ in range(100)]
    for line in lines:
        line.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
    assert site.get("/ledger/state.json").status_code == 200
    for line in lines:
        line.close()


def test_markup_in_names_is_shown_as_text(site):
    script = "<script>alert(1)</script>"
    for path in (f"/ledger/requests?account={script}", f"/ledger?sql=select+'{script}'", "/x<b>"):
        assert script not in site.get(path).text


def test_no_page_shows_a_path_a_setting_or_a_key(site, seeded):
    secret = re.compile(
        "|".join(map(re.escape, (str(seeded.data), str(ROOT), KEY, str(Path.home()) + "/")))
        + r"|\bsk-[\w-]{6,}"
    )
    pages = ["/", "/-/versions.json", "/-/actor.json", "/ledger", "/ledger.json", "/missing"]
    pages += ["/ledger/missing", "/ledger?sql=select", "/api/", "/api/status", "/ledger/state.json"]
    pages += [f"/-/{name}.json" for name in ("metadata", "databases", "settings", "plugins")]
    pages += [f"/-/{name}" for name in ("permissions", "messages", "allow-debug", "patterns")]
    # A count would go through every range of days there could be.
    pages += [f"/ledger/{name}.json?_nocount=1" for name in names_of(seeded, "table", "view")]
    for page in pages:
        text = site.get(page).text
        assert not secret.search(text), (page, secret.search(text))


def test_the_ledger_cannot_be_downloaded(site):
    for path in ("/ledger.db", "/-/download/ledger", "/ledger.db?_dl=1"):
        assert site.get(path).status_code in (403, 404)


def test_every_answer_has_the_headers(site):
    paths = ["/", "/ledger", "/ledger/state", "/ledger/state.json", "/missing", "/api/status"]
    # The guard itself answers for a closed page.
    for path in [*paths, "/-/settings"]:
        headers = site.get(path).headers
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["x-frame-options"] == "DENY", path
        assert headers["cache-control"] == "no-store", path
        assert "frame-ancestors 'none'" in headers["content-security-policy"], path
        assert "referrer-policy" in headers, path


def test_scripts_run_only_from_here_or_by_their_hash(site):
    for path, evaluates in (("/", False), ("/ledger/state", True), ("/-/versions", False)):
        answer = site.get(path)
        rules = answer.headers["content-security-policy"]
        scripts = re.search(r"script-src ([^;]*)", rules)[1]
        assert "'unsafe-inline'" not in scripts
        assert ("'unsafe-eval'" in scripts) == evaluates, path
        for inline in re.findall(r"<script>(.*?)</script>", answer.text, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in scripts, (path, inline[:60])


def test_static_files_may_be_kept_and_nothing_else():
    assert (b"cache-control", b"max-age=1") in complete_headers(
        "/-/static/app.css", [(b"cache-control", b"max-age=1")]
    )
    for path in ("/", "/ledger/x.json", "/api/summary", "/export/events.csv", "/assets"):
        assert (b"cache-control", b"no-store") in complete_headers(path, [])


def test_beyond_this_machine_a_password_is_demanded(home, proxy):
    home.use(proxy)
    for host in ("0.0.0.0", "::", "192.0.2.7", "ledger.example"):
        home.env["LEDGER_DASHBOARD_HOST"] = host
        for command in (("cli", "preflight"), ("runtime.serve",)):
            output = home.run(*command, status=1)
            assert "hash-password" in output
            assert "dashboard_password_hash" in output
    home.env["LEDGER_DASHBOARD_PASSWORD_HASH"] = PASSWORD
    output = home.run("runtime.serve", status=1)
    assert "malformed" in output
    assert PASSWORD not in output


def test_with_a_password_nobody_gets_in_without_it(home, proxy):
    from datasette_auth_passwords.utils import hash_password

    home.use(proxy)
    hashed = hash_password(PASSWORD)
    with closing(client_of(home, LEDGER_DASHBOARD_PASSWORD_HASH=hashed)) as client:
        for path in ("/", "/ledger.json", "/api/summary", "/export/events.csv", "/assets/page.css"):
            assert client.get(path).status_code == 401, path
            assert client.get(path, auth=("ledger", "wrong")).status_code == 401
            assert client.get(path, auth=("root", PASSWORD)).status_code == 401
            forged = {"authorization": "Basic %%%", "cookie": "ds_actor=forged"}
            assert client.get(path, headers=forged).status_code == 401
        page = client.get("/", headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (302, "/-/login")
        assert client.get("/ledger.json", auth=("ledger", PASSWORD)).status_code == 200
        token = re.search(r'name="csrftoken" value="([^"]+)"', client.get("/-/login").text)[1]
        form = {"username": "ledger", "password": PASSWORD, "csrftoken": token}
        assert client.post("/-/login", data=form).status_code == 302
        assert client.get("/ledger.json").status_code == 200
        assert hashed not in "".join(
            client.get(p).text for p in ("/-/metadata.json", "/", "/ledger")
        )


def test_beyond_this_machine_there_is_no_free_sql(home, proxy):
    from ledger.settings import Settings
    from runtime.dashboard import arguments

    named = arguments(Settings(dashboard_host="0.0.0.0"))
    assert named[named.index("default_allow_sql") + 1] == "off"
    assert "default_allow_sql" not in arguments(Settings())


def test_without_a_password_there_is_no_sign_in_page(site):
    assert site.get("/-/login").status_code == 404
    assert "Log in" not in site.get("/ledger").text


def test_the_ledger_is_opened_for_reading_only(seeded):
    file = f"file:{seeded.data / 'ledger.db'}?mode=ro"
    refused = pytest.raises(sqlite3.OperationalError, match="readonly")
    with closing(sqlite3.connect(file, uri=True)) as conn, refused:
        conn.execute("delete from usage_events")


def test_loose_modes_are_tightened_at_start(tmp_path):
    (tmp_path / "backups").mkdir(mode=0o755)
    for name in ("ledger.db", "backups/a.db"):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(0o644)
    tmp_path.chmod(0o755)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.touch()
    outside.chmod(0o644)
    (tmp_path / "link").symlink_to(outside)
    assert restrict_permissions(tmp_path) == 4
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("", "backups", "ledger.db")]
    assert modes == [0o700, 0o700, 0o600]
    assert outside.stat().st_mode & 0o777 == 0o644
    assert restrict_permissions(tmp_path) == 0


def test_no_secret_is_in_the_data_folder_or_the_log(seeded, site):
    """Recorded events hold client keys, upstream keys, cookies and addresses."""
    planted = set()
    for name in RECORDINGS:
        for payload in recorded(name):
            for field in (b"api_key", b"access_token_sha256"):
                planted |= set(re.findall(b'"%b":"([^"]{12,})"' % field, payload))
            planted |= set(re.findall(rb'"Set-Cookie":\["([^"]{12,}?)"', payload))
    assert len(planted) >= 3
    for file in (entry for entry in seeded.data.rglob("*") if entry.is_file()):
        content = file.read_bytes()
        assert not [secret for secret in [*planted, KEY.encode()] if secret in content], file.name
