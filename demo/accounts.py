"""The accounts and client keys of the demo, with their credential files. All are made up."""

import base64
import hashlib
import json
import re
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Any

KEY = "demo-management-key"
SEED = 2026
AUTH_DIR = "/srv/proxy/auths"
CLIENT_KEYS = (
    "sk-demo-client-alpha",
    "sk-demo-client-beta",
    "sk-demo-client-gamma",
    "sk-demo-client-delta",
    "sk-demo-client-night",
)
TOKEN_LIFE_SECONDS = 10 * 86_400
OPENAI_CLAIM = "https://api.openai.com/auth"
TOKEN_PATTERN = re.compile(r"fake-([0-9a-f]{16})$")
# The tokens of the other providers are opaque.
JWT_PROVIDERS = ("codex", "kimi", "xai")


@dataclass(frozen=True, eq=False)
class Account:
    """One credential of the proxy: a file of its auth folder, or a key of its configuration."""

    provider: str
    email: str = ""
    plan: str = ""
    file: str = ""
    key: str = ""
    base_url: str = ""
    note: str = ""
    websockets: bool = False

    @cached_property
    def name(self) -> str:
        """The provider's name in the proxy's configuration."""
        return self.provider.removeprefix("openai-compatible-")

    @cached_property
    def path(self) -> str:
        """The path of the file on the proxy's machine."""
        return f"{AUTH_DIR}/{self.file}"

    @cached_property
    def auth_index(self) -> str:
        """The proxy's id: 16 hex digits of a hash of the path, or of base URL and key."""
        from_key = f"openai-compatibility:{self.base_url}+{self.key}"
        return _sha256(from_key if self.key else f"{self.provider}:{self.path}")[:16]

    @cached_property
    def account_id(self) -> str:
        """The provider's id of the workspace."""
        return workspace(self.email, self.plan)

    @cached_property
    def project(self) -> str:
        """The Google project of an Antigravity account."""
        return f"demo-project-{self.auth_index[:6]}"

    def source(self, client_key: str) -> str:
        """Return the `source` of its events: e-mail, upstream key, or the client's own key."""
        return self.email or self.key or client_key

    def token_sha256(self, moment: float) -> str:
        """Return the hash of the access token in use at `moment`, unix seconds."""
        return _token_sha256(self.auth_index, int(moment // TOKEN_LIFE_SECONDS))


def workspace(email: str, plan: str) -> str:
    """Return a made-up workspace id."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{email} {plan}"))


def instant(seconds: float) -> str:
    """Return unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def access_token(account: Account, *, valid_seconds: float = TOKEN_LIFE_SECONDS) -> str:
    """Return a made-up token, valid for `valid_seconds`, that ends with the `auth_index`."""
    if account.provider not in JWT_PROVIDERS:
        return f"demo-fake-{account.auth_index}"
    claims: dict[str, Any] = {
        "exp": int(time.time() + valid_seconds),
        "sub": f"user-{account.auth_index}",
    }
    if account.provider == "codex":
        claims[OPENAI_CLAIM] = {
            "chatgpt_account_id": account.account_id,
            "chatgpt_plan_type": account.plan,
        }
    return f"{_jwt_part({'alg': 'none'})}.{_jwt_part(claims)}.fake-{account.auth_index}"


def token_owner(authorization: str, accounts: Iterable[Account]) -> Account | None:
    """Return the account whose token an Authorization header holds."""
    match = TOKEN_PATTERN.search(authorization)
    by_index = {account.auth_index: account for account in accounts}
    return by_index.get(match[1]) if match else None


def write_files(folder: Path, accounts: Iterable[Account], **settings: Any) -> None:
    """Write the credential file of each account that has one, with `settings` added to each."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for account in accounts:
        if account.file:
            (folder / account.file).write_text(json.dumps(file_content(account) | settings))


def file_content(account: Account, *, valid_seconds: float = TOKEN_LIFE_SECONDS) -> dict[str, Any]:
    """Return the content of a credential file whose token is valid for `valid_seconds`."""
    content: dict[str, Any] = {
        "access_token": access_token(account, valid_seconds=valid_seconds),
        "refresh_token": f"demo-refresh-{account.auth_index}",
        "last_refresh": instant(time.time()),
        "expired": instant(time.time() + valid_seconds),
        "type": account.provider,
    }
    if account.email:
        content["email"] = account.email
    if account.provider == "codex":
        content |= {"account_id": account.account_id, "id_token": content["access_token"]}
    if account.provider == "claude":
        content["organization_uuid"] = account.account_id
    if account.provider == "antigravity":
        content["project_id"] = account.project
    return dict(sorted(content.items()))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def _token_sha256(auth_index: str, number: int) -> str:
    return _sha256(f"token {number} of {auth_index}")


def _jwt_part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _codex(email: str, plan: str, *, note: str = "", websockets: bool = False) -> Account:
    name = f"codex-{_sha256(workspace(email, plan))[:8]}-{email}-{plan}.json"
    return Account("codex", email, plan, file=name, note=note, websockets=websockets)


def _by_email(provider: str, email: str, plan: str = "") -> Account:
    return Account(provider, email, plan, file=f"{provider}-{email}.json")


ALICE = _codex("alice@example.com", "plus", note="5 hours and a week", websockets=True)
ALICE_TEAM = _codex("alice@example.com", "team")
BOB = _codex("bob@example.com", "pro", websockets=True)
DAVE = _codex("dave@example.com", "plus", note="shared with the night jobs")
FRANK = _codex("frank@example.com", "free")
ERIN = _codex("erin@example.com", "plus", note="logged out")
CAROL = _by_email("claude", "carol@example.com", "max")
GRACE = _by_email("claude", "grace@example.com", "pro")
HEIDI = _by_email("antigravity", "heidi@example.com", "pro")
KIMI = Account("kimi", file="kimi-1790000000000.json")
JUDY = _by_email("xai", "judy@example.com")
LUMEN = Account(
    "openai-compatible-lumen",
    key="sk-fake-upstream-0001",
    base_url="https://lumen.example/v1",
)

ACCOUNTS = (ALICE, ALICE_TEAM, BOB, DAVE, ERIN, FRANK, CAROL, GRACE, HEIDI, KIMI, JUDY, LUMEN)
FILES = tuple(account for account in ACCOUNTS if account.file)
