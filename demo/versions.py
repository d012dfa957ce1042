"""What each version of the proxy speaks, so that one stand-in can be any of them."""

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
    """Read a tag such as `v7.2.140` as three integers.

    Raises ValueError on anything else.
    """
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"not a proxy version: {text!r}")
    major, minor, patch = match.groups()
    return int(major), int(minor), int(patch)


def speaks(version: str, feature: str) -> bool:
    """Tell whether a version has a feature; names not in `SINCE` exist everywhere."""
    return parse(version) >= SINCE.get(feature, (0, 0, 0))


def refuses_resp(version: str) -> bool:
    """Tell whether this is the one version whose RESP port turns everybody away."""
    return parse(version) == (7, 1, 17)
