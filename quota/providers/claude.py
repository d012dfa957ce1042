"""Claude: GET https://api.anthropic.com/api/oauth/usage, as read by Claude Code and CodexBar.

There is no flag for "blocked"; a scoped limit at 100 % may stand beside a null legacy window.
"""

from collections.abc import Iterator, Mapping

from quota.durations import FIVE_HOURS, WEEK, name, settled
from quota.errors import opened
from quota.fields import field, items, mapping, slug, snake, text, word
from quota.identity import Credential
from quota.model import TOKEN, Answer, Reading, Request, Window
from quota.numbers import instant, percent
from quota.providers.claude_spend import extra_usage

BASES = ("https://api.anthropic.com",)
PATH = "/api/oauth/usage"
# Any other agent is answered with 429 for ever.
AGENT = "claude-cli/2.1.100 (external, cli)"
KNOWN = ("five_hour", "seven_day", "limits")
LENGTHS = {"five_hour": FIVE_HOURS, "seven_day": WEEK}
KINDS = {"session": FIVE_HOURS, "weekly_all": WEEK}
MODELS = ("opus", "sonnet", "haiku")


def headers() -> dict[str, str]:
    """Return the headers that Claude's account endpoints want."""
    return {
        "Authorization": f"Bearer {TOKEN}",
        "anthropic-beta": "oauth-2025-04-20",
        "Content-Type": "application/json",
        "User-Agent": AGENT,
    }


def request(credential: Credential) -> Request:
    """Ask for the usage of the account whose token is sent; no id is needed."""
    return Request("GET", PATH, headers())


def parse(answer: Answer, expected_account_id: str | None = None) -> Reading:
    """Read the windows of the account, of models and of extra usage; there are no flags."""
    found = opened(answer, *KNOWN)
    if isinstance(found, Reading):
        return found
    answer, body = found
    windows = [*_preferred(body), *extra_usage(body)]
    return Reading(
        state="ok",
        observed_at=answer.observed_at,
        http_status=answer.status,
        windows=settled(windows, answer.observed_at),
        complete=all(isinstance(field(body, key), dict | list | None) for key in KNOWN),
    )


def _preferred(body: Mapping[str, object]) -> list[Window]:
    """Leave out a model's legacy window where the list has the model's own limit."""
    named, listed = list(_named(body)), list(_listed(body))
    models = [row.scope_key for row in listed if row.scope == "model"]
    legacy = [row for row in named if row.scope == "model"]
    outdated = [row for row in legacy if any(row.scope_key in model for model in models)]
    return [*(row for row in named if row not in outdated), *listed]


def _listed(body: Mapping[str, object]) -> Iterator[Window]:
    """Read `limits`: the newer list, and the only one that is right about models."""
    for limit in items(field(body, "limits")):
        kind = word(field(limit, "kind")) or ""
        scope = field(limit, "scope")
        model = text(field(field(scope, "model"), "display_name", "id"))
        surface = field(scope, "surface")
        surface = text(field(surface, "display_name", "id")) or text(surface)
        used, at = percent(field(limit, "percent")), instant(field(limit, "resets_at"))
        if kind in KINDS:
            yield _window("account", "", length=KINDS[kind], used=used, at=at)
        elif kind == "weekly_scoped" and (title := model or surface):
            yield _window("model" if model else "feature", title, length=WEEK, used=used, at=at)


def _named(body: Mapping[str, object]) -> Iterator[Window]:
    """Read the named windows, those under code names as well as long as they are not null."""
    for key, value in ((snake(key), value) for key, value in body.items()):
        if "utilization" not in mapping(value) or key == "extra_usage":
            continue
        used, at = percent(field(value, "utilization")), instant(field(value, "resets_at"))
        rest = key.removeprefix("seven_day_")
        if key in LENGTHS:
            yield _window("account", "", length=LENGTHS[key], used=used, at=at)
        elif rest != key:
            scope = "model" if rest in MODELS else "feature"
            yield _window(scope, rest.replace("_", " "), length=WEEK, used=used, at=at)
        else:
            yield _window("feature", key.replace("_", " "), length=None, used=used, at=at)


def _window(
    scope: str, title: str, *, length: int | None, used: float | None, at: int | None
) -> Window:
    key, span = name(length) if length else ("unknown", "")
    title = title[:1].upper() + title[1:]
    return Window(
        scope=scope,
        scope_key=(slug(title) or "") if title else "",
        window_key=key,
        label=f"{title} {span}".strip(),
        window_seconds=length,
        used_percent=used,
        resets_at=at,
        # An idle account has 0 % and no reset until its first request.
        started=False if used == 0 and at is None else None,
        gating=scope == "account",
        assumed=length is None,
    )
