"""OpenID Connect provider that can be told to misbehave; runs as a separate process.

It checks what a real one checks: client id and secret, the exact redirect URI, PKCE, and that a code is used only once.
``PUT /configure`` sets the user who signs in and the misbehaviour; ``GET /requests`` lists the requests so far.

usage: python oidc_provider.py [CERTIFICATE]

With a certificate (a PEM file with its key) it is served by TLS.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

CLIENT_ID = "saccade"
CLIENT_SECRET = "a secret: with/odd signs"
ANN: dict[str, Any] = {"sub": "ann-1", "email": "ann@example.org", "email_verified": True, "name": "Ann"}


class State:
    """Keys, codes, recorded requests and the configuration of the provider."""

    def __init__(self) -> None:
        self.key: Any = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.foreign_key = RSAKey.generate_key(2048)
        self.curve_key = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"})
        self.config: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.requests: list[dict[str, Any]] = []


state = State()


def issuer_of(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}"


async def fault_response(request: Request) -> Response | None:
    """Return the faulty response that is configured for a path, if any."""
    fault = state.config.get("faults", {}).get(request.url.path)
    issuer = issuer_of(request)
    if fault == "huge":
        return Response(b'{"keys": [' + b"1," * (1 << 20) + b"1]}", media_type="application/json")
    if fault == "slow":
        await asyncio.sleep(30)
    if fault == "drip":
        return StreamingResponse(drip(), media_type="application/json")
    if fault == "bomb":
        return Response(gzip.compress(b" " * (64 << 20)), headers={"Content-Encoding": "gzip"})
    if fault == "redirect":
        return RedirectResponse(f"{issuer}/elsewhere")
    if fault == "nonsense":
        return Response(b"[" * 100_000, media_type="application/json")
    return Response(b"<html>", int(fault)) if fault else None


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.05)


async def discovery(request: Request) -> Response:
    if (fault := await fault_response(request)) is not None:
        return fault
    issuer = issuer_of(request)
    return JSONResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize?tenant=one",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "userinfo_endpoint": f"{issuer}/userinfo",
            **state.config.get("discovery", {}),
        }
    )


async def keys(request: Request) -> Response:
    state.requests.append({"path": "/keys"})
    if (fault := await fault_response(request)) is not None:
        return fault
    public = KeySet([state.key, state.curve_key]).as_dict(private=False)
    unusable: list[Any] = [
        {"kty": "new", "kid": "x"},
        {"kty": "RSA", "n": "!", "e": ""},
        "no key",
        {"kty": "oct", "k": "YQ"},
    ]
    return JSONResponse(state.config.get("keys", {"keys": [*unusable, *public["keys"]]}))


async def authorize(request: Request) -> Response:
    parameters = dict(request.query_params)
    state.requests.append({"path": "/authorize", **parameters})
    if parameters.get("client_id") != CLIENT_ID or parameters.get("redirect_uri") != state.config.get("redirect_uri"):
        return Response("Unknown client or redirect URI.", 400)
    code = secrets.token_urlsafe()
    state.codes[code] = parameters
    response = {"code": code, "state": parameters["state"], **state.config.get("response_parameters", {})}
    return RedirectResponse(f"{parameters['redirect_uri']}?{urlencode(response)}", 302)


async def token(request: Request) -> Response:
    if (fault := await fault_response(request)) is not None:
        return fault
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    state.requests.append({"path": "/token", **form})
    authorization = state.codes.get(form.get("code", ""))
    if not state.config.get("allow_code_reuse"):
        state.codes.pop(form.get("code", ""), None)
    error = _token_error(request, form, authorization)
    if error or authorization is None:
        return JSONResponse({"error": error or "invalid_grant"}, 400)
    id_token = create_id_token(request, authorization)
    return JSONResponse({"access_token": "access", "token_type": "Bearer", "id_token": id_token})


def _token_error(request: Request, form: dict[str, str], authorization: dict[str, str] | None) -> str:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    client, _, secret = base64.b64decode(credentials).decode().partition(":")
    posted = form.get("client_id"), form.get("client_secret")
    if ((unquote(client), unquote(secret)) if scheme == "Basic" else posted) != (CLIENT_ID, CLIENT_SECRET):
        return "invalid_client"
    if authorization is None or form.get("redirect_uri") != authorization["redirect_uri"]:
        return "invalid_grant"
    digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    method = authorization.get("code_challenge_method")
    is_valid = method == "S256" and authorization.get("code_challenge") == challenge
    return "" if is_valid else "invalid_grant"


def create_id_token(request: Request, authorization: dict[str, str]) -> Any:
    """Create an ID token, with the configured claims and signature."""
    now = int(time.time())
    claims = {
        "iss": issuer_of(request),
        "aud": CLIENT_ID,
        "iat": now,
        "exp": now + 300,
        "nonce": authorization.get("nonce"),
        **state.config.get("user", ANN),
        **state.config.get("claims", {}),
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return SIGNERS[state.config.get("signature", "RS256")](claims)


def unsigned(header: dict[str, str], claims: dict[str, Any]) -> str:
    """Create a token with an empty signature."""
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, claims))
    return ".".join((*parts, ""))


def sign_with_public_key(claims: dict[str, Any]) -> str:
    """Create a token with an HMAC whose key is the public key, which everyone knows."""
    key = OctKey.import_key(state.key.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": state.key.kid}, claims, key, ["HS256"])


def sign_with_embedded_key(claims: dict[str, Any]) -> str:
    """Create a token that contains the key to verify it with."""
    header: dict[str, Any] = {"alg": "RS256", "jwk": state.foreign_key.as_dict(private=False)}
    return jwt.encode(header, claims, state.foreign_key)


SIGNERS: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "RS256": lambda claims: jwt.encode({"alg": "RS256", "kid": state.key.kid}, claims, state.key),
    "ES256": lambda claims: jwt.encode({"alg": "ES256", "kid": "curve"}, claims, state.curve_key),
    "without kid": lambda claims: jwt.encode({"alg": "RS256"}, claims, state.key),
    "none": lambda claims: unsigned({"alg": "none"}, claims),
    "stripped": lambda claims: unsigned({"alg": "RS256", "kid": str(state.key.kid)}, claims),
    "HS256": sign_with_public_key,
    "wrong key": lambda claims: jwt.encode({"alg": "RS256", "kid": state.key.kid}, claims, state.foreign_key),
    "own key": sign_with_embedded_key,
    "no token": lambda claims: None,
}


async def userinfo(request: Request) -> Response:
    if request.headers.get("authorization") != "Bearer access":
        return Response(status_code=401)
    return JSONResponse(state.config.get("userinfo", {}))


async def configure(request: Request) -> Response:
    state.config = await request.json()
    if state.config.get("rotate_key"):
        state.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})
    state.requests.clear()
    return Response(status_code=204)


async def list_requests(request: Request) -> Response:
    return JSONResponse(state.requests)


async def elsewhere(request: Request) -> Response:
    state.requests.append({"path": "/elsewhere"})
    return JSONResponse({})


APP = Starlette(
    routes=[
        Route("/.well-known/openid-configuration", discovery),
        Route("/keys", keys),
        Route("/authorize", authorize),
        Route("/token", token, methods=["POST"]),
        Route("/userinfo", userinfo),
        Route("/requests", list_requests),
        Route("/configure", configure, methods=["PUT"]),
        Route("/elsewhere", elsewhere),
    ]
)


def main() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        certificate = sys.argv[1] if len(sys.argv) > 1 else None
        config = uvicorn.Config(APP, log_level="error", lifespan="off", ssl_certfile=certificate)
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
