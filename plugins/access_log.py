"""Remove page views from the log: a dashboard refreshes itself, and would fill it."""

import logging
from collections.abc import Callable

from datasette import hookimpl


@hookimpl
def startup() -> Callable[[], None]:
    """Filter out every record of the access log; uvicorn's own set-up keeps filters."""

    def silence() -> None:
        logging.getLogger("uvicorn.access").addFilter(lambda record: False)

    return silence
