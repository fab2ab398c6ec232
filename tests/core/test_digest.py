"""Digests."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.core.digest import canonical_json, copy_with_digest, digest_bytes, digest_file, digest_json, digest_stream

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_known_digests() -> None:
    assert digest_bytes(b"") == EMPTY
    assert digest_bytes(b"abc") == ABC


def test_file_and_bytes_agree(tmp_path: Path) -> None:
    content = bytes(range(256)) * 3000
    (tmp_path / "file").write_bytes(content)
    assert digest_file(tmp_path / "file") == digest_bytes(content)


@given(st.binary(max_size=200), st.integers(0, 200))
def test_a_copied_stream_must_have_the_expected_size(content: bytes, size: int) -> None:
    source = io.BytesIO(content + b"rest")
    source.seek(0)
    target = io.BytesIO()
    assert digest_stream(io.BytesIO(content)) == digest_bytes(content)
    assert copy_with_digest(io.BytesIO(content), target, len(content)) == digest_bytes(content)
    assert target.getvalue() == content
    copied = copy_with_digest(source, io.BytesIO(), size)
    assert copied == (digest_bytes(content + b"rest") if size == len(content) + 4 else None)
    assert source.tell() <= size + 1  # of a stream that is too long, one more byte is read


def test_equal_values_have_equal_json() -> None:
    assert canonical_json({"b": [1, None], "a": "é"}) == '{"a":"é","b":[1,null]}'
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    assert digest_json([1, 2]) != digest_json([2, 1])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": number})
