"""What is asked of the dashboard's server: every canned query, and the served filters."""

from datetime import date, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from bench.workload import ACCOUNTS, CLIENTS, MODELS
from ledger.queries import queries


class Group(NamedTuple):
    """Requests with one bar for their p99, in ms; None where there is none."""

    name: str
    bar: float | None


NOTHING = Group("a request for `select 1`", None)
EACH = Group("canned queries, 30 days", 50)
OVERALL = Group("latency percentiles, 30 days", 20)
BY_MODEL = Group("latency percentiles by model, 30 days", 150)
FILTERED = Group("served filters, 30 days", 100)
LONG = Group("90 days by account", 100)
EDGED = Group("a burst at the window's edge", 100)
EDGED_PAIRS = Group("filters with such a burst", None)

# This recounts every event: on a large ledger it is for the command line.
NOT_SERVED = {"integrity"}
GROUPS = {"latency": OVERALL, "model_latency": BY_MODEL}
FILTERS = {
    "accounts": ("model",),
    "models": ("account", "client"),
    "hours": ("account", "model", "client"),
    "days": ("account", "model", "client"),
    "summary": ("account", "model", "client"),
}
EDGED_QUERIES = ("summary", "accounts", "models", "hours")
PAIRS = (("accounts", "model"), ("models", "account"), ("models", "client"))
EDGED_WINDOWS = ("1h", "24h", "30d")
NAMES = {
    "account": ACCOUNTS,
    "model": MODELS,
    "client": [f"…{key[-4:]}" for key in CLIENTS],
}
# Prime to the length of each list, so that every name has its turn.
STRIDE = 7


class Ask(NamedTuple):
    """A request; parameters in `varied` take another name each time."""

    title: str
    query: str
    group: Group
    given: dict[str, str]
    varied: tuple[str, ...] = ()

    def path(self, turn: int) -> str:
        """Give path and query string of the n-th request."""
        names = {kind: NAMES[kind][turn * STRIDE % len(NAMES[kind])] for kind in self.varied}
        asked = urlencode({**self.given, **names, "_shape": "array"})
        return f"/ledger{self.query and '/'}{self.query}.json?{asked}"


def everything() -> list[Ask]:
    """Give every canned query over 30 days, the served filters, 90 days and a custom range."""
    nothing = Ask("select 1", "", NOTHING, {"sql": "select 1"})
    return [nothing, *canned(), *filtered(), plain("accounts", "90d", LONG)]


def canned() -> list[Ask]:
    """Give each query of `metadata.yml` that a page may ask for."""
    names = [name for name in queries() if name not in NOT_SERVED]
    return [plain(name, "30d", GROUPS.get(name, EACH)) for name in names]


def plain(name: str, window: str, group: Group) -> Ask:
    """Give a query over a window, with what it cannot do without."""
    parameters = queries()[name].parameters
    given = {"window": window, "limit": "50"}
    given = {parameter: text for parameter, text in given.items() if parameter in parameters}
    title = f"{name}, {window}" if "window" in given else name
    return Ask(title, name, group, given, ("account",) if name == "account_latency" else ())


def filtered() -> list[Ask]:
    """Give the combinations that rollups answer, and 30 local days by their dates."""
    last = date.today() - timedelta(days=1)
    days = {"from": str(last - timedelta(days=29)), "to": str(last)}
    return [
        *(
            Ask(f"{name} by {kind}, 30d", name, FILTERED, {"window": "30d"}, (kind,))
            for name, kinds in FILTERS.items()
            for kind in kinds
        ),
        Ask("accounts, 30 named days", "accounts", FILTERED, days),
    ]


def edged() -> list[Ask]:
    """Give the queries of the windows whose edges lie in a burst, and filters by pairs."""
    alone = [plain(name, window, EDGED) for window in EDGED_WINDOWS for name in EDGED_QUERIES]
    pairs = [
        Ask(f"{name} by {kind}, {window}", name, EDGED_PAIRS, {"window": window}, (kind,))
        for window in EDGED_WINDOWS
        for name, kind in PAIRS
    ]
    return alone + pairs
