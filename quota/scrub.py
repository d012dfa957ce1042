"""One line of a provider's error text, without what identifies a person or opens an account."""

import re

LIMIT, LONGEST_LOOK = 200, 4000
TITLE = re.compile(r"<title[^>]{0,200}>(.*?)</title", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"<[^<>]*>")
SECRETS = (
    re.compile(r"\b(set-)?cookie\b\s*[:=].*", re.IGNORECASE),
    re.compile(r"\b(bearer|basic)\s+\S+", re.IGNORECASE),
    re.compile(r"\b[a-z][a-z0-9+.-]{0,20}://\S+", re.IGNORECASE),
    re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)*"),
    re.compile(r"\b(\d{1,3}\.){3}\d{1,3}\b"),
    re.compile(r"\b(sk|rt|at|user|org|acct|account|proj|req|sess|ey)[-_J][\w.-]*\d[\w.-]*"),
)
LONG = re.compile(r"[\w+/=.-]{20,}")


def line(text: str) -> str | None:
    """Return one line of at most 200 characters: HTML by its title, secrets as `…`."""
    titled = TITLE.search(text[: 4 * LONGEST_LOOK])
    text = TAG.sub(" ", titled[1] if titled else text[:LONGEST_LOOK])[:LONGEST_LOOK]
    for secret in SECRETS:
        text = secret.sub("…", text)
    # A long run of characters with a digit in it is a key or an id; without one it is a word.
    text = LONG.sub(lambda run: "…" if any(map(str.isdigit, run[0])) else run[0], text)
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat[: LIMIT - 1] + "…" if len(flat) > LIMIT else flat or None
