"""The status of everything in one line, for a prompt or a status bar.

A prompt waits for it: nothing is imported here that takes long.
"""

import argparse
import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any

from ledger import settings, text
from ledger.database import FILE_NAME, Unavailable, connect_read_only, translate_errors
from ledger.money import Currency
from ledger.prices.edition import price_list

BUSY_MS = 1000
TODAY = """
  select
    coalesce(sum(requests), 0)                                            as requests,
    coalesce(sum(failed), 0)                                              as failed,
    coalesce(sum(input_tokens + output_tokens + unclassified_tokens), 0)  as total_tokens,
    coalesce(sum(cost_microdollars), 0) / 1e6                             as cost_dollars,
    coalesce(sum(unpriced), 0)                                            as unpriced
  from usage_buckets
  where window = 'today' and range_key is null and slice = 'total' and fine = 0
"""
BEST = """
  select
    verdicts.account          as account,
    verdicts.provider         as provider,
    verdicts.usable           as usable,
    verdicts.reason           as reason,
    verdicts.effective_left   as left_percent,
    states.label              as limit_name,
    states.resets_at          as resets_at,
    verdicts.next_usable_at   as next_usable_at,
    verdicts.unknown          as unknown_accounts
  from (
    select
      *,
      sum(usable is null) over () as unknown
    from account_verdicts
    order by sort_group, sort_value, account, account_id
    limit 1
  ) as verdicts
  left join quota_window_states as states
    on states.account_id = verdicts.account_id
    and states.left_percent = verdicts.effective_left
    and states.gating = 1
  order by states.resets_at
  limit 1
"""
NEXT_RESET = """
  select
    account    as account,
    provider   as provider,
    label      as limit_name,
    resets_at  as resets_at
  from quota_window_states
  cross join clock
  where gating = 1 and started is not 0 and resets_at > now
  order by resets_at, account
  limit 1
"""
# Severe problems first, the oldest first; notices are left out.
PROBLEMS = """
  select
    code,
    severity,
    subject,
    parameters,
    since,
    value,
    threshold
  from problems
  where severity <> 'notice'
  order by severity = 'severe' desc, since is null desc, since, code, subject
"""
# Those of custom rules: all others are among the problems.
ALERTS = """
  select
    rule,
    severity,
    sentence
  from alerts
  where ended_at is null and own = 1 and severity <> 'notice'
  order by severity = 'severe' desc, began_at
"""
LOCAL = """
  select datetime((:at + coalesce(
    (select offset_ms from zone_offsets where starts_at <= :at and :at < ends_at),
    0
  )) / 1000, 'unixepoch')
"""

DOLLAR = Currency()
MAX_SENTENCE_LENGTH, MIN_SENTENCE_LENGTH = 60, 30
WEEK = timedelta(days=6)
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))

Row = dict[str, Any]


