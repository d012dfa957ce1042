"""What the proxy itself has counted of each credential since its start. Pure.

Wire format: `auth-files` (since v6.9.49 with counts) and `api-key-usage` (since v6.9.47) of
CLIProxyAPI. The second one names its keys in clear: only their `auth_index` leaves this module.
"""

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple

# Providers whose configured keys have a seed of their own; every other one is a compatible one.
OWN_SEED = {"gemini", "claude", "codex", "xai", "vertex", "interactions"}


class Counted(NamedTuple):
    """Attempts of one credential since the proxy's start."""

    success: int
    failed: int

    @property
    def all(self) -> int:
        """Every attempt."""
        return self.success + self.failed


def of_files(listing: Any) -> dict[str, Counted]:
    """Give the counts by auth_index that the list of credential files holds."""
    return {
        entry["auth_index"]: counted
        for entry in entries(listing)
        if isinstance(entry.get("auth_index"), str) and (counted := counts(entry))
    }


def of_keys(usage: Any, listing: Any) -> dict[str, Counted]:
    """Give the counts by auth_index of the configured keys, without those listed as files."""
    listed = {entry.get("account") for entry in entries(listing)}
    found: dict[str, Counted] = {}
    for provider, keys in items(usage):
        for name, entry in items(keys):
            base_url, _, key = name.rpartition("|")
            counted = counts(entry)
            if counted and key not in listed:
                found[auth_index(provider, base_url, key)] = counted
    return found


def auth_index(provider: str, base_url: str, key: str) -> str:
    """Work out a configured key's auth_index, as `sdk/cliproxy/auth/types.go` does."""
    kind = f"{provider}-api-key" if provider in OWN_SEED else "openai-compatibility"
    return hashlib.sha256(f"{kind}:{base_url}+{key}".encode()).hexdigest()[:16]


def entries(listing: Any) -> Iterator[dict[str, Any]]:
    """Give the objects of a list of credential files."""
    files = listing.get("files") if isinstance(listing, dict) else None
    yield from (entry for entry in files or [] if isinstance(entry, dict))


def items(found: Any) -> Iterator[tuple[str, Any]]:
    """Give the fields of what should be an object."""
    yield from found.items() if isinstance(found, dict) else ()


def counts(entry: Any) -> Counted | None:
    """Read an entry's two counts; None where an older proxy sends none."""
    found = [entry.get(name) for name in ("success", "failed")] if isinstance(entry, dict) else []
    if len(found) == 2 and all(isinstance(n, int) and n >= 0 for n in found):
        return Counted(*found)
    return None
