"""Coroutine methods that other threads may call."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

# Long enough for a busy machine; reached only when the loop is dead.
PATIENCE_SECONDS = 30.0


class Served(Protocol):
    """Something whose loop runs in a thread of its own; None when it does not."""

    loop: asyncio.AbstractEventLoop | None


S = TypeVar("S", bound=Served)
P = ParamSpec("P")


def from_any_thread(
    work: Callable[Concatenate[S, P], Coroutine[Any, Any, None]],
) -> Callable[Concatenate[S, P], None]:
    """Make a coroutine method an ordinary one, for any thread but the serving one.

    It runs there and is waited for; raises RuntimeError when nothing is being served.
    """

    @functools.wraps(work)
    def wait(served: S, *args: P.args, **kwargs: P.kwargs) -> None:
        if served.loop is None:
            raise RuntimeError("the proxy is not being served")
        done = asyncio.run_coroutine_threadsafe(work(served, *args, **kwargs), served.loop)
        done.result(PATIENCE_SECONDS)

    return wait
