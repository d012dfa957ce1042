"""What a credential's tokens say about themselves. Nothing here is verified, kept or logged."""

import base64
import binascii
from collections.abc import Mapping

from quota.answers import decoded
from quota.fields import field, mapping
from quota.numbers import instant

# The claim objects of OpenAI's tokens.
AUTH, PROFILE = "https://api.openai.com/auth", "https://api.openai.com/profile"
EXPIRIES = ("expired", "expire", "expires_at", "expiry")


def claims(token: object) -> Mapping[str, object]:
    """Decode the claims of a JWT without checking its signature; empty for an opaque token."""
    parts = token.split(".") if isinstance(token, str) else []
    if len(parts) != 3 or len(parts[1]) > 20_000:
        return {}
    try:
        middle = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except (binascii.Error, ValueError):
        return {}
    return mapping(decoded(middle))


def access_token(content: Mapping[str, object]) -> str | None:
    """Return the access token of a credential file, also a nested one."""
    nested = content.get("token")
    spots = (field(content, "access_token"), field(nested, "access_token"), nested)
    return next((spot for spot in spots if isinstance(spot, str) and spot), None)


def expires_at(content: Mapping[str, object]) -> int | None:
    """Return when the access token expires: its own claim first, else what the file says."""
    spots = (
        claims(access_token(content)).get("exp"),
        field(content, *EXPIRIES),
        field(content.get("token"), *EXPIRIES),
    )
    return next(filter(None, map(instant, spots)), None)


def openai_claim(content: Mapping[str, object], *names: str) -> object:
    """Return a claim of OpenAI's from the access token, else from the older id token."""
    for token in (access_token(content), content.get("id_token")):
        told = claims(token)
        found = field(told.get(AUTH), *names) or field(told.get(PROFILE), *names)
        found = field(told, *names) if found is None else found
        if found is not None:
            return found
    return None
