"""The provider of single sign-on: where it sends people, and who comes back from there."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any
from urllib.parse import quote

from saccade.app.auth.oidc.http import ask
from saccade.app.auth.oidc.settings import Settings, check_address
from saccade.app.auth.oidc.tokens import Claims, UnknownKeyError, address_in, keys_of, name_in, read_token
from saccade.core.errors import InvalidValueError, ProviderError
from saccade.store.auth.sso import Identity

_SCOPE = "openid email profile"
_FRESH, _PAUSE = 3600.0, 5.0
"""Seconds for which what the provider says of itself is kept; and before it is asked again after it failed."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a provider says of itself."""

    authorization: str
    token: str
    keys: str
    people: str
    names_itself: bool
    takes_post_only: bool


class Provider:
    """A provider by its settings. What it says of itself is asked for when it is needed, and kept."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._facts: Facts | None = None
        self._keys: list[Any] = []
        self._asked = self._failed = -_FRESH

    async def facts(self) -> Facts:
        """What the provider says of itself; ProviderError where it cannot be asked, or it is not what it must be."""
        moment = time.monotonic()
        if self._facts is not None and moment - self._asked < _FRESH:
            return self._facts
        if self._facts is None and moment - self._failed < _PAUSE:
            raise ProviderError(f"{self.settings.name} does not answer.", hint="Try again in a moment.")
        try:
            place = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            self._facts, self._asked = _facts(await ask(place), self.settings.issuer), moment
        except ProviderError:
            self._failed = moment
            if self._facts is None:
                raise
            self._asked = moment - _FRESH + _PAUSE  # what it said before may still hold
        return self._facts

    async def begin(self, secret: str, back: str) -> str:
        """The address to which a browser is sent to sign in.

        Args:
            secret: what the cookie of that browser holds; all that is to be guessed by nobody is made of it.
            back: where the provider sends it back to.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        facts = await self.facts()
        made: str = prepare_grant_uri(
            facts.authorization,
            self.settings.client,
            "code",
            back,
            _SCOPE,
            derived(secret, "state"),
            nonce=derived(secret, "nonce"),
            code_challenge=create_s256_code_challenge(derived(secret, "verifier")),
            code_challenge_method="S256",
        )
        return made

    async def finish(self, secret: str, code: str, back: str, issuer: str) -> Identity:
        """Who came back with a code, to a browser that had begun with a secret.

        Args:
            issuer: of whom the address says that it sent them, "" where it says nothing.

        Raises:
            ProviderError: the provider does not answer, or what it says cannot be trusted.
        """
        facts = await self.facts()
        if issuer != self.settings.issuer and (issuer or facts.names_itself):
            raise ProviderError("Another provider sent this.")
        given = await self._redeemed(facts, secret, code, back)
        access = given.get("access_token")
        claims = await self._claims(facts, given.get("id_token"), derived(secret, "nonce"), access)
        if "email" not in claims and facts.people and isinstance(access, str) and access.isprintable():
            claims = await _more(facts.people, claims, access)
        return Identity(self.settings.issuer, claims["sub"], address_in(claims), name_in(claims))

    async def _redeemed(self, facts: Facts, secret: str, code: str, back: str) -> dict[str, Any]:
        """What the provider gives for a code."""
        from authlib.oauth2.auth import ClientAuth
        from authlib.oauth2.rfc6749.parameters import prepare_token_request

        form = prepare_token_request(
            "authorization_code", redirect_uri=back, code=code, code_verifier=derived(secret, "verifier")
        )
        client, own = self.settings.client, self.settings.secret
        method = "none" if not own else "client_secret_post" if facts.takes_post_only else "client_secret_basic"
        if method == "client_secret_basic":  # in which both are written as in a form
            client, own = quote(client, safe=""), quote(own, safe="")
        place, headers, body = ClientAuth(client, own, method).prepare("POST", facts.token, {}, form)
        return await ask(place, headers, body)

    async def _claims(self, facts: Facts, token: object, nonce: str, access: object) -> Claims:
        """What an identity token says; the keys are asked for anew where it is signed with another one."""
        read = partial(
            read_token, token, issuer=self.settings.issuer, client=self.settings.client, nonce=nonce, access=access
        )
        try:
            return read(self._keys)
        except UnknownKeyError:
            self._keys = keys_of(await ask(facts.keys))
            return read(self._keys)


def _facts(found: Mapping[str, Any], issuer: str) -> Facts:
    """What a provider says of itself, looked at."""
    itself = found.get("issuer")
    if itself != issuer:
        raise ProviderError(
            f"The provider at {issuer} calls itself {str(itself)[:100]!a}.", hint="Give --oidc what it calls itself."
        )
    challenges = found.get("code_challenge_methods_supported")
    if isinstance(challenges, list) and "S256" not in challenges:
        raise ProviderError("The provider knows no PKCE with S256.")
    methods = found.get("token_endpoint_auth_methods_supported")
    return Facts(
        authorization=_place(found, "authorization_endpoint"),
        token=_place(found, "token_endpoint"),
        keys=_place(found, "jwks_uri"),
        people=_place(found, "userinfo_endpoint") if found.get("userinfo_endpoint") else "",
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
        takes_post_only=isinstance(methods, list) and "client_secret_basic" not in methods,
    )


def _place(found: Mapping[str, Any], name: str) -> str:
    try:
        return check_address(found.get(name), f"The provider's {name}")
    except InvalidValueError as error:
        raise ProviderError(error.message) from None


async def _more(place: str, claims: Claims, access: str) -> Claims:
    """What the provider says of somebody beside the token; it must be of the same one."""
    more = await ask(place, {"Authorization": f"Bearer {access}"})
    if more.get("sub") != claims["sub"]:
        raise ProviderError("The provider speaks of somebody else than its token.")
    return {**{name: more.get(name) for name in ("email", "email_verified", "name")}, **claims}


def derived(secret: str, purpose: str) -> str:
    """A value made of a secret, from which nobody finds the secret or another such value."""
    made = hmac.digest(secret.encode("utf-8", "surrogatepass"), purpose.encode(), hashlib.sha256)
    return urlsafe_b64encode(made).rstrip(b"=").decode()


def look_at(provider: Provider, tell: Callable[[str], None]) -> None:
    """See in the background whether a provider answers, and tell where it does not."""

    def look() -> None:
        try:
            asyncio.run(provider.facts())
        except ProviderError as error:
            tell(f"Nobody can sign in with {provider.settings.name} yet: {error}")

    Thread(target=look, name="saccade-oidc", daemon=True).start()
