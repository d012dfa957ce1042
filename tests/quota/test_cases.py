"""Cases from the field: polls and events come in, the ledger's own queries give the verdict."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.parse import Usage, parse
from ingest.quota_signals import is_candidate, signal_of
from ingest.spool import Batch
from ingest.store import Store
from ledger.keys import load_salt
from ledger.prices.calculator import Prices
from ledger.queries import queries
from quota.decisions import decide_due
from quota.model import Answer, Credential, Request
from quota.poll import poll_quota
from quota.providers import PROVIDERS
from quota.signals import take_signals
from quota.store import PollAttempt, store_reading
from tests.support.home import set_clock
from tests.support.quota_ledger import add_account, ledger, rows
from tests.support.quota_samples import DATA

CASES = {case["id"]: case for case in json.loads((DATA / "cases" / "quota.json").read_text())}
START = 1_790_000_000_000
SECOND, HOUR = 1000, 3_600_000
MODELS = {"codex": "gpt-5.5", "claude": "claude-fable-5"}


class Case:
    """A ledger with one account, to which polls and events come in turn."""

    def __init__(self, tmp_path, provider: str) -> None:
        self.conn = ledger(START)
        self.provider = provider
        self.account_id = add_account(self.conn, provider)
        self._store = Store(self.conn, 1, load_salt(tmp_path), Prices({}))
        self._events = 0

    def poll(self, body: Any, at: int, *, status: int = 200) -> None:
        """Store an answer of the provider, and decide."""
        answer = Answer(status, {}, json.dumps(body), at)
        reading = PROVIDERS[self.provider].parse(answer, None)
        attempt = PollAttempt(at, at + HOUR, "files", "print")
        store_reading(self.conn, self.account_id, reading, attempt)
        decide_due(self.conn, at)

    def event(self, at: int, **event: Any) -> None:
        """Collect a usage event, take its signals, and decide."""
        self._events += 1
        usage = parse(json.dumps(self._payload(at, **event)).encode())
        assert isinstance(usage, Usage)
        self._store.write(Batch(self._events, "resp", at, [b""]), [usage])
        take_signals(self.conn)
        decide_due(self.conn, at)

    def _payload(
        self,
        at: int,
        *,
        failed: bool = False,
        status_code: int | None = None,
        error: Any = None,
        body: str | None = None,
        response_headers: dict[str, str] | None = None,
        model: str | None = None,
    ) -> dict[str, Any]:
        content = json.dumps({"error": error}) if error else ""
        return {
            "timestamp": datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds"),
            "tokens": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
            "failed": failed,
            "fail": {"status_code": status_code or 200, "body": content if body is None else body},
            "auth_index": f"{self.account_id:016x}",
            "auth_type": "oauth",
            "provider": self.provider,
            "source": "user0@example.com",
            "model": model or MODELS.get(self.provider, "model"),
            "response_headers": {k: [v] for k, v in (response_headers or {}).items()},
        }

    def judge(self, at: int) -> None:
        """Decide at an instant, and set the clock of the views to it."""
        decide_due(self.conn, at)
        set_clock(self.conn, at)

    def query(self, name: str, **parameters: str) -> list[dict[str, Any]]:
        """Return the rows of a canned query."""
        sql = queries()[name].sql
        names = ("account", "provider", "proxy", "usable", "model", "outcome")
        values = {**dict.fromkeys(names, ""), **parameters}
        cursor = self.conn.execute(sql, values)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor]

    def verdict(self, group: str = "") -> tuple[Any, ...]:
        """Return usable, reason, percent left and the return in seconds from the start."""
        (row,) = (r for r in self.query("usable_accounts") if r["models"] == group)
        back = row["next_usable_at"]
        return (
            row["usable"],
            row["reason"],
            row["effective_left"],
            None if back is None else (back - START) // SECOND,
        )

    def limits(self) -> dict[str, Any]:
        """Return the used percentage of each limit by its name."""
        return {row["limit_name"]: row["used_percent"] for row in self.query("quota")}

    def limit(self, name: str) -> dict[str, Any]:
        """Return the row of one limit."""
        (row,) = (row for row in self.query("quota") if row["limit_name"] == name)
        return row

    def account(self) -> dict[str, Any]:
        """Return the account's own row."""
        (row,) = rows(self.conn, "select * from account_poll_states")
        return row


