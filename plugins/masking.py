"""Names of accounts and people made unreadable, for pictures that others may see."""

import re
from collections.abc import Iterable
from typing import Any

ADDRESS = re.compile(r"[^\s@<>()\",;:]+@[^\s@<>()\",;:]+")
# Where a cell is a name, and where it is a text that may speak of one.
NAMES = frozenset({"account", "client", "name"})
TEXTS = frozenset(
    {"subject", "sentence", "budget", "named", "detail", "message", "error_text", "advice"}
)


def masked(name: str, number: int) -> str:
    """Give what stands for a name: enough to tell accounts apart, not to know them."""
    local, at, domain = name.partition("@")
    return f"{local[:1]}•••{at}{domain[:1]}{'•••' if domain else ''} {number}"


class Mask:
    """What stands for each name; the same names give the same masks."""

    def __init__(self, names: Iterable[str]) -> None:
        self.by_name = {name: masked(name, n) for n, name in enumerate(sorted(set(names)), 1)}
        self.by_mask = {mask: name for name, mask in self.by_name.items()}
        words = (re.escape(name) for name in sorted(self.by_name, reverse=True) if "@" not in name)
        # A text begins with its longest name; a word of other letters is none.
        self._words = re.compile(rf"(?<!\w)(?:{'|'.join(words) or '(?!)'})(?!\w)")

    def cell(self, column: str, value: Any) -> Any:
        """Mask the names in a cell of a query's answer; leave other values alone."""
        if not isinstance(value, str):
            return value
        if column in NAMES and value in self.by_name:
            return self.by_name[value]
        known = ADDRESS.sub(lambda found: self.by_name.get(found[0], "•••@•••"), value)
        return self._words.sub(self._mask, known) if column in TEXTS else known

    def _mask(self, found: re.Match[str]) -> str:
        return self.by_name[found[0]]

    def name(self, mask: str) -> str:
        """Give the name that a mask stands for; a text that is no mask stays."""
        return self.by_mask.get(mask, mask)
