"""Recorded and made-up answers of providers, and their readings."""

import json
from pathlib import Path
from typing import Any

from quota.http import first_values
from quota.model import Account, Answer, Reading
from quota.providers import PROVIDERS

DATA = Path(__file__).parents[1] / "data" / "quota"
# The instant of the recorded answers.
AT = 1_790_000_000_000


def sample(name: str) -> Answer:
    """Return a recorded answer."""
    record = json.loads((DATA / f"{name}.json").read_text())
    body = record["body"] if isinstance(record["body"], str) else json.dumps(record["body"])
    headers = first_values(record["headers"])
    return Answer(record["status"], headers, body, record["observed_at"] * 1000)


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    """Return a made-up answer."""
    return Answer(status, headers, body if isinstance(body, str) else json.dumps(body), AT)


def parse(provider: str, response: Answer) -> Reading:
    """Parse an answer by a provider's parser."""
    return PROVIDERS[provider].parse(response, None)


def account_of(reading: Reading) -> Account:
    """Return the account state that is stored for a reading."""
    names = ("observed_at", "allowed", "limit_reached", "reached_type")
    values = {name: getattr(reading, name) for name in names}
    return Account(state=reading.state or "ok", **values)
