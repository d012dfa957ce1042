"""A spooled batch comes back whole or not at all."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.spool import MIN_RESERVED_BYTES, Batch, Spool, decode, encode
from tests.support.home import ROOT, recorded

BATCH = Batch(7, "resp", 1_795_500_000_000, [b'{"a":1}\n', b"", b'"b" \xff\x00', b"{}"])


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    """A spool in an empty folder."""
    opened = Spool(tmp_path / "spool")
    yield opened
    opened.close()


def test_a_new_spool_is_empty_and_private(spool: Spool, tmp_path: Path) -> None:
    assert spool.read() == (None, False)
    assert os.stat(tmp_path / "spool").st_mode & 0o777 == 0o600


def test_an_old_spool_is_made_private_and_kept(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(encode(BATCH))
    (tmp_path / "spool").chmod(0o644)
    spool = Spool(tmp_path / "spool")
    assert (spool.read(), os.stat(tmp_path / "spool").st_mode & 0o777) == ((BATCH, False), 0o600)
    spool.close()


def test_a_batch_is_read_back_as_it_was_until_it_is_cleared(spool: Spool) -> None:
    large = BATCH._replace(number=6, records=recorded("recorded-v7.2.140"))
    for batch in (large, BATCH):
        spool.write(batch)
        assert spool.read() == (batch, False)
    spool.clear()
    assert spool.read() == (None, False)


def test_a_batch_torn_at_any_byte_is_torn_and_nothing_else(spool: Spool, tmp_path: Path) -> None:
    content = encode(BATCH)
    for length in range(1, len(content)):
        for rest in (b"", bytes(len(content) - length)):
            (tmp_path / "spool").write_bytes(content[:length] + rest)
            assert spool.read() == (None, True), (length, rest)


def test_a_batch_with_any_byte_changed_is_torn() -> None:
    content = encode(BATCH)
    changed = [
        content[:at] + bytes([content[at] ^ flip]) + content[at + 1 :]
        for at in range(len(content))
        for flip in (1, 0x80)
    ]
    assert [decode(torn) for torn in changed] == [None] * len(changed)


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_arbitrary_bytes_are_no_batch(content: bytes) -> None:
    assert decode(content) is None


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=0, max_size=20)), st.integers(1, 2**62))
def test_records_of_any_bytes_come_back(records: list[bytes], number: int) -> None:
    batch = Batch(number, "http", 0, records)
    assert decode(encode(batch)) == batch


def test_room_is_reserved_before_anything_is_popped(tmp_path: Path) -> None:
    with closing(Spool(tmp_path / "spool")) as opened:
        opened.reserve()
        status = (tmp_path / "spool").stat()
        assert status.st_size == MIN_RESERVED_BYTES
        assert opened.read() == (None, False)
        opened.clear()
    assert (tmp_path / "spool").stat().st_size == 0


FULL = """
import resource, sys
from pathlib import Path
from ingest.spool import Batch, Spool
from ledger import Unavailable

hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
spool, batch = Spool(Path(sys.argv[1])), Batch(1, "resp", 0, [b"x" * 4000])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
try:
    spool.write(batch)
except Unavailable as error:
    print(error, spool.read())
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
spool.write(batch)
print(spool.read() == (batch, False))
"""


@pytest.mark.parametrize(
    ("limit", "output"),
    [
        pytest.param(0, "File too large (None, False)", id="nothing-fits"),
        pytest.param(1000, "the disk is full (None, True)", id="a-part-fits"),
    ],
)
def test_a_full_disk_raises_and_takes_the_batch_when_it_has_room(
    tmp_path: Path, limit: int, output: str
) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "spool"), str(limit)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    expected = f"the spool cannot be written: {output}\nTrue\n"
    assert (done.stdout, done.stderr) == (expected, "")
