"""The proxy's management API: it lists its credentials and asks providers with their tokens.

GET auth-files and POST api-call of router-for-me/CLIProxyAPI. Five wrong keys ban the address,
so a key that any worker saw refused is not tried again.
"""

import json
from dataclasses import dataclass, field

from ledger import Unavailable
from quota.answers import decoded
from quota.envelope import unwrapped, wrapped
from quota.fetch import TOTAL_SECONDS, Call, IsOver, NoAnswer, fetch
from quota.fields import field as told
from quota.fields import items, mapping, text
from quota.identity import from_listing
from quota.model import Answer, Request
from quota.source import Found, Vanished
from quota.source_files import fingerprint
from runtime.refusals import Refusals, refusal

LISTING_BYTES = 20_000_000
# An answer inside another is longer than by itself.
ENVELOPE_BYTES = 2_500_000
CHANGING = ("modtime", "size", "last_refresh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Management:
    """The management API of one proxy at an address."""

    address: str
    key: str = field(repr=False)
    refusals: Refusals
    is_over: IsOver
    seconds: float = TOTAL_SECONDS
    name: str = "management"

    def look(self) -> list[Found]:
        """List the proxy's file-backed credentials."""
        listed = self._call("GET", "auth-files", most_bytes=LISTING_BYTES)
        rows = told(decoded(listed.body), "files")
        if not isinstance(rows, list):
            raise Unavailable(f"{self._where} gave no list of its credentials")
        return [found for found in map(_found, rows) if found]

    def ask(self, found: Found, request: Request, *, base: str) -> Answer:
        """Let the proxy make a request with a credential's token."""
        index = found.credential.auth_index
        # For an index it does not know, the proxy would send the placeholder itself upstream.
        listed = self._call("GET", f"auth-files?auth_index={index}", most_bytes=LISTING_BYTES)
        rows = items(told(decoded(listed.body), "files"))
        if not index or index not in [told(row, "auth_index") for row in rows]:
            raise Vanished
        body = json.dumps(wrapped(request, base=base, auth_index=index))
        outer = self._call("POST", "api-call", body=body, most_bytes=ENVELOPE_BYTES)
        answer = unwrapped(outer)
        if answer is None:
            raise NoAnswer("the proxy gave no provider's answer", code="proxy_no_answer")
        return answer

    @property
    def _where(self) -> str:
        return f"the proxy at {self.address.removeprefix('http://')}"

    def _call(self, method: str, name: str, *, body: str | None = None, most_bytes: int) -> Answer:
        self.refusals.check()
        call = Call(
            method=method,
            url=f"{self.address}/v0/management/{name}",
            headers={
                "Authorization": f"Bearer {self.key}",
                "Content-Type": "application/json",
                "User-Agent": "cliproxy-ledger",
            },
            body=body,
            most_bytes=most_bytes,
        )
        try:
            answer = fetch(call, is_over=self.is_over, seconds=self.seconds)
        except NoAnswer as error:
            # Whatever broke off after the proxy was reached may have asked the provider.
            if body is not None and error.code != "no_connection":
                raise
            raise Unavailable(f"{self._where} cannot be asked: {error}") from error
        self._judge(answer, calling=body is not None)
        return answer

    def _judge(self, answer: Answer, *, calling: bool) -> None:
        """Raise unless the proxy accepted the key and did what it was asked."""
        if answer.status == 200:
            self.refusals.lift()
            return
        said = text(told(decoded(answer.body), "error")) or f"status {answer.status}"
        if answer.status in (401, 403) and (refused := refusal(said, self._where)):
            self.refusals.keep(refused, told="quota")
            raise refused
        if answer.status == 404:
            raise Unavailable(
                f"{self._where} has no management API: set remote-management.secret-key in its "
                "config.yaml"
            )
        if calling and answer.status in (400, 502):
            raise NoAnswer(f"the proxy could not ask: {said}", code="proxy_failed")
        raise Unavailable(f"{self._where} says: {said}")


def _found(row: object) -> Found | None:
    credential = from_listing(row)
    if credential is None:
        return None
    entry = mapping(row)
    return Found(credential, fingerprint(*(entry.get(name) for name in CHANGING)))
