"""`/metrics` as Prometheus reads it: right, bounded, and never going back."""

import json
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from ledger import connect, retention, rollups
from ledger.prices.calculator import Prices
from ledger.prices.overrides import Price
from ledger.prices.reprice import reprice
from plugins.metrics import ACCOUNT_SOURCES, FILE_BYTES, GAP_SOURCE, SOURCES, families
from quota.decisions import decide_due
from tests.support import quota_ledger
from tests.support.brute import DAY, HOUR, NOW, Ledger, payload, random_uses
from tests.support.home import ROOT, eventually
from tests.support.sites import PASSWORD, client_of

OPEN = {"accept": "application/openmetrics-text; version=1.0.0"}
LABELS = {
    *("proxy", "model", "provider", "state", "rule", "kind", "account", "window"),
    *("code", "severity"),
}
BOARD = json.loads((ROOT / "deploy" / "grafana-dashboard.json").read_text("utf-8"))
NAME = re.compile(r"cliproxy_ledger_\w+")
ABSENT = "usage is left out"

ALL_SOURCES = [*SOURCES, *ACCOUNT_SOURCES.values(), GAP_SOURCE]

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Samples:
    """Return every sample of the text format; no series may occur twice."""
    return unique(text_string_to_metric_families(text))


def unique(families) -> Samples:
    """Return every sample of families by its series."""
    samples = [
        ((sample.name, tuple(sorted(sample.labels.items()))), sample.value)
        for family in families
        for sample in family.samples
    ]
    assert max(Counter(series for series, _ in samples).values()) == 1
    return dict(samples)


def scraped(client: httpx.Client) -> Samples:
    """Return the samples of one scrape."""
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


def total(samples: Samples, name: str, **labels: str) -> float:
    """Add up the series of a name with those labels."""
    required = set(labels.items())
    return sum(
        value
        for (series, series_labels), value in samples.items()
        if series == f"cliproxy_ledger_{name}" and required <= set(series_labels)
    )


def counters(samples: Samples) -> Samples:
    """Return the samples that may never decrease."""
    return {series: value for series, value in samples.items() if series[0].endswith("_total")}


def gone_back(before: Samples, after: Samples) -> list[tuple]:
    """Return the counters that have decreased or disappeared."""
    return [
        (series, value, after.get(series))
        for series, value in counters(before).items()
        if after.get(series, -1) < value
    ]


def samples_of(conn) -> Samples:
    """Read a ledger's samples without a server."""
    return unique(families(conn, ALL_SOURCES))


def test_both_formats_are_what_the_official_parsers_read(site):
    plain, open_ = site.get("/metrics"), site.get("/metrics", headers=OPEN)
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert open_.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert plain.headers["cache-control"] == "no-store"
    samples = unique(openmetrics.text_string_to_metric_families(open_.text))
    moving = {"cliproxy_ledger_worker_beat_timestamp_seconds"}
    assert {s: v for s, v in parsed(plain.text).items() if s[0] not in moving} == {
        s: v for s, v in samples.items() if s[0] not in moving
    }
    assert len(samples) > 50


def test_usage_is_what_the_events_add_up_to(seeded, site):
    samples = scraped(site)
    [sums] = seeded.query(
        "select count(*), sum(failed), sum(total_tokens), sum(cached_tokens), "
        "sum(cache_write_tokens), sum(reasoning_tokens), sum(unclassified_tokens), "
        "sum(input_tokens - cached_tokens - cache_write_tokens), "
        "sum(output_tokens - reasoning_tokens), sum(cost_microdollars) / 1e6, "
        "sum(cost_microdollars is null) from usage_events"
    )
    kinds = ("cached", "cache_write", "reasoning", "unclassified", "input", "output")
    totals = [
        total(samples, "requests_total"),
        total(samples, "failures_total"),
        total(samples, "tokens_total"),
        *(total(samples, "tokens_total", kind=kind) for kind in kinds),
        total(samples, "cost_dollars"),
        total(samples, "unpriced_requests"),
    ]
    assert totals == pytest.approx(sums)
    by_model = seeded.query("select model, count(*) from recent_requests group by model")
    assert len(by_model) > 3
    for model, requests in by_model:
        assert total(samples, "requests_total", model=model) == requests, model


def test_received_is_stored_and_duplicate_and_rejected(seeded, site):
    samples = scraped(site)
    [sums] = seeded.query("select sum(received), sum(stored), sum(duplicate) from ingest_ledger")
    assert sums[0] == total(samples, "records_received_total") == total(samples, "records_total")
    assert sums[1] == total(samples, "records_total", state="stored")
    assert sums[2] == total(samples, "records_total", state="duplicate")


