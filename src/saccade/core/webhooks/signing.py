"""Signatures of webhooks, as Standard Webhooks has them: https://www.standardwebhooks.com.

What is signed is the id of the delivery, the time in seconds and the body, with dots between them, by HMAC-SHA256.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

from saccade.core.errors import SignatureError

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SECRET_MARK = "whsec_"  # noqa: S105 (what every secret begins with, so that one that leaked is known for what it is)
_VERSION = "v1,"


def new_secret() -> str:
    """A secret of 256 random bits."""
    return SECRET_MARK + b64encode(secrets.token_bytes(32)).decode()


def sign(secret: str, delivery: str, at: int, body: bytes) -> str:
    """The signature of a delivery at a time in seconds; SignatureError for a secret that is none."""
    try:
        key = b64decode(secret.removeprefix(SECRET_MARK), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise SignatureError("That is no secret of a webhook.", hint=f"It begins with {SECRET_MARK}.")
    place = f"{delivery}.{at}.".encode("utf-8", "backslashreplace")
    signed = hmac.new(key, place + body, hashlib.sha256)
    return _VERSION + b64encode(signed.digest()).decode()


def signed_headers(keys: tuple[str, ...], delivery: str, at: int, body: bytes) -> dict[str, str]:
    """The headers that go with a body; signed with each secret, since receivers may not have the newest yet."""
    signatures = " ".join(sign(secret, delivery, at, body) for secret in keys)
    return {ID: delivery, TIMESTAMP: str(at), SIGNATURE: signatures}


def verify_webhook(
    body: bytes, headers: Mapping[str, str], secret: str, *, tolerance: float = 300.0, now: float | None = None
) -> dict[str, Any]:
    """The event in a request, if a webhook of that secret sent it as it is and not long ago.

    Args:
        body: exactly what came, before anything has read it as JSON.
        headers: of the request; their names in any case.
        secret: what was shown when the webhook was made, ``whsec_…``.
        tolerance: seconds by which the clocks and the way may differ.
        now: the time in seconds since 1970; the present one where it is left out.

    Raises:
        SignatureError: it was not signed with the secret, was changed on the way, or is too old.
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]
    if missing:
        raise SignatureError(f"The header {missing[0]} is missing.", hint="Only webhooks send it.")
    stated = given[TIMESTAMP]
    if not (stated.isascii() and stated.isdigit() and len(stated) < 16):
        raise SignatureError(f"The header {TIMESTAMP} is no time.")
    expected = sign(secret, given[ID], int(stated), body).encode()
    given_ones = (one.encode("utf-8", "backslashreplace") for one in given[SIGNATURE].split())
    if not any(hmac.compare_digest(one, expected) for one in given_ones):
        raise SignatureError("The signature is not that of this body.", hint="Check the secret, and give the raw body.")
    apart = abs((time.time() if now is None else now) - int(stated))
    if apart > tolerance:
        raise SignatureError(f"Its time is {apart:,.0f} seconds from now; at most {tolerance:,.0f} are accepted.")
    try:
        event = json.loads(body)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise SignatureError("The body is no event.")
    return event
