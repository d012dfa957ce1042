"""The proxy's management API: it lists its credentials and sends requests with their tokens.

GET /v0/management/auth-files and POST /v0/management/api-call of router-for-me/CLIProxyAPI. The
envelope of `api-call`: the outer status is 200 whatever the provider answered, the inner one
counts, and the body is text that holds JSON. Five wrong keys ban the address, so a key that any
worker saw refused is not tried again.
"""

import json
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from ledger import Unavailable
from quota.http import TOTAL_SECONDS, Call, NoAnswer, ShouldStop, fetch, first_values
from quota.identity import from_listing
from quota.json_fields import count, decode_json, field, items, mapping, text
from quota.model import Answer, Request
from quota.sources import CredentialChanged, ListedCredential, fingerprint
from runtime.refusals import Refusals, parse_refusal

LISTING_BYTES = 20_000_000
# An answer inside the envelope is longer than the answer itself.
ENVELOPE_BYTES = 2_500_000
# The fields of a listed credential that change with its file.
CHANGING = ("modtime", "size", "last_refresh")


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementApi:
    """The management API of the proxy at an address."""

    address: str
    key: str = dataclass_field(repr=False)
    refusals: Refusals
    should_stop: ShouldStop
    seconds: float = TOTAL_SECONDS
    name: str = "management"

    def list_credentials(self) -> list[ListedCredential]:
        """Return the proxy's file-backed credentials."""
        answer = self._call("GET", "auth-files", max_bytes=LISTING_BYTES)
        rows = field(decode_json(answer.body), "files")
        if not isinstance(rows, list):
            raise Unavailable(f"{self._proxy} returned no list of its credentials")
        return [listed for listed in map(_listed, rows) if listed]

    def send(self, listed: ListedCredential, request: Request, *, base: str) -> Answer:
        """Let the proxy send a request with a credential's token."""
        index = listed.credential.auth_index
        # For an index that it does not know, the proxy would send the placeholder to the provider.
        answer = self._call("GET", f"auth-files?auth_index={index}", max_bytes=LISTING_BYTES)
        rows = items(field(decode_json(answer.body), "files"))
        if not index or index not in [field(row, "auth_index") for row in rows]:
            raise CredentialChanged
        body = json.dumps(wrap(request, base=base, auth_index=index))
        outer = self._call("POST", "api-call", body=body, max_bytes=ENVELOPE_BYTES)
        provider_answer = unwrap(outer)
        if provider_answer is None:
            raise NoAnswer("the proxy returned no provider's answer", code="proxy_no_answer")
        return provider_answer

    @property
    def _proxy(self) -> str:
        return f"the proxy at {self.address.removeprefix('http://')}"

    def _call(self, method: str, name: str, *, body: str | None = None, max_bytes: int) -> Answer:
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
            max_bytes=max_bytes,
        )
        try:
            answer = fetch(call, should_stop=self.should_stop, seconds=self.seconds)
        except NoAnswer as error:
            # A call that broke off after the proxy was reached may have reached the provider.
            if body is not None and error.code != "no_connection":
                raise
            raise Unavailable(f"{self._proxy} does not answer: {error}") from error
        self._check(answer, is_api_call=body is not None)
        return answer

    def _check(self, answer: Answer, *, is_api_call: bool) -> None:
        """Raise unless the proxy accepted the key and answered the call."""
        if answer.status == 200:
            self.refusals.delete()
            return
        message = text(field(decode_json(answer.body), "error")) or f"status {answer.status}"
        if answer.status in (401, 403) and (refused := parse_refusal(message, self._proxy)):
            self.refusals.store(refused, worker="quota")
            raise refused
        if answer.status == 404:
            raise Unavailable(
                f"{self._proxy} has no management API: set remote-management.secret-key in its "
                "config.yaml"
            )
        if is_api_call and answer.status in (400, 502):
            raise NoAnswer(f"the proxy could not send the request: {message}", code="proxy_failed")
        raise Unavailable(f"{self._proxy} says: {message}")


def wrap(request: Request, *, base: str, auth_index: str) -> dict[str, Any]:
    """Return the JSON that lets the proxy send this request with a credential's token."""
    call: dict[str, Any] = {
        "auth_index": auth_index,
        "method": request.method,
        "url": base + request.path,
        "header": dict(request.headers),
    }
    return call if request.body is None else {**call, "data": request.body}


def unwrap(outer: Answer) -> Answer | None:
    """Return the provider's answer inside the proxy's, or None when there is none inside."""
    envelope = mapping(decode_json(outer.body)) if outer.status == 200 else {}
    status, body = count(envelope.get("status_code")), envelope.get("body")
    if status is None:
        return None
    return Answer(
        status=status,
        headers=first_values(mapping(envelope.get("header"))),
        body=body if isinstance(body, str) else "",
        observed_at=outer.observed_at,
    )


def _listed(row: object) -> ListedCredential | None:
    credential = from_listing(row)
    if credential is None:
        return None
    entry = mapping(row)
    return ListedCredential(credential, fingerprint(*(entry.get(name) for name in CHANGING)))
