"""Planted keys, tokens, cookies and bodies are nowhere in the data folder afterwards."""

import json

from tests.support.home import EVENTS, KEY

PLANTED = [
    "sk-planted-client-key-0001",
    "sk-planted-upstream-key-0002",
    "planted-cookie-0003",
    "eyJplanted.access.token0004",
    "AIzaPlantedGoogleKey0005",
    "planted prompt text 0006",
    "plantedhash" + "0" * 53,
    "198.51.100.77",
]
CLIENT, UPSTREAM, COOKIE, TOKEN, GOOGLE, PROMPT, SHA, ADDRESS = PLANTED


def events() -> list[bytes]:
    """Return events with secrets in every field in which a proxy sends them."""
    event = json.loads((EVENTS / "written-from-source.jsonl").read_bytes().splitlines()[0])
    event |= {
        "api_key": CLIENT,
        "source": UPSTREAM,
        "access_token_sha256": SHA,
        "client_ip": ADDRESS,
        "x_forwarded_for": ADDRESS,
        "user_agent": f"agent {TOKEN}",
    }
    event["response_headers"] |= {"Set-Cookie": [COOKIE], "Authorization": [f"Bearer {TOKEN}"]}
    error = {"message": f"key {CLIENT} for {UPSTREAM} at {ADDRESS}: Bearer {TOKEN}, {GOOGLE}"}
    failed = event | {
        "failed": True,
        "fail": {"status_code": 401, "body": json.dumps({"error": error})},
        "timestamp": "2026-11-24T03:00:00Z",
    }
    own_key = event | {"source": CLIENT, "provider": "kimi", "auth_index": "00ff"}
    broken = event | {"timestamp": "nonsense", "prompt": PROMPT, "tokens": [PROMPT]}
    text = f"GET / HTTP/1.1 Cookie: {COOKIE} Authorization: Bearer {TOKEN} {CLIENT} {GOOGLE}"
    found = [event, failed, own_key, broken, failed | {"latency_ms": CLIENT}]
    return [
        *(json.dumps(event).encode() for event in found),
        text.encode(),
        b'{"a": "' + SHA.encode(),
    ]


def test_no_secret_is_in_any_file_of_the_data_folder_or_in_the_log(home, proxy):
    proxy.push(events())
    home.use(proxy)
    output = home.run("ingest", "--once")
    home.run("ledger", "check")
    assert home.query("select stored, rejected from ingest_ledger") == [(3, 4)]
    files = {file: file.read_bytes() for file in home.data.rglob("*") if file.is_file()}
    assert home.data / "ledger.db" in files
    found = [
        (file.name, secret)
        for file, content in [*files.items(), (home.data / "log", output.encode())]
        for secret in [*PLANTED, KEY]
        if secret.encode() in content
    ]
    assert found == []


def test_every_file_is_private(home, proxy):
    proxy.push(events())
    home.use(proxy)
    home.run("ingest", "--once")
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in home.data.iterdir()}
    assert set(modes.values()) == {"0o600"}, modes
    assert home.data.stat().st_mode & 0o777 == 0o700
