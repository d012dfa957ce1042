"""Whatever answers in the proxy's place, it is told for what it is."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread

import pytest

from ingest.management import Management
from ingest.source import HttpSource, PopInterrupted, RespNotServed, RespSource, Source
from ledger.settings import base_url
from runtime.errors import Unavailable
from tests.support.home import KEY


@contextmanager
def answering(*replies: bytes) -> Iterator[int]:
    """Serve a port whose first connection hears the replies one after another, then its end."""

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


def resp(port: int) -> RespSource:
    """Give the source that speaks RESP."""
    return RespSource("127.0.0.1", port, KEY)


def http(port: int) -> HttpSource:
    """Give the source that speaks HTTP."""
    return HttpSource(Management(base_url("127.0.0.1", port), KEY))


def trouble(way: Source) -> tuple[type[Exception], str]:
    """Give what a pop raises, without the address in it."""
    with closing(way), pytest.raises(Unavailable) as caught:
        way.pop(500)
    return caught.type, str(caught.value).split("127.0.0.1:")[-1].partition(" ")[2]


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
def test_a_strange_answer_to_the_key(reply: bytes, expected: tuple[type, str]) -> None:
    with answering(reply) as port:
        assert trouble(resp(port)) == expected


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
def test_a_strange_answer_to_a_pop(reply: bytes, expected: tuple[type, str]) -> None:
    with answering(KEY_TAKEN, reply) as port:
        assert trouble(resp(port)) == expected


@pytest.mark.parametrize("reply", [b"", b"junk\r\n\r\n", PAGE, PAGE + b'[{"a":1}'])
def test_half_an_answer_over_http_may_have_lost_a_batch(reply: bytes) -> None:
    with answering(reply) as port:
        assert trouble(http(port)) == (PopInterrupted, "does not answer")


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
