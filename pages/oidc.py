"""Signing in with an OpenID Connect provider: authorization code with PKCE, state and nonce.

Nothing is kept on the server between leaving for the provider and coming back: the browser holds it, sealed, for ten
minutes. A state counts once. Whatever is wrong with an answer is a page with a way back, and never signs anybody in.
"""

import asyncio
import hmac
import logging
import secrets
import time
import warnings
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
from authlib.common.errors import AuthlibBaseError
from authlib.deprecate import AuthlibDeprecationWarning
from fastapi import APIRouter, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import RedirectResponse, Response

from models import Session, oidc_identity, sign_in_failure
from models.sealed import Unreadable, seal, unseal
from pages import halfway
from pages.guard import token_of
from pages.proxies import is_loopback
from pages.sign_in import address_of, admit, page, safe_target, throttle, too_many
from settings import settings

with warnings.catch_warnings(action='ignore', category=AuthlibDeprecationWarning):  # it wants httpx to be httpx2
    from authlib.integrations.httpx_client import AsyncOAuth2Client

log = logging.getLogger(__name__)
router = APIRouter(prefix='/oidc', include_in_schema=False)

COOKIE = 'portal_oidc'
PURPOSE = 'oidc sign-in'
LASTS = 600  # seconds for signing in at the provider
KNOWN = 600  # seconds for which what a provider says about itself is believed
PATIENCE = 12.0  # seconds for all that is asked of a provider at once
MAX_ANSWER = 256 * 1024  # bytes
LEEWAY = 60  # seconds that the provider's clock may differ
MAX_STATES = 10_000
# Signatures with a key pair: with a shared secret, whoever knows the client's could write tokens; and never `none`.
ALGORITHMS = (
    'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519',
)  # fmt: skip
SCOPE = 'openid email profile'


class Trouble(Exception):
    """What goes wrong on the provider's side; `why` is for the log, the person is told in general."""

    def __init__(self, why: str, *, is_away: bool = False) -> None:
        super().__init__(why)
        self.is_away = is_away


@dataclass(frozen=True)
class Provider:
    """What the provider says about itself (OpenID Connect Discovery)."""

    issuer: str
    authorization: str
    token: str
    userinfo: str
    jwks: str
    algorithms: tuple[str, ...]
    authentication: str  # of the portal at the token endpoint


@dataclass(frozen=True)
class Told:
    """What of an answer counts."""

    issuer: str
    subject: str
    email: str
    is_verified: bool


# -- the two addresses ------------------------------------------------------------------------------------------------


@router.get('/start')
async def start(request: Request) -> Response:
    """Send the browser to the provider."""
    if not settings().oidc_issuer:
        return _message('There is nothing here', 'This portal has no single sign-on.', 404)
    target = safe_target(request.query_params.get('next', '/'))
    if await Session.live(token_of(request)):
        return RedirectResponse(target, 303)
    try:
        provider = await known()
    except Trouble as trouble:
        return _told(trouble)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    async with _client(provider, request) as client:
        address, _ = client.create_authorization_url(
            provider.authorization, state=state, nonce=nonce, code_verifier=verifier
        )
    kept = {'state': state, 'nonce': nonce, 'verifier': verifier, 'target': target, 'until': time.time() + LASTS}
    response = RedirectResponse(address, 303, headers={'Cache-Control': 'no-store'})
    halfway.keep(response, request, COOKIE, seal(orjson.dumps(kept).decode(), PURPOSE), LASTS)
    return response


@router.get('/callback')
async def callback(request: Request) -> Response:
    """Take what the provider sent the browser back with."""
    response = await _callback(request)
    halfway.let_go(response, request, COOKIE)  # whatever came of it: it counts once
    return response


