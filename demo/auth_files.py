"""The proxy's list of credential files, with its counts and moods."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from demo.pool import Account
from demo.tally import Counts, Tally

Entry = dict[str, Any]


def listing(accounts: Iterable[Account], tally: Tally, *, since: float) -> list[Entry]:
    """Describe every account that is a file, sorted by name.

    `since` is when the proxy started, unix seconds; `tally` counts by auth index.
    """
    files = sorted((one for one in accounts if one.file), key=lambda one: one.file)
    return [_entry(one, tally.of(one.auth_index), since) for one in files]


def instant(seconds: float) -> str:
    """Write unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _entry(account: Account, counts: Counts, since: float) -> Entry:
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
    return {
        "chatgpt_account_id": account.account_id,
        "chatgpt_subscription_active_start": instant(month_start.timestamp()),
        "chatgpt_subscription_active_until": instant(
            (month_start + timedelta(days=31)).timestamp()
        ),
        "plan_type": account.plan,
    }


def _state(counts: Counts) -> Entry:
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
