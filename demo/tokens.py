"""Made-up access tokens: each tells by its last letters whose it is, and opens nothing."""

import base64
import json
import re
import time
from collections.abc import Iterable
from typing import Any

from demo.pool import Account

OPENAI = "https://api.openai.com/auth"
TOKEN_LIFE = 10 * 86_400
OWNER = re.compile(r"fake-([0-9a-f]{16})$")
# The others' tokens say nothing by themselves.
JWT = ("codex", "kimi", "xai")


def access_token(account: Account, *, life: float = TOKEN_LIFE) -> str:
    """Make the token of an account that is good for `life` seconds from now."""
    if account.provider not in JWT:
        return f"demo-fake-{account.auth_index}"
    claims: dict[str, Any] = {"exp": int(time.time() + life), "sub": f"user-{account.auth_index}"}
    if account.provider == "codex":
        claims[OPENAI] = {
            "chatgpt_account_id": account.account_id,
            "chatgpt_plan_type": account.plan,
        }
    return f"{_part({'alg': 'none'})}.{_part(claims)}.fake-{account.auth_index}"


def owner(authorization: str, accounts: Iterable[Account]) -> Account | None:
    """Find whose token an Authorization header holds."""
    found = OWNER.search(authorization)
    by_index = {account.auth_index: account for account in accounts}
    return by_index.get(found[1]) if found else None


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