async def _callback(request: Request) -> Response:
    if not settings().oidc_issuer:
        return _message('There is nothing here', 'This portal has no single sign-on.', 404)
    key = f'oidc {address_of(request)}'
    if (wait := throttle.wait(key)) > 0:
        return _message('Too many attempts', too_many(wait), 429)
    begun = _begun(halfway.held(request, COOKIE), request.query_params.get('state', ''))
    if begun is None:
        throttle.failed(key)
        return _message(
            'Begin again', 'This sign-in was begun in another browser, was finished before, or took too long.', 400
        )
    if error := request.query_params.get('error', ''):
        log.info('the provider did not sign somebody in: %s', error[:60].encode('ascii', 'replace').decode())
        return _message('You were not signed in', f'{_name()} did not sign you in, or you did not want it to.', 403)
    try:
        async with asyncio.timeout(PATIENCE):
            told = await _told_by_provider(request, begun)
    except Trouble as trouble:
        throttle.failed(key)
        return _told(trouble)
    except TimeoutError:
        return _told(Trouble('it did not answer in time', is_away=True))
    try:
        user = await oidc_identity.person_of(told.issuer, told.subject, told.email, is_verified=told.is_verified)
    except oidc_identity.Unmatched as unmatched:
        await sign_in_failure.tell(unmatched.user, address_of(request), unmatched.why)
        return _message('You cannot sign in this way', str(unmatched), 403)
    throttle.succeeded(key)
    return await admit(request, user, begun['target'])


_used: OrderedDict[str, float] = OrderedDict()


def _begun(sealed: str, state: str) -> dict[str, Any] | None:
    """What was begun with this state in this browser, if that was not long ago; it counts once."""
    try:
        kept = orjson.loads(unseal(sealed, PURPOSE)) if sealed else None
    except (Unreadable, orjson.JSONDecodeError):
        return None
    if kept is None or not state or not hmac.compare_digest(kept['state'].encode(), state.encode('utf-8', 'replace')):
        return None
    if kept['until'] < time.time() or kept['state'] in _used:
        return None
    _used[kept['state']] = kept['until']
    while len(_used) > MAX_STATES:
        _used.popitem(last=False)
    return kept


# -- what the provider says -------------------------------------------------------------------------------------------


async def _told_by_provider(request: Request, begun: dict[str, Any]) -> Told:
    """Exchange the code for an ID token and read it. Raises `Trouble`."""
    provider, asked = await known(), request.query_params
    if (issuer := asked.get('iss')) is not None and issuer != provider.issuer:  # RFC 9207
        raise Trouble('another provider answered (iss in the callback)')
    code = asked.get('code', '')
    if not code or len(code) > 4096:
        raise Trouble('it sent no code')
    async with _client(provider, request) as client:
        token = await _asked(
            client.fetch_token(
                provider.token, grant_type='authorization_code', code=code, code_verifier=begun['verifier']
            )
        )
        id_token = token.get('id_token') if isinstance(token, dict) else None
        if not isinstance(id_token, str) or not id_token:
            raise Trouble('it sent no ID token')
        claims = await _verified(provider, id_token)
        check(claims, issuer=provider.issuer, client_id=settings().oidc_client_id, nonce=begun['nonce'])
        if 'email' not in claims and provider.userinfo:
            more = _object(await _asked(client.get(provider.userinfo, headers={'Accept': 'application/json'})))
            if more.get('sub') != claims['sub']:
                raise Trouble('its userinfo is about somebody else')
            claims = {**{name: more.get(name) for name in ('email', 'email_verified')}, **claims}
    email = claims.get('email')
    return Told(
        provider.issuer, claims['sub'], email if isinstance(email, str) else '', claims.get('email_verified') is True
    )


