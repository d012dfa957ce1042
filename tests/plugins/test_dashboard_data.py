"""What the page is given equals the canned queries, whoever asks and however often."""

import asyncio
import json
import re

import httpx
import pytest

from ledger.queries import queries
from plugins.cache import SingleFlight
from plugins.masking import Mask
from plugins.page_queries import parse, parts
from tests.support.home import ROOT

RANGES = ["today", "1h", "5h", "24h", "7d", "30d"]
QUOTA = {"usable", "quota", "forecast", "quota_errors"}


def page(site, **given: str) -> dict:
    """Give the sections of the page's data."""
    answer = site.get("/-/page.json", params={**given, "open": "usable,accounts,models,clients"})
    assert answer.status_code == 200
    return answer.json()["sections"]


def rows(section: dict) -> list[dict]:
    """Give a section's rows by name."""
    return [dict(zip(section["columns"], row, strict=True)) for row in section["rows"]]


def first(seeded, column: str) -> str:
    """Give one value that requests have in a column."""
    return seeded.query(f"select {column} from recent_requests group by 1 order by 1 limit 1")[0][0]


def compare(site, sections: dict) -> None:
    """Hold every section against its own query's JSON."""
    for name, section in sections.items():
        if section is not None and name != "facts":
            address = f"/ledger/{section['query']}.json"
            answer = site.get(address, params={**section["parameters"], "_shape": "array"})
            assert rows(section) == answer.json(), (name, section["parameters"])


@pytest.mark.parametrize("window", RANGES)
def test_every_part_equals_its_query(site, window):
    sections = page(site, range=window)
    compare(site, sections)
    missing = {name for name, section in sections.items() if section is None}
    assert missing <= (QUOTA if "quota" not in queries() else set())


@pytest.mark.parametrize("by", ["model", "account"])
@pytest.mark.parametrize(
    "filters", [(), ("account",), ("model",), ("client",), ("model", "client")]
)
def test_every_part_equals_its_query_with_filters(site, seeded, by, filters):
    given = {name: first(seeded, name) for name in filters}
    compare(site, page(site, range="30d", by=by, **given))


def test_days_are_compared_with_as_many_days_before(site):
    sections = page(site, **{"from": "2026-11-10", "to": "2026-11-12"})
    assert sections["summary_before"]["parameters"] == {"from": "2026-11-07", "to": "2026-11-09"}
    compare(site, sections)


@pytest.mark.parametrize("window", RANGES)
def test_all_that_adds_up_adds_up(site, window):
    for by in ("model", "account"):
        sections = {
            name: rows(found) for name, found in page(site, range=window, by=by).items() if found
        }
        whole = sections["summary"][0]
        for name in ("accounts", "models", "clients", "over_time"):
            for measure in ("requests", "failed", "total_tokens"):
                found = sum(row[measure] for row in sections[name])
                assert found == whole[measure], (name, by, measure)
        assert sum(row["failed"] for row in sections["failure_series"]) == whole["failed"]


def test_requests_are_filtered_found_and_paged(site, seeded):
    assert {row["failed"] for row in rows(page(site, failed="1")["requests"])} == {1}
    newest = rows(page(site)["requests"])
    older = rows(page(site, before=str(newest[24]["id"]))["requests"])
    assert older[0]["id"] < newest[24]["id"]
    request_id = seeded.query("select max(request_id) from usage_events")[0][0]
    found = rows(page(site, request_id=request_id)["requests"])
    assert {row["request_id"] for row in found} == {request_id}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"range": "forever"}, id="unknown-range"),
        pytest.param({"from": "yesterday"}, id="no-day"),
        pytest.param({"before": "x"}, id="no-id"),
        pytest.param({"open": "everything"}, id="no-list"),
    ],
)
def test_what_is_malformed_counts_as_not_given(given):
    assert parse(given) == parse({})


def test_days_the_wrong_way_round_are_turned():
    turned = parse({"from": "2026-11-07", "to": "2026-11-01"})
    assert turned.range == {"from": "2026-11-01", "to": "2026-11-07"}


def test_every_part_names_a_canned_query():
    spoken = {
        name
        for given in (
            {},
            {"from": "2026-11-01"},
            {"account": "a"},
            {"model": "m"},
            {"by": "account"},
        )
        for name, _ in parts(parse(given)).values()
    }
    assert {name for name in spoken if "quota" not in name and name != "usable_accounts"} <= set(
        queries()
    )


