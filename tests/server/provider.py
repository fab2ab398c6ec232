"""A provider of single sign-on as a process of its own, which is right until it is told to be wrong.

It checks what a good one checks: the client and its secret, the exact address to go back to, PKCE, and that a code is
used once. ``PUT /behave`` says who signs in and how it misbehaves, ``GET /asked`` what it was asked.

usage: python provider.py [CERTIFICATE]

With a certificate, in a file with its key, it is asked by TLS.
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

CLIENT, SECRET = "saccade", "a secret: with/odd signs"
ANN: dict[str, Any] = {"sub": "ann-1", "email": "ann@example.org", "email_verified": True, "name": "Ann"}


class State:
    """What the provider knows, and how it behaves."""

    def __init__(self) -> None:
        self.key: Any = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.other = RSAKey.generate_key(2048)
        self.curve = ECKey.generate_key("P-256", {"kid": "curve", "use": "sig"})
        self.behave: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.asked: list[dict[str, Any]] = []


state = State()


def issuer_of(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers['host']}"


async def misbehaved(request: Request) -> Response | None:
    """A wrong answer for a path, where it was told to give one."""
    how = state.behave.get("answers", {}).get(request.url.path)
    issuer = issuer_of(request)
    if how == "huge":
        return Response(b'{"keys": [' + b"1," * (1 << 20) + b"1]}", media_type="application/json")
    if how == "slow":
        await asyncio.sleep(30)
    if how == "drip":
        return StreamingResponse(drip(), media_type="application/json")
    if how == "bomb":
        return Response(gzip.compress(b" " * (64 << 20)), headers={"Content-Encoding": "gzip"})
    if how == "redirect":
        return RedirectResponse(f"{issuer}/elsewhere")
    if how == "nonsense":
        return Response(b"[" * 100_000, media_type="application/json")
    return Response(b"<html>", int(how)) if how else None


async def drip() -> AsyncIterator[bytes]:
    while True:
        yield b" "
        await asyncio.sleep(0.05)


async def discovery(request: Request) -> Response:
    if (wrong := await misbehaved(request)) is not None:
        return wrong
    issuer = issuer_of(request)
    return JSONResponse(
        {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize?tenant=one",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/keys",
            "userinfo_endpoint": f"{issuer}/people",
            **state.behave.get("discovery", {}),
        }
    )


async def keys(request: Request) -> Response:
    state.asked.append({"path": "/keys"})
    if (wrong := await misbehaved(request)) is not None:
        return wrong
    public = KeySet([state.key, state.curve]).as_dict(private=False)
    odd: list[Any] = [
        {"kty": "new", "kid": "x"},
        {"kty": "RSA", "n": "!", "e": ""},
        "no key",
        {"kty": "oct", "k": "YQ"},
    ]
    return JSONResponse(state.behave.get("keys", {"keys": [*odd, *public["keys"]]}))


async def authorize(request: Request) -> Response:
    asked = dict(request.query_params)
    state.asked.append({"path": "/authorize", **asked})
    if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != state.behave.get("back"):
        return Response("This client or address to go back to is not known.", 400)
    code = secrets.token_urlsafe()
    state.codes[code] = asked
    given = {"code": code, "state": asked["state"], **state.behave.get("back_with", {})}
    return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(given)}", 302)


async def token(request: Request) -> Response:
    if (wrong := await misbehaved(request)) is not None:
        return wrong
    form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    state.asked.append({"path": "/token", **form})
    begun = state.codes.get(form.get("code", ""))
    if not state.behave.get("replays"):
        state.codes.pop(form.get("code", ""), None)
    fault = _fault(request, form, begun)
    if fault or begun is None:
        return JSONResponse({"error": fault or "invalid_grant"}, 400)
    return JSONResponse({"access_token": "access", "token_type": "Bearer", "id_token": identity(request, begun)})


def _fault(request: Request, form: dict[str, str], begun: dict[str, str] | None) -> str:
    kind, _, basic = request.headers.get("authorization", "").partition(" ")
    client, _, secret = base64.b64decode(basic).decode().partition(":")
    posted = form.get("client_id"), form.get("client_secret")
    if ((unquote(client), unquote(secret)) if kind == "Basic" else posted) != (CLIENT, SECRET):
        return "invalid_client"
    if begun is None or form.get("redirect_uri") != begun["redirect_uri"]:
        return "invalid_grant"
    hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
    challenge = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
    is_right = begun.get("code_challenge_method") == "S256" and begun.get("code_challenge") == challenge
    return "" if is_right else "invalid_grant"


def identity(request: Request, begun: dict[str, str]) -> Any:
    """An identity token: as it should be, but for what it was told."""
    moment = int(time.time())
    claims = {
        "iss": issuer_of(request),
        "aud": CLIENT,
        "iat": moment,
        "exp": moment + 300,
        "nonce": begun.get("nonce"),
        **state.behave.get("person", ANN),
        **state.behave.get("claims", {}),
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    return SIGNED[state.behave.get("signed", "RS256")](claims)


def unsigned(header: dict[str, str], claims: dict[str, Any]) -> str:
    """A token with nothing for a signature."""
    parts = (base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in (header, claims))
    return ".".join((*parts, ""))


def with_the_public_key(claims: dict[str, Any]) -> str:
    """A token with a digest for a signature, made with the key that everybody knows."""
    key = OctKey.import_key(state.key.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": state.key.kid}, claims, key, ["HS256"])


def with_a_key_of_its_own(claims: dict[str, Any]) -> str:
    """A token that brings along the key to look at it with."""
    header: dict[str, Any] = {"alg": "RS256", "jwk": state.other.as_dict(private=False)}
    return jwt.encode(header, claims, state.other)


SIGNED: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "RS256": lambda claims: jwt.encode({"alg": "RS256", "kid": state.key.kid}, claims, state.key),
    "ES256": lambda claims: jwt.encode({"alg": "ES256", "kid": "curve"}, claims, state.curve),
    "without kid": lambda claims: jwt.encode({"alg": "RS256"}, claims, state.key),
    "none": lambda claims: unsigned({"alg": "none"}, claims),
    "stripped": lambda claims: unsigned({"alg": "RS256", "kid": str(state.key.kid)}, claims),
    "HS256": with_the_public_key,
    "wrong key": lambda claims: jwt.encode({"alg": "RS256", "kid": state.key.kid}, claims, state.other),
    "own key": with_a_key_of_its_own,
    "no token": lambda claims: None,
}


async def people(request: Request) -> Response:
    if request.headers.get("authorization") != "Bearer access":
        return Response(status_code=401)
    return JSONResponse(state.behave.get("people", {}))


async def behave(request: Request) -> Response:
    state.behave = await request.json()
    if state.behave.get("rotate"):
        state.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})
    state.asked.clear()
    return Response(status_code=204)


async def asked(request: Request) -> Response:
    return JSONResponse(state.asked)


async def elsewhere(request: Request) -> Response:
    state.asked.append({"path": "/elsewhere"})
    return JSONResponse({})


APP = Starlette(
    routes=[
        Route("/.well-known/openid-configuration", discovery),
        Route("/keys", keys),
        Route("/authorize", authorize),
        Route("/token", token, methods=["POST"]),
        Route("/people", people),
        Route("/asked", asked),
        Route("/behave", behave, methods=["PUT"]),
        Route("/elsewhere", elsewhere),
    ]
)


def main() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        certificate = sys.argv[1] if len(sys.argv) > 1 else None
        config = uvicorn.Config(APP, log_level="error", lifespan="off", ssl_certfile=certificate)
        uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
