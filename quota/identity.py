"""Which account a credential belongs to, from its file or from the proxy's listing.

Credential files and GET /v0/management/auth-files of router-for-me/CLIProxyAPI. E-mail alone
names no account: one login has several workspaces, and one workspace several members.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from quota.fields import field as told
from quota.fields import mapping, text, word
from quota.numbers import flag, instant
from quota.tokens import access_token, claims, expires_at, openai_claim

DAY_MS = 86_400_000
# Where a provider's files name the workspace, and the person in case there is no e-mail.
WORKSPACES = {"codex": "account_id", "claude": "organization_uuid", "antigravity": "project_id"}
PERSONS = ("account_uuid", "user_id", "sub")
CLAIMS = {
    "account": "chatgpt_account_id",
    "email": "email",
    "plan": "chatgpt_plan_type",
    "until": "chatgpt_subscription_active_until",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """One credential of the proxy: the account it opens and what a request needs, no token."""

    account_key: str
    provider: str
    display_name: str
    file_name: str
    auth_index: str | None = None
    account_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    fedramp: bool = False
    plan_raw: str | None = None
    plan_source: str | None = None
    token_expires_at: int | None = None
    subscription_until: int | None = None
    cooldown_until: int | None = None
    disabled: bool = False
    kind: str = "oauth"
    proxy_url: str | None = field(default=None, repr=False)


def from_file(file_name: str, content: object) -> Credential | None:
    """Read a credential file's JSON; None when it is not a credential."""
    file = mapping(content)
    provider = word(file.get("type"))
    if provider is None:
        return None
    openai = _openai(provider, file)
    account = text(told(file, WORKSPACES.get(provider, "account_id"))) or openai["account"]
    email = text(file.get("email")) or openai["email"]
    plan, person = word(openai["plan"]), _person(provider, file)
    return Credential(
        account_key=key(provider, account=account, person=email or person, file_name=file_name),
        provider=provider,
        display_name=email or text(file.get("note")) or file_name,
        file_name=file_name,
        account_id=account,
        project_id=text(told(file, "project_id")),
        user_id=person,
        fedramp=flag(openai_claim(file, "chatgpt_account_is_fedramp")) is True,
        plan_raw=plan,
        plan_source="token" if plan else None,
        token_expires_at=expires_at(file),
        subscription_until=instant(openai["until"]),
        disabled=flag(file.get("disabled")) is True,
        kind="oauth" if access_token(file) else "api_key",
        proxy_url=text(told(file, "proxy_url", "proxy-url"), 500),
    )


def from_listing(row: object) -> Credential | None:
    """Read one row of the proxy's `auth-files`; None when it names no provider or file."""
    entry = mapping(row)
    provider = word(entry.get("provider")) or word(entry.get("type"))
    file_name = text(entry.get("name")) or text(entry.get("id"))
    if not (provider and file_name):
        return None
    decoded = entry.get("id_token")
    project = text(told(entry, "project_id"))
    account = text(told(decoded, "chatgpt_account_id"))
    email, plan = text(entry.get("email")), word(told(decoded, "plan_type"))
    owner = project if provider == "antigravity" else account
    return Credential(
        account_key=key(provider, account=owner, person=email, file_name=file_name),
        provider=provider,
        display_name=email or text(entry.get("note")) or file_name,
        file_name=file_name,
        auth_index=text(entry.get("auth_index")),
        account_id=owner,
        project_id=project,
        plan_raw=plan,
        plan_source="token" if plan else None,
        subscription_until=instant(told(decoded, "chatgpt_subscription_active_until")),
        cooldown_until=instant(entry.get("next_retry_after")),
        disabled=flag(entry.get("disabled")) is True,
        kind=word(entry.get("account_type")) or "oauth",
    )


def key(provider: str, *, account: str | None, person: str | None, file_name: str) -> str:
    """Return the stable key of an account; without a person the file stands for one."""
    parts = (account or "", person or file_name)
    named = "\n".join(part.strip().lower() for part in parts)
    return f"{provider}:{sha256(named.encode('utf-8', 'replace')).hexdigest()[:16]}"


def token_state(credential: Credential, now: int) -> str | None:
    """Return `token_expired` once the token is, `expiring` on a Codex token's last day."""
    left = None if credential.token_expires_at is None else credential.token_expires_at - now
    if left is None:
        return None
    if left <= 0:
        return "token_expired"
    # The proxy renews Codex tokens days ahead; others live for hours only.
    return "expiring" if credential.provider == "codex" and left < DAY_MS else None


def _openai(provider: str, file: Mapping[str, object]) -> dict[str, str | None]:
    known = file if provider == "codex" else {}
    return {name: text(openai_claim(known, claim)) for name, claim in CLAIMS.items()}


def _person(provider: str, file: Mapping[str, object]) -> str | None:
    if provider == "codex":
        return text(openai_claim(file, "chatgpt_user_id", "user_id"))
    return text(told(file, *PERSONS)) or text(told(claims(access_token(file)), *PERSONS))