def test_masked_names_reach_neither_the_data_nor_its_addresses(site, seeded):
    names = [name for (name,) in seeded.query("select distinct account from named_credentials")]
    body = site.get("/-/page.json", params={"mask": "1", "range": "90d"}).text
    assert not [name for name in names if "@" in name and name in body]
    sections = json.loads(body)["sections"]
    masks = {row["name"] for row in rows(sections["names"]) if row["kind"] == "account"}
    assert len(masks) == len(names)
    plain = page(site, range="90d", account=names[0])
    hidden = page(site, range="90d", account=Mask(names).by_name[names[0]], mask="1")
    assert hidden["summary"]["rows"] == plain["summary"]["rows"]
    assert hidden["summary"]["parameters"] is None
    assert names[0] not in json.dumps(hidden)


def test_ten_who_ask_at_once_cost_one():
    counted = []

    async def compute() -> bytes:
        counted.append(1)
        await asyncio.sleep(0.02)
        return b"answer"

    async def ask() -> None:
        flights = SingleFlight(0.05)
        assert (
            await asyncio.gather(*(flights.get("a", compute) for _ in range(10)))
            == [b"answer"] * 10
        )
        await flights.get("a", compute)
        assert len(counted) == 1
        await asyncio.sleep(0.06)
        await flights.get("a", compute)
        assert len(counted) == 2

    asyncio.run(ask())


def test_an_error_is_not_kept():
    async def ask() -> None:
        flights = SingleFlight(60)

        async def fail() -> bytes:
            raise OSError("gone")

        async def work() -> bytes:
            return b"back"

        with pytest.raises(OSError, match="gone"):
            await flights.get("a", fail)
        assert await flights.get("a", work) == b"back"

    asyncio.run(ask())


def test_the_page_may_run_its_own_scripts_alone(site):
    answer = site.get("/")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert not re.findall(r"<script(?![^>]*src=)(?![^>]*application/json)", answer.text)
    assert not re.findall(r'(?:src|href)="https?://', answer.text)


def test_the_page_weighs_less_than_100_kilobytes(site):
    html = site.get("/").text
    assets = set(re.findall(r'"(/assets/[\w.]+)"', html))
    for module in (ROOT / "plugins" / "static").glob("*.js"):
        assert f"/assets/{module.name}" in assets
    weight = len(html.encode()) + sum(len(site.get(path).content) for path in assets)
    assert weight < 100_000


def test_the_charts_script_is_served_from_here(site):
    address = re.search(r'data-charts="([^"]+)"', site.get("/").text)[1]
    answer = site.get(address)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert site.get("/-/charts-0.0.js").status_code == 404


def keys(value: object) -> object:
    """Give the shape of a dictionary of words."""
    return {key: keys(part) for key, part in value.items()} if isinstance(value, dict) else None


def test_both_languages_say_the_same_things():
    english, chinese = (
        json.loads((ROOT / "plugins" / "text" / f"{name}.json").read_text("utf-8"))
        for name in ("en", "zh")
    )
    assert keys(english) == keys(chinese)


def test_every_text_is_used():
    folder = ROOT / "plugins"
    files = [*(folder / "static").glob("*.js"), *(folder / "templates").glob("*.html")]
    written = "".join(file.read_text("utf-8") for file in files)
    english = json.loads((folder / "text" / "en.json").read_text("utf-8"))
    # Those that a script or a template looks up by a name in the data.
    by_name = {"account", "accounts", "client", "clients", "model", "models", "proxy"}
    by_name |= {"yes", "no", "unknown"}
    used = {name for name in english if re.search(rf"\b(?:texts|t)(?:\.|\[\"){name}\b", written)}
    assert set(english) - used == by_name


def test_the_language_is_the_browsers_unless_chosen(site):
    def spoken(**headers: str) -> str:
        return re.search(r'<html lang="([\w-]+)"', site.get("/", headers=headers).text)[1]

    assert spoken(**{"accept-language": "fr, zh-TW;q=0.9, en;q=0.5"}) == "zh-CN"
    assert spoken(**{"accept-language": "de"}) == "en"
    assert spoken(**{"accept-language": "en", "cookie": "lang=zh"}) == "zh-CN"
    chosen = httpx.get(f"{site.base_url}/?lang=zh", trust_env=False, timeout=20)
    assert "lang=zh" in chosen.headers["set-cookie"]


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="no-mark"),
        pytest.param(
            {"x-requested-with": "cliproxy-ledger", "origin": "https://evil.example"}, id="foreign"
        ),
        pytest.param({"x-requested-with": "XMLHttpRequest"}, id="another-mark"),
    ],
)
def test_only_our_own_page_can_ask_for_quotas(site, seeded, headers):
    before = seeded.count("quota_requests")
    assert site.post("/-/refresh-quota", headers=headers).status_code in (403, 405)
    assert seeded.count("quota_requests") == before
