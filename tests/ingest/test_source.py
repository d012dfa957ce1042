"""The queue is popped with one attempt, and every trouble is told for what it is."""

import socket
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest

from demo.fake_proxy import FakeProxy, serving
from ingest.management import Management
from ingest.source import (
    AutoSource,
    HttpSource,
    PopInterrupted,
    RespSource,
    Source,
    make_source,
)
from ledger.settings import Settings, base_url
from runtime.errors import Refused, Unavailable
from runtime.heartbeat import now
from runtime.refusals import refusal
from tests.support.home import KEY

Make = Callable[..., Source]
HOUR = 3_600_000
TIMEOUT = 1.0


def resp(port: int, key: str = KEY) -> RespSource:
    """Give a source that times out soon."""
    return RespSource("127.0.0.1", port, key, timeout=TIMEOUT)


def http(port: int, key: str = KEY) -> HttpSource:
    """Give a source that times out soon."""
    return HttpSource(Management(base_url("127.0.0.1", port), key, timeout=TIMEOUT))


def auto(port: int, key: str = KEY) -> AutoSource:
    """Give a source that times out soon."""
    return AutoSource(resp(port, key), http(port, key))


WAYS = pytest.mark.parametrize("make", [resp, http, auto])
OVER_RESP = pytest.mark.parametrize("make", [resp, auto])


def trouble(way: Source) -> tuple[type[Exception], str]:
    """Give what a pop raises, without the address in it."""
    with closing(way), pytest.raises((Unavailable, Refused)) as caught:
        way.pop(500)
    return caught.type, str(caught.value).split("127.0.0.1:")[-1].partition(" ")[2]


def ban(proxy: FakeProxy) -> None:
    """Have this address banned."""
    for _ in range(5):
        url = f"http://127.0.0.1:{proxy.port}/v0/management/config"
        httpx.get(url, headers={"Authorization": "Bearer wrong"}, trust_env=False, timeout=20)


@WAYS
def test_records_come_oldest_first_until_there_are_none(proxy: FakeProxy, make: Make) -> None:
    proxy.push([b'{"n":1}', b'{"n":2}', b'{"n":3}'])
    with closing(make(proxy.port)) as way:
        assert [way.pop(2) for _ in range(3)] == [[b'{"n":1}', b'{"n":2}'], [b'{"n":3}'], []]
    assert proxy.auth_failures == 0


def test_nothing_but_the_key_and_pops_is_said_on_one_connection(proxy: FakeProxy) -> None:
    with closing(resp(proxy.port)) as way:
        assert (way.pop(500), way.pop(7)) == ([], [])
    assert proxy.commands == [
        ("resp", "AUTH", ("***",), "+OK"),
        ("resp", "LPOP", ("usage", "500"), "*0"),
        ("resp", "LPOP", ("usage", "7"), "*0"),
    ]


@WAYS
@pytest.mark.parametrize("key", ["wrong", "schlüssel", "鍵"])
def test_a_wrong_key_is_tried_once_and_rests_for_an_hour(
    proxy: FakeProxy, make: Make, key: str
) -> None:
    with closing(make(proxy.port, key)) as way, pytest.raises(Refused, match="refused") as caught:
        way.pop(500)
    assert (proxy.auth_attempts, proxy.auth_failures) == (1, 1)
    assert abs(caught.value.retry_at - now() - HOUR) < 10_000
    assert key not in str(caught.value)


@WAYS
def test_a_ban_rests_as_long_as_it_says(proxy: FakeProxy, make: Make) -> None:
    ban(proxy)
    with closing(make(proxy.port)) as way, pytest.raises(Refused, match="banned") as caught:
        way.pop(500)
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
    told = refusal(f"IP banned due to too many failed attempts. Try again in {left}", "it")
    assert told is not None
    assert abs(told.retry_at - now() - (seconds + 60) * 1000) < 5000


@pytest.mark.parametrize("settings", [{"key": None}, {"key": KEY, "home": True}], ids=str)
def test_a_proxy_without_management_is_told_in_a_sentence(settings: dict[str, Any]) -> None:
    with serving(FakeProxy(**settings)) as proxy:
        kind, sentence = trouble(auto(proxy.port))
    assert (kind, sentence.partition(":")[0]) == (Unavailable, "serves no usage queue")


def test_http_serves_where_resp_does_not_and_resp_is_tried_after_a_break() -> None:
    with serving(FakeProxy(key=KEY, version="v7.1.17")) as proxy:
        proxy.push([b"1", b"2", b"3"])
        way = auto(proxy.port)
        assert (way.pop(1), way.name, way.pop(1)) == ([b"1"], "http", [b"2"])
        proxy.stop()
        assert trouble(way) == (Unavailable, "is not there")
        proxy.version = "v7.1.18"
        proxy.start()
        with closing(way):
            assert (way.pop(1), way.name) == ([b"3"], "resp")


@WAYS
def test_a_proxy_that_is_not_there_is_only_unavailable(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    kind, sentence = trouble(make(port))
    assert (kind, sentence[:12]) == (Unavailable, "is not there")


@OVER_RESP
def test_a_connection_closed_while_idle_loses_nothing(proxy: FakeProxy, make: Make) -> None:
    way = make(proxy.port)
    assert way.pop(500) == []
    proxy.stop()
    assert trouble(way) == (Unavailable, "closed the connection")
    proxy.start()
    proxy.push([b"1"])
    with closing(way):
        assert way.pop(500) == [b"1"]


@WAYS
@pytest.mark.timeout(5)
def test_a_stalled_pop_may_have_lost_a_batch(proxy: FakeProxy, make: Make) -> None:
    way = make(proxy.port)
    way.pop(500)
    proxy.stall = 20
    assert trouble(way)[0] == PopInterrupted


def test_a_key_that_gets_no_answer_has_lost_nothing(proxy: FakeProxy) -> None:
    proxy.stall = 20
    assert trouble(resp(proxy.port)) == (Unavailable, "does not answer")


@OVER_RESP
def test_a_pop_cut_off_has_lost_its_batch(proxy: FakeProxy, make: Make) -> None:
    proxy.push([b"1" * 50, b"2" * 50])
    proxy.cut_pops = 1
    way = make(proxy.port)
    assert trouble(way) == (PopInterrupted, "cut the connection during a pop")
    with closing(way):
        assert (way.pop(500), proxy.popped) == ([], [(b"1" * 50, b"2" * 50)])


@pytest.mark.parametrize(
    ("host", "chosen", "kind"),
    [
        pytest.param("127.0.0.1", "auto", AutoSource, id="auto"),
        pytest.param("::1", "resp", RespSource, id="resp"),
        pytest.param("::1", "http", HttpSource, id="http"),
        pytest.param("https://proxy.example", "auto", HttpSource, id="url"),
        pytest.param("https://proxy.example", "resp", HttpSource, id="url-cannot-speak-resp"),
    ],
)
def test_the_settings_choose_the_way_in(host: str, chosen: Any, kind: type[Source]) -> None:
    wanted = Settings(cliproxy_host=host, management_key=KEY)
    with closing(make_source(wanted.pool[0], chosen)) as way:
        assert type(way) is kind
