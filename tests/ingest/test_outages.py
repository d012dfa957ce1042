"""A proxy that is unavailable, refuses the key, restarts, or queues no events."""

import json

from demo.fake_proxy import FakeProxy, serving
from tests.support.home import KEY, eventually


def test_a_wrong_key_is_tried_once_over_three_restarts(home, proxy):
    home.use(proxy, CLIPROXY_MANAGEMENT_KEY="wrong-management-key")
    for _ in range(3):
        home.run("ingest", "--once", status=1)
    assert (proxy.auth_attempts, proxy.auth_failures) == (1, 1)
    assert ("key_refused", f"127.0.0.1:{proxy.port}") in home.problems()
    [(detail,)] = home.query("select detail from heartbeats where worker = 'ingest'")
    assert "refused the management key" in detail


def test_a_corrected_key_is_tried_at_once(home, proxy, all_recorded):
    home.use(proxy, CLIPROXY_MANAGEMENT_KEY="wrong-management-key")
    home.run("ingest", "--once", status=1)
    proxy.push(all_recorded)
    home.use(proxy, CLIPROXY_MANAGEMENT_KEY=KEY)
    home.run("ingest", "--once")
    assert home.count() == 370


def test_collection_starts_by_itself_when_the_proxy_comes(home, all_recorded):
    with serving(FakeProxy(key=KEY)) as proxy:
        proxy.stop()
        home.use(proxy)
        home.start("ingest")
        [(detail,)] = eventually(
            lambda: (
                home.count("heartbeats")
                and home.query("select detail from heartbeats where state = 'waiting'")
            )
        )
        assert "cannot be reached" in detail
        proxy.start()
        proxy.push(all_recorded)
        eventually(lambda: home.count() == 370)


def test_a_proxy_that_goes_and_comes_leaves_a_gap(home, proxy, all_recorded):
    home.use(proxy)
    home.start("ingest")
    proxy.push(all_recorded[:100])
    eventually(lambda: home.count() == 100)
    proxy.stop()
    eventually(lambda: home.query("select 1 from collection_gaps where open"))
    assert ("collection_waiting", f"127.0.0.1:{proxy.port}") in home.problems()
    proxy.start()
    proxy.push(all_recorded[100:])
    eventually(lambda: home.count() == 370)
    [gap] = eventually(
        lambda: home.query(
            "select cause, ended_at >= started_at, retention_exceeded from gaps "
            "where ended_at is not null"
        )
    )
    assert gap in [("proxy away", 1, 0), ("connection lost", 1, 0)]


def test_a_restart_leaves_a_gap_from_the_last_good_pop(home, proxy, all_recorded):
    home.use(proxy)
    proxy.push(all_recorded)
    home.run("ingest", "--once")
    assert home.count("gaps") == 0
    [(before,)] = home.query("select last_pop_at from proxies")
    home.run("ingest", "--once")
    [(after,)] = home.query("select last_pop_at from proxies")
    assert home.query("select started_at, ended_at, cause from gaps") == [
        (before, after, "collector stopped")
    ]


def test_a_gap_longer_than_the_queue_keeps_events_is_marked(home, all_recorded):
    with serving(FakeProxy(key=KEY, retention=1)) as proxy:
        home.use(proxy)
        proxy.push(all_recorded)
        home.run("ingest", "--once")
        [(last,)] = home.query("select last_pop_at from proxies")
        eventually(lambda: home.query("select now > ? + 1100 from clock", last) == [(1,)])
        home.run("ingest", "--once")
    assert home.query("select retention_exceeded from gaps") == [(1,)]
    assert "1 longer than the proxy keeps events" in home.facts()["gaps_recorded", "gaps"]


def test_statistics_switched_off_are_reported(home, proxy):
    proxy.statistics = False
    home.use(proxy)
    home.run("ingest", "--once")
    shown = home.problems()["statistics_off", f"127.0.0.1:{proxy.port}"]
    assert "usage-statistics-enabled: true" in shown


def test_a_proxy_without_resp_is_collected_over_http(home, all_recorded):
    with serving(FakeProxy(key=KEY, version="v7.1.17")) as proxy:
        home.use(proxy)
        proxy.push(all_recorded)
        home.run("ingest", "--once")
    assert home.query("select source, stored from ingest_ledger") == [("http", 370)]


def test_management_switched_off_is_reported(home):
    with serving(FakeProxy(key=None)) as proxy:
        home.use(proxy)
        output = home.run("ingest", "--once", status=1)
    assert "remote-management.secret-key" in output


def test_the_report_has_the_fields_that_scripts_expect(home, proxy, all_recorded):
    home.use(proxy)
    proxy.push(all_recorded)
    home.run("ingest", "--once")
    home.stop_clock()
    report = json.loads(home.run("ledger", "report", "90d", "--format", "json"))
    counts = ["requests", "total_tokens", "input_tokens", "output_tokens", "reasoning_tokens"]
    assert list(report) == ["range", "summary", "accounts", "models", "hours"]
    assert sorted(report["summary"]) == sorted([*counts, "cached_tokens", "failed"])
    assert sorted(report["accounts"][0]) == sorted(["account", *counts, "failed"])
    assert list(report["models"][0]) == ["model", "requests", "total_tokens", "failed"]
    assert list(report["hours"][0]) == ["hour", "requests", "total_tokens", "failed"]
    assert report["summary"]["requests"] == sum(row["requests"] for row in report["accounts"])
