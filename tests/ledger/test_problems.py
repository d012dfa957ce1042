"""Problems: every reader shows the same ones; each code has its texts and its line in the docs."""

import json
import re
from collections import Counter
from contextlib import closing
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import text
from ledger.queries import ask, database_of
from ledger.settings import Budget
from ledger.status import query_status
from plugins import metrics
from tests.support import quota_ledger
from tests.support.alert_rig import DAY, HOUR, MINUTE, Watch
from tests.support.brute import NOW
from tests.support.home import ROOT, add_rollup_rows

PROXY = "127.0.0.1:8317"
SEVERITIES = {"notice", "warning", "severe"}
SIZES = ((1, MINUTE), (2, 15 * MINUTE), (3, HOUR), (4, DAY))


class Choice(NamedTuple):
    """What one part of a ledger is like: statements, and the problem that they make."""

    name: str
    sql: str = ""
    problem: tuple[str, str] | None = None


def beat(role: str, seconds: int, state: str = "working", detail: str | None = None) -> str:
    """Return the statement for a heartbeat of some seconds ago."""
    at = NOW - seconds * 1000
    told = "null" if detail is None else f"'{detail}'"
    return (
        "insert into heartbeats (worker, role, proxy_id, pid, started_at, beat_at, state, detail)"
        f" values ('{role}', '{role}', {1 if role == 'ingest' else 'null'}, 1, 0, {at}, '{state}',"
        f" {told})"
    )


def gap(minutes: int, until: str, cause: str, at_risk: int = 0) -> str:
    """Return the statement for a gap."""
    return (
        "insert into gaps (proxy_id, started_at, ended_at, cause, batches_at_risk)"
        f" values (1, {NOW - minutes * MINUTE}, {until}, '{cause}', {at_risk})"
    )