def test_gaps_are_counted_and_what_may_be_missing_is_estimated(home, proxy):
    now = time.time_ns() // 1_000_000
    gaps = [(now - 20 * DAY, now - 18 * DAY), (now - 40 * DAY, now - 39 * DAY)]
    events = [{**event, "at": event["at"] + now - NOW - HOUR} for event in random_uses(6000)]
    home.use(proxy)
    proxy.push(
        [payload(e) for e in events if not any(start < e["at"] < end for start, end in gaps)]
    )
    home.run("ingest", "--once")
    with closing(connect(home.data / "ledger.db")) as conn:
        conn.execute("update proxies set first_pop_at = 1")
        conn.executemany(
            "insert into gaps (proxy_id, started_at, ended_at, cause, retention_exceeded, "
            "batches_at_risk) values (1, ?, ?, 'proxy away', 1, 2)",
            gaps,
        )
        (missing,) = conn.execute("select sum(maybe_missing) from gap_estimates").fetchone()
    assert missing > 100
    with closing(client_of(home)) as client:
        samples = scraped(client)
    assert total(samples, "gaps_total") == 2
    assert total(samples, "batches_at_risk_total") == 4
    assert total(samples, "events_maybe_missing") == missing


def test_the_file_and_the_newest_event_are_measured(seeded, site):
    samples = scraped(site)
    [(last,)] = seeded.query("select max(occurred_at) from usage_events")
    assert total(samples, "last_event_timestamp_seconds") == last / 1000
    size = (seeded.data / "ledger.db").stat().st_size
    assert total(samples, "file_bytes", kind="database") == size
    assert total(samples, "rollups_complete") == 1


def test_labels_are_few_and_contain_no_key_and_no_id(seeded, site):
    samples = scraped(site)
    assert {name for _, labels in samples for name, _ in labels} <= LABELS
    values = {value for _, labels in samples for _, value in labels}
    hidden = {label for (label,) in seeded.query("select label from known_clients")}
    hidden |= {index for (index,) in seeded.query("select auth_index from credentials")}
    assert hidden
    assert not values & hidden
    assert not [value for value in values if "…" in value or value.startswith("sk-")]


def test_names_are_as_prometheus_wants_them(site):
    text = site.get("/metrics").text
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
        assert name.startswith("cliproxy_ledger_")
        assert name.endswith("_total") == (kind == "counter"), name
        assert f"# HELP {name} " in text
        assert not re.search(r"_(ms|minutes|percent|kb)(_|$)", name)


