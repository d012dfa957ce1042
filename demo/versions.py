"""The features of each proxy version, so that one fake proxy can behave as any of them."""

import re
from functools import cache

Version = tuple[int, int, int]

SINCE: dict[str, Version] = {
    "api-call": (6, 6, 63),
    "api-key-usage": (6, 9, 47),
    "auth-files filters": (7, 2, 94),
    "control messages": (7, 1, 39),
    "free accept loop": (7, 0, 3),
    "home refusal": (7, 0, 0),
    "key name": (7, 1, 44),
    "latest-version": (6, 5, 42),
    "recent requests": (6, 9, 46),
    "request counts": (6, 9, 49),
    "resp": (6, 9, 38),
    "retention": (6, 10, 1),
    "subscribe": (7, 0, 7),
    "subscribe errors": (7, 1, 44),
    "usage-queue": (6, 10, 8),
    "version headers": (6, 3, 36),
}


@cache
def parse(text: str) -> Version:
    """Parse a tag such as `v7.2.140` into three integers.

    Raises ValueError on anything else.
    """
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"not a proxy version: {text!r}")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def has_feature(version: str, feature: str) -> bool:
    """Return whether a version has a feature; a name that `SINCE` lacks is in every version."""
    return parse(version) >= SINCE.get(feature, (0, 0, 0))


def refuses_resp(version: str) -> bool:
    """Return whether this is v7.1.17, whose RESP port refuses every client."""
    return parse(version) == (7, 1, 17)
