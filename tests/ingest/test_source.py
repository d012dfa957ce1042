"""The queue is popped with one attempt, and each failure is reported as what it is."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

import httpx
import pytest

from demo.fake_proxy import FakeProxy, serving
from ingest.management import Management
from ingest.source import (
    AutoSource,
    HttpSource,
    PopInterrupted,
    RespNotServed,
    RespSource,
    Source,
    make_source,
)
from ledger import Unavailable
from ledger.settings import Settings, base_url
from runtime.heartbeat import now
from runtime.refusals import Refused, parse_refusal
from tests.support.home import KEY

Make = Callable[..., Source]
HOUR = 3_600_000
TIMEOUT = 1.0


def resp(port: int, key: str = KEY) -> RespSource:
    """Return a source that times out soon."""
    return RespSource("127.0.0.1", port, key, timeout=TIMEOUT)


def http(port: int, key: str = KEY) -> HttpSource:
    """Return a source that times out soon."""
    return HttpSource(Management(base_url("127.0.0.1", port), key, timeout=TIMEOUT))


def auto(port: int, key: str = KEY) -> AutoSource:
    """Return a source that times out soon."""
    return AutoSource(resp(port, key), http(port, key))


WAYS = pytest.mark.parametrize("make", [resp, http, auto])
OVER_RESP = pytest.mark.parametrize("make", [resp, auto])


def pop_error(source: Source) -> tuple[type[Exception], str]:
    """Return what a pop raises, without the address in it."""
    with closing(source), pytest.raises((Unavailable, Refused)) as caught:
        source.pop(500)
    return caught.type, str(caught.value).split("127.0.0.1:")[-1].partition(" ")[2]


def ban(proxy: FakeProxy) -> None:
    """Get this address banned."""
    for _ in range(5):
        url = f"http://127.0.0.1:{proxy.port}/v0/management/config"
        httpx.get(url, headers={"Authorization": "Bearer wrong"}, trust_env=False, timeout=120)


@WAYS
def test_records_come_oldest_first_until_there_are_none(proxy: FakeProxy, make: Make) -> None:
    proxy.push([b'{"n":1}', b'{"n":2}', b'{"n":3}'])
    with closing(make(proxy.port)) as source:
        assert [source.pop(2) for _ in range(3)] == [[b'{"n":1}', b'{"n":2}'], [b'{"n":3}'], []]
    assert proxy.auth_failures == 0


def test_one_connection_sends_only_the_key_and_pops(proxy: FakeProxy) -> None:
    with closing(resp(proxy.port)) as source:
        assert (source.pop(500), source.pop(7)) == ([], [])
    assert proxy.commands == [
        ("resp", "AUTH", ("***",), "+OK"),
        ("resp", "LPOP", ("usage", "500"), "*0"),
        ("resp", "LPOP", ("usage", "7"), "*0"),
    ]


@WAYS
@pytest.mark.parametrize("key", ["wrong", "schlüssel", "鍵"])
def test_a_wrong_key_is_tried_once_an_hour(proxy: FakeProxy, make: Make, key: str) -> None:
    with (
        closing(make(proxy.port, key)) as source,
        pytest.raises(Refused, match="refused") as caught,
    ):
        source.pop(500)
    assert (proxy.auth_attempts, proxy.auth_failures) == (1, 1)
    assert abs(caught.value.retry_at - now() - HOUR) < 10_000
    assert key not in str(caught.value)


@WAYS
def test_a_ban_is_waited_out(proxy: FakeProxy, make: Make) -> None:
    ban(proxy)
    with closing(make(proxy.port)) as source, pytest.raises(Refused, match="banned") as caught:
        source.pop(500)
    assert abs(caught.value.retry_at - now() - HOUR / 2 - 60_000) < 10_000
    assert proxy.auth_attempts == 6


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        *(("29m59s", 1799), ("30m0s", 1800), ("59s", 59), ("1h0m5s", 3605), ("2m", 120)),
        *(("0s", 0), ("1.5s", 1), ("500ms", 1800), ("", 1800), ("a while", 1800)),
    ],
)
def test_the_time_of_a_ban_is_read_as_go_writes_it(left: str, seconds: int) -> None:
    refused = parse_refusal(f"IP banned due to too many failed attempts. Try again in {left}", "it")
    assert refused is not None
    assert abs(refused.retry_at - now() - (seconds + 60) * 1000) < 5000


@pytest.mark.parametrize("settings", [{"key": None}, {"key": KEY, "home": True}], ids=str)
def test_a_proxy_without_management_is_one_sentence(settings: dict[str, Any]) -> None:
    with serving(FakeProxy(**settings)) as proxy:
        kind, sentence = pop_error(auto(proxy.port))
    assert (kind, sentence.partition(":")[0]) == (Unavailable, "serves no usage queue")


def test_http_is_used_where_resp_is_not_served_and_resp_is_tried_after_a_failure() -> None:
    with serving(FakeProxy(key=KEY, version="v7.1.17")) as proxy:
        proxy.push([b"1", b"2", b"3"])
        source = auto(proxy.port)
        assert (source.pop(1), source.name, source.pop(1)) == ([b"1"], "http", [b"2"])
        proxy.stop()
        assert pop_error(source) == (Unavailable, "cannot be reached")
        proxy.version = "v7.1.18"
        proxy.start()
        with closing(source):
            assert (source.pop(1), source.name) == ([b"3"], "resp")


@WAYS
def test_a_proxy_that_cannot_be_reached_is_unavailable(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    kind, sentence = pop_error(make(port))
    assert (kind, sentence[:17]) == (Unavailable, "cannot be reached")


@OVER_RESP
def test_a_connection_closed_while_idle_loses_nothing(proxy: FakeProxy, make: Make) -> None:
    source = make(proxy.port)
    assert source.pop(500) == []
    proxy.stop()
    assert pop_error(source) == (Unavailable, "closed the connection")
    proxy.start()
    proxy.push([b"1"])
    with closing(source):
        assert source.pop(500) == [b"1"]


@WAYS
@pytest.mark.timeout(5)
def test_a_stalled_pop_may_have_lost_a_batch(proxy: FakeProxy, make: Make) -> None:
    source = make(proxy.port)
    source.pop(500)
    proxy.stall = 20
    assert pop_error(source)[0] == PopInterrupted


def test_a_key_that_gets_no_answer_has_lost_nothing(proxy: FakeProxy) -> None:
    proxy.stall = 20
    assert pop_error(resp(proxy.port)) == (Unavailable, "does not answer")


@OVER_RESP
def test_a_pop_cut_off_has_lost_its_batch(proxy: FakeProxy, make: Make) -> None:
    proxy.push([b"1" * 50, b"2" * 50])
    proxy.cut_pops = 1
    source = make(proxy.port)
    assert pop_error(source) == (PopInterrupted, "cut the connection during a pop")
    with closing(source):
        assert (source.pop(500), proxy.popped) == ([], [(b"1" * 50, b"2" * 50)])


@pytest.mark.parametrize(
    ("host", "setting", "kind"),
    [
        pytest.param("127.0.0.1", "auto", AutoSource, id="auto"),
        pytest.param("::1", "resp", RespSource, id="resp"),
        pytest.param("::1", "http", HttpSource, id="http"),
        pytest.param("https://proxy.example", "auto", HttpSource, id="url"),
        pytest.param("https://proxy.example", "resp", HttpSource, id="url-cannot-speak-resp"),
    ],
)
def test_the_settings_choose_the_source(host: str, setting: Any, kind: type[Source]) -> None:
    settings = Settings(cliproxy_host=host, management_key=KEY)
    with closing(make_source(settings.pool[0], setting)) as source:
        assert type(source) is kind


@contextmanager
def answering(*replies: bytes) -> Iterator[int]:
    """Serve a port whose first connection gets the replies one after another, then its end."""

    def serve() -> None:
        line, _ = listener.accept()
        with line:
            for reply in replies:
                line.recv(65536)
                line.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


OTHER = (RespNotServed, "answers, but not in RESP")
SILENT = (RespNotServed, "closes RESP connections without an answer")
LIST = (PopInterrupted, "answered a pop with something that is not a list of records")
CUT = (PopInterrupted, "cut the connection during a pop")
KEY_TAKEN, PAGE = b"+OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(b"", SILENT, id="end"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", OTHER, id="http"),
        pytest.param(b"SSH-2.0-x\r\n", OTHER, id="ssh"),
        pytest.param(b"*x\r\n", OTHER, id="no-length"),
        pytest.param(b"-ERR use mTLS\r\n", (RespNotServed, "says: use mTLS"), id="mtls"),
        pytest.param(b"-ERR remote\r\n", (Unavailable, "says: remote"), id="remote-disabled"),
        pytest.param(b"-WRONGPASS no\r\n", (Unavailable, "says: no"), id="redis-server"),
    ],
)
def test_an_unexpected_answer_to_the_key(reply: bytes, expected: tuple[type, str]) -> None:
    with answering(reply) as port:
        assert pop_error(resp(port)) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        pytest.param(b"$1\r\na\r\n", LIST, id="text"),
        pytest.param(b":1\r\n", LIST, id="number"),
        pytest.param(b"*1\r\n$-1\r\n", LIST, id="nil-inside"),
        pytest.param(b"*1\r\n*0\r\n", LIST, id="list-inside"),
        pytest.param(b"*x\r\n", CUT, id="no-length"),
        pytest.param(b"*1\r\n$x\r\n", CUT, id="no-size"),
        pytest.param(PAGE, CUT, id="http"),
        pytest.param(b"*2\r\n$1\r\na\r\n$1\r\n", CUT, id="half"),
        pytest.param(b"-ERR unsupported\r\n", (Unavailable, "says: unsupported"), id="error"),
    ],
)
def test_an_unexpected_answer_to_a_pop(reply: bytes, expected: tuple[type, str]) -> None:
    with answering(KEY_TAKEN, reply) as port:
        assert pop_error(resp(port)) == expected


@pytest.mark.parametrize("reply", [b"", b"junk\r\n\r\n", PAGE, PAGE + b'[{"a":1}'])
def test_half_an_answer_over_http_may_have_lost_a_batch(reply: bytes) -> None:
    with answering(reply) as port:
        assert pop_error(http(port)) == (PopInterrupted, "does not answer")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("proxy.example", "http://proxy.example:8317"),
        ("::1", "http://[::1]:8317"),
        ("https://proxy.example", "https://proxy.example:8317"),
        ("https://proxy.example:443/cli/", "https://proxy.example:443/cli"),
        ("http://[::1]/cli", "http://[::1]:8317/cli"),
    ],
)
def test_a_host_becomes_an_address(host: str, expected: str) -> None:
    assert base_url(host, 8317) == expected