@pytest.fixture
def played(request, tmp_path) -> Case:
    """Return a case after its steps, judged at its instant."""
    recorded = CASES[request.param]
    case = Case(tmp_path, recorded["provider"])
    for step in sorted(recorded["steps"], key=lambda step: step["at_ms"]):
        if "poll" in step:
            poll = step["poll"]
            case.poll(poll["body"], step["at_ms"], status=poll["status"])
        else:
            case.event(step["at_ms"], **step["event"])
    case.judge(recorded["judged_at_ms"])
    return case


VERDICTS = {
    "Q1": ("no", "limit_reached", 0, 1_200_000),
    "Q1b": ("yes", "allowed", 31, None),
    "Q2": ("yes", "allowed", 82, None),
    "Q3": ("no", "usage_limit_reached", None, None),
    "Q4": ("no", "workspace_member_credits_depleted", 80, None),
    "Q4b": ("no", "usage_limit_reached", 80, None),
    "Q4d": ("no", "usage_not_included", 80, None),
    "Q4d-2": ("no", "usage_not_included", 80, None),
    "Q5": ("no", "usage_limit_reached", 0, 471_285),
    "Q6": ("no", "usage_limit_reached", 0, 13_872),
    "Q7": ("yes", "allowed", 100, None),
    "Q7b": ("yes", "within_limits", 99, None),
    "Q8": ("yes", "overage", 0, None),
    "Q9": ("no", "limit_reached", 0, 300_000),
    "Q10": ("yes", "allowed", None, None),
    "Q11": ("yes", "unlimited", None, None),
    "Q12": ("yes", "credits", None, None),
    "Q13": ("yes", "allowed", 0, None),
    "Q14": ("yes", "allowed", 96, None),
    "C1": ("yes", "within_limits", 31, None),
    "C2": ("no", "out_of_credits", 80, None),
    "C3": ("yes", "allowed", 60, None),
    "C5": ("yes", "overage", 0, None),
    "C6b": ("yes", "overage", 0, None),
    "C7": ("yes", "within_limits", 86.65, None),
    "C8": ("yes", "within_limits", 24, None),
    "C10": ("yes", "within_limits", 91, None),
    "C11": ("yes", "within_limits", 91, None),
    "C12": ("yes", "within_limits", 91, None),
    "C13": ("yes", "within_limits", 99, None),
    "C14": ("yes", "allowed", 7, None),
    "C15": ("yes", "within_limits", 50, None),
    "C17": ("no", "usage_limit_reached", 0, 9000),
    "C17-2": ("no", "usage_limit_reached", 0, 9000),
    "X1": ("unknown", "no_limit_published", None, None),
    "X2": ("yes", "within_limits", 55, None),
    "X3": ("yes", "overage", 0, None),
    "X5": ("unknown", "no_limit_published", None, None),
    "X6": ("yes", "within_limits", 99.442, None),
    "X7": ("yes", "within_limits", 88.8, None),
    "K1": ("yes", "overage", 0, None),
    "K2": ("yes", "within_limits", 99, None),
    "K3": ("no", "window_spent", 0, 300_000),
    "A5": ("unknown", "no_limit_published", None, None),
}
GROUPS = {
    ("A1", "gemini"): ("unknown", "percent_unknown", 20, None),
    ("A1", "3p"): ("yes", "within_limits", 90, None),
    ("A6", "gemini"): ("yes", "within_limits", 90, None),
}
LIMITS = {
    "Q1": {"5-hour": 44, "weekly": 45, "monthly (365/12 d)": 100},
    "Q1b": {"5-hour": 44, "weekly": 45, "monthly (365/12 d)": 69},
    "Q2": {"weekly": 18, "gpt-6-astra": None},
    "Q13": {"5-hour": 30, "weekly": 101.5},
    "Q14": {"daily": 3, "weekly": 4},
    "C1": {"5-hour": 0, "weekly": 69, "overage-included weekly": 102},
    "C8": {"5-hour": 76, "weekly": 45, "Fable weekly": 77},
    "C11": {"5-hour": 9, "weekly": 5, "Sonnet max weekly": 100},
    "C12": {
        "5-hour": 9,
        "Daily all daily": 100,
        "Monthly all monthly (365/12 d)": 100,
    },
    "C13": {"5-hour": 0.42, "weekly": 1},
    "X1": {"weekly": None},
    "X5": {},
    "X6": {"monthly": 0.558},
    "X7": {"weekly": 11.2},
    "K2": {"5-hour": 1, "weekly": 0},
    "A6": {"Gemini Models weekly": 10},
}