def check(claims: dict[str, Any], *, issuer: str, client_id: str, nonce: str) -> None:
    """Whether an ID token is from this provider, for this portal, for this sign-in, and good now. Raises `Trouble`."""
    now = time.time()
    audience = claims.get('aud')
    audiences = audience if isinstance(audience, list) else [audience]
    given, subject = claims.get('nonce'), claims.get('sub')
    if claims.get('iss') != issuer:
        raise Trouble('the ID token is another issuer’s')
    if client_id not in audiences or claims.get('azp', client_id) != client_id:
        raise Trouble('the ID token is for somebody else (aud, azp)')
    if len(audiences) > 1 and 'azp' not in claims:
        raise Trouble('the ID token is for several and names none (azp)')
    if not isinstance(given, str) or not hmac.compare_digest(given.encode('utf-8', 'replace'), nonce.encode()):
        raise Trouble('the ID token is of another sign-in (nonce)')
    if not _is_time(claims.get('exp')) or claims['exp'] <= now - LEEWAY:
        raise Trouble('the ID token has expired')
    if not _is_time(claims.get('iat')) or claims['iat'] > now + LEEWAY:
        raise Trouble('the ID token is of the future; is the clock right?')
    if 'nbf' in claims and (not _is_time(claims['nbf']) or claims['nbf'] > now + LEEWAY):
        raise Trouble('the ID token is not good yet')
    if not isinstance(subject, str) or not oidc_identity.is_subject(subject):
        raise Trouble('the ID token does not say who it is about')


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def _verified(provider: Provider, id_token: str) -> dict[str, Any]:
    """The claims of a token whose signature is the provider's; keys that it has changed are asked for once more."""
    for is_fresh in (False, True):
        try:
            keys = await _keys(provider, is_fresh)
            return dict(jwt.decode(id_token, keys, algorithms=list(provider.algorithms)).claims)
        except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            if is_fresh:
                raise Trouble(f'the ID token cannot be verified ({type(error).__name__})') from None
    raise AssertionError


_providers: dict[str, tuple[float, Provider]] = {}
_keysets: dict[str, tuple[float, KeySet]] = {}
FRESH = 30.0  # seconds in which keys are not asked for again, whatever tokens name


async def known() -> Provider:
    """The provider of the settings, asked who it is every ten minutes. Raises `Trouble`."""
    wanted = settings().oidc_issuer.rstrip('/')
    made, provider = _providers.get(wanted, (0.0, None))
    if provider is not None and time.monotonic() - made < KNOWN:
        return provider
    _check_address(wanted)
    said = _object(await _fetched(f'{wanted}/.well-known/openid-configuration'))
    issuer = said.get('issuer')
    if not isinstance(issuer, str) or issuer.rstrip('/') != wanted:
        raise Trouble('its issuer is not PORTAL_OIDC_ISSUER')
    signs = said.get('id_token_signing_alg_values_supported')
    algorithms = tuple(each for each in ALGORITHMS if each in (signs if isinstance(signs, list) else ['RS256']))
    if not algorithms:
        raise Trouble('it signs in no way that the portal takes')
    provider = Provider(
        issuer, _endpoint(said, 'authorization_endpoint'), _endpoint(said, 'token_endpoint'),
        _endpoint(said, 'userinfo_endpoint') if 'userinfo_endpoint' in said else '', _endpoint(said, 'jwks_uri'),
        algorithms, _authentication(said.get('token_endpoint_auth_methods_supported')),
    )  # fmt: skip
    _providers[wanted] = (time.monotonic(), provider)
    return provider


def _endpoint(said: dict[str, Any], name: str) -> str:
    address = said.get(name)
    if not isinstance(address, str):
        raise Trouble(f'it names no {name}')
    _check_address(address)
    return address


def _authentication(offered: object) -> str:
    if not settings().oidc_client_secret.get_secret_value():
        return 'none'
    methods = offered if isinstance(offered, list) else []
    return 'client_secret_post' if methods and 'client_secret_basic' not in methods else 'client_secret_basic'


async def _keys(provider: Provider, is_fresh: bool) -> KeySet:
    made, keys = _keysets.get(provider.jwks, (0.0, None))
    age = time.monotonic() - made
    if keys is not None and age < (FRESH if is_fresh else KNOWN):
        return keys
    keys = KeySet.import_key_set(_object(await _fetched(provider.jwks)))  # type: ignore[arg-type]
    _keysets[provider.jwks] = (time.monotonic(), keys)
    return keys


