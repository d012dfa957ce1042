"""The fake proxy answers as the real one, byte for byte where the bytes are documented."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from demo.accounts import ALICE, CLIENT_KEYS, DAVE, FILES, KIMI, LUMEN
from demo.fake_proxy import FakeProxy, serving
from demo.http import Reply
from demo.proxy_state import BUFFER
from tests.support.home import eventually

KEY = "demo-management-key"
NOAUTH = b"-NOAUTH Authentication required.\r\n"
WRONG = b"-ERR invalid management key\r\n"
BANNED = b"-ERR IP banned due to too many failed attempts. Try again in 30m0s\r\n"
PROTOCOL = b"-ERR protocol error\r\n"


class Clock:
    """A clock that only a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def command(*words: str | bytes) -> bytes:
    """Encode a command as clients do."""
    parts = [word.encode() if isinstance(word, str) else word for word in words]
    body = b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"*%d\r\n%b" % (len(parts), body)


LOGIN = command("AUTH", KEY)


def talk(proxy: FakeProxy, *sent: bytes) -> bytes:
    """Send everything, then nothing more, and return all that comes back until the end."""
    with connect(proxy) as line:
        line.sendall(b"".join(sent))
        line.shutdown(socket.SHUT_WR)
        return read_all(line)


def connect(proxy: FakeProxy) -> socket.socket:
    """Open a connection that never waits longer than the suite may."""
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=120)


def read_all(line: socket.socket) -> bytes:
    """Read until the other end closes."""
    got = bytearray()
    while piece := line.recv(65536):
        got += piece
    return bytes(got)


def read(line: socket.socket, expected: bytes) -> bytes:
    """Read as many bytes as are expected."""
    got = b""
    while len(got) < len(expected) and (piece := line.recv(len(expected) - len(got))):
        got += piece
    return got


