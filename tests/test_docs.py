"""What the documents say is held against the program."""

import json
import re

import msgspec
import pytest
import yaml
from conftest import ROOT

from ledger.config import PROXY_VARIABLES
from worker.settings import Settings

README = (ROOT / "README.md").read_text("utf-8")
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z]+):.*## ", MAKEFILE, re.MULTILINE))
METADATA = yaml.safe_load((ROOT / "metadata.yml").read_text("utf-8"))
QUERIES = METADATA["databases"]["ledger"]["queries"]


def settings_table() -> list[tuple[str, str, str]]:
    """Give (setting, variable, default) as the README has them."""
    return re.findall(r"^\| `(\w+)` \| `([A-Z_]+)` \| (?:`([^`]*)`)? ?\|", README, re.MULTILINE)


def test_the_readme_lists_every_setting_with_its_variable_and_default():
    variables = {setting: name for name, setting in PROXY_VARIABLES.items()}
    expected = [
        (
            field.name,
            variables.get(field.name, f"LEDGER_{field.name.upper()}"),
            str(getattr(Settings(), field.name)),
        )
        for field in msgspec.structs.fields(Settings)
    ]
    assert sorted(settings_table()) == sorted(expected)


def test_the_example_settings_are_the_defaults():
    example = json.loads((ROOT / "config.example.json").read_text("utf-8"))
    assert msgspec.convert(example, Settings) == Settings()
    assert list(example) == list(Settings.__struct_fields__)


def test_every_make_command_in_the_readme_exists_and_every_target_is_in_it():
    named = set(re.findall(r"`make ([a-z]+)", README)) | set(
        re.findall(r"^    make ([a-z]+)", README, re.MULTILINE)
    )
    assert named | {"help"} == TARGETS | {"help"}


def test_every_target_is_phony_and_has_a_help_line():
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert set(phony[1].split()) == TARGETS
    rules = re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE)
    assert set(rules) == TARGETS


def test_every_page_in_the_readme_is_a_canned_query_and_the_other_way_round():
    pages = set(re.findall(r"`/ledger/(\w+)`", README))
    assert pages == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_every_canned_query_has_title_and_description(name):
    query = QUERIES[name]
    assert query["title"]
    assert query.get("description") or query.get("description_html")


def test_every_test_that_the_security_page_names_exists():
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    written = "".join(file.read_text("utf-8") for file in (ROOT / "tests").glob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    assert len(named) > 20
    assert {name for name in named if f"def {name}(" not in written} == set()
