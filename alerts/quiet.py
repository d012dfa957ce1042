"""Quiet hours, in local time."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def until(span: str, zone: str, at: int) -> int | None:
    """Give the instant (ms) at which the quiet hours around `at` end; None outside of them.

    `span` is two local times, `23:00-07:00`, or empty for none.
    """
    if not span:
        return None
    begins, ends = map(time.fromisoformat, span.split("-"))
    local_zone = ZoneInfo(zone)
    today = (EPOCH + timedelta(milliseconds=at)).astimezone(local_zone).date()
    for day in (today - timedelta(days=1), today):
        begin = datetime.combine(day, begins, local_zone)
        last = day + timedelta(days=int(ends <= begins))
        end = milliseconds(datetime.combine(last, ends, local_zone))
        if milliseconds(begin) <= at < end:
            return end
    return None


def milliseconds(moment: datetime) -> int:
    """Give an aware datetime as milliseconds since 1970, UTC."""
    return (moment - EPOCH) // timedelta(milliseconds=1)
