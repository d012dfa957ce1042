"""The account of a credential, read from its file or from the proxy's listing.

Credential files and GET /v0/management/auth-files of router-for-me/CLIProxyAPI. An e-mail address
alone does not identify an account: one login has several workspaces, and one workspace several
members. Tokens are decoded to read their claims; they are not verified, stored or logged.
"""

import base64
import binascii
from collections.abc import Mapping
from hashlib import sha256

from quota.json_fields import decode_json, field, flag, instant, mapping, text, word
from quota.model import Credential
from quota.providers import PROVIDERS

DAY_MS = 86_400_000
# Fields that name the person in a file without an e-mail address.
PERSONS = ("account_uuid", "user_id", "sub")
# The claim objects of OpenAI's tokens.
AUTH, PROFILE = "https://api.openai.com/auth", "https://api.openai.com/profile"
CLAIMS = {
    "account": "chatgpt_account_id",
    "email": "email",
    "plan": "chatgpt_plan_type",
    "until": "chatgpt_subscription_active_until",
}
EXPIRIES = ("expired", "expire", "expires_at", "expiry")


def from_file(file_name: str, content: object) -> Credential | None:
    """Return the credential in a file's JSON; None when it is not a credential."""
    file = mapping(content)
    provider = word(file.get("type"))
    if provider is None:
        return None
    openai = _openai_claims(provider, file)
    account = text(field(file, workspace_field(provider) or "account_id")) or openai["account"]
    email = text(file.get("email")) or openai["email"]
    plan, person = word(openai["plan"]), _person(provider, file)
    return Credential(
        account_key=account_key(
            provider, account=account, person=email or person, file_name=file_name
        ),
        provider=provider,
        display_name=email or text(file.get("note")) or file_name,
        file_name=file_name,
        account_id=account,
        project_id=text(field(file, "project_id")),
        user_id=person,
        fedramp=flag(openai_claim(file, "chatgpt_account_is_fedramp")) is True,
        plan_raw=plan,
        plan_source="token" if plan else None,
        token_expires_at=token_expiry(file),
        subscription_until=instant(openai["until"]),
        disabled=flag(file.get("disabled")) is True,
        kind="oauth" if access_token(file) else "api_key",
        proxy_url=text(field(file, "proxy_url", "proxy-url"), 500),
    )


def from_listing(row: object) -> Credential | None:
    """Return the credential in a row of `auth-files`; None without a provider or a file."""
    entry = mapping(row)
    provider = word(entry.get("provider")) or word(entry.get("type"))
    file_name = text(entry.get("name")) or text(entry.get("id"))
    if not (provider and file_name):
        return None
    claims = entry.get("id_token")
    project = text(field(entry, "project_id"))
    account = text(field(claims, "chatgpt_account_id"))
    email, plan = text(entry.get("email")), word(field(claims, "plan_type"))
    workspace = project if workspace_field(provider) == "project_id" else account
    return Credential(
        account_key=account_key(provider, account=workspace, person=email, file_name=file_name),
        provider=provider,
        display_name=email or text(entry.get("note")) or file_name,
        file_name=file_name,
        auth_index=text(entry.get("auth_index")),
        account_id=workspace,
        project_id=project,
        plan_raw=plan,
        plan_source="token" if plan else None,
        subscription_until=instant(field(claims, "chatgpt_subscription_active_until")),
        cooldown_until=instant(entry.get("next_retry_after")),
        disabled=flag(entry.get("disabled")) is True,
        kind=word(entry.get("account_type")) or "oauth",
    )


def workspace_field(provider: str) -> str | None:
    """Return the field of a provider's credential file that names the workspace, if any."""
    return PROVIDERS[provider].workspace_field if provider in PROVIDERS else None


def names_workspace(provider: str) -> bool:
    """Return whether a provider's address alone never identifies an account.

    One ChatGPT login commonly has several workspaces, and the proxy's listing names them.
    """
    return provider in PROVIDERS and PROVIDERS[provider].listing_names_workspace


def account_key(provider: str, *, account: str | None, person: str | None, file_name: str) -> str:
    """Return the stable key of an account; without a person the file name is used instead."""
    parts = (account or "", person or file_name)
    name = "\n".join(part.strip().lower() for part in parts)
    return f"{provider}:{sha256(name.encode('utf-8', 'replace')).hexdigest()[:16]}"


def token_state(credential: Credential, now: int) -> str | None:
    """Return `token_expired` once the token is, `expiring` on a Codex token's last day."""
    if credential.token_expires_at is None:
        return None
    remaining = credential.token_expires_at - now
    if remaining <= 0:
        return "token_expired"
    # The proxy renews Codex tokens days ahead; other tokens live for hours only.
    return "expiring" if credential.provider == "codex" and remaining < DAY_MS else None


def access_token(content: Mapping[str, object]) -> str | None:
    """Return the access token of a credential file, also a nested one."""
    nested = content.get("token")
    spots = (field(content, "access_token"), field(nested, "access_token"), nested)
    return next((spot for spot in spots if isinstance(spot, str) and spot), None)


def token_expiry(content: Mapping[str, object]) -> int | None:
    """Return when the access token expires: its own claim first, else the file's field."""
    spots = (
        jwt_claims(access_token(content)).get("exp"),
        field(content, *EXPIRIES),
        field(content.get("token"), *EXPIRIES),
    )
    return next(filter(None, map(instant, spots)), None)


def jwt_claims(token: object) -> Mapping[str, object]:
    """Return the claims of a JWT without checking its signature; empty for an opaque token."""
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != 3 or len(parts[1]) > 20_000:
        return {}
    try:
        middle = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except (binascii.Error, ValueError):
        return {}
    return mapping(decode_json(middle))


def openai_claim(content: Mapping[str, object], *names: str) -> object:
    """Return a claim of OpenAI's from the access token, else from the older id token."""
    for token in (access_token(content), content.get("id_token")):
        claims = jwt_claims(token)
        value = field(claims.get(AUTH), *names) or field(claims.get(PROFILE), *names)
        value = field(claims, *names) if value is None else value
        if value is not None:
            return value
    return None


def _openai_claims(provider: str, file: Mapping[str, object]) -> dict[str, str | None]:
    content = file if provider == "codex" else {}
    return {name: text(openai_claim(content, claim)) for name, claim in CLAIMS.items()}


def _person(provider: str, file: Mapping[str, object]) -> str | None:
    if provider == "codex":
        return text(openai_claim(file, "chatgpt_user_id", "user_id"))
    return text(field(file, *PERSONS)) or text(field(jwt_claims(access_token(file)), *PERSONS))
