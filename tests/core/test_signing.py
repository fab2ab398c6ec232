"""Signatures of webhooks: those of the standard, and none that was not made with the secret."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import saccade
from saccade.core.errors import SignatureError
from saccade.core.webhooks.signing import ID, SIGNATURE, TIMESTAMP, new_secret, sign, signature_headers, verify_webhook

BODY = b'{"type":"ping","data":{}}'
NOW = 1_700_000_000
SECRET = new_secret()


def headers(body: bytes = BODY, secret: str = SECRET, at: int = NOW) -> dict[str, str]:
    return signature_headers((secret,), "msg_1", at, body)


def test_a_signature_is_that_of_the_standard() -> None:
    """As the library ``standardwebhooks`` makes it, and as three lines of Python do."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    made = sign(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    digest = hmac.new(key, b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330." + body, hashlib.sha256).digest()
    assert made == "v1," + base64.b64encode(digest).decode()


def test_what_was_sent_is_accepted() -> None:
    assert saccade.verify_webhook(BODY, headers(), SECRET, now=NOW) == json.loads(BODY)
    upper = {name.title(): value for name, value in headers().items()}
    assert verify_webhook(BODY, upper, SECRET, now=NOW + 299)
    assert verify_webhook(BODY, headers(), SECRET.removeprefix("whsec_"), now=NOW)
    old = new_secret()
    both = signature_headers((SECRET, old), "msg_1", NOW, BODY)
    assert verify_webhook(BODY, both, SECRET, now=NOW) == verify_webhook(BODY, both, old, now=NOW)
    later = dict(both, **{SIGNATURE: f"v1a,other {both[SIGNATURE]}"})
    assert verify_webhook(BODY, later, SECRET, now=NOW), "other kinds of signatures are passed over"


@pytest.mark.parametrize(
    ("body", "changed", "now", "message"),
    [
        (BODY + b" ", {}, NOW, "does not match"),
        (BODY, {ID: "msg_2"}, NOW, "does not match"),
        (BODY, {TIMESTAMP: str(NOW + 1)}, NOW, "does not match"),
        (BODY, {SIGNATURE: "v1,AAAA"}, NOW, "does not match"),
        (BODY, {SIGNATURE: "v1,"}, NOW, "does not match"),
        (BODY, {SIGNATURE: "\udcff\xe9 é"}, NOW, "does not match"),
        (BODY, {SIGNATURE: ""}, NOW, "webhook-signature is missing"),
        (BODY, {TIMESTAMP: "soon"}, NOW, "not a time"),
        (BODY, {TIMESTAMP: "-1"}, NOW, "not a time"),
        (BODY, {TIMESTAMP: "٣"}, NOW, "not a time"),
        (BODY, {TIMESTAMP: "9" * 400}, NOW, "not a time"),
        (BODY, {}, NOW + 301, "301 seconds off"),
        (BODY, {}, NOW - 301, "301 seconds off"),
    ],
)
def test_what_was_not_is_refused(body: bytes, changed: dict[str, str], now: int, message: str) -> None:
    with pytest.raises(SignatureError, match=message):
        verify_webhook(body, headers() | changed, SECRET, now=now)


def test_another_secret_and_none_are_refused() -> None:
    with pytest.raises(SignatureError, match="does not match"):
        verify_webhook(BODY, headers(), new_secret(), now=NOW)
    for wrong in ("", "whsec_", "whsec_???"):
        with pytest.raises(SignatureError, match="Invalid webhook secret"):
            verify_webhook(BODY, headers(), wrong, now=NOW)
    with pytest.raises(SignatureError, match="not an event"):
        verify_webhook(b"[]", headers(b"[]"), SECRET, now=NOW)


def test_a_signature_of_the_empty_key_opens_nothing() -> None:
    """Whoever forgot to set the secret accepts nothing, rather than what anybody can sign."""
    key = hmac.new(b"", b"msg_1." + str(NOW).encode() + b"." + BODY, hashlib.sha256).digest()
    forged = {ID: "msg_1", TIMESTAMP: str(NOW), SIGNATURE: "v1," + base64.b64encode(key).decode()}
    with pytest.raises(SignatureError):
        verify_webhook(BODY, forged, "", now=NOW)


@given(st.binary(max_size=200), st.integers(0, 7), st.data())
def test_no_changed_bit_is_accepted(rest: bytes, bit: int, data: st.DataObject) -> None:
    body = b'{"x":"' + rest.hex().encode() + b'"}'
    place = data.draw(st.integers(0, len(body) - 1))
    changed = bytearray(body)
    changed[place] ^= 1 << bit
    with pytest.raises(SignatureError, match="does not match"):
        verify_webhook(bytes(changed), headers(body), SECRET, now=NOW)


def test_verifying_is_light_to_import() -> None:
    script = "import sys, saccade; saccade.verify_webhook; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"sqlalchemy", "pydantic", "numpy", "typer", "lance", "pyarrow", "torch"}.isdisjoint(loaded)
