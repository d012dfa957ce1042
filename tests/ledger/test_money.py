"""Costs as people read them: in the currency of the settings, with what a sum lacks."""

from contextlib import closing

import pytest

from ledger import report
from ledger.money import Currency
from ledger.prices.calculator import REASONS
from ledger.queries import PARAMETER, database_of, queries
from ledger.settings import Settings, requirements
from ledger.status import query_status, status_line, status_words
from ledger.text import LANGUAGES, register, sentence, texts
from plugins.api import REQUEST_FIELDS
from tests.support.brute import NOW, Ledger, random_uses

EURO = Currency("EUR", 0.5)
COSTS = {"cost_dollars", "cost_microdollars", "dollars_per_percent"}


@pytest.mark.parametrize(
    ("currency", "dollars", "unpriced", "text"),
    [
        pytest.param(Currency(), 12.3, 0, "$12.30", id="complete"),
        pytest.param(Currency(), 12.3, 3, "≥ $12.30, 3 attempts without a price", id="three"),
        pytest.param(Currency(), 0, 1, "≥ $0.00, 1 attempt without a price", id="one"),
        pytest.param(Currency(), 1234.5, 2000, "≥ $1,234.50, 2,000 attempts without a price"),
        pytest.param(Currency(), None, 0, "–", id="unknown"),
        pytest.param(Currency(), -2, 0, "-$2.00", id="negative"),
        pytest.param(EURO, 12.3, 0, "€6.15", id="rate"),
        pytest.param(Currency("CHF", 2), 1.25, 0, "CHF 2.50", id="code"),
    ],
)
def test_a_sum_says_what_it_lacks(currency, dollars, unpriced, text):
    assert currency.total(dollars, unpriced) == text


@pytest.mark.parametrize(
    ("code", "rate", "settings"),
    [
        pytest.param("USD", 1, [], id="dollars"),
        pytest.param("EUR", 0.92, [], id="euros"),
        pytest.param("EUR", 1, ["currency_rate"], id="no-rate"),
        pytest.param("USD", 0.92, ["currency_rate"], id="no-currency"),
        pytest.param("euro", 0.92, ["currency"], id="no-code"),
    ],
)
def test_a_currency_needs_a_code_and_a_rate(code, rate, settings):
    found = requirements(Settings(currency=code, currency_rate=rate))
    assert [one.setting for one in found if not one.is_met] == settings


@pytest.fixture
def ledger(tmp_path):
    """A ledger with a priced attempt of 4.16 dollars and one without a price."""
    [event] = random_uses(1)
    event |= {"at": NOW - 1000, "input": 1_000_000, "output": 333_333}
    with closing(Ledger(tmp_path, "UTC")) as ledger:
        ledger.keep([{**event, "model": "own-large", "id": "1"}])
        ledger.keep([{**event, "model": "unknown-model", "id": "2"}])
        ledger.set_clock(NOW)
        yield ledger


def test_the_status_shows_the_currency_and_what_is_missing(ledger):
    line = status_line(query_status(ledger.conn, EURO))
    assert line.startswith("2.7M tok ≥ €2.08, 1 attempt without a price · ")
    words = status_words(query_status(ledger.conn))
    assert (words["cost"], words["unpriced"]) == ("≥ $4.17", "1")


@pytest.mark.parametrize("style", ["table", "markdown"])
def test_a_report_for_people_marks_sums_that_lack_attempts(ledger, style, capsys):
    report.print_report(database_of(ledger.conn), "24h", by="model", style=style)
    output = capsys.readouterr().out
    assert "≥ $0.00" in output
    assert "≥ $4.17, 1 attempt without a price: `/ledger/unpriced` has the reasons" in output


def test_a_report_for_programs_has_numbers(ledger, capsys):
    report.print_report(database_of(ledger.conn), "24h", by="model", style="csv")
    output = capsys.readouterr().out
    assert {"cost_dollars", "unpriced"} <= set(output.splitlines()[0].split(","))
    assert "≥" not in output


def test_the_bill_of_a_month_marks_sums_that_lack_attempts(ledger, capsys):
    database = database_of(ledger.conn)
    report.print_bill(database, "2026-11", dollars=20, share="cost", style="table")
    output = capsys.readouterr().out
    assert "$20.00 shared by cost" in output
    assert "≥ $4.17, 1 attempt without a price" in output


def test_every_query_and_view_with_a_cost_counts_what_it_lacks(ledger):
    register(ledger.conn, lambda: "en")
    views = ledger.conn.execute("select name from sqlite_schema where type = 'view'").fetchall()
    asked = {name: f'select * from "{name}" limit 0' for (name,) in views}
    asked |= {name: query.sql for name, query in queries().items()}
    for name, sql in asked.items():
        parameters = dict.fromkeys(PARAMETER.findall(sql), "")
        columns = [column[0] for column in ledger.conn.execute(sql, parameters).description]
        assert COSTS.isdisjoint(columns) or "unpriced" in columns, name


def test_the_api_of_requests_says_which_cost_is_missing():
    assert {"cost_dollars", "unpriced"} <= set(REQUEST_FIELDS)


@pytest.mark.parametrize(
    ("unpriced", "text"),
    [
        (None, "Budget all: $3.00 of $2.00 at list price are used"),
        (1, "Budget all: at least $3.00 of $2.00 at list price (1 attempt without a price) are"),
        (2, "Budget all: at least $3.00 of $2.00 at list price (2 attempts without a price) are"),
    ],
)
def test_a_budget_says_what_it_lacks(unpriced, text):
    parameters = {"budget": "all", "dollars": 3.0, "dollars_allowed": 2.0, "unpriced": unpriced}
    sentence_of = sentence("budget_spent", {**parameters, "percent": 150, "per": "day"}, "en")
    assert sentence_of.startswith(text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_of_a_missing_cost_has_words_and_a_remedy(language):
    words = texts(language)["words"]
    assert all(reason in words and f"remedy: {reason}" in words for reason in REASONS.values())