def browser(proxy: FakeProxy, key: str = KEY) -> httpx.Client:
    """Return an HTTP client of the management API."""
    url = f"http://127.0.0.1:{proxy.port}/v0/management/"
    return httpx.Client(
        base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False, timeout=120
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def proxy(clock: Clock) -> Iterator[FakeProxy]:
    with serving(FakeProxy(key=KEY, clock=clock)) as served:
        yield served


@pytest.fixture
def http(proxy: FakeProxy) -> Iterator[httpx.Client]:
    with browser(proxy) as client:
        yield client


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(command("PING"), NOAUTH, id="word-before-auth"),
        pytest.param(command("LPOP", "usage"), NOAUTH, id="pop-before-auth"),
        pytest.param(command("AUTH", "wrong"), WRONG, id="wrong-key"),
        pytest.param(command("AUTH", ""), b"-ERR missing management key\r\n", id="empty-key"),
        pytest.param(
            command("AUTH"),
            b"-ERR wrong number of arguments for 'auth' command\r\n",
            id="auth-without-key",
        ),
        pytest.param(
            command("AUTH", "a", "b", KEY),
            b"-ERR wrong number of arguments for 'auth' command\r\n",
            id="auth-with-three",
        ),
    ],
)
def test_a_visitor_without_the_key_fails_once(
    proxy: FakeProxy, sent: bytes, expected: bytes
) -> None:
    assert (talk(proxy, sent), proxy.auth_failures) == (expected, 1)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(LOGIN, b"+OK\r\n", id="key"),
        pytest.param(command("AUTH", "anybody", KEY), b"+OK\r\n", id="any-user"),
        pytest.param(b"*10", b"", id="left-in-a-number"),
        pytest.param(b"*2\r\n$4\r\nAUTH\r\n$9\r\nabc", b"", id="left-in-a-string"),
        pytest.param(command(" auth ", KEY), b"+OK\r\n", id="name-trimmed-any-case"),
        pytest.param(b"*0\r\n", b"-ERR empty command\r\n", id="empty"),
        pytest.param(b"*-1\r\n", PROTOCOL, id="negative-array"),
        pytest.param(b"*x\r\n", PROTOCOL, id="no-number"),
        pytest.param(b"*1\r\n!4\r\nPING\r\n", PROTOCOL, id="no-string"),
        pytest.param(b"*1\r\n$4\r\nPINGxx", PROTOCOL, id="string-without-end"),
        pytest.param(b"$4\r\nPING\r\n", PROTOCOL, id="first-byte-dollar"),
        pytest.param(b"+PING\r\n", PROTOCOL, id="first-byte-plus"),
        pytest.param(b"-PING\r\n", PROTOCOL, id="first-byte-minus"),
        pytest.param(b":1\r\n", PROTOCOL, id="first-byte-colon"),
    ],
)
def test_these_words_count_as_no_failure(proxy: FakeProxy, sent: bytes, expected: bytes) -> None:
    assert (talk(proxy, sent), proxy.auth_failures) == (expected, 0)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(command("LPOP", "usage"), b"$1\r\na\r\n", id="one"),
        pytest.param(command("RPOP", "usage"), b"$1\r\na\r\n", id="rpop-oldest-too"),
        pytest.param(command("rpop", " USAGE "), b"$1\r\na\r\n", id="any-case-trimmed"),
        pytest.param(command("LPOP", "usage", "1"), b"*1\r\n$1\r\na\r\n", id="array-of-one"),
        pytest.param(
            command("RPOP", "usage", "9"), b"*3\r\n$1\r\na\r\n$2\r\nbb\r\n$0\r\n\r\n", id="all"
        ),
        pytest.param(
            command("LPOP", "queue"), b"-ERR unsupported channel 'queue'\r\n", id="other-key"
        ),
        pytest.param(
            command("LPOP", "queue", "0"),
            b"-ERR value is not an integer or out of range\r\n",
            id="arguments-before-key",
        ),
        pytest.param(
            command("LPOP", "usage", "-1"),
            b"-ERR value is not an integer or out of range\r\n",
            id="negative-count",
        ),
        pytest.param(
            command("LPOP", "usage", "x"),
            b"-ERR value is not an integer or out of range\r\n",
            id="count-no-integer",
        ),
        pytest.param(
            command("LPOP"), b"-ERR wrong number of arguments for 'lpop' command\r\n", id="no-key"
        ),
        pytest.param(
            command("RPOP", "usage", "1", "2"),
            b"-ERR wrong number of arguments for 'rpop' command\r\n",
            id="too-many",
        ),
        pytest.param(
            command("SUBSCRIBE"),
            b"-ERR wrong number of arguments for 'subscribe' command\r\n",
            id="subscribe-nothing",
        ),
        pytest.param(
            command("SUBSCRIBE", "usage", "errors"),
            b"-ERR wrong number of arguments for 'subscribe' command\r\n",
            id="subscribe-two",
        ),
        pytest.param(
            command("SUBSCRIBE", "other"),
            b"-ERR unsupported channel 'other'\r\n",
            id="subscribe-other",
        ),
        *(
            pytest.param(
                command(word, "x"),
                f"-ERR unknown command '{word.lower()}'\r\n".encode(),
                id=word.lower(),
            )
            for word in ("PING", "HELLO", "CLIENT", "SELECT", "QUIT", "LLEN", "LRANGE", "COMMAND")
        ),
    ],
)
def test_a_known_client_gets_the_proxys_own_words(
    proxy: FakeProxy, sent: bytes, expected: bytes
) -> None:
    proxy.push([b"a", b"bb", b""])
    assert talk(proxy, LOGIN, sent) == b"+OK\r\n" + expected


def test_an_empty_queue_is_a_nil_string_or_an_empty_array_never_a_nil_array(
    proxy: FakeProxy,
) -> None:
    replies = talk(proxy, LOGIN, command("LPOP", "usage"), command("LPOP", "usage", "5"))
    assert replies == b"+OK\r\n$-1\r\n*0\r\n"


def test_an_error_keeps_the_connection_open(proxy: FakeProxy) -> None:
    replies = talk(proxy, command("PING"), LOGIN, command("QUIT"), command("LPOP", "usage"))
    assert replies == NOAUTH + b"+OK\r\n-ERR unknown command 'quit'\r\n$-1\r\n"


