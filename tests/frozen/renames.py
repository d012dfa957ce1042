"""The names of today for those of an older recording, from `renames.json`.

- `queries`, `exports`: old name → new name, null for one that is gone.
- `parameters`: `query.parameter` or `parameter` → new name; those of the page are `page.…`.
- `columns`: `query.column` or `column` → new name, null for one that is gone. Keys of JSON count
  as columns, of `api`, `status` and `report`.
- `added`: `query.column` or `column` that only the new program has; a part of the page is
  `sections.…`.
- `sections`: parts of `/-/page.json`. `metrics`: names of samples.
- `values`: column → {old value: new value}. `texts`: regular expression → replacement, in texts.
- `layouts`: commands whose lines for people look different; their JSON and CSV are compared.
- `ledger`: statements that give the ledger the names of its time, where names are new by rule.
- `ties`: query → columns; rows alike in these may come in any order.
"""

import json
import re
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_suffix(".json")

Question = dict[str, Any]


class Renames:
    """Looks up today's names."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self._texts = [(re.compile(old), new) for old, new in raw.get("texts", {}).items()]

    @classmethod
    def load(cls) -> "Renames":
        """Read the file beside this module."""
        return cls(json.loads(FILE.read_text("utf-8")))

    def name(self, kind: str, old: str) -> str | None:
        """Return the new name of a query, export, section or metric; None where it is gone."""
        return self._raw.get(kind, {}).get(old, old)

    def scoped(self, kind: str, scope: str, old: str) -> str | None:
        """Return the new name of a column or parameter of something."""
        renamed = self._raw.get(kind, {})
        return renamed.get(f"{scope}.{old}", renamed.get(old, old))

    def is_added(self, scope: str, column: str) -> bool:
        """Return whether only the new program has a column."""
        added = self._raw.get("added", [])
        return column in added or f"{scope}.{column}" in added

    def has_new_layout(self, command: str) -> bool:
        """Return whether the lines of a command are laid out in another way than they were."""
        return command in self._raw.get("layouts", [])

    def ties(self, scope: str) -> list[str]:
        """Return the columns by which alone a query's rows are ordered, if only by some."""
        return self._raw.get("ties", {}).get(scope, [])

    def statements(self) -> list[str]:
        """Return what is done to the ledger before it is asked."""
        return [statement["sql"] for statement in self._raw.get("ledger", [])]

    def value(self, column: str, old: Any) -> Any:
        """Return the new value for an old one of a column."""
        if not isinstance(old, str):
            return old
        renamed = self._raw.get("values", {}).get(column, {})
        if old in renamed:
            return renamed[old]
        for pattern, replacement in self._texts:
            old = pattern.sub(replacement, old)
        return old

    def question(self, old: Question) -> Question | None:
        """Return a question under today's names; None where what it asks is gone."""
        kind = {"export": "exports"}.get(old["kind"], "queries")
        name = self.name(kind, old.get("name", ""))
        if name is None:
            return None
        scope: str = old.get("name") or old["kind"]
        parameters = {
            renamed: self.value(f"parameter {key}", value)
            for key, value in (old.get("parameters") or {}).items()
            if (renamed := self.scoped("parameters", scope, key)) is not None
        }
        return {**old, "name": name, "parameters": parameters}
