"""`python -m cli alert-test`: send a test message to every address, and print the results."""

import sys
from collections.abc import Mapping

from alerts.delivery import NAME, service
from alerts.sender import (
    NO_ANSWER,
    NOT_REACHED,
    REFUSED,
    TIMEOUT_SECONDS,
    UNKNOWN,
    Message,
    Result,
    Sender,
)
from ledger import settings, text

WAIT_SECONDS = 1.0
ADVICE = {
    NO_ANSWER: f"no answer came within {TIMEOUT_SECONDS:g} s: "
    "is the service down, or the host wrong?",
    UNKNOWN: "see the list of services and what each address needs at "
    "https://github.com/caronc/apprise/wiki.",
    NOT_REACHED: "is the host right, and can this machine reach it?",
    REFUSED: "compare the address with https://github.com/caronc/apprise/wiki, part by part.",
    "HTTP 401": "the service does not know this password or token.",
    "HTTP 403": "the service does not accept this password or token.",
    "HTTP 404": "the service has no such topic, channel or path.",
    "HTTP 429": "the service got too many messages: try again later.",
}
OTHERWISE = "the service has an error of its own, or the address is incomplete."


def send_tests(urls: list[str], language: str) -> Mapping[int, Result]:
    """Send a test message to each address; return the results by position."""
    title = f"{NAME}: {text.message('test_title', language)}"
    body = text.message("test_body", language)
    sender = Sender([Message(n, url, title, body, "notice") for n, url in enumerate(urls)])
    results: dict[int, Result] = {}
    while not sender.is_done:
        results |= {result.receiver: result for result in sender.results(WAIT_SECONDS)}
    return results


def sentence(number: int, url: str, result: Result) -> str:
    """Return the result of one address, of which only the service is shown."""
    label = f"{number + 1}. {service(url)}://…"
    if result.error is None:
        return f"{label}: sent."
    return f"{label}: not sent ({result.error}): {ADVICE.get(result.error, OTHERWISE)}"


def main() -> None:
    """Test every address of `alert_urls`; the status is 1 when one failed."""
    current = settings.load()
    urls = current.alert_urls
    if not urls:
        sys.exit(
            "There is no address to test: set alert_urls in config.json, for example to "
            '["ntfy://a-topic-that-nobody-guesses"]; docs/alerts.md has more.'
        )
    results = send_tests(urls, current.language)
    for number, url in enumerate(urls):
        print(sentence(number, url, results[number]))
    sys.exit(any(result.error for result in results.values()))
