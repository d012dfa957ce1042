"""The words of the status line."""

from datetime import datetime, timedelta
from typing import Any

LONGEST, ENOUGH = 60, 30
WEEK = timedelta(days=6)
UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))

Row = dict[str, Any]


def words(status: Row) -> dict[str, str]:
    """Give each part of the line, by the name that `--format` knows it by."""
    today, best, reset = status["today"], status["best"] or {}, status["next_reset"] or {}
    usable, left, now = best.get("usable") == 1, best.get("left_percent"), status["now_local"]
    return {
        "requests": short(today["requests"]),
        "failed": short(today["failed"]),
        "tokens": short(today["total_tokens"]),
        # What has no price is missing from the sum.
        "cost": f"${today['cost_dollars']:,.2f}{'+' if today['unpriced'] else ''}",
        "best": best["account"] if usable else "",
        "left": f"{left:.0f} %" if usable and left is not None else "",
        "resets": moment(best.get("resets_local") if usable else None, now),
        "usable_at": moment(best.get("next_usable_local"), now),
        "next_reset": moment(reset.get("resets_local"), now),
        "next_reset_account": reset.get("account", ""),
        "state": state(status),
    }


def line(status: Row) -> str:
    """Write the line."""
    said = words(status)
    used = f"{said['tokens']} tok {said['cost']}"
    return " · ".join(filter(None, [used, advice(status["best"], said), said["state"]]))


def advice(best: Row | None, said: dict[str, str]) -> str:
    """Say which account to use; nothing where no account is known."""
    if best is None:
        return ""
    if said["best"]:
        resets = f"(resets {said['resets']})" if said["resets"] else ""
        return " ".join(filter(None, ["best", said["best"], said["left"], resets]))
    if best["unknown_accounts"]:
        return "no account known to be usable"
    until = f" until {said['usable_at']} ({best['account']})" if said["usable_at"] else ""
    return f"no account usable{until}"


def state(status: Row) -> str:
    """Say what is wrong, in few words: with the collection first, then open alerts, if any."""
    wrong = [f"{row['subject']}: {row['sentence']}" for row in status["wrong"]]
    said = wrong or [f"alert: {row['sentence']}" for row in status["alerts"]]
    if not said:
        return "ok"
    return f"! {cut(said[0])}{f' (+{len(said) - 1})' if len(said) > 1 else ''}"


def cut(sentence: str) -> str:
    """Shorten a sentence that is too long: before its advice, if it has said enough by then."""
    if len(sentence) <= LONGEST:
        return sentence
    advice_at = sentence[:LONGEST].rfind(": ")
    return sentence[:advice_at] if advice_at > ENOUGH else f"{sentence[: LONGEST - 1]}…"


def short(count: int) -> str:
    """Write a number in five characters at the most."""
    for size, unit in UNITS:
        # What would be rounded up to 1000 belongs to the next unit.
        if count >= size * 0.9995:
            value = count / size
            return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"
    return str(count)


def moment(local: str | None, now: str) -> str:
    """Write a local time, with its day unless that is today."""
    if local is None:
        return ""
    then, today = datetime.fromisoformat(local), datetime.fromisoformat(now)
    if then.date() == today.date():
        return f"{then:%H:%M}"
    return f"{then:%a %H:%M}" if then - today < WEEK else f"{then:%d %b}"