def forget() -> None:
    """What providers said about themselves, and which states were used."""
    for known_ones in (_providers, _keysets, _used):
        known_ones.clear()


# -- asking it --------------------------------------------------------------------------------------------------------


class _Limited(httpx.AsyncClient):
    """A client that reads no more of an answer than any honest one has."""

    async def send(self, request: httpx.Request, **more: Any) -> httpx.Response:
        return await _bounded(await super().send(request, **{**more, 'stream': True}))


class _Client(_Limited, AsyncOAuth2Client):  # type: ignore[misc]
    """Authlib's client, limited; it is not typed."""


async def _bounded(response: httpx.Response) -> httpx.Response:
    body = b''
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise Trouble('its answer is too long')
    finally:
        await response.aclose()
    kept = [(name, value) for name, value in response.headers.items() if name.lower() == 'content-type']
    return httpx.Response(response.status_code, headers=kept, content=body, request=response.request)


def _client(provider: Provider, request: Request) -> Any:
    given = settings()
    # The provider knows which addresses it may send people back to: another Host header leads nowhere.
    base = given.public_url or str(request.base_url).rstrip('/')
    made: Any = _Client
    return made(
        given.oidc_client_id, given.oidc_client_secret.get_secret_value() or None, scope=SCOPE,
        redirect_uri=f'{base}/oidc/callback', token_endpoint_auth_method=provider.authentication,
        code_challenge_method='S256', timeout=PATIENCE, follow_redirects=False,
    )  # fmt: skip


async def _fetched(address: str) -> httpx.Response:
    async with _Limited(timeout=PATIENCE, follow_redirects=False) as client:
        return await _asked(client.get(address, headers={'Accept': 'application/json'}))


async def _asked(asking: Any) -> Any:
    """What the provider answers; whatever fails in between is `Trouble`."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await asking
    except (httpx.TransportError, TimeoutError, OSError) as error:
        raise Trouble(f'it cannot be reached ({type(error).__name__})', is_away=True) from None
    except (
        AuthlibBaseError, httpx.HTTPError, ValueError, TypeError, KeyError, AttributeError, RecursionError,
    ) as error:  # fmt: skip
        raise Trouble(f'it refused, or answered what cannot be read ({type(error).__name__})') from None


def _object(response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200:
        raise Trouble(f'it answered {response.status_code}', is_away=response.status_code >= 500)
    try:
        found = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise Trouble('it answered what is no JSON') from None
    if not isinstance(found, dict):
        raise Trouble('it answered what is no JSON object')
    return found


def _check_address(address: str) -> None:
    """Everything depends on who answers there: over https, or on this machine, as in a test."""
    try:
        parts = urlsplit(address)
        is_safe = parts.scheme == 'https' or (parts.scheme == 'http' and is_loopback(parts.netloc))
    except ValueError:
        is_safe = False
    if not is_safe:
        raise Trouble(f'{address[:100]} is not an https address')


# -- what people are told ---------------------------------------------------------------------------------------------


def _name() -> str:
    name = settings().oidc_name
    return name[:1].upper() + name[1:]


def _told(trouble: Trouble) -> Response:
    log.warning('signing in with the OIDC provider failed: %s', trouble)
    if trouble.is_away:
        text = f'{_name()} cannot be reached just now. Try again in a moment, or sign in with your password.'
        return _message('The provider does not answer', text, 502)
    text = (
        f'What {settings().oidc_name} answered does not prove who you are, so nobody was signed in. Try once more; if '
        'it happens again, tell whoever looks after the portal.'
    )
    return _message('You were not signed in', text, 502)


def _message(title: str, text: str, status: int) -> Response:
    return page('oidc.html', status, title=title, text=text, can_retry=bool(settings().oidc_issuer))
