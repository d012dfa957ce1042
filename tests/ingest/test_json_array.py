"""The JSON array of the HTTP queue is split into its records, byte for byte."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.parse import split_array
from tests.support.home import RECORDINGS, recorded

RECORDED = [payload for name in RECORDINGS for payload in recorded(name)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(b"[]", [], id="empty"),
        pytest.param(b" \r\n[ \t]\n", [], id="white-space"),
        pytest.param(b'[{"a":1},{"b":[2, 3]}]', [b'{"a":1}', b'{"b":[2, 3]}'], id="two"),
        pytest.param(b'[ {"a" : 1.50} ,\n{} ]', [b'{"a" : 1.50}', b"{}"], id="as-written"),
        pytest.param(b'[{"a":1,"a":2}]', [b'{"a":1,"a":2}'], id="key-given-twice"),
        pytest.param(b'["no json","a\\"b"]', [b"no json", b'a"b'], id="text-without-quotes"),
        pytest.param(b'[1,null,true,[""]]', [b"1", b"null", b"true", b'[""]'], id="no-objects"),
        pytest.param('["é",{"é":1}]'.encode(), ["é".encode(), '{"é":1}'.encode()], id="unicode"),
        pytest.param(b'[{"a":"\xff"},"\xfe"]', [b'{"a":"\xff"}', b"\xfe"], id="invalid-utf-8"),
        pytest.param(b'["\\ud800",1]', [b'"\\ud800"', b"1"], id="lone-surrogate"),
        pytest.param(b'[{"a":1},{"b":', [b'{"a":1}', b'{"b":'], id="cut-off"),
        pytest.param(b'[{"a":1},oops,{}]', [b'{"a":1}', b"oops,{}]"], id="garbage-inside"),
        pytest.param(b'[1,"\xff', [b"1", b'"\xff'], id="cut-off-invalid-utf-8"),
        pytest.param(b"[" + b"[" * 100_000, [b"[" * 100_000], id="deep"),
    ],
)
def test_each_record_is_returned_as_it_was_written(content: bytes, expected: list[bytes]) -> None:
    assert split_array(content) == expected


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"<html>", b"\xff\xfe", b'"["'])
def test_what_is_not_an_array_is_an_error(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a JSON array"):
        split_array(content)


def test_every_recorded_payload_comes_back_byte_for_byte() -> None:
    assert split_array(b"[" + b",".join(RECORDED) + b"]") == RECORDED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.lists(JSON), st.booleans())
def test_any_array_is_split_where_its_elements_end(values: list[object], ascii_only: bool) -> None:
    written = [json.dumps(value, ensure_ascii=ascii_only) for value in values]
    expected = [
        value if isinstance(value, str) else text
        for value, text in zip(values, written, strict=True)
    ]
    records = split_array(f"[{' , '.join(written)}]".encode())
    assert records == [text.encode() for text in expected]


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_truncated_answer_has_every_record_that_is_whole(data: Any) -> None:
    few = RECORDED[:5]
    content = b"[" + b",".join(few) + b"]"
    records = split_array(content[: data.draw(st.integers(1, len(content)))])
    whole = [record for record in records if record in few]
    assert (whole, len(records) - len(whole) <= 1) == (few[: len(whole)], True)


@settings(max_examples=200, deadline=None)
@given(st.binary())
def test_bytes_of_any_kind_are_records_of_some_kind(content: bytes) -> None:
    records = split_array(b"[" + content)
    assert (records == []) == (content.strip(b" \t\r\n")[:1] in (b"", b"]"))