COLLECTOR = [
    Choice("works", beat("ingest", 2)),
    Choice("stopped properly", beat("ingest", 200, "stopped"), ("collector_stopped", "ingest")),
    Choice("killed", beat("ingest", 200), ("collector_silent", "ingest")),
    Choice(
        "killed while it waited", beat("ingest", 200, "waiting"), ("collector_silent", "ingest")
    ),
    Choice("never started", "", ("collector_never_started", PROXY)),
]
QUOTA_WORKER = [
    Choice("works", beat("quota", 2)),
    Choice("killed", beat("quota", 900), ("quota_worker_silent", "quota")),
    Choice("stopped", beat("quota", 900, "stopped"), ("quota_worker_stopped", "quota")),
    Choice("waits", beat("quota", 2, "waiting", "why"), ("quota_worker_waiting", "quota")),
]
PROXIES = [
    Choice("well set"),
    Choice("no statistics", "update proxies set statistics_enabled = 0", ("statistics_off", PROXY)),
    Choice("forgetful", "update proxies set retention_seconds = 60", ("short_retention", PROXY)),
]
GAPS = [
    Choice("none"),
    Choice("proxy away", gap(10, "null", "proxy away"), ("collection_waiting", PROXY)),
    Choice("just now", gap(1, "null", "proxy away"), ("collection_waiting", PROXY)),
    Choice("disk full", gap(10, "null", "disk full"), ("collection_blocked", PROXY)),
    Choice("cut off", gap(60, str(NOW - HOUR // 2), "x", 1), ("events_at_risk", PROXY)),
    Choice("long ago", gap(4000, str(NOW - 2 * DAY), "x", 1)),
]
RECORDS = [
    Choice("all understood"),
    Choice(
        "rejected",
        "insert into rejected_events (proxy_id, received_at, reason, form, record)"
        f" values (1, {NOW - HOUR}, 'x', 'excerpt', 'x')",
        ("records_rejected", "records"),
    ),
]
STATES = {
    "ok": None,
    "needs_login": "login_expired",
    "deactivated": "account_closed",
    "wrong_workspace": "wrong_workspace",
    "token_expired": None,
}
# Used percent of the weekly limit, and whether a model's own limit is spent.
LIMITS = {(5, False): [], (93, False): ["limit_low"], (100, False): ["limit_spent"]}
LIMITS |= {(5, True): ["limit_spent"], (100, True): ["limit_spent"] * 2}
TRAFFIC = [
    Choice("none"),
    Choice("fine", "20 2 0"),
    Choice("failing", "20 12 0", ("attempts_failing", "attempts")),
    Choice("unpriced", "20 2 20", ("model_unpriced", "own-large")),
]
BUDGETS = [None, 10**9, 2400, 2000]

WORLDS = st.fixed_dictionaries(
    {
        "parts": st.tuples(
            *map(st.sampled_from, (COLLECTOR, QUOTA_WORKER, PROXIES, GAPS, RECORDS))
        ),
        "accounts": st.lists(
            st.tuples(st.sampled_from(list(STATES)), st.sampled_from(list(LIMITS))), max_size=4
        ),
        "traffic": st.sampled_from(TRAFFIC),
        "budget": st.sampled_from(BUDGETS),
    }
)


def build(watch: Watch, world: dict[str, Any]) -> list[tuple[str, str]]:
    """Write a world into an empty ledger; return its problems as (code, subject)."""
    conn = watch.conn
    conn.execute("insert into proxies (name, asked_at) values (?, 1)", (PROXY,))
    problems = []
    for choice in world["parts"]:
        conn.executescript(choice.sql)
        if choice.name == "cut off" and world["traffic"].sql:
            # Twenty attempts in the hours around it let one expect half as many in it.
            problems.append(("events_lost", PROXY))
        elif choice.problem:
            problems.append(choice.problem)
    for number, (state, limits) in enumerate(world["accounts"]):
        account = quota_ledger.add_account(conn, state=state, observed_at=NOW)
        name = f"user{number}@example.com"
        used, is_model_spent = limits
        windows = [quota_ledger.limit(float(used), "7d")]
        if is_model_spent:
            fields = {"scope": "model", "scope_key": "spark", "gating": False}
            windows.append(quota_ledger.limit(100.0, "spark", **fields))
        quota_ledger.add_windows(conn, account, windows)
        problems += [(code, name) for code in (STATES[state], *LIMITS[limits]) if code]
    problems += add_traffic(watch, world["traffic"])
    if budget := world["budget"]:
        watch.job = watch.restarted(budgets=[Budget(tokens=budget, per="week", name="all")])
        used = 2000 if world["traffic"].sql else 0
        code = "budget_spent" if used >= budget else "budget_near" if used > 0.8 * budget else ""
        problems += [(code, "all")] if code else []
    return problems


def add_traffic(watch: Watch, traffic: Choice) -> list[tuple[str, str]]:
    """Write the sums of a minute: requests, failed and unpriced ones, and 2000 tokens."""
    if not traffic.sql:
        return []
    requests, failed, unpriced = map(int, traffic.sql.split())
    row = {
        "proxy_id": 1,
        "requests": requests,
        "failed": failed,
        "unpriced": unpriced,
        "input_tokens": 2000,
    }
    minute, day = NOW - NOW % MINUTE - MINUTE, NOW - NOW % DAY
    totals = [{"resolution": n, "bucket_at": minute - minute % size, **row} for n, size in SIZES]
    add_rollup_rows(watch.conn, "total_rollup", totals)
    watch.conn.execute("insert into known_models (id, name) values (1, 'own-large')")
    models = [{"resolution": 4, "bucket_at": day, "model_id": 1, **row}]
    add_rollup_rows(watch.conn, "model_rollup", models)
    return [traffic.problem] if traffic.problem else []


def samples(watch: Watch) -> dict[str, int]:
    """Return the metric of problems: how many there are by code, without zeros."""
    (family,) = [
        family
        for family in metrics.families(watch.conn, metrics.SOURCES)
        if family.name == "cliproxy_ledger_problems"
    ]
    return {one.labels["code"]: int(one.value) for one in family.samples if one.value}


@settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(world=WORLDS)
def test_alerts_state_page_status_line_and_metrics_agree(world, tmp_path_factory):
    with closing(Watch(tmp_path_factory.mktemp("agree") / "data")) as watch:
        watch.set_clock(NOW)
        problems = sorted(build(watch, world))
        text.register(watch.conn, lambda: "en")
        rows = ask(database_of(watch.conn), "state")
        assert (
            sorted((r["code"], r["subject"]) for r in rows if r["state"] in SEVERITIES) == problems
        )
        severities = {row["code"]: row["state"] for row in rows}
        status = query_status(watch.conn)
        assert sorted((row["code"], row["subject"]) for row in status["problems"]) == [
            problem for problem in problems if severities[problem[0]] != "notice"
        ]
        assert samples(watch) == dict(Counter(code for code, _ in problems))
        watch.work(NOW)
        worth = set(watch.rows("select rule, alert_key, code from problems where notify"))
        open_alerts = "select rule, subject, code from alerts where ended_at is null"
        assert set(watch.rows(open_alerts)) == worth
        without_rule = {
            code for (code,) in watch.rows("select code from problem_codes where rule is null")
        }
        # The gap ended before the alerts worker was first started.
        without_rule.add("events_lost")
        is_short = {problem for problem in problems if "just now" in names(world)}
        silent = {code for code, _ in problems} - without_rule
        silent -= {"collection_waiting"} if is_short else set()
        assert {code for _, _, code in worth} == silent


def names(world: dict[str, Any]) -> set[str]:
    """Return the names of a world's choices."""
    return {choice.name for choice in world["parts"]}


@pytest.mark.parametrize("language", text.LANGUAGES)
def test_each_code_has_its_texts_in(language):
    with closing(quota_ledger.ledger(NOW)) as conn:
        codes = {code for (code,) in conn.execute("select code from problem_codes")}
    english, words = text.texts("en"), text.texts(language)
    assert set(words["problems"]) == codes
    assert set(words["facts"]) == set(english["facts"])
    assert set(words["messages"]) == set(english["messages"])
    for code, problem in words["problems"].items():
        for part, english_text in english["problems"][code].items():
            used, wanted = (
                set(re.findall(r"\{(\w+)", one)) for one in (problem[part], english_text)
            )
            assert used == wanted, (code, part)


def test_each_fact_has_a_text():
    views = (ROOT / "views.sql").read_text("utf-8")
    facts = views.partition("create view state_facts")[2].partition(";\n")[0]
    for code in text.texts("en")["facts"]:
        assert f"'{code}'" in facts


def test_the_page_of_problems_has_each_code_with_its_severity_and_rule():
    lines = (ROOT / "docs" / "problems.md").read_text("utf-8").splitlines()
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
    documented = [tuple(row[:3]) for row in rows if re.fullmatch(r"\w+", row[0]) and len(row) > 4]
    with closing(quota_ledger.ledger(NOW)) as conn:
        codes = conn.execute("select code, severity, coalesce(rule, '') from problem_codes")
        assert documented[1:] == codes.fetchall()


def test_a_text_leaves_out_what_is_not_known():
    words = {"account": "ann@example.com", "provider": "codex", "label": "5-hour"}
    assert text.sentence("limit_spent", words, "en") == (
        "ann@example.com (codex): the 5-hour limit is used up."
    )
    assert text.sentence("limit_spent", {**words, "until": "16:00"}, "en") == (
        "ann@example.com (codex): the 5-hour limit is used up; it resets at 16:00."
    )
    assert text.sentence("limit_spent", {**words, "until": "16:00"}, "zh") == (
        "ann@example.com（codex）的 5 小时额度已用完，将于 16:00 重置。"
    )
    assert text.sentence("no_such_code", {}, "en") == "no_such_code"


def test_a_canned_query_keeps_the_language_of_its_connection(tmp_path):
    with closing(Watch(tmp_path / "data")) as watch:
        text.register(watch.conn, lambda: "zh")
        ask(database_of(watch.conn), "requests")
        (sentence,) = watch.conn.execute(
            "select sentence('alerts_worker_silent', '{}', '')"
        ).fetchone()
        assert sentence == text.sentence("alerts_worker_silent", {}, "zh")


def test_a_message_is_in_the_language_of_the_settings(tmp_path):
    with closing(Watch(tmp_path / "data", language="zh")) as watch:
        watch.conn.execute("insert into proxies (name) values (?)", (PROXY,))
        watch.set_clock(NOW)
        quota_ledger.add_account(watch.conn, state="needs_login")
        watch.work(NOW)
        ((sentence, code, parameters),) = watch.rows(
            "select sentence, code, parameters from alerts"
        )
        assert sentence == "user0@example.com（codex）的登录已被服务商终止。请重新登录。"
        assert text.sentence(code, json.loads(parameters), "en").endswith("Log in again.")


def test_a_provider_is_down_when_many_of_its_accounts_fail_at_once():
    with closing(quota_ledger.ledger(NOW)) as conn:
        conn.execute("insert into alert_rules values ('provider_down', 1, 50)")
        sql = "select subject, parameters from problems where code = 'provider_down'"
        for _ in range(4):
            quota_ledger.add_account(conn, state="ok", observed_at=NOW)
        for failing in (1, 2, 3):
            assert conn.execute(sql).fetchall() == []
            conn.execute(
                "update quota_accounts set state = 'unavailable', http_status = 503"
                " where account_id <= ?",
                (failing,),
            )
        ((subject, parameters),) = conn.execute(sql).fetchall()
        assert subject == "codex"
        assert text.sentence("provider_down", json.loads(parameters), "en") == (
            "codex seems to be down: 3 of 4 accounts fail at once, with status 503."
        )


def test_old_alerts_are_pruned(tmp_path):
    with closing(Watch(tmp_path / "data")) as watch:
        watch.set_clock(NOW)
        sql = (
            "insert into alerts (rule, subject, severity, sentence, tells_over, own, began_at,"
            " ended_at) values ('mine', ?, 'notice', 'x', 0, 1, 0, ?)"
        )
        watch.conn.executemany(sql, [("old", NOW - 91 * DAY), ("new", NOW - 89 * DAY)])
        watch.work(NOW)
        assert watch.rows("select subject from alerts") == [("new",)]
