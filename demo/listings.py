"""Endpoints that list what the proxy is configured with: files, keys, settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from demo import auth_files
from demo.messages import Reply, Request, reply
from demo.pool import AUTH_DIR, CLIENT_KEYS

if TYPE_CHECKING:
    from demo.proxy import Proxy

KEY_LISTS = (
    "gemini-api-key",
    "claude-api-key",
    "codex-api-key",
    "xai-api-key",
    "vertex-api-key",
    "interactions-api-key",
)
ADDED_FIELDS = {"recent requests": ("recent_requests",), "request counts": ("success", "failed")}

Listing = Callable[["Proxy", Request], Reply]


def routes() -> dict[tuple[str, str], Listing]:
    """Return these endpoints by method and name."""
    named: dict[str, Listing] = {
        "config": config,
        "auth-files": files,
        "api-key-usage": api_key_usage,
        "api-keys": api_keys,
        "openai-compatibility": openai_compatibility,
    }
    named |= {name: _without_keys(name) for name in KEY_LISTS}
    return {("GET", name): listing for name, listing in named.items()}


def config(proxy: Proxy, _request: Request) -> Reply:
    """Show the whole configuration, keys in clear, as the proxy really does."""
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": proxy.port,
        "auth-dir": AUTH_DIR,
        "api-keys": list(CLIENT_KEYS),
        "request-retry": 3,
        "usage-statistics-enabled": proxy.statistics,
        "openai-compatibility": _compatible(proxy),
    }
    if proxy.speaks("retention"):
        settings["redis-usage-queue-retention-seconds"] = int(proxy.kept_for)
    return reply(settings)


def files(proxy: Proxy, request: Request) -> Reply:
    """List the credential files, or those of the asked name or index."""
    entries = auth_files.listing(proxy.accounts, proxy.tally, since=proxy.started_at)
    if proxy.speaks("auth-files filters"):
        for field in ("name", "auth_index"):
            asked = request.query.get(field)
            entries = [entry for entry in entries if not asked or entry[field] == asked]
    too_new = {
        field
        for feature, fields in ADDED_FIELDS.items()
        for field in fields
        if not proxy.speaks(feature)
    }
    shown = [{k: v for k, v in entry.items() if k not in too_new} for entry in entries]
    return reply({"files": shown})


def api_key_usage(proxy: Proxy, _request: Request) -> Reply:
    """Count the requests of each configured key, the key being in clear."""
    usage: dict[str, dict[str, Any]] = {}
    for account in proxy.accounts:
        if account.key:
            counts = proxy.tally.of(account.auth_index)
            usage.setdefault(account.name, {})[f"{account.base_url}|{account.key}"] = {
                "success": counts.success,
                "failed": counts.failed,
                "recent_requests": counts.recent(time.time()),
            }
    return reply(usage)


def api_keys(_proxy: Proxy, _request: Request) -> Reply:
    """List the client keys."""
    return reply({"api-keys": list(CLIENT_KEYS)})


def openai_compatibility(proxy: Proxy, _request: Request) -> Reply:
    """List the configured OpenAI-compatible providers."""
    return reply({"openai-compatibility": _compatible(proxy)})


def _compatible(proxy: Proxy) -> list[dict[str, Any]]:
    return [
        {
            "name": account.name,
            "base-url": account.base_url,
            "api-key-entries": [{"api-key": account.key, "auth-index": account.auth_index}],
        }
        for account in proxy.accounts
        if account.key
    ]


def _without_keys(name: str) -> Listing:
    return lambda _proxy, _request: reply({name: []})