def test_models_beyond_the_first_hundred_are_one_series(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.set_clock(NOW)
        before: Samples = {}
        for step in range(1, 8):
            ledger.keep(
                [{**event, "model": f"own-{n}"} for n, event in enumerate(random_uses(step * 20))]
            )
            after = samples_of(ledger.conn)
            assert gone_back(before, after) == []
            before = after
        named = {dict(labels)["model"] for name, labels in after if name.endswith("requests_total")}
        [(events,)] = ledger.conn.execute("select count(*) from usage_events").fetchall()
    assert len(named) == 101
    assert total(after, "requests_total", model="other") == 40
    assert total(after, "requests_total") == events


def steps(ledger: Ledger, chance: random.Random) -> Iterator[str]:
    """Change the ledger in random order; yield the name of each step."""
    conn, now, ignore_progress = ledger.conn, NOW, lambda done, whole: None
    for number in range(60):
        now += chance.randrange(2 * DAY)
        ledger.set_clock(now)
        action = chance.choice(["keep", "late", "again", "retain", "prune", "rebuild", "reprice"])
        if action in ("keep", "late"):
            days = 2 if action == "keep" else 90
            ledger.keep(
                [{**e, "at": e["at"] + now - NOW} for e in random_uses(9, seed=number, days=days)]
            )
        elif action == "again":
            ledger.keep([{**e, "at": e["at"] + now - NOW} for e in random_uses(9, seed=number - 1)])
        elif action == "retain":
            retention.move_cutoff(conn, keep_days=chance.randrange(7, 40), now=now)
            while retention.prune_batch(conn, limit=7):
                yield "retain some"
        elif action == "prune":
            rollups.prune(conn, now)
        elif action == "rebuild":
            rollups.reset(conn, now)
            yield ABSENT
            rollups.catch_up(conn)
        else:
            prices = Prices({"own-*": Price(input=chance.random(), output=1.0)})
            reprice(conn, prices, start=0, end=1 << 62, progress=ignore_progress)
        yield action


@pytest.mark.parametrize("seed", range(6))
def test_no_counter_goes_back_whatever_a_ledger_goes_through(tmp_path, seed):
    with closing(Ledger(tmp_path, "Asia/Kathmandu")) as ledger:
        ledger.keep(random_uses(40, seed=99))
        before, done = samples_of(ledger.conn), Counter()
        for action in steps(ledger, random.Random(seed)):
            after = samples_of(ledger.conn)
            done[action] += 1
            usage = total(after, "requests_total")
            if action == ABSENT and usage == 0:
                assert total(after, "rollups_complete") == 0
                after |= {s: v for s, v in counters(before).items() if "records" not in s[0]}
            assert gone_back(before, after) == [], action
            before = after
        [(stored,)] = ledger.conn.execute("select sum(stored) from ingest_ledger").fetchall()
    assert total(before, "requests_total") == total(before, "records_total", state="stored")
    assert total(before, "requests_total") == stored > 100
    assert len(done) >= 7
    assert done["retain some"] > 3


def old_events(count: int, seed: int) -> list[bytes]:
    """Return events of the last 60 days, as the proxy sends them."""
    now = time.time_ns() // 1_000_000
    events = random_uses(count, seed=seed)
    return [payload({**event, "at": event["at"] + now - NOW - HOUR}) for event in events]


def test_no_counter_goes_back_over_restarts_and_a_retention_run(home, proxy):
    home.use(proxy, LEDGER_KEEP_EVENTS_DAYS="7")
    proxy.push(old_events(300, seed=1))
    home.env["LEDGER_KEEP_EVENTS_DAYS"] = "0"
    home.run("ingest", "--once")
    with closing(client_of(home)) as client:
        first = scraped(client)
        assert total(first, "requests_total") == 300
    home.started[-1].kill()
    home.env["LEDGER_KEEP_EVENTS_DAYS"] = "7"
    assert "events deleted" in home.run("ledger", "retain")
    with closing(client_of(home)) as client:
        assert gone_back(first, scraped(client)) == []
        assert home.count() < 150
        proxy.push(old_events(50, seed=2))
        home.run("ingest", "--once")
        eventually(lambda: total(scraped(client), "records_received_total") == 350)
        assert gone_back(first, scraped(client)) == []
        home.run("ledger", "rebuild")
        time.sleep(1)  # As long as one look at the ledger may be shared.
        assert gone_back(first, scraped(client)) == []


def test_accounts_of_one_name_are_one_series_of_the_tightest_limit():
    with closing(quota_ledger.ledger(NOW)) as conn:
        for used in (25.0, 60.0):
            account = quota_ledger.add_account(conn, state="ok")
            quota_ledger.add_windows(
                conn, account, [quota_ledger.limit(used), quota_ledger.limit(None, "7d")]
            )
        conn.execute("update known_accounts set label = 'same@example.com'")
        samples = samples_of(conn)
    where = {"provider": "codex", "account": "same@example.com"}
    assert total(samples, "quota_left_ratio", **where, window="5h") == pytest.approx(0.4)
    assert not total(samples, "quota_left_ratio", window="7d")
    assert total(samples, "quota_reset_timestamp_seconds", window="5h") == (NOW + HOUR) / 1000


def test_accounts_are_counted_as_the_page_counts_them():
    chance = random.Random(4)
    with closing(quota_ledger.ledger(NOW)) as conn:
        for _ in range(60):
            state = {
                "state": chance.choice(["ok", "ok", "needs_login", "deactivated", "unavailable"]),
                "disabled": int(chance.random() < 0.1),
                "observed_at": NOW - chance.choice([0, 9 * HOUR]),
            }
            provider = chance.choice(["codex", "claude"])
            account = quota_ledger.add_account(conn, provider, **state)
            groups = chance.choice([[""], ["a", "b"]])
            windows = [
                quota_ledger.limit(
                    chance.choice([10.0, 100.0, None]),
                    scope="group" if group else "account",
                    scope_key=group,
                )
                for group in groups
            ]
            quota_ledger.add_windows(conn, account, windows)
        decide_due(conn, NOW)
        samples = samples_of(conn)
        verdicts = conn.execute("select provider, usable, reason from account_verdicts").fetchall()
    closed = ("needs_login", "deactivated", "disabled")
    word = {1: "usable", 0: "blocked", None: "unknown"}
    expected = Counter(
        (provider, reason if reason in closed else word[usable])
        for provider, usable, reason in verdicts
    )
    assert {state for _, state in expected} == {*closed, *word.values()}
    for provider in ("codex", "claude"):
        for state in (*closed, *word.values()):
            series = (("provider", provider), ("state", state))
            assert samples["cliproxy_ledger_accounts", series] == expected[provider, state]


def test_single_accounts_can_be_left_out(home, proxy, all_recorded):
    home.use(proxy, LEDGER_QUOTA_SOURCE="off")
    proxy.push(all_recorded)
    home.run("ingest", "--once")
    home.run("quota", "--once")
    home.stop_clock()
    with closing(client_of(home)) as client:
        assert total(scraped(client), "quota_left_ratio") > 0
        file = Path(home.env["LEDGER_CONFIG"])
        settings = file.read_text()
        file.write_text(settings[:5])
        assert [client.get(page).status_code for page in ("/metrics", "/")] == [200, 200]
        file.write_text(settings)
    with closing(client_of(home, LEDGER_METRICS_ACCOUNTS="off")) as client:
        text = client.get("/metrics").text
    assert "account=" not in text
    assert "@example.com" not in text
    assert "cliproxy_ledger_requests_total{" in text


def test_a_password_closes_metrics_and_basic_auth_opens_them(home, proxy):
    from datasette_auth_passwords.utils import hash_password

    home.use(proxy)
    hashed = hash_password(PASSWORD)
    with closing(client_of(home, LEDGER_DASHBOARD_PASSWORD_HASH=hashed)) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", auth=("ledger", "wrong")).status_code == 401
        assert client.get("/metrics", auth=("ledger", PASSWORD)).status_code == 200


def test_another_host_name_is_refused(site):
    assert site.get("/metrics", headers={"host": "rebound.example.com"}).status_code == 421


def test_scrapes_that_come_at_once_are_all_answered(site):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: site.get("/metrics"), range(48)))
    assert {answer.status_code for answer in answers} == {200}
    requests = {total(parsed(answer.text), "requests_total") for answer in answers}
    assert len(requests) == 1


