"""Keep each page view out of the log: a dashboard that refreshes would fill it."""

import logging
from collections.abc import Callable

from datasette import hookimpl


@hookimpl
def startup() -> Callable[[], None]:
    """Switch off the access log once the server has set up its own."""

    def quiet() -> None:
        logging.getLogger("uvicorn.access").disabled = True

    return quiet