def test_a_wrong_key_on_a_known_connection_does_not_log_it_out(proxy: FakeProxy) -> None:
    replies = talk(proxy, LOGIN, command("AUTH", "wrong"), command("LPOP", "usage"))
    assert (replies, proxy.auth_failures) == (b"+OK\r\n" + WRONG + b"$-1\r\n", 1)


def test_an_inline_command_lands_on_http(proxy: FakeProxy) -> None:
    assert talk(proxy, b"PING\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_silent_client_is_dropped() -> None:
    with serving(FakeProxy(key=KEY, first_byte_seconds=0.02)) as proxy, connect(proxy) as line:
        assert read_all(line) == b""


def test_before_v7_0_3_a_silent_client_keeps_the_others_waiting() -> None:
    settings = FakeProxy(key=KEY, version="v6.9.38")
    with serving(settings) as proxy, connect(proxy) as silent, connect(proxy) as line:
        line.sendall(LOGIN)
        line.settimeout(0.05)
        with pytest.raises(TimeoutError):
            line.recv(5)
        line.settimeout(5)
        silent.close()
        assert line.recv(5) == b"+OK\r\n"


def test_five_failures_ban_the_right_key_too_over_resp_and_http(
    proxy: FakeProxy, http: httpx.Client
) -> None:
    with connect(proxy) as early:
        early.sendall(LOGIN)
        assert read(early, b"+OK\r\n") == b"+OK\r\n"
        for _ in range(5):
            assert talk(proxy, command("AUTH", "wrong")) == WRONG
        assert talk(proxy, LOGIN) == BANNED
        assert talk(proxy, command("PING")) == BANNED
        answer = http.get("usage-queue")
        assert (answer.status_code, answer.json()) == (403, {"error": BANNED[5:-2].decode()})
        early.sendall(command("LPOP", "usage"))
        assert read(early, b"$-1\r\n") == b"$-1\r\n"
    assert (proxy.auth_failures, proxy.auth_attempts) == (5, 8)


def test_http_failures_ban_resp(proxy: FakeProxy) -> None:
    with browser(proxy, "wrong") as stranger:
        assert {stranger.get("config").status_code for _ in range(5)} == {401}
    assert talk(proxy, LOGIN) == BANNED


def test_a_success_resets_the_count(proxy: FakeProxy) -> None:
    for _ in range(3):
        replies = talk(proxy, *[command("AUTH", "wrong")] * 4, LOGIN)
        assert replies == WRONG * 4 + b"+OK\r\n"


def test_a_ban_ends_after_thirty_minutes(proxy: FakeProxy, clock: Clock) -> None:
    talk(proxy, *[command("PING")] * 5)
    clock.now += 30 * 60 - 1
    assert talk(proxy, LOGIN) == BANNED.replace(b"30m0s", b"1s")
    clock.now += 1
    assert talk(proxy, LOGIN) == b"+OK\r\n"


def test_an_event_older_than_the_retention_is_gone(proxy: FakeProxy, clock: Clock) -> None:
    proxy.push([b"old"])
    clock.now += 30
    proxy.push([b"new"])
    clock.now += 31
    assert talk(proxy, LOGIN, command("LPOP", "usage", "9")) == b"+OK\r\n*1\r\n$3\r\nnew\r\n"


@pytest.mark.parametrize(
    ("retention", "version", "kept_for"),
    [
        pytest.param(0, "v7.2.140", 60, id="zero-means-default"),
        pytest.param(9999, "v7.2.140", 3600, id="at-most-an-hour"),
        pytest.param(900, "v6.9.38", 60, id="fixed-before-v6.10.1"),
        pytest.param(900, "v6.10.1", 900, id="as-set"),
    ],
)
def test_retention_is_what_the_version_allows(
    retention: float, version: str, kept_for: float
) -> None:
    assert FakeProxy(key=KEY, retention=retention, version=version).effective_retention == kept_for


def test_two_clients_never_get_the_same_event(proxy: FakeProxy, http: httpx.Client) -> None:
    proxy.push([b'{"n":1}', b'{"n":2}', b'{"n":3}'])
    over_resp = talk(proxy, LOGIN, command("LPOP", "usage", "2"))
    assert over_resp == b'+OK\r\n*2\r\n$7\r\n{"n":1}\r\n$7\r\n{"n":2}\r\n'
    assert http.get("usage-queue?count=2").content == b'[{"n":3}]'
    assert proxy.popped == [(b'{"n":1}', b'{"n":2}'), (b'{"n":3}',)]


def test_a_subscriber_gets_everything_and_starves_the_poppers(proxy: FakeProxy) -> None:
    proxy.push([b"before"])
    with connect(proxy) as line:
        line.sendall(LOGIN + command("SUBSCRIBE", "Usage"))
        greeting = (
            b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$5\r\nUsage\r\n:1\r\n"
            b'*3\r\n$7\r\nmessage\r\n$5\r\nUsage\r\n$24\r\n{"support_refresh":true}\r\n'
        )
        assert read(line, greeting) == greeting
        proxy.push([b"during"])
        proxy.refresh()
        news = (
            b"*3\r\n$7\r\nmessage\r\n$5\r\nUsage\r\n$6\r\nduring\r\n"
            b'*3\r\n$7\r\nmessage\r\n$5\r\nUsage\r\n$16\r\n{"refresh":true}\r\n'
        )
        assert read(line, news) == news
        assert talk(proxy, LOGIN, command("LPOP", "usage", "9")) == (
            b"+OK\r\n*1\r\n$6\r\nbefore\r\n"
        )
    eventually(lambda: not proxy.queue.channel.subscriptions)
    proxy.push([b"after"])
    assert proxy.queued == 1


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(command("PING"), b"*2\r\n$4\r\npong\r\n$-1\r\n", id="ping"),
        pytest.param(command("PING", "x"), b"*2\r\n$4\r\npong\r\n$1\r\nx\r\n", id="ping-text"),
        pytest.param(
            command("UNSUBSCRIBE") + command("PING"),
            b"*3\r\n$11\r\nunsubscribe\r\n$6\r\nerrors\r\n:0\r\n",
            id="unsubscribe-closes",
        ),
        pytest.param(command("QUIT") + command("PING"), b"+OK\r\n", id="quit-closes"),
        pytest.param(
            command("SUBSCRIBE", "usage"), b"-ERR unknown command 'subscribe'\r\n", id="second"
        ),
        pytest.param(b"*x\r\n", PROTOCOL, id="malformed"),
    ],
)
def test_a_subscriber_knows_three_commands(proxy: FakeProxy, sent: bytes, expected: bytes) -> None:
    welcome = b"+OK\r\n*3\r\n$9\r\nsubscribe\r\n$6\r\nerrors\r\n:1\r\n"
    assert talk(proxy, LOGIN, command("SUBSCRIBE", "errors"), sent) == welcome + expected


