"""`python -m alerts.trial`: send a test message to every address, and say whether it worked."""

import sys
from collections.abc import Mapping

from alerts.courier import NO_ANSWER, NOT_REACHED, REFUSED, SECONDS, UNKNOWN, Courier
from alerts.model import Letter, Result
from alerts.receivers import service
from ledger import settings

TITLE = "cliproxy-ledger: test"
BODY = "This is a test: alerts of the usage ledger arrive here."
WAIT_SECONDS = 1.0
ADVICE = {
    NO_ANSWER: f"nothing came back within {SECONDS:g} s: is the service away, or the host wrong?",
    UNKNOWN: "see the list of services and what each address needs at "
    "https://github.com/caronc/apprise/wiki.",
    NOT_REACHED: "is the host right, and can this machine reach it?",
    REFUSED: "compare the address with https://github.com/caronc/apprise/wiki, part by part.",
    "HTTP 401": "the service knows no such password or token.",
    "HTTP 403": "the service does not let this password or token in.",
    "HTTP 404": "the service knows no such topic, channel or path.",
    "HTTP 429": "the service was told too much at once: try again later.",
}
OTHERWISE = "the service has an error of its own, or the address lacks something."


def trial(urls: list[str]) -> Mapping[int, Result]:
    """Send a test message to each address; gives what came of them, by their places."""
    courier = Courier([Letter(n, url, TITLE, BODY, "notice") for n, url in enumerate(urls)])
    found: dict[int, Result] = {}
    while not courier.is_back:
        found |= {result.receiver: result for result in courier.results(WAIT_SECONDS)}
    return found


def sentence(number: int, url: str, result: Result) -> str:
    """Say what came of one address, of which only the service is shown."""
    shown = f"{number + 1}. {service(url)}://…"
    if result.error is None:
        return f"{shown} was told."
    return f"{shown} was not told ({result.error}): {ADVICE.get(result.error, OTHERWISE)}"


def main() -> None:
    """Try every address of `alert_urls`; the status is 1 where one did not work."""
    urls = settings.load().alert_urls
    if not urls:
        sys.exit(
            "There is no address to test: set alert_urls in config.json, for example to "
            '["ntfy://a-topic-that-nobody-guesses"]; docs/alerts.md has more.'
        )
    results = trial(urls)
    for number, url in enumerate(urls):
        print(sentence(number, url, results[number]))
    sys.exit(any(result.error for result in results.values()))


if __name__ == "__main__":
    main()
