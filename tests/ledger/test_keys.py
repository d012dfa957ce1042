"""A key is recognised by its hash, and never shown."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.keys import Key, Salt, load_salt
from tests.support.home import ROOT

SALT = Salt(bytes(range(32)))
ANY_TEXT = st.text(st.characters())


@pytest.mark.parametrize(
    ("text", "tail"),
    [
        pytest.param("sk-test-client-alpha", "lpha", id="long"),
        pytest.param("123456789abc", "9abc", id="twelve"),
        pytest.param("123456789ab", "", id="eleven"),
        pytest.param("abc", "", id="short"),
        pytest.param("", "", id="empty"),
    ],
)
def test_only_of_a_long_key_the_end_is_shown(text: str, tail: str) -> None:
    key = SALT.key(text)
    assert (key.tail, key.label) == (tail, f"…{tail}")
    assert SALT.placeholder(text) == f"hash:{key.hash.hex()}:{tail}"


def test_a_hash_is_the_same_for_ever() -> None:
    expected = bytes.fromhex("7f2d67ff712f0a4134131f3d6b18881f")
    assert SALT.key("sk-test-client-alpha") == Key(expected, "lpha")


def test_another_salt_gives_another_hash() -> None:
    assert Salt(bytes(32)).key("sk-test-client-alpha") != SALT.key("sk-test-client-alpha")


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT)
def test_what_stands_for_a_key_is_known_as_that_key(text: str) -> None:
    once = SALT.placeholder(text)
    assert (SALT.key(once), SALT.placeholder(once)) == (SALT.key(text), once)


@settings(max_examples=200, deadline=None)
@given(ANY_TEXT.filter(lambda text: len(text) > 4))
def test_what_stands_for_a_key_does_not_hold_it(text: str) -> None:
    _, _, tail = SALT.placeholder(text).split(":", 2)
    assert (len(tail) <= 4, len(tail) * 3 <= len(text)) == (True, True)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("hash:00:abcd", id="short-hash"),
        pytest.param(f"hash:{'0' * 32}", id="no-tail"),
        pytest.param(f"hash:{'0' * 32}:abcde", id="long-tail"),
        pytest.param(f"hash:{'G' * 32}:abcd", id="no-hash"),
        pytest.param(f" hash:{'0' * 32}:abcd", id="text-before"),
    ],
)
def test_what_only_looks_replaced_is_a_key_like_any_other(text: str) -> None:
    assert SALT.placeholder(text) != text


def test_a_salt_is_made_once_and_private(tmp_path: Path) -> None:
    first, again = load_salt(tmp_path).key("key"), load_salt(tmp_path).key("key")
    assert first == again
    assert [file.name for file in tmp_path.iterdir()] == ["salt"]
    assert (tmp_path / "salt").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "salt").read_bytes()) == 32


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_damaged_salt_is_never_used(tmp_path: Path, size: int) -> None:
    (tmp_path / "salt").write_bytes(bytes(size))
    with pytest.raises(SystemExit, match="salt is damaged"):
        load_salt(tmp_path)


RACE = """
import sys
from pathlib import Path
from ledger.keys import load_salt

folder = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
print(load_salt(folder).placeholder("key"))
"""


def test_processes_that_race_agree_on_one_salt(tmp_path: Path) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 8
    for racer in racers:
        racer.stdin.close()
    outputs = [racer.stdout.read() for racer in racers]
    statuses = [racer.wait() for racer in racers]
    for racer in racers:
        racer.stdout.close()
    assert (set(outputs), statuses) == ({load_salt(tmp_path).placeholder("key") + "\n"}, [0] * 8)
    assert [file.name for file in tmp_path.iterdir()] == ["salt"]