def test_errors_are_published_but_never_queued(proxy: FakeProxy) -> None:
    proxy.push_error(b"nobody hears")
    with connect(proxy) as line:
        line.sendall(LOGIN + command("SUBSCRIBE", "errors"))
        eventually(lambda: proxy.errors.subscriptions)
        proxy.push_error(b"oops")
        line.sendall(command("QUIT"))
        assert read_all(line).endswith(b"$6\r\nerrors\r\n$4\r\noops\r\n+OK\r\n")


def test_a_slow_subscriber_is_dropped_and_the_queue_takes_over(proxy: FakeProxy) -> None:
    with connect(proxy) as line:
        line.sendall(LOGIN + command("SUBSCRIBE", "usage"))
        eventually(lambda: proxy.queue.channel.subscriptions)
        large = b"x" * 100_000
        while proxy.queue.channel.subscriptions:
            proxy.push([large] * 50)
        sent = read_all(line).count(large)
        proxy.push([b"later"])
    popped = proxy.queue.pop(10_000)
    assert sent > BUFFER
    assert popped[-1] == b"later"


def test_with_statistics_off_events_are_discarded_at_the_source(
    proxy: FakeProxy, http: httpx.Client
) -> None:
    proxy.push([b"1"])
    assert http.get("usage-statistics-enabled").json() == {"usage-statistics-enabled": True}
    assert http.put("usage-statistics-enabled", json={"value": False}).json() == {"status": "ok"}
    proxy.push([b"2", b"3"])
    assert (proxy.queued, proxy.discarded, proxy.statistics) == (1, 2, False)
    assert http.patch("usage-statistics-enabled", json={}).status_code == 400
    http.patch("usage-statistics-enabled", json={"value": True})
    proxy.push([b"4"])
    assert talk(proxy, LOGIN, command("LPOP", "usage", "9")).endswith(b"$1\r\n1\r\n$1\r\n4\r\n")


