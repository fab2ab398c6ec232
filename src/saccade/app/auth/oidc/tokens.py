"""Verification of ID tokens (OpenID Connect Core 3.1.3.7). Nothing in a token is trusted before its check."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.core.errors import InvalidValueError, ProviderError
from saccade.store.auth.users import normalize_email

# Asymmetric algorithms only: with HMAC, everyone who knows the client secret could sign a token.
ALLOWED_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
_KEY_TYPES = ("RSA", "EC", "OKP")
_MIN_RSA_BITS = 2048
_MAX_KEYS = 50
_LEEWAY_S = 60
"""Accepted difference between the clocks of the provider and this server."""
_MAX_TOKEN_LENGTH = 1 << 16
_MAX_SUBJECT_LENGTH = 255
Claims = dict[str, Any]


class UnknownKeyError(ProviderError):
    """No known key has signed the token; the provider may have rotated its keys."""


def parse_signing_keys(key_set: Mapping[str, Any]) -> list[Any]:
    """Return the usable signing keys of a JSON Web Key Set. Other and invalid keys are skipped."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, RSAKey

    keys = []
    entries = key_set.get("keys")
    for entry in entries[:_MAX_KEYS] if isinstance(entries, list) else ():
        if not isinstance(entry, dict) or entry.get("kty") not in _KEY_TYPES or entry.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key({name: value for name, value in entry.items() if name != "key_ops"})
            if not isinstance(key, RSAKey) or key.public_key.key_size >= _MIN_RSA_BITS:
                keys.append(key)
        except (JoseError, ValueError, TypeError, LookupError, ArithmeticError):
            continue
    return keys


def verify_id_token(
    token: object, keys: list[Any], *, issuer: str, client_id: str, nonce: str, access_token: object
) -> Claims:
    """Verify an ID token and return its claims.

    Args:
        token: The ``id_token`` of the token response.
        keys: The provider's signing keys.
        issuer: The expected ``iss``.
        client_id: The expected ``aud``.
        nonce: The nonce of the authorization request.
        access_token: The access token of the same response, checked against ``at_hash``.

    Raises:
        UnknownKeyError: None of the keys has signed the token.
        ProviderError: The token is missing, malformed, expired, or meant for another client or sign-in.
    """
    from authlib.oidc.core import CodeIDToken
    from joserfc.errors import JoseError

    if not isinstance(token, str) or len(token) > _MAX_TOKEN_LENGTH:
        raise ProviderError("The provider returned no ID token.")
    options: Any = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
    try:
        verified = _verify_signature(token, keys)
        claims = CodeIDToken(
            verified.claims,
            verified.header,
            options,
            {"nonce": nonce, "client_id": client_id, "access_token": access_token},
        )
        claims.validate(leeway=_LEEWAY_S)
    except (JoseError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        # The libraries' messages do not quote the token.
        raise ProviderError(f"Invalid ID token: {str(error)[:200] or type(error).__name__}.") from None
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT_LENGTH or not subject.isprintable():
        raise ProviderError("The ID token has no valid subject.")
    return dict(claims)


def _verify_signature(token: str, keys: list[Any]) -> Any:
    from joserfc import jws, jwt
    from joserfc.errors import BadSignatureError

    header = jws.extract_compact(token.encode()).headers()
    if header.get("alg") not in ALLOWED_ALGORITHMS:
        raise ValueError(f"unsupported signature algorithm {str(header.get('alg'))[:20]!a}")
    key_id = header.get("kid")
    for key in keys:
        if (key_id is not None and key.kid != key_id) or key.get("alg", header["alg"]) != header["alg"]:
            continue
        try:
            return jwt.decode(token, key, algorithms=list(ALLOWED_ALGORITHMS))
        except BadSignatureError:
            continue
    raise UnknownKeyError("No key of the provider has signed the ID token.")


def verified_email(claims: Mapping[str, Any]) -> str:
    """Return the e-mail address if the provider has verified it, else "".

    Only ASCII is accepted: the lower case of some other letters is that of a different address.
    """
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not email.isascii():
        return ""
    try:
        return normalize_email(email)
    except InvalidValueError:
        return ""


def display_name(claims: Mapping[str, Any]) -> str:
    """Return the user's name without control characters, at most 200 characters, or "" if unknown."""
    name = claims.get("name")
    printable = "".join(char for char in name if char.isprintable()) if isinstance(name, str) else ""
    return " ".join(printable.split())[:200]
