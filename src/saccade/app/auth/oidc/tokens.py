"""What a provider says of somebody: its tokens, looked at with suspicion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from saccade.core.errors import InvalidValueError, ProviderError
from saccade.store.auth.users import address_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Signatures that are taken: those of which the provider alone has the key."""
_KINDS = ("RSA", "EC", "OKP")
_LEAST_BITS, _MOST_KEYS = 2048, 50
_LEEWAY = 60
"""Seconds that clocks may differ."""
_LONGEST_TOKEN, _LONGEST = 1 << 16, 255
Claims = dict[str, Any]


class UnknownKeyError(ProviderError):
    """A token that is signed with none of the keys: the provider may have others by now."""


def keys_of(found: Mapping[str, Any]) -> list[Any]:
    """The keys for signatures among those that a provider names; those that cannot be used are passed over."""
    from joserfc.errors import JoseError
    from joserfc.jwk import JWKRegistry, RSAKey

    made = []
    named = found.get("keys")
    for one in named[:_MOST_KEYS] if isinstance(named, list) else ():
        if not isinstance(one, dict) or one.get("kty") not in _KINDS or one.get("use", "sig") != "sig":
            continue
        try:
            key = JWKRegistry.import_key({name: value for name, value in one.items() if name != "key_ops"})
            if not isinstance(key, RSAKey) or key.public_key.key_size >= _LEAST_BITS:
                made.append(key)
        except (JoseError, ValueError, TypeError, LookupError, ArithmeticError):
            continue
    return made


def read_token(token: object, keys: list[Any], *, issuer: str, client: str, nonce: str, access: object) -> Claims:
    """What an identity token says.

    Args:
        access: the access token that came along.

    Raises:
        UnknownKeyError: none of the keys signed it.
        ProviderError: it is none, or is another one's, for somebody else, too old, or not of this sign-in.
    """
    from authlib.oidc.core import CodeIDToken
    from joserfc.errors import JoseError

    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
        raise ProviderError("The provider gave no identity token.")
    wanted: Any = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client}}
    try:
        found = _verified(token, keys)
        claims = CodeIDToken(
            found.claims, found.header, wanted, {"nonce": nonce, "client_id": client, "access_token": access}
        )
        claims.validate(leeway=_LEEWAY)
    except (JoseError, ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise ProviderError(f"The identity token is not as it must be: {_reason(error)}.") from None
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST or not subject.isprintable():
        raise ProviderError("The identity token names nobody.")
    return dict(claims)


def _verified(token: str, keys: list[Any]) -> Any:
    from joserfc import jws, jwt
    from joserfc.errors import BadSignatureError

    header = jws.extract_compact(token.encode()).headers()
    if header.get("alg") not in ALGORITHMS:
        raise ValueError(f"the signature is {str(header.get('alg'))[:20]!a}, which is not taken")
    kid = header.get("kid")
    for key in keys:
        if (kid is not None and key.kid != kid) or key.get("alg", header["alg"]) != header["alg"]:
            continue
        try:
            return jwt.decode(token, key, algorithms=list(ALGORITHMS))
        except BadSignatureError:
            continue
    raise UnknownKeyError("The identity token is signed with no key of the provider.")


def _reason(error: Exception) -> str:
    """What a library says of a token, without what is in the token."""
    return str(error)[:200] or type(error).__name__


def address_in(claims: Mapping[str, Any]) -> str:
    """The e-mail address that a provider has verified, "" where there is none.

    Others than ASCII are not taken: small letters of some capital ones are those of other addresses.
    """
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str) or not email.isascii():
        return ""
    try:
        return address_of(email)
    except InvalidValueError:
        return ""


def name_in(claims: Mapping[str, Any]) -> str:
    """What somebody is called, "" where the provider does not say."""
    name = claims.get("name")
    shown = "".join(char for char in name if char.isprintable()) if isinstance(name, str) else ""
    return " ".join(shown.split())[:200]