def test_open_alerts_are_counted_by_rule(tmp_path):
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.conn.execute("delete from alert_rules")
        ledger.conn.executemany(
            "insert or replace into alert_rules (rule, enabled, threshold) values (?, ?, 1)",
            [("quota_low", 1), ("gap", 1), ("unpriced", 0)],
        )
        for subject, ended in (("a", None), ("b", None), ("c", NOW)):
            ledger.conn.execute(
                "insert into alerts (rule, subject, severity, sentence, tells_over, own, began_at, "
                "ended_at) values ('quota_low', ?, 'warning', '…', 0, 0, ?, ?)",
                (subject, NOW - 1, ended),
            )
        samples = samples_of(ledger.conn)
    rules = {dict(labels)["rule"] for name, labels in samples if name.endswith("alerts_open")}
    assert rules == {"quota_low", "gap"}
    assert total(samples, "alerts_open", rule="quota_low") == 2
    assert total(samples, "alerts_open", rule="gap") == 0


def expressions(panels: list[dict]) -> Iterator[str]:
    """Return every expression of a dashboard."""
    for panel in panels:
        yield from (target["expr"] for target in panel.get("targets", []))
        yield from expressions(panel.get("panels", []))


def metric_names() -> set[str]:
    """Return the name of every metric, as it is scraped."""
    names = {metric.name for source in ALL_SOURCES for metric in source.metrics}
    return {f"cliproxy_ledger_{name}" for name in names | {FILE_BYTES.name}}


def test_the_grafana_dashboard_asks_for_metrics_that_exist_and_for_all_of_them():
    texts = list(expressions(BOARD["panels"]))
    assert len(texts) > 20
    assert set(NAME.findall(" ".join(texts))) == metric_names()
    [source] = [v for v in BOARD["templating"]["list"] if v["type"] == "datasource"]
    assert source["query"] == "prometheus"
    uids = re.findall(r'"uid": "([^"]*)"', json.dumps({**BOARD, "uid": ""}))
    assert set(uids) == {"${datasource}", ""}
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_the_page_of_metrics_lists_every_one_with_its_labels():
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    listed = re.findall(r"^\| `(cliproxy_ledger_\w+)` \|([^|]*)\|", page, re.MULTILINE)
    expected = {
        f"cliproxy_ledger_{metric.name}": [*source.labels, *filter(None, [metric.column_label])]
        for source in ALL_SOURCES
        for metric in source.metrics
    } | {f"cliproxy_ledger_{FILE_BYTES.name}": [FILE_BYTES.column_label]}
    assert {name: re.findall(r"`(\w+)`", labels) for name, labels in listed} == expected
