"""Client of an OpenID Connect provider: authorization code flow with PKCE (RFC 7636)."""

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

from saccade.app.auth.oidc.http import fetch_json
from saccade.app.auth.oidc.settings import OidcSettings, validate_url
from saccade.app.auth.oidc.tokens import (
    Claims,
    UnknownKeyError,
    display_name,
    parse_signing_keys,
    verified_email,
    verify_id_token,
)
from saccade.core.errors import InvalidValueError, ProviderError
from saccade.store.auth.sso import Identity

_SCOPE = "openid email profile"
_METADATA_TTL_S = 3600.0
_RETRY_PAUSE_S = 5.0
"""Minimum time between two attempts to fetch the metadata after a failure."""


@dataclass(frozen=True, slots=True)
class ProviderMetadata:
    """Discovery document of a provider (OpenID Connect Discovery 1.0), reduced to what is used.

    Attributes:
        userinfo_endpoint: Empty if the provider has none.
        sends_issuer: The provider adds ``iss`` to authorization responses (RFC 9207).
        requires_post_auth: The token endpoint does not accept HTTP Basic authentication.
    """

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str
    sends_issuer: bool
    requires_post_auth: bool


class Provider:
    """An OpenID Connect provider. Metadata and signing keys are fetched on first use and cached."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self._metadata: ProviderMetadata | None = None
        self._signing_keys: list[Any] = []
        self._fetched_at = -_METADATA_TTL_S
        self._failed_at = -_METADATA_TTL_S

    async def metadata(self) -> ProviderMetadata:
        """Return the provider's metadata.

        Raises:
            ProviderError: The metadata cannot be fetched or is invalid, and no earlier metadata is cached.
        """
        now = time.monotonic()
        if self._metadata is not None and now - self._fetched_at < _METADATA_TTL_S:
            return self._metadata
        if self._metadata is None and now - self._failed_at < _RETRY_PAUSE_S:
            raise ProviderError(f"{self.settings.name} does not respond.", hint="Try again in a moment.")
        try:
            url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            self._metadata = _parse_metadata(await fetch_json(url), self.settings.issuer)
            self._fetched_at = now
        except ProviderError:
            self._failed_at = now
            if self._metadata is None:
                raise
            # The cached metadata is probably still valid: use it and retry after the pause.
            self._fetched_at = now - _METADATA_TTL_S + _RETRY_PAUSE_S
        return self._metadata

    async def authorization_url(self, secret: str, redirect_uri: str) -> str:
        """Build the URL to which a browser is redirected to sign in.

        Args:
            secret: The value of the browser's sign-in cookie. State, nonce and PKCE verifier are derived from it.
            redirect_uri: The URL to which the provider redirects the browser afterwards.

        Raises:
            ProviderError: The provider's metadata is not available.
        """
        from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
        from authlib.oauth2.rfc7636 import create_s256_code_challenge

        metadata = await self.metadata()
        url: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            self.settings.client_id,
            "code",
            redirect_uri,
            _SCOPE,
            derive(secret, "state"),
            nonce=derive(secret, "nonce"),
            code_challenge=create_s256_code_challenge(derive(secret, "verifier")),
            code_challenge_method="S256",
        )
        return url

    async def complete(self, secret: str, code: str, redirect_uri: str, issuer: str) -> Identity:
        """Exchange an authorization code for the user's verified identity.

        Args:
            secret: The value of the browser's sign-in cookie, as given to :meth:`authorization_url`.
            code: The authorization code of the response.
            redirect_uri: The same URL as in the authorization request.
            issuer: The ``iss`` parameter of the response, or "" if there is none.

        Raises:
            ProviderError: The provider does not respond, or its response cannot be trusted.
        """
        metadata = await self.metadata()
        # RFC 9207: protects against a response that another provider mixed in.
        if issuer != self.settings.issuer and (issuer or metadata.sends_issuer):
            raise ProviderError("The authorization response comes from another issuer.")
        tokens = await self._exchange_code(metadata, secret, code, redirect_uri)
        access_token = tokens.get("access_token")
        claims = await self._verify_id_token(metadata, tokens.get("id_token"), derive(secret, "nonce"), access_token)
        can_ask_userinfo = isinstance(access_token, str) and access_token.isprintable()
        if "email" not in claims and metadata.userinfo_endpoint and can_ask_userinfo:
            claims = await _add_userinfo(metadata.userinfo_endpoint, claims, str(access_token))
        return Identity(self.settings.issuer, claims["sub"], verified_email(claims), display_name(claims))

    async def _exchange_code(
        self, metadata: ProviderMetadata, secret: str, code: str, redirect_uri: str
    ) -> dict[str, Any]:
        from authlib.oauth2.auth import ClientAuth
        from authlib.oauth2.rfc6749.parameters import prepare_token_request

        form = prepare_token_request(
            "authorization_code", redirect_uri=redirect_uri, code=code, code_verifier=derive(secret, "verifier")
        )
        client_id = self.settings.client_id
        client_secret = self.settings.client_secret
        if not client_secret:
            method = "none"
        elif metadata.requires_post_auth:
            method = "client_secret_post"
        else:
            # RFC 6749, 2.3.1: both parts are form-encoded before they are joined.
            method = "client_secret_basic"
            client_id = quote(client_id, safe="")
            client_secret = quote(client_secret, safe="")
        auth = ClientAuth(client_id, client_secret, method)
        url, headers, body = auth.prepare("POST", metadata.token_endpoint, {}, form)
        return await fetch_json(url, headers, body)

    async def _verify_id_token(
        self, metadata: ProviderMetadata, token: object, nonce: str, access_token: object
    ) -> Claims:
        verify = partial(
            verify_id_token,
            token,
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=nonce,
            access_token=access_token,
        )
        try:
            return verify(self._signing_keys)
        except UnknownKeyError:
            # The provider may have rotated its keys since they were cached.
            self._signing_keys = parse_signing_keys(await fetch_json(metadata.jwks_uri))
            return verify(self._signing_keys)


def _parse_metadata(document: Mapping[str, Any], expected_issuer: str) -> ProviderMetadata:
    issuer = document.get("issuer")
    if issuer != expected_issuer:
        raise ProviderError(
            f"The provider at {expected_issuer} has the issuer {str(issuer)[:100]!a}.",
            hint="Set --oidc to exactly the issuer that the provider states.",
        )
    challenge_methods = document.get("code_challenge_methods_supported")
    if isinstance(challenge_methods, list) and "S256" not in challenge_methods:
        raise ProviderError("The provider does not support PKCE with S256.")
    auth_methods = document.get("token_endpoint_auth_methods_supported")
    return ProviderMetadata(
        authorization_endpoint=_endpoint(document, "authorization_endpoint"),
        token_endpoint=_endpoint(document, "token_endpoint"),
        jwks_uri=_endpoint(document, "jwks_uri"),
        userinfo_endpoint=_endpoint(document, "userinfo_endpoint") if document.get("userinfo_endpoint") else "",
        sends_issuer=document.get("authorization_response_iss_parameter_supported") is True,
        requires_post_auth=isinstance(auth_methods, list) and "client_secret_basic" not in auth_methods,
    )


def _endpoint(document: Mapping[str, Any], name: str) -> str:
    try:
        return validate_url(document.get(name), f"The provider's {name}")
    except InvalidValueError as error:
        raise ProviderError(error.message) from None


async def _add_userinfo(url: str, claims: Claims, access_token: str) -> Claims:
    userinfo = await fetch_json(url, {"Authorization": f"Bearer {access_token}"})
    # OpenID Connect Core 5.3.2: the subjects must match, or the response could be another user's.
    if userinfo.get("sub") != claims["sub"]:
        raise ProviderError("The UserInfo subject does not match the ID token.")
    return {**{name: userinfo.get(name) for name in ("email", "email_verified", "name")}, **claims}


def derive(secret: str, purpose: str) -> str:
    """Derive a value from a secret by HMAC-SHA256, such as the state or the nonce, in URL-safe base64."""
    digest = hmac.digest(secret.encode("utf-8", "surrogatepass"), purpose.encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def check_provider(provider: Provider, report: Callable[[str], None]) -> None:
    """Check in a background thread that a provider responds, and report a failure."""

    def check() -> None:
        try:
            asyncio.run(provider.metadata())
        except ProviderError as error:
            report(f"Sign-in with {provider.settings.name} is not available: {error}")

    Thread(target=check, name="saccade-oidc", daemon=True).start()
