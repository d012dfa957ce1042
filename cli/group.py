"""A group of commands that prints expected errors as one sentence."""

from typing import Any

import click

# -h too, because people try it first.
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Group(click.Group):
    """A group of commands; an error of the ledger ends the program with its sentence."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("context_settings", SETTINGS)
        super().__init__(*arguments, **options)

    def invoke(self, context: click.Context) -> Any:
        """Run the command. Raises `SystemExit` with a sentence instead of the ledger's errors."""
        from ledger import Damaged, SchemaMismatch, Unavailable

        try:
            return super().invoke(context)
        except (Unavailable, SchemaMismatch, Damaged) as error:
            raise SystemExit(str(error)) from error
