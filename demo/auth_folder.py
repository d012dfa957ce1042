"""Credential files as the proxy writes them, with tokens that are made up."""

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from demo.auth_files import instant
from demo.pool import Account
from demo.tokens import TOKEN_LIFE, access_token


def write(folder: Path, accounts: Iterable[Account], **settings: Any) -> None:
    """Write the files of all accounts that are files; `settings` go into each."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for account in accounts:
        if account.file:
            (folder / account.file).write_text(json.dumps(content(account) | settings))


def content(account: Account, *, life: float = TOKEN_LIFE) -> dict[str, Any]:
    """Give what an account's file holds; the token is good for `life` seconds from now."""
    held: dict[str, Any] = {
        "access_token": access_token(account, life=life),
        "refresh_token": f"demo-refresh-{account.auth_index}",
        "last_refresh": instant(time.time()),
        "expired": instant(time.time() + life),
        "type": account.provider,
    }
    if account.email:
        held["email"] = account.email
    if account.provider == "codex":
        held |= {"account_id": account.account_id, "id_token": held["access_token"]}
    if account.provider == "claude":
        held["organization_uuid"] = account.account_id
    if account.provider == "antigravity":
        held["project_id"] = account.project
    return dict(sorted(held.items()))