def test_every_case_is_judged():
    assert set(CASES) == set(VERDICTS) | {case for case, _ in GROUPS}


@pytest.mark.parametrize(
    ("played", "expected"), VERDICTS.items(), ids=list(VERDICTS), indirect=["played"]
)
def test_the_verdict_of_a_case(played, expected):
    assert played.verdict() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("played", "group", "expected"),
    [(case, group, expected) for (case, group), expected in GROUPS.items()],
    ids=["-".join(key) for key in GROUPS],
    indirect=["played"],
)
def test_the_verdict_of_a_group(played, group, expected):
    assert played.verdict(group) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("played", "expected"), LIMITS.items(), ids=list(LIMITS), indirect=["played"]
)
def test_the_limits_of_a_case(played, expected):
    assert played.limits() == pytest.approx(expected)


@pytest.fixture
def case_of(tmp_path):
    """Return a function that starts a case of a provider."""
    return lambda provider: Case(tmp_path, provider)


def recorded(name: str) -> Any:
    """Return a recorded case of several answers."""
    return json.loads((DATA / "cases" / f"{name}.json").read_text())


def test_d03a_a_fresh_week_of_grok_is_not_its_month(case_of):
    case, at = case_of("xai"), 1_795_779_000_000
    answers = recorded("d03a-grok-weekly-zero-monthly-shown")["answers"]

    def send(request: Request, base: str) -> Answer:
        name = "format=credits" if "format=credits" in request.path else "/v1/billing"
        return Answer(200, {}, json.dumps(answers[name]), at)

    credential = Credential(account_key="", provider="xai", display_name="", file_name="")
    reading, _ = poll_quota(PROVIDERS["xai"], credential, send, bases=["http://x"])
    store_reading(case.conn, case.account_id, reading, PollAttempt(at, at, "files", "print"))
    case.judge(at)
    assert case.limits() == {"weekly": None}
    assert case.limit("weekly")["resets_at"] == 1_796_376_482_000
    assert (case.account()["credits_has"], case.account()["credits_balance"]) == (1, "12")


def test_d04_an_allowing_answer_does_not_open_a_spent_week(case_of):
    case = case_of("codex")
    line = (DATA / "cases" / "d04-codex-refused-event.jsonl").read_text()
    event = json.loads(line)
    at = 1_795_774_736_000
    headers = {name: values[0] for name, values in event["response_headers"].items()}
    body = event["fail"]["body"]
    case.event(at, failed=True, status_code=429, body=body, response_headers=headers)
    answers = recorded("d04-codex-weekly-spent-but-allowed")["answers"]
    case.poll(answers["wham/usage"], at + 500 * SECOND)
    case.judge(at + 501 * SECOND)
    (row,) = case.query("usable_accounts")
    assert (row["usable"], row["effective_left"]) == ("no", 0)
    assert row["next_usable_at"] == 1_796_075_225_000


LIFTING = {"type": "usage_limit_reached"}
ROOMY = CASES["Q4"]["steps"][0]["poll"]["body"]


