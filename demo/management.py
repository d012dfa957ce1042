"""The management API: its key check, and the answer of each endpoint."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from demo.accounts import AUTH_DIR, CLIENT_KEYS, Account, access_token, instant
from demo.http import NOT_FOUND, Reply, Request, failure, reply
from demo.providers import HOSTS
from demo.providers import PREFIX as PROVIDERS
from demo.proxy_state import Counters, CredentialCounts, ProxyState

PREFIX = "/v0/management/"
COMMIT = "0000000"
BUILD_DATE = "2026-08-22T00:00:00Z"
TOKEN = "$TOKEN$"
KEY_LISTS = (
    "gemini-api-key",
    "claude-api-key",
    "codex-api-key",
    "xai-api-key",
    "vertex-api-key",
    "interactions-api-key",
)
ADDED_FIELDS = {"recent requests": ("recent_requests",), "request counts": ("success", "failed")}

Entry = dict[str, Any]
Endpoint = Callable[[ProxyState, Request], Reply]
Routes = dict[tuple[str, str], Endpoint]


def routes() -> Routes:
    """Return the endpoints by method and name; a test may add some."""
    return {
        ("GET", "usage-queue"): usage_queue,
        ("GET", "usage-statistics-enabled"): statistics,
        ("PUT", "usage-statistics-enabled"): set_statistics,
        ("PATCH", "usage-statistics-enabled"): set_statistics,
        ("GET", "latest-version"): latest_version,
        ("POST", "api-call"): api_call,
        ("GET", "config"): config,
        ("GET", "auth-files"): auth_files,
        ("GET", "api-key-usage"): api_key_usage,
        ("GET", "api-keys"): api_keys,
        ("GET", "openai-compatibility"): openai_compatibility,
        **{("GET", name): _empty_list(name) for name in KEY_LISTS},
    }


def answer(proxy: ProxyState, routes: Routes, request: Request) -> Reply:
    """Answer one request: with the HTTP fault, 404, a refusal, or by its endpoint."""
    if proxy.http_fault is not None:
        return failure("fake proxy fault", proxy.http_fault)
    name = request.path.removeprefix(PREFIX)
    endpoint = routes.get((request.method, name))
    exists = request.path.startswith(PREFIX) and proxy.has_endpoint(name)
    if endpoint is None or not exists:
        return NOT_FOUND
    proxy.auth_attempts += 1
    refusal = proxy.refusal(request.address, _key(request))
    if refusal is not None:
        result = failure(refusal.text, refusal.status)
        return replace(result, headers=_version_headers(proxy))
    return replace(endpoint(proxy, request), headers=_version_headers(proxy))


def usage_queue(proxy: ProxyState, request: Request) -> Reply:
    """Pop events, oldest first, as one JSON array."""
    try:
        count = int(request.query.get("count", "").strip() or "1")
    except ValueError:
        count = 0
    if count <= 0:
        return failure("count must be a positive integer", 400)
    return Reply(200, b"[%b]" % b",".join([_json_value(event) for event in proxy.pop(count)]))


def statistics(proxy: ProxyState, _request: Request) -> Reply:
    """Return whether events are queued at all."""
    return reply({"usage-statistics-enabled": proxy.statistics})


def set_statistics(proxy: ProxyState, request: Request) -> Reply:
    """Switch the queueing of events; the proxy then reads its configuration again."""
    try:
        value = json.loads(request.body)["value"]
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, bool):
        return failure("invalid body", 400)
    proxy.statistics = value
    proxy.publish_refresh()
    return reply({"status": "ok"})


def latest_version(proxy: ProxyState, _request: Request) -> Reply:
    """Return the newest release, or fail as the proxy does without the internet."""
    if proxy.latest is None:
        return reply({"error": "request_failed", "message": "no route to host"}, 502)
    return reply({"latest-version": proxy.latest})


def config(proxy: ProxyState, _request: Request) -> Reply:
    """Return the whole configuration, keys in clear, as the real proxy does."""
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": proxy.port,
        "auth-dir": AUTH_DIR,
        "api-keys": list(CLIENT_KEYS),
        "request-retry": 3,
        "usage-statistics-enabled": proxy.statistics,
        "openai-compatibility": _compatible(proxy),
    }
    if proxy.has_feature("retention"):
        settings["redis-usage-queue-retention-seconds"] = int(proxy.effective_retention)
    return reply(settings)


def auth_files(proxy: ProxyState, request: Request) -> Reply:
    """List the credential files, or those of the requested name or index."""
    entries = file_entries(proxy.accounts, proxy.counters, since=proxy.started_at)
    if proxy.has_feature("auth-files filters"):
        for field in ("name", "auth_index"):
            requested = request.query.get(field)
            entries = [entry for entry in entries if not requested or entry[field] == requested]
    too_new = {
        field
        for feature, fields in ADDED_FIELDS.items()
        for field in fields
        if not proxy.has_feature(feature)
    }
    files = [{k: v for k, v in entry.items() if k not in too_new} for entry in entries]
    return reply({"files": files})


def api_key_usage(proxy: ProxyState, _request: Request) -> Reply:
    """Return the counts of each configured key; the key is in clear."""
    usage: dict[str, dict[str, Any]] = {}
    for account in proxy.accounts:
        if account.key:
            counts = proxy.counters.of(account.auth_index)
            usage.setdefault(account.name, {})[f"{account.base_url}|{account.key}"] = {
                "success": counts.success,
                "failed": counts.failed,
                "recent_requests": counts.recent(time.time()),
            }
    return reply(usage)


def api_keys(_proxy: ProxyState, _request: Request) -> Reply:
    """List the client keys."""
    return reply({"api-keys": list(CLIENT_KEYS)})


def openai_compatibility(proxy: ProxyState, _request: Request) -> Reply:
    """List the configured OpenAI-compatible providers."""
    return reply({"openai-compatibility": _compatible(proxy)})


def api_call(proxy: ProxyState, request: Request) -> Reply:
    """Make the provider request that the body describes, with a credential's token."""
    try:
        call = json.loads(request.body)
    except ValueError:
        return failure("invalid body", 400)
    for name in ("method", "url"):
        if not call.get(name):
            return failure(f"missing {name}", 400)
    inner = _provider_request(proxy, call)
    if inner is None:
        return failure("request failed", 502)
    result = proxy.providers.answer(inner)
    if result.fault == "reset":
        return failure("request failed", 502)
    headers = (("Content-Type", result.content_type), *result.headers)
    wrapped = {
        "status_code": result.status,
        "header": {name: [value] for name, value in headers},
        "body": result.body.decode(errors="replace"),
    }
    return Reply(200, reply(wrapped).body, fault=result.fault)


