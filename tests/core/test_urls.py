"""URLs for display have no credentials."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saccade.core.errors import WorkspaceError
from saccade.core.urls import redact_text, redact_url, redact_values


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h.example/a.zip", "https://h.example/a.zip"),
        ("https://ann:pass@h.example:8443/a.zip", "https://h.example:8443/a.zip"),
        ("https://token@h.example/a.zip", "https://h.example/a.zip"),
        ("https://h.example/a.zip?X-Amz-Signature=abc&X-Amz-Expires=60", "https://h.example/a.zip?…"),
        ("https://h.example/a.zip?download=1&format=coco", "https://h.example/a.zip?download=1&format=coco"),
        ("https://h.example/a.zip?download=1&sig=abc", "https://h.example/a.zip?…"),
        ("https://h.example/a.zip#access_token=abc", "https://h.example/a.zip"),
        ("https://ann:pa@ss@h.example/a", "https://h.example/a"),
        ("https://ann:pa/ss@h.example/a", "https://…"),
        ("https://ann:12/ss@h.example/a", "https://…"),
        ("https://[::1]:80/a?k=1", "https://[::1]:80/a?…"),
        ("https://[::1/a?k=1", "https://…"),
        ("s3://KEY:SECRET@Bucket/Data", "s3://Bucket/Data"),
        ("s3://KEY:SEC/RET@bucket/data", "s3://…"),
        ("abfs://container@account.example/data", "abfs://container@account.example/data"),
        ("zip://a.csv::https://ann:pass@h.example/a.zip?sig=1", "zip://a.csv::https://h.example/a.zip?…"),
        ("simplecache::s3://key:secret@bucket/a", "simplecache::s3://bucket/a"),
        ("/folder/a.zip", "/folder/a.zip"),
    ],
)
def test_redacted_urls(url: str, expected: str) -> None:
    assert redact_url(url) == expected
    assert redact_url(expected) == expected
    assert redact_text(f"Import '{url}', then continue.") == f"Import '{expected}', then continue."


_secrets = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=8, max_size=12)


@given(
    st.sampled_from(["http", "https", "s3", "sftp", "HTTPS"]),
    _secrets,
    st.text(max_size=6).map(quote),
    st.sampled_from(["h.example", "h.example:80", "[::1]", "[::1]:8000", "10.0.0.1"]),
    st.text("abc/._-@:", max_size=12),
    st.sampled_from(["?sig={}", "?a=1&token={}#x", "?{}", "#{}", ""]),
)
def test_secrets_are_removed_and_redaction_is_idempotent(
    scheme: str, secret: str, other: str, host: str, path: str, suffix: str
) -> None:
    url = f"{scheme}://{secret}:{other}{secret}@{host}/{path}{suffix.format(secret)}"
    redacted = redact_url(url)
    assert secret not in redacted
    assert redact_url(redacted) == redacted
    values = {"source": {"url": url}, "text": f"use {url}\nand {url}", "count": 3, "none": None}
    assert secret not in json.dumps(redact_values(values))


@given(st.text())
def test_any_text_can_be_redacted(text: str) -> None:
    redact_url(text)
    assert redact_text(redact_text(text)) == redact_text(text)


def test_errors_have_no_credentials() -> None:
    error = WorkspaceError("'s3://key:secret@bucket/a' cannot be reached.", hint="Check https://a:secret@h.example/.")
    assert "secret" not in f"{error} {error.message} {error.hint} {error.args}"
    assert "s3://bucket/a" in error.message
