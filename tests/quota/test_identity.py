"""A credential is identified by workspace and person, and does not reveal its token."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from quota.identity import (
    access_token,
    account_key,
    from_file,
    from_listing,
    jwt_claims,
    token_state,
)
from quota.json_fields import (
    amount,
    count,
    flag,
    instant,
    number,
    percent,
    percent_of_fraction,
    percent_of_limit,
    seconds,
)
from quota.model import TERMINAL, Credential

DATA = Path(__file__).parents[1] / "data" / "quota"
TEAM = "99999999-8888-4777-8666-555555555555"
ACCOUNT = "1d1109c9-d9b2-54ca-a65d-875cf2aeb07b"
DAY = 86_400_000


def jwt(claims: Any) -> str:
    """Return a token with these claims and an invalid signature."""
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{middle}.c2ln"


def codex(**more: Any) -> dict[str, Any]:
    """Return a Codex credential file."""
    auth = {"chatgpt_account_id": TEAM, "chatgpt_user_id": "user-1"}
    access = {"exp": 1_790_000_000, "https://api.openai.com/auth": auth}
    ident = {
        "https://api.openai.com/auth": {
            "chatgpt_plan_type": "Team",
            "chatgpt_subscription_active_until": "2026-12-04T00:03:13Z",
            "chatgpt_account_is_fedramp": True,
        },
        "https://api.openai.com/profile": {"email": "ann@example.com"},
    }
    return {"type": "codex", "access_token": jwt(access), "id_token": jwt(ident), **more}


def read_file(content: Any, file_name: str = "file.json") -> Credential:
    """Return the credential of a file."""
    credential = from_file(file_name, content)
    assert credential is not None
    return credential


def test_a_codex_file_has_everything_that_a_poll_needs() -> None:
    assert read_file(codex(disabled=True, proxy_url="http://u:p@proxy")) == Credential(
        account_key=account_key("codex", account=TEAM, person="ann@example.com", file_name=""),
        provider="codex",
        display_name="ann@example.com",
        file_name="file.json",
        account_id=TEAM,
        user_id="user-1",
        fedramp=True,
        plan_raw="team",
        plan_source="token",
        token_expires_at=1_790_000_000_000,
        subscription_until=1_796_342_593_000,
        disabled=True,
        proxy_url="http://u:p@proxy",
    )


def test_a_listing_names_the_same_account_as_the_file() -> None:
    row = {
        "name": "file.json",
        "provider": "codex",
        "email": "Ann@Example.com",
        "id_token": {"chatgpt_account_id": TEAM.upper()},
    }
    credential = from_listing(row)
    assert credential is not None
    assert credential.account_key == read_file(codex()).account_key


def test_the_proxys_listing_gives_every_credential() -> None:
    rows = json.loads((DATA / "management-auth-files.json").read_text())["files"]
    credentials = {row["name"]: from_listing(row) for row in rows}
    assert None not in credentials.values()
    assert len({each.account_key for each in credentials.values() if each}) == len(rows)
    heidi = credentials["codex-f0aed856-heidi.limited@example.com-plus.json"]
    assert heidi == Credential(
        account_key=account_key(
            "codex", account=ACCOUNT, person="heidi.limited@example.com", file_name=""
        ),
        provider="codex",
        display_name="heidi.limited@example.com",
        file_name="codex-f0aed856-heidi.limited@example.com-plus.json",
        auth_index="e9a7a95fdb4cbd02",
        account_id=ACCOUNT,
        plan_raw="plus",
        plan_source="token",
        subscription_until=1_796_342_593_000,
        cooldown_until=1_795_572_197_000,
    )


def test_one_login_in_two_workspaces_is_two_accounts() -> None:
    other = codex(account_id="11111111-8888-4777-8666-555555555555")
    assert read_file(codex()).account_key != read_file(other).account_key


def test_two_members_of_one_workspace_are_two_accounts() -> None:
    assert read_file(codex(email="bob@example.com")).account_key != read_file(codex()).account_key


def test_an_account_survives_a_new_file_name_and_a_new_token() -> None:
    renewed = codex(access_token=jwt({"exp": 1}), account_id=TEAM)
    assert read_file(renewed, "other.json").account_key == read_file(codex()).account_key


def test_a_credential_without_a_person_is_identified_by_its_file() -> None:
    kimi = {"type": "kimi", "access_token": "opaque"}
    assert read_file(kimi, "a.json").account_key != read_file(kimi, "b.json").account_key
    assert read_file(kimi, "a.json").display_name == "a.json"
    assert read_file(kimi | {"note": "mine"}, "a.json").display_name == "mine"


@pytest.mark.parametrize(
    ("content", "account", "person"),
    [
        pytest.param(
            {"type": "claude", "email": "g@example.com", "organization_uuid": "org"},
            "org",
            "g@example.com",
            id="claude",
        ),
        pytest.param(
            {"type": "antigravity", "email": "h@example.com", "project_id": "proj"},
            "proj",
            "h@example.com",
            id="antigravity",
        ),
        pytest.param(
            {"type": "kimi", "access_token": jwt({"user_id": "u1"})}, None, "u1", id="kimi-token"
        ),
        pytest.param({"type": "xai", "sub": "s1"}, None, "s1", id="grok-without-mail"),
    ],
)
def test_other_providers_are_identified_by_fields_of_their_files(
    content: Any, account: str | None, person: str
) -> None:
    credential = read_file(content)
    assert credential.account_key == account_key(
        content["type"], account=account, person=person, file_name=""
    )


@pytest.mark.parametrize("content", [None, [], "x", {}, {"type": None}, {"type": 7}])
def test_a_file_without_a_type_is_no_credential(content: Any) -> None:
    assert from_file("config.json", content) is None


@pytest.mark.parametrize("row", [None, {}, {"provider": "codex"}, {"name": "x.json"}])
def test_a_row_without_provider_or_name_is_no_credential(row: Any) -> None:
    assert from_listing(row) is None


@pytest.mark.parametrize(
    ("content", "expires_at"),
    [
        pytest.param({"access_token": jwt({"exp": 1_790_000_000})}, 1_790_000_000_000, id="jwt"),
        pytest.param({"expired": "2026-09-21T14:13:20.123456789Z"}, 1_790_000_000_123, id="file"),
        pytest.param({"expires_at": 1_790_000_000_500}, 1_790_000_000_500, id="ms"),
        pytest.param({"expiry": "1790000000"}, 1_790_000_000_000, id="text"),
        pytest.param({"token": {"expiry": 1_790_000_000}}, 1_790_000_000_000, id="nested"),
        pytest.param({"expired": "soon"}, None, id="nonsense"),
        pytest.param({}, None, id="unknown"),
    ],
)
def test_a_token_expires_by_its_claim_or_its_file(content: Any, expires_at: int | None) -> None:
    assert read_file({"type": "claude", **content}).token_expires_at == expires_at


@pytest.mark.parametrize(
    ("provider", "left", "state"),
    [
        pytest.param("codex", 0, "token_expired", id="expired"),
        pytest.param("codex", DAY - 1, "expiring", id="last-day"),
        pytest.param("codex", DAY, None, id="fresh"),
        pytest.param("claude", DAY - 1, None, id="short-lived-by-nature"),
        pytest.param("codex", None, None, id="unknown"),
    ],
)
def test_an_expired_token_has_a_state(provider: str, left: int | None, state: str | None) -> None:
    credential = Credential(
        account_key="k",
        provider=provider,
        display_name="d",
        file_name="f",
        token_expires_at=None if left is None else 1_790_000_000_000 + left,
    )
    assert token_state(credential, 1_790_000_000_000) == state


@pytest.mark.parametrize(
    "token",
    ["", "a.b", "a.b.c", "a.!!.c", "a.W10.c", f"a.{'x' * 30_000}.c", None, 7, "ä.ö.ü"],
)
def test_a_text_that_is_not_a_jwt_has_no_claims(token: Any) -> None:
    assert jwt_claims(token) == {}


def test_a_credential_never_shows_token_or_proxy() -> None:
    shown = repr(read_file(codex(proxy_url="http://user:secret@proxy", refresh_token="refresh")))
    assert not [word for word in ("eyJ", "secret", "refresh") if word in shown]


def test_a_nested_token_is_found() -> None:
    assert access_token({"token": {"access_token": "a"}}) == "a"
    assert access_token({"token": "b"}) == "b"
    assert access_token({"token": {"access_token": ""}}) is None


def test_terminal_states_are_those_a_person_must_end() -> None:
    assert sorted(TERMINAL) == ["deactivated", "needs_login", "unsupported_credential"]


AT = 1_790_000_000_000


@pytest.mark.parametrize(
    ("read", "value", "expected"),
    [
        pytest.param(number, "1e3", 1000, id="exponent"),
        pytest.param(number, "1_000", None, id="underscore"),
        pytest.param(number, "٣", None, id="foreign-digit"),
        pytest.param(number, False, None, id="bool"),
        pytest.param(number, float("inf"), None, id="infinity"),
        pytest.param(number, float("nan"), None, id="nan"),
        pytest.param(number, "1e999", None, id="too-large"),
        pytest.param(number, 10**400, None, id="huge"),
        pytest.param(number, -0.0, 0, id="minus-zero"),
        pytest.param(number, "9" * 99, None, id="long"),
        pytest.param(percent, " 64.5 % ", 64.5, id="percent-apart"),
        pytest.param(percent, "64.5%", 64.5, id="percent-sign"),
        pytest.param(percent_of_fraction, 0.29, 29, id="fraction"),
        pytest.param(percent_of_fraction, "1.02", 102, id="fraction-above-one"),
        pytest.param(percent_of_limit, None, None, id="share-of-one"),
        pytest.param(count, "3", 3, id="count"),
        pytest.param(count, 1.5, None, id="no-count"),
        pytest.param(seconds, 0, None, id="no-duration"),
        pytest.param(seconds, -5, None, id="negative-duration"),
        pytest.param(instant, 1_790_000_000, AT, id="seconds"),
        pytest.param(instant, "1790000000", AT, id="seconds-text"),
        pytest.param(instant, AT, AT, id="milliseconds"),
        pytest.param(instant, 1_790_000_000.25, AT + 250, id="fraction-of-a-second"),
        pytest.param(instant, "2026-09-21T14:13:20Z", AT, id="zulu"),
        pytest.param(instant, "2026-09-21T22:13:20+08:00", AT, id="offset"),
        pytest.param(instant, "2026-09-21T14:13:20.1Z", AT + 100, id="one-digit"),
        pytest.param(instant, "2026-09-21T14:13:20.123456789Z", AT + 123, id="nine-digits"),
        pytest.param(instant, "2026-09-21T14:13:20", None, id="no-zone"),
        pytest.param(instant, "0001-01-01T00:00:00Z", None, id="zero-time"),
        pytest.param(instant, 0, None, id="zero"),
        pytest.param(instant, 5, None, id="1970"),
        pytest.param(instant, 9e14, None, id="far-future"),
        pytest.param(instant, True, None, id="true"),
        pytest.param(instant, [], None, id="list"),
        pytest.param(amount, "0.1000", "0.1", id="amount"),
        pytest.param(amount, "1E-30", "0", id="tiny-amount"),
        pytest.param(amount, 1e15, "1000000000000000", id="large-amount"),
        pytest.param(flag, "True", True, id="python-true"),
        pytest.param(flag, 0, False, id="zero-flag"),
        pytest.param(flag, "maybe", None, id="no-flag"),
        pytest.param(flag, [], None, id="list-flag"),
    ],
)
def test_a_value_is_read_or_unknown(read: Any, value: Any, expected: Any) -> None:
    assert (read(value, 1) if read is percent_of_limit else read(value)) == expected
