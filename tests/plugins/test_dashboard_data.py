"""The page's data equals the canned queries, in every language and for every filter."""

import json
import re

import httpx
import pytest

from ledger.queries import queries
from plugins.masking import Mask
from plugins.page_queries import parse, parts
from tests.support.home import ROOT

RANGES = ["today", "1h", "5h", "24h", "7d", "30d"]
QUOTA = {"usable", "quota", "forecast", "quota_errors"}


def page(site, **parameters: str) -> dict:
    """Return the sections of the page's data."""
    answer = site.get(
        "/-/page.json", params={**parameters, "open": "usable,accounts,models,clients"}
    )
    assert answer.status_code == 200
    return answer.json()["sections"]


def rows(section: dict) -> list[dict]:
    """Return a section's rows by column name."""
    return [dict(zip(section["columns"], row, strict=True)) for row in section["rows"]]


def first(seeded, column: str) -> str:
    """Return the first value of a column of the requests."""
    return seeded.query(f"select {column} from recent_requests group by 1 order by 1 limit 1")[0][0]


def compare(site, sections: dict) -> None:
    """Compare every section with the JSON of its query."""
    for name, section in sections.items():
        if section is not None and name != "ledger_info":
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
    values = {name: first(seeded, name) for name in filters}
    compare(site, page(site, range="30d", by=by, **values))


def test_days_are_compared_with_as_many_days_before(site):
    sections = page(site, **{"from": "2026-11-10", "to": "2026-11-12"})
    assert sections["summary_before"]["parameters"] == {"from": "2026-11-07", "to": "2026-11-09"}
    compare(site, sections)


@pytest.mark.parametrize("window", RANGES)
def test_the_parts_have_equal_sums(site, window):
    for by in ("model", "account"):
        sections = {
            name: rows(section)
            for name, section in page(site, range=window, by=by).items()
            if section
        }
        summary = sections["summary"][0]
        for name in ("accounts", "models", "clients", "over_time"):
            for measure in ("requests", "failed", "total_tokens"):
                part = sum(row[measure] for row in sections[name])
                assert part == summary[measure], (name, by, measure)
        assert sum(row["failed"] for row in sections["failure_series"]) == summary["failed"]


def test_requests_are_filtered_found_and_paged(site, seeded):
    assert {row["failed"] for row in rows(page(site, failed="1")["requests"])} == {1}
    newest = rows(page(site)["requests"])
    older = rows(page(site, before=str(newest[24]["id"]))["requests"])
    assert older[0]["id"] < newest[24]["id"]
    request_id = seeded.query("select max(request_id) from usage_events")[0][0]
    attempts = rows(page(site, request_id=request_id)["requests"])
    assert {row["request_id"] for row in attempts} == {request_id}


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param({"range": "forever"}, id="unknown-range"),
        pytest.param({"from": "yesterday"}, id="no-day"),
        pytest.param({"before": "x"}, id="no-id"),
        pytest.param({"open": "everything"}, id="no-list"),
    ],
)
def test_a_malformed_parameter_is_ignored(parameters):
    assert parse(parameters) == parse({})


def test_days_the_wrong_way_round_are_turned():
    turned = parse({"from": "2026-11-07", "to": "2026-11-01"})
    assert turned.range == {"from": "2026-11-01", "to": "2026-11-07"}


def test_every_part_names_a_canned_query():
    names = {
        name
        for parameters in (
            {},
            {"from": "2026-11-01"},
            {"account": "a"},
            {"model": "m"},
            {"by": "account"},
        )
        for name, _ in parts(parse(parameters)).values()
    }
    assert {name for name in names if "quota" not in name and name != "usable_accounts"} <= set(
        queries()
    )


def test_masked_names_reach_neither_the_data_nor_its_addresses(site, seeded):
    names = [name for (name,) in seeded.query("select distinct account from named_credentials")]
    body = site.get("/-/page.json", params={"mask": "1", "range": "90d"}).text
    assert not [name for name in names if "@" in name and name in body]
    sections = json.loads(body)["sections"]
    masks = {row["name"] for row in rows(sections["filter_options"]) if row["kind"] == "account"}
    assert len(masks) == len(names)
    plain = page(site, range="90d", account=names[0])
    hidden = page(site, range="90d", account=Mask(names).by_name[names[0]], mask="1")
    assert hidden["summary"]["rows"] == plain["summary"]["rows"]
    assert hidden["summary"]["parameters"] is None
    assert names[0] not in json.dumps(hidden)


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
    """Return the keys of nested dictionaries."""
    return {key: keys(part) for key, part in value.items()} if isinstance(value, dict) else None


def test_both_languages_have_the_same_texts():
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


def test_the_language_is_the_browsers_unless_the_reader_sets_one(site):
    def language(**headers: str) -> str:
        return re.search(r'<html lang="([\w-]+)"', site.get("/", headers=headers).text)[1]

    assert language(**{"accept-language": "fr, zh-TW;q=0.9, en;q=0.5"}) == "zh-CN"
    assert language(**{"accept-language": "de"}) == "en"
    assert language(**{"accept-language": "en", "cookie": "lang=zh"}) == "zh-CN"
    answer = httpx.get(f"{site.base_url}/?lang=zh", trust_env=False, timeout=120)
    assert "lang=zh" in answer.headers["set-cookie"]


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
def test_only_our_own_page_can_refresh_quotas(site, seeded, headers):
    before = seeded.count("quota_requests")
    assert site.post("/-/refresh-quota", headers=headers).status_code in (403, 405)
    assert seeded.count("quota_requests") == before
