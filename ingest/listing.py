"""Cut the HTTP queue's answer into its records, each as it was written. Pure."""

import json

from runtime.errors import Unavailable

SPACE = " \t\r\n"
decoder = json.JSONDecoder()


def elements(content: bytes) -> list[bytes]:
    """Give the bytes of each element of a JSON array; what cannot be read on stays one record.

    An item that the proxy could not take for JSON comes as a string, and is given without quotes.
    Raises `Unavailable` when the answer is no array at all.
    """
    # Bytes that are no UTF-8 pass through as they are.
    text = content.decode("utf-8", "surrogateescape").strip(SPACE)
    if not text.startswith("["):
        raise Unavailable("the proxy's usage-queue answered something that is not a list")
    found: list[bytes] = []
    at = skipped(text, 1)
    while at < len(text) and text[at] != "]":
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return [*found, text[at:].encode("utf-8", "surrogateescape")]
        found.append(as_written(text[at:end], value))
        at = skipped(text, end)
        at = skipped(text, at + 1) if text[at : at + 1] == "," else at
    return found


def as_written(text: str, value: object) -> bytes:
    """Give an element as the proxy had it: its own text, or what a string says."""
    written = value if isinstance(value, str) else text
    try:
        return written.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape")


def skipped(text: str, at: int) -> int:
    """Give the place of the next character that is not white space."""
    while text[at : at + 1] and text[at] in SPACE:
        at += 1
    return at
