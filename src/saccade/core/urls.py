"""URLs for display: without user names, passwords, signatures and other secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(#.*)?", re.S
)
_URL_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"<>]+")
_TRAILING = "'`)]},.;:!"
_CHAIN = re.compile(r"::(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:\d{0,5})?")
# The part before the @ is the container in these, not a user.
_CONTAINER_SCHEMES = frozenset({"abfs", "abfss", "wasb", "wasbs"})
# Everything else in a query may be a secret: a signature, a key, a token, or an id that is known only to its owner.
_HARMLESS_PARAMETER = re.compile(
    r"(download|dl|raw|format|version|versionid|rev|revision|ref|branch|lang|page|part|size|export)=[\w.-]{0,32}", re.I
)


def redact_url(url: str) -> str:
    """Return a URL for display: without user name and password, fragment, and a query that may hold secrets.

    Redacting a redacted URL does not change it. An invalid URL is reduced to its scheme.
    """
    return "::".join(_redact_single(part) for part in _CHAIN.split(url))


def _redact_single(url: str) -> str:
    match = _URL.fullmatch(url)
    if match is None:
        return url if "://" not in url else "…"
    scheme, authority, path = match["scheme"], match["authority"], match["path"]
    user, at, host = authority.rpartition("@")
    if not _PORT.fullmatch(host) or (":" in host and "@" in path):
        return f"{scheme}://…"  # such as a password that contains a slash
    if at and scheme.lower() in _CONTAINER_SCHEMES and ":" not in user:
        host = authority
    query = (match["query"] or "")[1:]
    if query and not all(map(_HARMLESS_PARAMETER.fullmatch, query.split("&"))):
        query = "…"
    return f"{scheme}://{host}{path}{f'?{query}' if query else ''}"


def redact_text(text: str) -> str:
    """Redact all URLs in a text."""
    return _URL_IN_TEXT.sub(_redact_match, text) if "://" in text else text


def _redact_match(match: re.Match[str]) -> str:
    url = match[0].rstrip(_TRAILING)
    return redact_url(url) + match[0][len(url) :]


def redact_values(value: Any) -> Any:
    """Redact all URLs in JSON values."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {name: redact_values(element) for name, element in value.items()}
    return [redact_values(element) for element in value] if isinstance(value, list | tuple) else value
