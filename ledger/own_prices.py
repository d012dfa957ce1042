"""A user's own prices, as the settings have them; apart, because the package of prices is large."""

from typing import Annotated

import msgspec
from msgspec import Meta

Dollars = Annotated[float, Meta(ge=0, le=1_000_000)]


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user's own price: dollars for a million tokens; cache prices default to input's."""

    input: Dollars
    output: Dollars
    cache_read: Dollars | None = None
    cache_write: Dollars | None = None