@pytest.mark.parametrize(
    ("settings", "reply"),
    [
        pytest.param({"key": None}, b"", id="management-off"),
        pytest.param(
            {"home": True}, b"-ERR redis usage output disabled in home mode\r\n", id="home"
        ),
        pytest.param(
            {"version": "v7.1.17"}, b"-ERR RESP AUTH disabled; use mTLS\r\n", id="v7.1.17"
        ),
        pytest.param({"version": "v7.1.18"}, b"+OK\r\n", id="v7.1.18"),
    ],
)
def test_resp_can_be_closed_to_everybody(settings: dict[str, object], reply: bytes) -> None:
    with serving(FakeProxy(**{"key": KEY} | settings)) as proxy:
        assert talk(proxy, LOGIN) == reply


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        pytest.param({"key": None}, 404, id="management-off"),
        pytest.param({"home": True}, 404, id="home"),
        pytest.param({"version": "v6.10.7"}, 404, id="before-v6.10.8"),
        pytest.param({"version": "v6.10.8"}, 200, id="v6.10.8"),
        pytest.param({"version": "v7.1.17"}, 200, id="v7.1.17"),
    ],
)
def test_the_http_queue_is_there_or_not(settings: dict[str, object], status: int) -> None:
    with serving(FakeProxy(**{"key": KEY} | settings)) as proxy, browser(proxy) as http:
        assert http.get("usage-queue").status_code == status
        assert proxy.auth_attempts == (status == 200)


def test_before_v7_1_44_any_key_name_pops_and_the_channel_is_not_echoed() -> None:
    with serving(FakeProxy(key=KEY, version="v7.1.43")) as proxy:
        proxy.push([b"a"])
        assert talk(proxy, LOGIN, command("LPOP", "queue")) == b"+OK\r\n$1\r\na\r\n"
        assert b"$5\r\nusage\r\n:1\r\n" in talk(proxy, LOGIN, command("SUBSCRIBE", "USAGE"))
        assert talk(proxy, LOGIN, command("SUBSCRIBE", "errors")).endswith(b"'errors'\r\n")


def test_before_v7_0_7_nobody_subscribes() -> None:
    with serving(FakeProxy(key=KEY, version="v6.9.38")) as proxy:
        reply = talk(proxy, LOGIN, command("SUBSCRIBE", "usage"))
        assert reply == b"+OK\r\n-ERR unknown command 'subscribe'\r\n"


def test_removing_the_key_loses_the_queue_and_closes_subscriptions(proxy: FakeProxy) -> None:
    with connect(proxy) as line:
        proxy.push([b"lost"])
        line.sendall(LOGIN + command("SUBSCRIBE", "usage"))
        eventually(lambda: proxy.queue.channel.subscriptions)
        proxy.remove_key()
        assert read_all(line).endswith(b'{"support_refresh":true}\r\n')
    assert (proxy.queued, talk(proxy, LOGIN)) == (0, b"")


