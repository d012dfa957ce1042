"""Account names made unreadable, for pictures that others may see."""

import re
from collections.abc import Iterable
from typing import Any

ADDRESS = re.compile(r"[^\s@<>()\",;:]+@[^\s@<>()\",;:]+")


def masked(name: str, number: int) -> str:
    """Give what stands for a name: enough to tell accounts apart, not to know them."""
    local, at, domain = name.partition("@")
    return f"{local[:1]}•••{at}{domain[:1]}{'•••' if domain else ''} {number}"


class Mask:
    """What stands for each account; the same names give the same masks."""

    def __init__(self, names: Iterable[str]) -> None:
        self.by_name = {name: masked(name, n) for n, name in enumerate(sorted(set(names)), 1)}
        self.by_mask = {mask: name for name, mask in self.by_name.items()}

    def text(self, value: Any) -> Any:
        """Mask a name, or every address in a text; leave other values alone."""
        if not isinstance(value, str):
            return value
        if value in self.by_name:
            return self.by_name[value]
        return ADDRESS.sub(lambda found: self.by_name.get(found[0], "•••@•••"), value)

    def name(self, mask: str) -> str:
        """Give the name that a mask stands for; a text that is no mask stays."""
        return self.by_mask.get(mask, mask)
