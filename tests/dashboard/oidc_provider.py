"""An OIDC provider on loopback with real signed tokens: discovery, authorization, token, keys. What it says of a person is the test's."""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, CLIENT_SECRET = "lab", "the secret of the client, for tests"


@dataclass
class Provider:
    """claims: of whoever signs in next; they take the place of what an honest token says. key: signs; it need not be the published one."""

    port: int = 0
    claims: dict[str, Any] = field(default_factory=dict)
    published: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    key: RSAKey | None = None
    given: dict[str, str] = field(default_factory=dict)
    """{code: nonce} that was asked for and not yet taken"""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def discovery(self, request: Request) -> Response:
        return JSONResponse({
            "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/keys",
            "response_types_supported": ["code"], "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
        })  # fmt: skip

    def authorize(self, request: Request) -> Response:
        """Whoever comes is signed in at once."""
        asked = request.query_params
        assert asked["client_id"] == CLIENT and asked["response_type"] == "code" and "openid" in asked["scope"]
        self.given[code := secrets.token_urlsafe(16)] = asked["nonce"]
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}", 302)

    async def token(self, request: Request) -> Response:
        nonce = self.given.pop(str((await request.form())["code"]), None)
        if nonce is None:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.url, "sub": "17", "aud": CLIENT, "iat": now, "exp": now + 3600, "nonce": nonce} | self.claims
        token = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key or self.published)
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "id_token": token})

    def keys(self, request: Request) -> Response:
        return JSONResponse({"keys": [self.published.as_dict(private=False)]})

    def app(self) -> Starlette:
        return Starlette(routes=[
            Route("/.well-known/openid-configuration", self.discovery), Route("/authorize", self.authorize),
            Route("/token", self.token, methods=["POST"]), Route("/keys", self.keys),
        ])  # fmt: skip


class Serving:
    """`with Serving(provider):` it answers on a free port."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.server = uvicorn.Server(uvicorn.Config(provider.app(), host="127.0.0.1", port=provider.port, log_level="warning", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> Provider:
        self.thread.start()
        end = time.monotonic() + 60
        while not self.server.started:
            assert self.thread.is_alive() and time.monotonic() < end
            time.sleep(0.01)
        self.provider.port = self.server.servers[0].sockets[0].getsockname()[1]
        return self.provider

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(60)


if __name__ == "__main__":  # to try the pages by hand: python -m tests.dashboard.oidc_provider PORT NAME
    import sys

    with Serving(Provider(port=int(sys.argv[1]), claims={"email": sys.argv[2], "email_verified": True})) as running:
        print(running.url, flush=True)
        threading.Event().wait()