@pytest.mark.parametrize(
    ("count", "status", "body"),
    [
        pytest.param("", 200, b"[1]", id="default-one"),
        pytest.param("?count=2", 200, b'[1,{"a":2}]', id="two"),
        pytest.param("?count=99", 200, b'[1,{"a":2},"no json"]', id="all-and-text-as-string"),
        pytest.param("?count=0", 400, b'{"error":"count must be a positive integer"}', id="zero"),
        pytest.param("?count=x", 400, b'{"error":"count must be a positive integer"}', id="text"),
    ],
)
def test_the_http_queue_answers_json(
    proxy: FakeProxy, http: httpx.Client, count: str, status: int, body: bytes
) -> None:
    proxy.push([b"1", b'{"a":2}', b"no json"])
    answer = http.get(f"usage-queue{count}")
    assert (answer.status_code, answer.content) == (status, body)
    assert answer.headers["X-CPA-VERSION"] == "v7.2.140"
    assert {"X-CPA-COMMIT", "X-CPA-BUILD-DATE"} <= {name.upper() for name in answer.headers}


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        pytest.param({}, 401, "missing management key", id="none"),
        pytest.param({"Authorization": "Bearer no"}, 401, "invalid management key", id="wrong"),
        pytest.param({"Authorization": KEY}, 200, None, id="bare"),
        pytest.param({"Authorization": f"bearer {KEY}"}, 200, None, id="bearer"),
        pytest.param({"X-Management-Key": KEY}, 200, None, id="own-header"),
        pytest.param(
            {"X-Management-Key": KEY, "X-Forwarded-For": "203.0.113.9"},
            403,
            "remote management disabled",
            id="forwarded-from-afar",
        ),
    ],
)
def test_http_asks_for_the_key(
    proxy: FakeProxy, headers: dict[str, str], status: int, error: str | None
) -> None:
    url = f"http://127.0.0.1:{proxy.port}/v0/management/config"
    answer = httpx.get(url, headers=headers, trust_env=False, timeout=120)
    assert (answer.status_code, answer.json().get("error")) == (status, error)
    assert answer.headers["X-CPA-VERSION"] == proxy.version


def test_an_unknown_path_never_reaches_the_key_check(proxy: FakeProxy) -> None:
    with browser(proxy, "wrong") as stranger:
        answers = [stranger.get("nothing"), stranger.get("/"), stranger.head("config")]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert not any("X-CPA-VERSION" in answer.headers for answer in answers)
    assert proxy.auth_attempts == 0


def test_the_configuration_shows_retention_and_keys_in_clear(http: httpx.Client) -> None:
    config = http.get("config").json()
    assert config["redis-usage-queue-retention-seconds"] == 60
    assert config["api-keys"] == list(CLIENT_KEYS)
    assert config["openai-compatibility"][0]["api-key-entries"][0]["api-key"] == LUMEN.key


def test_the_newest_version_may_be_out_of_reach(proxy: FakeProxy, http: httpx.Client) -> None:
    assert http.get("latest-version").json() == {"latest-version": "v7.2.140"}
    proxy.latest = None
    assert http.get("latest-version").status_code == 502


def test_files_show_what_happened_to_each_account(proxy: FakeProxy, http: httpx.Client) -> None:
    resets_at = int(time.time()) + 3600
    body = json.dumps({"error": {"type": "usage_limit_reached", "resets_at": resets_at}})
    failed = {"failed": True, "fail": {"status_code": 429, "body": body}}
    proxy.push(
        [
            json.dumps({"auth_index": ALICE.auth_index, "failed": False}).encode(),
            json.dumps({"auth_index": DAVE.auth_index, **failed}).encode(),
            b"no event",
        ]
    )
    files = http.get("auth-files").json()["files"]
    assert [entry["name"] for entry in files] == sorted(one.file for one in FILES)
    alice, dave = (_file(http, one.auth_index) for one in (ALICE, DAVE))
    assert (alice["success"], alice["failed"], alice["status"]) == (1, 0, "active")
    assert (dave["success"], dave["failed"], dave["status"]) == (0, 1, "error")
    assert (dave["status_message"], dave["unavailable"]) == (body, True)
    assert alice["id_token"]["plan_type"] == "plus"
    assert [len(entry["recent_requests"]) for entry in files] == [20] * len(files)
    assert alice["recent_requests"][-1]["success"] + alice["recent_requests"][-2]["success"] == 1