def test_an_allowing_poll_lifts_no_depleted_credits_but_a_success_does(case_of):
    case = case_of("codex")
    header = {"X-Codex-Rate-Limit-Reached-Type": "workspace_owner_credits_depleted"}
    case.event(START, failed=True, status_code=429, error=LIFTING, response_headers=header)
    case.poll(ROOMY, START + 60 * SECOND)
    case.judge(START + 61 * SECOND)
    assert case.verdict()[:2] == ("no", "workspace_owner_credits_depleted")
    # Without any header, as over a reused connection.
    case.event(START + 90 * SECOND)
    case.judge(START + 91 * SECOND)
    assert case.verdict()[:2] == ("yes", "allowed")


def test_a_refusal_without_an_end_is_unknown_after_six_hours(case_of):
    case = case_of("codex")
    error = {"type": "usage_not_included"}
    case.event(START, failed=True, status_code=429, error=error)
    case.poll(ROOMY, START + 6 * HOUR)
    case.judge(START + 6 * HOUR)
    assert case.verdict()[:2] == ("no", "usage_not_included")
    case.judge(START + 6 * HOUR + 1)
    assert case.verdict()[:2] == ("unknown", "refused_earlier")


def google(model: str, **more: str) -> str:
    """Return the body by which a generation of Antigravity is refused."""
    metadata = {"model": model, "quotaResetTimeStamp": "2026-09-21T16:13:20Z", **more}
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "QUOTA_EXHAUSTED"}
    error = {"code": 429, "message": "You have exhausted your capacity on this model."}
    details = [{**info, "metadata": metadata}]
    return json.dumps({"error": {**error, "status": "RESOURCE_EXHAUSTED", "details": details}})


def test_a_refusal_of_antigravity_blocks_its_group_alone(case_of):
    case = case_of("antigravity")
    case.poll(CASES["A1"]["steps"][0]["poll"]["body"], START)
    body = google("claude-opus-4-6-thinking")
    case.event(START + SECOND, failed=True, status_code=429, body=body, model="claude-opus-4-6")
    case.judge(START + 2 * SECOND)
    assert case.verdict("3p")[::3] == ("no", 7200)
    assert case.verdict("gemini")[0] == "unknown"


@pytest.mark.parametrize(
    ("provider", "status", "message", "polled", "expected"),
    [
        pytest.param(
            "kimi",
            403,
            "You've reached your usage limit for this billing cycle. Your quota will be refreshed.",
            "K2",
            ("no", "usage_limit_reached", 99, 300_000),
            id="kimi",
        ),
        pytest.param(
            "xai",
            403,
            "You have run out of credits or need a Grok subscription.",
            "X2",
            ("no", "out_of_credits", 55, None),
            id="grok",
        ),
        pytest.param(
            "claude",
            400,
            "You're out of extra usage. Add more at claude.ai/settings/usage and keep going.",
            "C6b",
            ("no", "out_of_extra_usage", 0, 9000),
            id="claude",
        ),
    ],
)
def test_exhaustion_in_the_traffic_is_in_the_verdict(
    case_of, provider, status, message, polled, expected
):
    case = case_of(provider)
    case.poll(CASES[polled]["steps"][0]["poll"]["body"], START)
    body = json.dumps({"error": {"type": "an_error", "message": message}})
    case.event(START + SECOND, failed=True, status_code=status, body=body)
    case.judge(START + 2 * SECOND)
    assert case.verdict() == pytest.approx(expected)
    case.event(START + 9 * SECOND)
    case.judge(START + 10 * SECOND)
    assert case.verdict()[0] == "yes"


def test_the_signals_of_newer_proxies_count_like_headers():
    event = {
        "timestamp": "2026-09-21T14:13:20Z",
        "tokens": {},
        "failed": False,
        "auth_type": "oauth",
        "provider": "codex",
        "quota": {"signals": {"X-Codex-Plan-Type": "plus", "Set-Cookie": "a=b"}},
    }
    usage = parse(json.dumps(event).encode())
    assert isinstance(usage, Usage)
    assert is_candidate(usage.payload)
    assert signal_of(usage.payload).headers == {"x-codex-plan-type": "plus"}