def main(options: list[str]) -> int:
    """Print the status; returns the exit status for the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m ledger status",
        description="Print today's use, the account to use and what is wrong, in one line.",
    )
    style = parser.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="print everything, as JSON")
    style.add_argument("--format", metavar="TEXT", help="such as '{tokens} {cost} {best} {left}'")
    parser.add_argument("--check", action="store_true", help="exit with 1 when something is wrong")
    parsed = parser.parse_args(options)
    is_ok = print_status(as_json=parsed.json, template=parsed.format)
    return int(is_ok is None or (parsed.check and not is_ok))


def print_status(*, as_json: bool = False, template: str | None = None) -> bool | None:
    """Print the status: as a line, as JSON, or as a template with the values of the line.

    Returns whether nothing is wrong; None when the status cannot be read, which is printed too,
    since a status bar shows only the output. Raises `SystemExit` for a malformed template.
    """
    try:
        status = read_status()
    except (Unavailable, SystemExit) as error:
        print(json.dumps({"error": str(error)}) if as_json else f"! {error}")
        return None
    if as_json:
        print(json.dumps(status, ensure_ascii=False, indent=2))
    else:
        print(status_line(status) if template is None else fill_template(template, status))
    return not (status["problems"] or status["alerts"])


def read_status() -> Row:
    """Read the status from the ledger of the settings, waiting for a second at most.

    Raises `Unavailable` with a sentence when it cannot be read.
    """
    current = settings.read()
    file = current.data_folder / FILE_NAME
    if not file.exists():
        raise Unavailable(f"there is no ledger at {file}; `make init` creates one")
    try:
        with translate_errors(), closing(connect_read_only(file)) as conn:
            conn.execute(f"pragma busy_timeout = {BUSY_MS:d}")
            status = query_status(conn, current.money, language=current.language)
    except sqlite3.DatabaseError as error:
        sentence = f"the ledger cannot be read ({error}); an older one is upgraded by `make init`"
        raise Unavailable(sentence) from error
    return {**status, "price_list": price_list(current.data_folder)}


def query_status(
    conn: sqlite3.Connection, currency: Currency = DOLLAR, *, language: str = "en"
) -> Row:
    """Query the status at one moment; instants are ms (UTC), each with its local time."""
    conn.execute("begin")
    (now,) = conn.execute("select now from clock").fetchone()
    status: Row = {
        "now": now,
        "today": query_rows(conn, TODAY)[0],
        "currency": currency.code,
        "currency_rate": currency.rate,
        "best": next(iter(query_rows(conn, BEST)), None),
        "next_reset": next(iter(query_rows(conn, NEXT_RESET)), None),
        "problems": [in_words(row, language) for row in query_rows(conn, PROBLEMS)],
        "alerts": query_rows(conn, ALERTS),
    }
    for part in filter(None, (status, status["best"], status["next_reset"])):
        for name in ("now", "resets_at", "next_usable_at"):
            if name in part:
                (local,) = conn.execute(LOCAL, {"at": part[name]}).fetchone()
                part[f"{name.removesuffix('_at')}_local"] = local
    conn.rollback()
    return status


def query_rows(conn: sqlite3.Connection, sql: str) -> list[Row]:
    """Return the rows of a query as mappings."""
    cursor = conn.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def in_words(problem: Row, language: str) -> Row:
    """Return a problem with its texts in a language."""
    code, parameters = problem["code"], json.loads(problem["parameters"])
    return {
        **problem,
        "parameters": parameters,
        "short": text.short(code, parameters, language),
        "sentence": text.sentence(code, parameters, language),
    }


def fill_template(template: str, status: Row) -> str:
    """Return a template with each name in braces replaced by its value in the status line."""
    words = status_words(status)
    try:
        return template.format_map(words)
    except (KeyError, ValueError, IndexError, AttributeError, TypeError):
        raise SystemExit(
            f"The format is malformed; it may name, in braces: {', '.join(words)}."
        ) from None


def status_words(status: Row) -> dict[str, str]:
    """Return the values of the status line by their names in a template."""
    today, best, reset = status["today"], status["best"] or {}, status["next_reset"] or {}
    usable, left, now = best.get("usable") == 1, best.get("left_percent"), status["now_local"]
    return {
        "requests": short_number(today["requests"]),
        "failed": short_number(today["failed"]),
        "tokens": short_number(today["total_tokens"]),
        "cost": currency_of(status).at_least(today["cost_dollars"], today["unpriced"]),
        "unpriced": short_number(today["unpriced"]),
        "prices": status.get("price_list", ""),
        "best": best["account"] if usable else "",
        "left": f"{left:.0f} %" if usable and left is not None else "",
        "resets": short_time(best.get("resets_local") if usable else None, now),
        "usable_at": short_time(best.get("next_usable_local"), now),
        "next_reset": short_time(reset.get("resets_local"), now),
        "next_reset_account": reset.get("account", ""),
        "state": problem_words(status),
    }


def status_line(status: Row) -> str:
    """Return the line: the use of today, the account to use, and what is wrong."""
    words, today = status_words(status), status["today"]
    cost = currency_of(status).total(today["cost_dollars"], today["unpriced"])
    use = f"{words['tokens']} tok {cost}"
    parts = [use, account_advice(status["best"], words), words["state"]]
    return " · ".join(filter(None, parts))


def currency_of(status: Row) -> Currency:
    """Return the currency in which a status shows costs."""
    return Currency(status["currency"], status["currency_rate"])


def account_advice(best: Row | None, words: dict[str, str]) -> str:
    """Return which account to use; nothing when the ledger has none."""
    if best is None:
        return ""
    if words["best"]:
        resets = f"(resets {words['resets']})" if words["resets"] else ""
        return " ".join(filter(None, ["best", words["best"], words["left"], resets]))
    if best["unknown_accounts"]:
        return "no account known to be usable"
    until = f" until {words['usable_at']} ({best['account']})" if words["usable_at"] else ""
    return f"no account usable{until}"


def problem_words(status: Row) -> str:
    """Return the first problem with the number of further ones and of custom alerts; else ok."""
    sentences = [row["short"] for row in status["problems"]]
    sentences += [row["sentence"] for row in status["alerts"]]
    if not sentences:
        return "ok"
    others = len(sentences) - 1
    return f"! {shorten(sentences[0])}{f' (+{others})' if others else ''}"


def shorten(sentence: str) -> str:
    """Shorten a long sentence: before its advice if enough remains, else at the maximum length."""
    if len(sentence) <= MAX_SENTENCE_LENGTH:
        return sentence
    advice_at = sentence[:MAX_SENTENCE_LENGTH].rfind(": ")
    if advice_at > MIN_SENTENCE_LENGTH:
        return sentence[:advice_at]
    return f"{sentence[: MAX_SENTENCE_LENGTH - 1]}…"


def short_number(count: int) -> str:
    """Return a number in at most five characters."""
    for size, unit in UNITS:
        # A number that would be rounded up to 1000 is shown in the next unit.
        if count >= size * 0.9995:
            value = count / size
            return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"
    return str(count)


def short_time(local: str | None, now: str) -> str:
    """Return a local time, with its day unless that is today."""
    if local is None:
        return ""
    time, current = datetime.fromisoformat(local), datetime.fromisoformat(now)
    if time.date() == current.date():
        return f"{time:%H:%M}"
    return f"{time:%a %H:%M}" if time - current < WEEK else f"{time:%d %b}"