def _file(http: httpx.Client, auth_index: str) -> dict[str, object]:
    (entry,) = http.get("auth-files", params={"auth_index": auth_index}).json()["files"]
    return entry


def test_a_file_without_email_names_no_account(http: httpx.Client) -> None:
    (kimi,) = http.get("auth-files", params={"name": KIMI.file}).json()["files"]
    assert (kimi["label"], "email" in kimi, "account" in kimi) == ("kimi", False, False)


def test_requests_of_a_configured_key_are_counted(proxy: FakeProxy, http: httpx.Client) -> None:
    event = json.dumps({"auth_index": LUMEN.auth_index, "failed": True})
    proxy.push([event.encode()] * 2)
    usage = http.get("api-key-usage").json()["lumen"]
    entry = usage[f"{LUMEN.base_url}|{LUMEN.key}"]
    assert (entry["success"], entry["failed"], len(entry["recent_requests"])) == (0, 2, 20)


def test_a_stopped_proxy_refuses_and_comes_back_on_its_port(proxy: FakeProxy) -> None:
    port = proxy.port
    proxy.push([b"kept"])
    with connect(proxy) as line:
        line.sendall(LOGIN)
        assert read(line, b"+OK\r\n") == b"+OK\r\n"
        proxy.stop()
        assert line.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.start()
    assert proxy.port == port
    assert talk(proxy, LOGIN, command("LPOP", "usage")) == b"+OK\r\n$4\r\nkept\r\n"


@pytest.mark.parametrize("turns", range(5))
def test_whoever_connects_at_the_very_end_is_cut_off(proxy: FakeProxy, turns: int) -> None:
    async def connect_and_end() -> socket.socket:
        line = connect(proxy)
        for _ in range(turns):
            await asyncio.sleep(0)
        await FakeProxy.stop.__wrapped__(proxy)
        return line

    ending = asyncio.run_coroutine_threadsafe(connect_and_end(), proxy.loop)
    with ending.result(5) as line, suppress(ConnectionResetError):
        assert read_all(line) == b""


def test_faults_come_and_go(proxy: FakeProxy, http: httpx.Client) -> None:
    proxy.http_fault = 503
    assert http.get("usage-queue").status_code == 503
    proxy.http_fault = None
    proxy.stall = 30
    with pytest.raises(httpx.ReadTimeout):
        http.get("usage-queue", timeout=0.05)
    proxy.stall = 0
    assert http.get("usage-queue").status_code == 200


def test_a_cut_pop_has_taken_the_batch(proxy: FakeProxy) -> None:
    proxy.push([b"a" * 40, b"b" * 40])
    proxy.cut_pops = 1
    reply = talk(proxy, LOGIN, command("LPOP", "usage", "2"), command("LPOP", "usage", "2"))
    assert reply.startswith(b"+OK\r\n*2\r\n$40\r\naaaa")
    assert (b"b" in reply, proxy.queued, proxy.popped) == (False, 0, [(b"a" * 40, b"b" * 40)])


def test_the_log_of_commands_does_not_hold_the_key(proxy: FakeProxy, http: httpx.Client) -> None:
    talk(proxy, command("HELLO", "3"), LOGIN, command("LPOP", "usage", "500"))
    http.get("usage-queue?count=500")
    assert proxy.commands == [
        ("resp", "HELLO", ("3",), "-NOAUTH Authentication required."),
        ("resp", "AUTH", ("***",), "+OK"),
        ("resp", "LPOP", ("usage", "500"), "*0"),
        ("http", "GET /v0/management/usage-queue", ("count=500",), "200"),
    ]
    assert KEY not in repr(proxy.commands)


def test_a_route_can_be_added(proxy: FakeProxy, http: httpx.Client) -> None:
    proxy.routes["POST", "api-call"] = lambda _proxy, request: Reply(200, request.body)
    assert http.post("api-call", content=b"{}").content == b"{}"
