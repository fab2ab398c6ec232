"""Asks a provider: nothing leads elsewhere, and an answer has limits of size and time."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

from saccade.app.auth.oidc.settings import is_here
from saccade.app.net.safe_http import shown
from saccade.core.errors import ProviderError

LARGEST, SECONDS = 1 << 18, 10.0
"""Bytes of an answer, and seconds from the question to its end."""


async def ask(url: str, headers: Mapping[str, str] | None = None, form: str | None = None) -> dict[str, Any]:
    """The JSON object at an address; with a form it is posted there.

    Raises:
        ProviderError: there is none, or it is larger or slower than the limits, or leads elsewhere.
    """
    import httpx

    asked = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "saccade", **(headers or {})}
    if form is not None:
        asked["Content-Type"] = "application/x-www-form-urlencoded"
    method = "GET" if form is None else "POST"
    try:
        async with (
            asyncio.timeout(SECONDS),
            httpx.AsyncClient(verify=_trusted(), trust_env=not is_here(url), timeout=SECONDS) as client,
            client.stream(method, url, headers=asked, content=form) as answer,
        ):
            return _object(url, answer.status_code, await _body(url, answer))
    except TimeoutError:
        raise ProviderError(f"{shown(url)} takes longer than {SECONDS:g} seconds.") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ProviderError(f"{shown(url)} cannot be asked: {error or type(error).__name__}.") from None


@cache
def _trusted() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


async def _body(url: str, answer: Any) -> bytes:
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise ProviderError(f"{shown(url)} answers compressed, which was not asked for.")
    found = bytearray()
    async for piece in answer.aiter_raw():
        found += piece
        if len(found) > LARGEST:
            raise ProviderError(f"{shown(url)} answers more than {LARGEST:,} bytes.")
    return bytes(found)


def _object(url: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if status != 200:
        word = found.get("error") if isinstance(found, dict) else None
        told = f" ({word})" if isinstance(word, str) and re.fullmatch(r"[a-z_]{1,40}", word) else ""
        raise ProviderError(f"{shown(url)} answers {status}{told}.")
    if not isinstance(found, dict):
        raise ProviderError(f"{shown(url)} answers no JSON object.")
    return found
