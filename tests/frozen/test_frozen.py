"""A ledger of schema 0009, written by the program of that time, gives the answers it gave then.

Ledger and answers lie in `tests/data/frozen`. What was renamed since stands in `renames.json`.
"""

import os
import subprocess
import sys

import pytest

from tests.frozen.compare import compare, differences
from tests.frozen.record import Answer, table
from tests.frozen.renames import Renames
from tests.support.home import DATA, ROOT

FROZEN = DATA / "frozen"
LEDGER, OLD = FROZEN / "ledger-0009.db.gz", FROZEN / "answers-0009.json.gz"
NONE = Renames({})


def test_every_answer_is_what_it_was(tmp_path):
    new = tmp_path / "new.json.gz"
    command = [sys.executable, "-m", "tests.frozen.record", "--ledger", str(LEDGER)]
    subprocess.run(
        [*command, "--like", str(OLD), "--out", str(new)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert compare(OLD, new, Renames.load()) == []


def models(**more: list) -> Answer:
    """Return the answer of a query of two rows, some columns of it replaced."""
    columns = {"model": ["large", "small"], "cost": [1.5, 0.1 + 0.2], "requests": [3, 3], **more}
    return table(list(columns), list(zip(*columns.values(), strict=True)))


@pytest.mark.parametrize(
    ("new", "places"),
    [
        (models(), []),
        (models(cost=[1.5, 0.3]), []),
        (models(cost=[1.5, 0.30001]), ["row 1 cost"]),
        (models(requests=[3, None]), ["row 1 requests"]),
        (models(requests=[3.0, 3]), ["row 0 requests"]),
        (models(model=["small", "large"]), ["row 0 model", "row 1 model"]),
        (models(share=[1, 2]), ["columns"]),
        (table(["model"], [["large"]]), ["rows"]),
        ({"error": "no such query"}, ["answer"]),
    ],
)
def test_a_difference_is_seen(new, places):
    assert [place for place, _, _ in differences(models(), new, "models", NONE)] == places


def test_a_difference_among_many_rows_is_seen():
    old, new = (table(["n"], [[n] for n in [*range(900), last]]) for last in (1, 2))
    assert [place for place, _, _ in differences(old, new, "q", NONE)] == ["all rows n"]


@pytest.mark.parametrize(
    "renames",
    [
        {"columns": {"models.model": "name", "cost": "dollars", "requests": None}},
        {"columns": {"model": "name", "cost": "dollars", "requests": None}, "added": ["q.new"]},
    ],
)
def test_renamed_columns_are_the_same(renames):
    new = table(["name", "dollars"], [["large", 1.5], ["small", 0.3]])
    assert list(differences(models(), new, "models", Renames(renames))) == []
    wrong = table(["name", "dollars"], [["large", 1.5], ["small", 0.4]])
    assert list(differences(models(), wrong, "models", Renames(renames)))


def test_rows_that_tie_may_come_in_any_order():
    new = models(model=["small", "large"], cost=[0.3, 1.5])
    tied = Renames({"ties": {"models": ["requests"]}})
    assert list(differences(models(), new, "models", NONE))
    assert list(differences(models(), new, "models", tied)) == []
    assert list(differences(models(), models(cost=[1.5, 0.4]), "models", tied))


def test_values_and_texts_are_renamed():
    old = table(["kind", "sentence"], [["span", "5 spans of 9"]])
    new = table(["kind", "sentence"], [["range", "5 ranges of 9"]])
    renames = Renames({"values": {"kind": {"span": "range"}}, "texts": {r"\bspans\b": "ranges"}})
    assert list(differences(old, new, "q", NONE))
    assert list(differences(old, new, "q", renames)) == []


def test_json_is_compared_by_its_renamed_keys():
    old = {"json": {"wrong": [{"n": 1}, {"n": 2}], "gone": 1}}
    renames = Renames({"columns": {"status.wrong": "problems", "gone": None}})
    assert (
        list(differences(old, {"json": {"problems": [{"n": 1}, {"n": 2}]}}, "status", renames))
        == []
    )
    wrong = {"json": {"problems": [{"n": 1}, {"n": 3}]}}
    assert [place for place, _, _ in differences(old, wrong, "status", renames)] == [
        ".json.problems[1].n"
    ]


def test_questions_are_asked_under_the_new_names():
    renames = Renames(
        {
            "queries": {"span": "range", "gone": None},
            "parameters": {"span.from": "first", "page.range": "window"},
        }
    )
    old = {"kind": "query", "name": "span", "parameters": {"from": "2026-11-18", "to": ""}}
    new = {"kind": "query", "name": "range", "parameters": {"first": "2026-11-18", "to": ""}}
    assert renames.question(old) == new
    assert renames.question({**old, "name": "gone"}) is None
    page = renames.question({"kind": "page", "parameters": {"range": "7d"}})
    assert page is not None
    assert page["parameters"] == {"window": "7d"}
