"""OpenID Connect providers: an honest one in a process of its own, and one that answers as a test tells it."""

import base64
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import httpx
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey


@contextmanager
def honest_provider(*people: dict[str, Any]) -> Iterator[str]:
    """`oidc-provider-mock` in a process of its own; gives its issuer. Each of the people has a `sub`."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    known = [word for each in people for word in ('--user-claims', json.dumps(each))]
    command = [sys.executable, '-W', 'ignore', '-m', 'oidc_provider_mock', '-p', str(port), '-H', '127.0.0.1', *known]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ)
    issuer = f'http://127.0.0.1:{port}'
    try:
        until = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f'{issuer}/.well-known/openid-configuration', timeout=1):
                    break
            except OSError:
                said = process.stdout.read() if process.poll() is not None and process.stdout else ''
                assert process.poll() is None, f'the provider did not start:\n{said[-2000:]}'
                assert time.monotonic() < until, 'the provider was not ready'
                time.sleep(0.05)
        yield issuer
    finally:
        process.kill()
        process.wait(10)


async def sign_in_there(address: str, subject: str) -> str:
    """What somebody does at the honest provider; gives the address that it sends their browser back to."""
    async with httpx.AsyncClient() as browser:
        answer = await browser.post(address, data={'sub': subject})
    assert answer.status_code in (302, 303), answer.text
    return answer.headers['location']


class Provider:
    """Answers well, but for what a test sets: claims of the ID token, whole answers by path, the key it signs with."""

    KEY: ClassVar[RSAKey] = RSAKey.generate_key(2048, {'kid': 'one', 'use': 'sig'})
    OTHER_KEY: ClassVar[RSAKey] = RSAKey.generate_key(2048, {'kid': 'one', 'use': 'sig'})

    def __init__(self) -> None:
        self.claims: dict[str, Any] = {'sub': 'ana-1', 'email': 'ana@northwind.example', 'email_verified': True}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.token: dict[str, Any] | None = None  # in place of the whole answer of the token endpoint
        self.header: dict[str, Any] = {'alg': 'RS256', 'kid': 'one'}
        self.key: Any = self.KEY
        self.published: Any = self.KEY
        self.metadata: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.seen: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.issuer = ''

    def authorize(self, address: str) -> dict[str, str]:
        """Somebody signs in here: the query with which their browser goes back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = f'code-{len(self.codes) + 1}'
        self.codes[code] = asked
        return {'code': code, 'state': asked['state']}

    def answer(self, path: str, form: dict[str, str]) -> tuple[int, bytes]:
        if path in self.answers:
            return self.answers[path]
        if path == '/.well-known/openid-configuration':
            found: Any = {
                'issuer': self.issuer, 'authorization_endpoint': f'{self.issuer}/authorize',
                'token_endpoint': f'{self.issuer}/token', 'jwks_uri': f'{self.issuer}/jwks',
                'userinfo_endpoint': f'{self.issuer}/userinfo',
                'id_token_signing_alg_values_supported': ['RS256', 'HS256', 'none'], **self.metadata,
            }  # fmt: skip
        elif path == '/jwks':
            found = {'keys': [self.published.as_dict(private=False)]}
        elif path == '/userinfo':
            found = self.userinfo
        elif path == '/token':
            return self._token(form)
        else:
            return 404, b'{}'
        return 200, json.dumps(found).encode()

    def _token(self, form: dict[str, str]) -> tuple[int, bytes]:
        asked = self.codes.pop(form.get('code', ''), None)  # a code is good once
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get('code_verifier', '').encode()).digest())
        if asked is None or challenge.decode().rstrip('=') != asked['code_challenge']:
            return 400, b'{"error": "invalid_grant"}'
        now = int(time.time())
        claims = {
            'iss': self.issuer, 'aud': asked['client_id'], 'exp': now + 300, 'iat': now, 'nonce': asked['nonce'],
            **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        algorithms = ['RS256', 'HS256', 'none']
        token = self.token
        if token is None:
            signed = jwt.encode(self.header, claims, self.key, algorithms=algorithms)
            token = {'access_token': 'a', 'token_type': 'Bearer', 'expires_in': 300, 'id_token': signed}
        return 200, json.dumps(token).encode()

    @contextmanager
    def serving(self) -> Iterator['Provider']:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                length = int(self.headers.get('Content-Length') or 0)
                form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
                path = urlsplit(self.path).path
                provider.seen.append((path, form, dict(self.headers)))
                status, body = provider.answer(path, form)
                self.send_response(status)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = _answer

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.issuer = f'http://127.0.0.1:{server.server_port}'
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(5)


def shared_key(secret: str) -> OctKey:
    return OctKey.import_key(secret)
