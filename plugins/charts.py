"""The charts' script, written once by vl-convert-python and then served from a file.

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

EXPORTS = "window.vegaEmbed=vegaEmbed;"
IMMUTABLE = "public, max-age=31536000, immutable"


def script_version() -> str:
    """Return the version of the package that writes the script."""
    return version("vl-convert-python")


def script_path() -> Path:
    """Return the script's path: in the environment of the packages, removed together with it."""
    return Path(sys.prefix) / "share" / "cliproxy-ledger" / f"charts-{script_version()}.js"


def script() -> bytes:
    """Return the script; the first time, write it, which takes some seconds."""
    try:
        return script_path().read_bytes()
    except OSError:
        # Slow to load, and not needed again.
        import vl_convert

        bundle = vl_convert.javascript_bundle(EXPORTS).encode()
        save(bundle)
        return bundle


def save(bundle: bytes) -> None:
    """Write the script in one step, if its folder can be written."""
    try:
        script_path().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=script_path().parent, delete=False) as file:
            file.write(bundle)
        os.replace(file.name, script_path())
    except OSError:
        return


async def charts(request: Any) -> Response:
    """Serve the script; its address changes with its version."""
    if request.url_vars["version"] != script_version():
        raise NotFound("There is no such version of the charts.")
    body = await asyncio.to_thread(script)
    return Response(body, content_type="text/javascript", headers={"Cache-Control": IMMUTABLE})


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Any]]]:
    """Register the script's route."""
    return [(r"^/-/charts-(?P<version>[\w.]+)\.js$", charts)]


if __name__ == "__main__":
    script()
