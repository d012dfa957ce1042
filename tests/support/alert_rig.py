"""A receiver of alerts, and an alerts worker in the test's own process with a settable clock."""

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from alerts.start import create
from alerts.worker import AlertsWorker
from ledger.data_folder import prepare
from ledger.settings import Settings
from quota.decisions import decide_due
from runtime.tasks import Context
from tests.support.brute import local
from tests.support.home import set_clock

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
ZONE = "Europe/Berlin"
TOKEN = "planted-receiver-token"

Message = tuple[str, str, str]


class Receiver:
    """A webhook on its own port, which a test can stop and start again."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.status = 200
        # What a request waits for before it is answered, once it is noted.
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        """Its address for apprise, with a secret in it."""
        return f"json://user:{TOKEN}@127.0.0.1:{self.port}/{TOKEN}"

    def start(self) -> None:
        """Listen on the same port as before."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.status == 200:
                    receiver.messages.append((body["title"], body["message"], body["type"]))
                receiver.may_answer.wait(30)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self.may_answer.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def taken(self) -> list[Message]:
        """Return the messages since the last call."""
        messages, self.messages = self.messages, []
        return messages


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver inside the block."""
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.stop()


class Watch:
    """An alerts worker on a ledger, wired as the real one is."""

    def __init__(
        self, folder: Path, *receivers: Receiver, zone: str = ZONE, **changes: Any
    ) -> None:
        self.folder = folder
        self.zone = zone
        self.conn = prepare(folder, timezone=zone)
        self.now = self.conn.execute("select now from clock").fetchone()[0]
        urls = [receiver.url for receiver in receivers]
        self.settings = {"alert_urls": urls, "alert_check_seconds": 0.001, "timezone": zone}
        self.settings |= changes
        self.job = self.restarted()

    def restarted(self, **changes: Any) -> AlertsWorker:
        """Return a new worker on the same ledger."""
        self.settings |= changes
        settings = Settings(data_dir=str(self.folder), **self.settings)
        return create(Context(self.conn, settings, None, once=True))

    def set_clock(self, now: int) -> None:
        """Set the clock of the views to an instant (ms)."""
        self.now = now
        set_clock(self.conn, now)

    def work(self, now: int | None = None) -> None:
        """Step until nothing is left to do, at an instant (ms) or at the last one."""
        if now is not None:
            self.set_clock(now)
        decide_due(self.conn, self.now)
        self.job.failed(None)
        while self.job.step():
            pass

    def pass_by(self, duration: int, *, step: int = 5 * MINUTE) -> None:
        """Move the clock forward, with a check every few minutes."""
        until = self.now + duration
        while self.now < until:
            self.work(min(self.now + step, until))

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        with closing(self.conn.execute(sql, parameters)) as cursor:
            return cursor.fetchall()

    def clock(self, at: int) -> str:
        """Return an instant as a sentence written now has it."""
        then, now = (local(each, self.zone) for each in (at, self.now))
        return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M}"

    def exactly(self, at: int) -> str:
        """Return an instant as the history has it."""
        return f"{local(at, self.zone):%Y-%m-%d %H:%M:%S}"

    def close(self) -> None:
        """Close the worker and the ledger."""
        self.job.close()
        self.conn.close()