def file_entries(accounts: Iterable[Account], counters: Counters, *, since: float) -> list[Entry]:
    """Return the entry of every account that has a file, sorted by name.

    `since` is the start of the proxy, unix seconds.
    """
    files = sorted((account for account in accounts if account.file), key=lambda one: one.file)
    return [_entry(account, counters.of(account.auth_index), since) for account in files]


def _entry(account: Account, counts: CredentialCounts, since: float) -> Entry:
    entry = {
        **_identity(account),
        **_state(counts),
        "created_at": instant(since),
        "failed": counts.failed,
        "modtime": instant(since),
        "recent_requests": counts.recent(time.time()),
        "success": counts.success,
        "updated_at": instant(counts.updated_at or since),
    }
    return dict(sorted(entry.items()))


def _identity(account: Account) -> Entry:
    entry: Entry = {
        "account_type": "oauth",
        "auth_index": account.auth_index,
        "disabled": False,
        "id": account.file,
        "label": account.email or account.provider,
        "name": account.file,
        "path": account.path,
        "provider": account.provider,
        "runtime_only": False,
        "size": 1024 + len(account.file),
        "source": "file",
        "type": account.provider,
    }
    if account.email:
        entry |= {"account": account.email, "email": account.email}
    if account.note:
        entry["note"] = account.note
    if account.websockets:
        entry["websockets"] = True
    if account.provider == "antigravity":
        entry["project_id"] = account.project
    if account.provider == "codex":
        entry["id_token"] = _claims(account)
    return entry


def _claims(account: Account) -> Entry:
    month_start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    month_end = month_start + timedelta(days=31)
    return {
        "chatgpt_account_id": account.account_id,
        "chatgpt_subscription_active_start": instant(month_start.timestamp()),
        "chatgpt_subscription_active_until": instant(month_end.timestamp()),
        "plan_type": account.plan,
    }


def _state(counts: CredentialCounts) -> Entry:
    if not counts.last.failed:
        return {"status": "active", "status_message": "", "unavailable": False}
    body = counts.last.fail.body
    state: Entry = {"status": "error", "status_message": body or "request failed"}
    retry_at = _resets_at(body)
    state["unavailable"] = retry_at is not None and retry_at > time.time()
    if state["unavailable"]:
        state["next_retry_after"] = instant(retry_at or 0)
    return state


def _resets_at(body: str) -> float | None:
    try:
        return float(json.loads(body)["error"]["resets_at"])
    except (ValueError, KeyError, TypeError):
        return None


def _compatible(proxy: ProxyState) -> list[dict[str, Any]]:
    return [
        {
            "name": account.name,
            "base-url": account.base_url,
            "api-key-entries": [{"api-key": account.key, "auth-index": account.auth_index}],
        }
        for account in proxy.accounts
        if account.key
    ]


def _empty_list(name: str) -> Endpoint:
    return lambda _proxy, _request: reply({name: []})


def _provider_request(proxy: ProxyState, call: dict[str, Any]) -> Request | None:
    url = urlsplit(call["url"])
    path = url.path
    if not path.startswith(PROVIDERS):
        provider = HOSTS.get(url.hostname or "")
        if provider is None:
            return None
        path = f"{PROVIDERS}{provider}{path}"
    # For an index that it does not know, the proxy leaves the placeholder as it is.
    index = call.get("auth_index") or call.get("authIndex")
    tokens = {one.auth_index: access_token(one) for one in proxy.accounts if one.file}
    token = tokens.get(index, TOKEN) if isinstance(index, str) else TOKEN
    headers = {
        name.lower(): value.replace(TOKEN, token)
        for name, value in (call.get("header") or {}).items()
    }
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    body = (call.get("data") or "").encode()
    return Request(call["method"], path, query, headers, body, "127.0.0.1")


def _key(request: Request) -> str:
    value = request.headers.get("authorization", "")
    scheme, _, rest = value.partition(" ")
    tried = rest if scheme.lower() == "bearer" and rest else value
    return tried or request.headers.get("x-management-key", "")


def _version_headers(proxy: ProxyState) -> tuple[tuple[str, str], ...]:
    if not proxy.has_feature("version headers"):
        return ()
    return (
        ("X-CPA-VERSION", proxy.version),
        ("X-CPA-COMMIT", COMMIT),
        ("X-CPA-BUILD-DATE", BUILD_DATE),
    )


def _json_value(payload: bytes) -> bytes:
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return json.dumps(payload.decode(errors="replace")).encode()
    return payload