def test_a_dead_worker_leaves_no_valid_verdict(case_of):
    case = case_of("codex")
    case.poll(ROOMY, START)
    set_clock(case.conn, START + HOUR)
    assert case.verdict()[:2] == ("yes", "allowed")
    set_clock(case.conn, START + 2 * HOUR)
    assert case.verdict()[:2] == ("unknown", "verdict_stale")
    # The worker starts again: for the time between nobody knows.
    case.judge(START + 4 * HOUR)
    history = rows(case.conn, "select reason, since from quota_verdict_history order by since")
    assert [(row["reason"], (row["since"] - START) // SECOND) for row in history] == [
        ("allowed", 0),
        ("not_decided", 3600),
        ("stale", 4 * 3600),
    ]


def test_a_clock_that_was_set_back_makes_no_valid_verdict(case_of):
    case = case_of("codex")
    case.poll(ROOMY, START)
    set_clock(case.conn, START - HOUR)
    assert case.verdict()[:2] == ("unknown", "verdict_stale")
    case.judge(START - HOUR)
    assert case.verdict()[:2] == ("yes", "allowed")


def test_without_a_worker_there_are_no_verdicts():
    conn = ledger(START)
    add_account(conn, "codex")
    verdicts = rows(conn, "select usable, reason from account_verdicts")
    assert verdicts == [{"usable": None, "reason": "not_decided"}]


def test_the_next_account_is_the_usable_one_with_most_left(case_of):
    case = case_of("codex")
    case.poll(ROOMY, START)
    other = add_account(case.conn, "codex", state="ok", observed_at=START)
    case.judge(START)
    (row,) = case.query("next_account", provider="codex")
    assert (row["account_id"], row["usable"], row["effective_left"]) == (
        case.account_id,
        "yes",
        80,
    )
    assert case.query("next_account", provider="kimi") == []
    assert other != case.account_id


def test_a_model_that_is_unavailable_is_not_offered(case_of):
    case = case_of("codex")
    case.poll(CASES["Q2"]["steps"][0]["poll"]["body"], START)
    case.judge(START)
    assert case.limit("gpt-6-astra")["state"] == "used up"
    assert case.query("next_account", model="gpt-6-astra") == []
    assert len(case.query("next_account", model="gpt-5.5")) == 1


def claude_usage(extra_usage: dict[str, Any]) -> dict[str, Any]:
    """Return an answer whose 5 hours are spent for another hour, and whose week has room."""
    reset = datetime.fromtimestamp(START / 1000 + 3600, UTC).isoformat()
    week = datetime.fromtimestamp(START / 1000 + 86_400, UTC).isoformat()
    return {
        "five_hour": {"utilization": 100, "resets_at": reset},
        "seven_day": {"utilization": 50, "resets_at": week},
        "extra_usage": {"is_enabled": True, "monthly_limit": 100, "used_credits": 5, **extra_usage},
    }


def test_overage_that_a_poll_calls_disabled_stays_so_until_the_reset(case_of):
    case = case_of("claude")
    case.poll(claude_usage({"disabled_reason": "out_of_credits"}), START)
    case.judge(START + SECOND)
    assert case.verdict() == ("no", "window_spent", 0, 3600)
    case.poll(claude_usage({"disabled_reason": None}), START + 300 * SECOND)
    case.judge(START + 301 * SECOND)
    assert case.verdict() == ("no", "window_spent", 0, 3600)
    # After the reset nothing of it is left.
    case.poll(claude_usage({"disabled_reason": None}), START + 3601 * SECOND)
    case.judge(START + 3602 * SECOND)
    assert case.verdict()[0] != "no"


@pytest.mark.parametrize(
    "text",
    [
        "You have run out of credits or need a Grok subscription.",
        "Your team has either used all available credits or reached its monthly spending limit.",
    ],
)
@pytest.mark.parametrize("status_code", [402, 403, 429])
def test_grok_without_credits_is_used_up_in_either_words(case_of, text, status_code):
    case = case_of("xai")
    case.event(START, failed=True, status_code=status_code, error={"message": text})
    case.judge(START + SECOND)
    assert case.verdict()[:2] == ("no", "out_of_credits")
