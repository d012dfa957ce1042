"""The charts' script, written by vl-convert-python where it is installed, and served from there.

`python -m plugins.charts` writes it ahead of time.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasette import NotFound, Response, hookimpl

EXPORTED = "window.vegaEmbed=vegaEmbed;"
FOREVER = "public, max-age=31536000, immutable"


def released() -> str:
    """Tell the version of what writes the script."""
    return version("vl-convert-python")


def place() -> Path:
    """Tell where the script lies: beside the installed packages, away with them."""
    return Path(sys.prefix) / "share" / "cliproxy-ledger" / f"charts-{released()}.js"


def script() -> bytes:
    """Give the script; the first time, write it, which takes some seconds."""
    try:
        return place().read_bytes()
    except OSError:
        # Slow to load, and not needed again.
        import vl_convert

        made = vl_convert.javascript_bundle(EXPORTED).encode()
        keep(made)
        return made


def keep(made: bytes) -> None:
    """Write the script in one step, if its place can be written."""
    try:
        place().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place().parent, delete=False) as file:
            file.write(made)
        os.replace(file.name, place())
    except OSError:
        return


async def charts(request: Any) -> Response:
    """Serve the script; its address changes with its version."""
    if request.url_vars["version"] != released():
        raise NotFound("There is no such version of the charts.")
    made = await asyncio.to_thread(script)
    return Response(made, content_type="text/javascript", headers={"Cache-Control": FOREVER})


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Serve the script."""
    return [(r"^/-/charts-(?P<version>[\w.]+)\.js$", charts)]


if __name__ == "__main__":
    script()
