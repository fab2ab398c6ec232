"""HTTP client for the OpenID provider: JSON only, no redirects, with limits of size and time."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Mapping
from functools import cache
from typing import Any

from saccade.app.auth.oidc.settings import is_loopback
from saccade.core.errors import ProviderError
from saccade.core.urls import redact_url

MAX_RESPONSE_BYTES = 1 << 18
TIMEOUT_S = 10.0
"""Limit of one request, from connecting to the last byte of the body."""


async def fetch_json(url: str, headers: Mapping[str, str] | None = None, form: str | None = None) -> dict[str, Any]:
    """Request a JSON object.

    Args:
        url: The address.
        headers: Additional request headers.
        form: A URL-encoded form. If given, the request is a POST, else a GET.

    Returns:
        The JSON object of a response with status 200.

    Raises:
        ProviderError: The request failed, was redirected, exceeded a limit, or the response is not a JSON object.
    """
    import httpx

    request_headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "saccade",
        **(headers or {}),
    }
    if form is not None:
        request_headers["Content-Type"] = "application/x-www-form-urlencoded"
    method = "GET" if form is None else "POST"
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(verify=_ssl_context(), trust_env=not is_loopback(url), timeout=TIMEOUT_S) as client,
            client.stream(method, url, headers=request_headers, content=form) as response,
        ):
            return _parse_response(url, response.status_code, await _read_body(url, response))
    except TimeoutError:
        raise ProviderError(f"No complete response from {redact_url(url)} within {TIMEOUT_S:g} seconds.") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise ProviderError(f"Request to {redact_url(url)} failed: {error or type(error).__name__}.") from None


@cache
def _ssl_context() -> ssl.SSLContext:
    import httpx

    return httpx.create_ssl_context()


async def _read_body(url: str, response: Any) -> bytes:
    # The size limit counts raw bytes: a compressed body could expand far beyond it.
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise ProviderError(f"The response from {redact_url(url)} is compressed, which was not requested.")
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_RESPONSE_BYTES:
            raise ProviderError(f"The response from {redact_url(url)} exceeds {MAX_RESPONSE_BYTES:,} bytes.")
    return bytes(body)


def _parse_response(url: str, status: int, body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if status != 200:
        code = content.get("error") if isinstance(content, dict) else None
        # Only a plain OAuth error code is quoted: the message is logged and must not carry text of the provider.
        suffix = f" ({code})" if isinstance(code, str) and re.fullmatch(r"[a-z_]{1,40}", code) else ""
        raise ProviderError(f"{redact_url(url)} responded with status {status}{suffix}.")
    if not isinstance(content, dict):
        raise ProviderError(f"The response from {redact_url(url)} is not a JSON object.")
    return content
