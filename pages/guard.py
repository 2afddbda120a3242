"""Who may reach what: the one check in front of every page, route and socket.

Pure ASGI, because HTTP middleware sees neither sockets nor moves inside a page. NiceGUI itself accepts sockets from any
origin and takes a client's id for proof of identity; here a page belongs to the session that opened it, and every
message must come through a socket of the client it names.
"""

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote

from nicegui import Client, background_tasks, core
from nicegui.version import __version__
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from components import live, theme
from models import PortalUser, Session, SessionKind, database, events
from pages.kept import Kept
from pages.proxies import is_own_origin, is_secure, netloc
from settings import settings

log = logging.getLogger(__name__)

COOKIE = 'portal_session'
# Its name over https: a browser takes it from this very host only, encrypted, and from no neighbouring site.
SECURE_COOKIE = f'__Host-{COOKIE}'

# Everything that needs no session. `/api/v1/` asks for a bearer token instead; set-up for its one-time code.
PUBLIC = (
    '/login', '/forgot', '/invite/', '/reset/', '/login/code', '/login/enrol', '/oidc/start', '/oidc/callback',
    '/rfi/', '/setup', '/healthz', '/readyz', '/favicon.ico', '/assets/', '/_nicegui/', '/api/v1/',
    '/.well-known/jwks.json', '/demo-console',
)  # fmt: skip
# What is below /_nicegui/ and belongs to one page all the same (uploads).
_OF_A_CLIENT = '/_nicegui/client/'
# The framework's own socket.
_SOCKET = '/_nicegui_ws/'
# The framework's own files: their address has its version, so a browser may keep them.
_STATIC = f'/_nicegui/{__version__}/'
OUR_ASSETS = f'/assets/{theme.version()}/'
# How far each kind of session reaches: as in PUBLIC, an entry that ends with a slash is everything below it.
REACH: dict[SessionKind, tuple[str, ...]] = {
    SessionKind.USER: ('/',),
    SessionKind.RFI_LINK: ('/rfi/',),
    SessionKind.DISPLAY: ('/noc', '/live', '/api/ui/session', '/api/ui/overview'),
    SessionKind.SET_UP: ('/setup',),
}
MAX_BODY = 64 * 1024  # bytes of what a form or a page of ours sends
# Readings, notes, uploads, files to import: larger, and each route sees to its own.
_OWN_LIMIT = ('/api/v1/', '/api/ui/customers/', '/api/ui/imports', '/api/ui/settings/logo')
TOO_LONG = f'The body is longer than {MAX_BODY // 1024} KB.'
SWEEP = 2.0  # seconds between two looks for sessions that another process ended or that expired
LEAVING = 1.0  # seconds in which a page of an ended session may go to sign-in before its socket is taken away

# Which session opened which NiceGUI client.
_owners: dict[str, int] = {}

_HEADERS = [
    (b'x-content-type-options', b'nosniff'),
    (b'referrer-policy', b'same-origin'),
    (b'x-frame-options', b'DENY'),
    (b'cross-origin-opener-policy', b'same-origin'),
    (b'cross-origin-resource-policy', b'same-origin'),
    (
        b'permissions-policy',
        b'accelerometer=(), autoplay=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), '
        b'gyroscope=(), hid=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()',
    ),
]
# Over https only. Not for the preload lists of browsers: that is for the owner of the domain to decide.
_HSTS = (b'strict-transport-security', b'max-age=31536000')
# Of everything that is no page of the framework. The two hashes are those of what theme.head() writes into a page.
STRICT = (
    f"default-src 'none'; script-src 'self' {theme.SCRIPT_HASH}; style-src 'self' {theme.style_hash()}; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
# Of a page of the framework: it compiles templates in the browser and writes scripts into the page. Handlers in the
# HTML, which is what slips in with a text that became HTML, are refused all the same.
OF_FRAMEWORK = (
    "default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; script-src-attr 'none'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def is_public(path: str) -> bool:
    if path.startswith(_OF_A_CLIENT):
        return False
    return is_below(path, PUBLIC)


def is_below(path: str, entries: tuple[str, ...]) -> bool:
    return any(path == entry or (entry.endswith('/') and path.startswith(entry)) for entry in entries)


def is_kept(path: str) -> bool:
    """Whether what is at this address never changes."""
    return path.startswith((_STATIC, OUR_ASSETS)) and not path.startswith(_STATIC + 'dynamic_resources/')


def cookie_name(connection: HTTPConnection) -> str:
    return SECURE_COOKIE if is_secure(connection) else COOKIE


def token_of(connection: HTTPConnection) -> str:
    """The session's token as this browser holds it; over https no other cookie counts."""
    return connection.cookies.get(cookie_name(connection), '')


def keep_token(response: Response, connection: HTTPConnection, token: str, seconds: int) -> None:
    """Have the browser hold this token; out of reach of scripts, and of other sites' forms."""
    response.set_cookie(
        cookie_name(connection), token, max_age=seconds, httponly=True, samesite='lax', secure=is_secure(connection)
    )


def forget_token(response: Response, connection: HTTPConnection) -> None:
    secure = is_secure(connection)
    response.delete_cookie(cookie_name(connection), httponly=True, samesite='lax', secure=secure)


def session_of(connection: HTTPConnection) -> Session:
    """The session that the guard found for this request."""
    return connection.scope['state']['session']


def user_of(connection: HTTPConnection) -> PortalUser:
    """Who is asking; for a session that is nobody's (a screen, a link) what needs somebody is not there."""
    user = session_of(connection).user
    if user is None:
        raise HTTPException(404)
    return user


class Guard:
    def __init__(self, app: ASGIApp, *, failed: Callable[[Request, Exception], Awaitable[Response]]) -> None:
        self.app, self.failed = app, failed
        self.kept = Kept(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] not in ('http', 'websocket'):
            await self.app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        if scope['type'] == 'websocket':
            if await self._refusal(scope, connection) is not None:
                await send({'type': 'websocket.close', 'code': 1008})
            else:
                of_framework = scope['path'].startswith(_SOCKET)
                await self.app(scope, _well_formed(receive) if of_framework else receive, send)
            return
        send = _with_headers(send, scope['path'], is_secure(connection))
        with database.patience(database.PATIENCE):
            refusal = await self._refusal(scope, connection)
            if refusal is None:
                app = self.kept if is_kept(scope['path']) else self.app
                await app(scope, _bounded(receive, scope['path']), send)
            else:
                await refusal(scope, receive, send)

    async def _refusal(self, scope: Scope, connection: HTTPConnection) -> Response | None:
        path, is_socket = scope['path'], scope['type'] == 'websocket'
        origin = connection.headers.get('origin')
        writes = not is_socket and scope['method'] not in ('GET', 'HEAD', 'OPTIONS')
        bearer = path.startswith('/api/v1/')
        asks = is_socket or (writes and origin is not None and not bearer)
        if asks and not is_own_origin(origin, connection):
            return JSONResponse({'error': _from_elsewhere(origin, connection)}, 403)
        announced = connection.headers.get('content-length', '')
        if announced.isdecimal() and not is_below(path, _OWN_LIMIT) and int(announced[:20]) > MAX_BODY:
            return JSONResponse({'error': TOO_LONG}, 413)
        if is_public(path) and not is_socket:
            return None
        try:
            session = await Session.live(token_of(connection))
        except database.FAILURES as error:
            database.condition.tell(log, 'sessions cannot be read', error)
            return Response(status_code=503) if is_socket else await self.failed(Request(scope), error)
        if session is None:
            return _ask_to_sign_in(connection, path)
        if not is_below(path, REACH[session.kind]):
            return JSONResponse({'error': 'Not found.'}, 404)
        if path.startswith(_SOCKET):
            client_id = parse_qs(scope.get('query_string', b'').decode('latin-1')).get('client_id', [''])[0]
            if not is_socket or _owners.get(client_id) not in (None, session.id):
                return JSONResponse({'error': 'Not found.'}, 404)
            # An unknown client is let in to be told so by the framework (the page then starts anew).
            if client_id in Client.instances and client_id not in _owners:
                return JSONResponse({'error': 'Not found.'}, 404)
        of_client = path.removeprefix(_OF_A_CLIENT).split('/')[0] if path.startswith(_OF_A_CLIENT) else None
        if of_client is not None and _owners.get(of_client) != session.id:
            return JSONResponse({'error': 'Not found.'}, 404)
        scope.setdefault('state', {})['session'] = session
        return None


def _from_elsewhere(origin: str | None, connection: HTTPConnection) -> str:
    if settings().public_url and netloc(origin or '') == connection.headers.get('host', '').lower():
        return f'This portal is used at {settings().public_url}/. Open it there.'
    return 'This request comes from another site.'


def _ask_to_sign_in(connection: HTTPConnection, path: str) -> Response:
    wants_page = connection.scope['type'] == 'http' and connection.scope['method'] in ('GET', 'HEAD')
    if not wants_page or path.startswith(('/api/', '/_nicegui')):
        return JSONResponse({'error': 'Sign in first.'}, 401)
    target = path + (f'?{connection.url.query}' if connection.url.query else '')
    return RedirectResponse('/login' + (f'?next={quote(target, safe="/")}' if target != '/' else ''), 303)


def _bounded(receive: Receive, path: str) -> Receive:
    """No more of a body than it may be long, also where its length was not announced."""
    if is_below(path, _OWN_LIMIT):
        return receive
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get('body', b''))
        if taken > MAX_BODY:
            raise HTTPException(413, TOO_LONG)
        return message

    return receiving


def _well_formed(receive: Receive) -> Receive:
    """End the framework's socket at the first frame that its script would never send: each would be a traceback."""

    async def receiving() -> Message:
        message = await receive()
        if message['type'] == 'websocket.receive' and not _is_frame(message.get('text')):
            log.warning('a page’s socket was closed: it was sent what no page of ours would send')
            return {'type': 'websocket.disconnect', 'code': 1008}
        return message

    return receiving


_FRAME = re.compile(r'[13]|4[01](?P<greeting>{.*})?|42\d{0,9}(?P<event>\[.*\])|43\d{1,9}(?P<ack>\[.*\])', re.DOTALL)


def _is_frame(text: str | None) -> bool:
    """Close, pong; or join, leave, an event with its name, an answer, with JSON that can be read."""
    found = _FRAME.fullmatch(text or '')
    if found is None:
        return False
    try:
        said = json.loads(found['greeting'] or found['event'] or found['ack'] or '{}')
    except (ValueError, RecursionError):
        return False
    return found['event'] is None or bool(said and isinstance(said[0], str))


def _with_headers(send: Send, path: str, secure: bool) -> Send:
    kept = path.startswith(_STATIC) and is_kept(path)

    async def sending(message: Message) -> None:
        if message['type'] == 'http.response.start':
            given = list(message['headers'])
            if kept and message['status'] == 200:
                given = [header for header in given if header[0] != b'cache-control']
                given.append((b'cache-control', core.app.config.cache_control_directives.encode()))
            present = {name for name, _ in given}
            policy = OF_FRAMEWORK if b'x-nicegui-content' in present else STRICT
            wanted = [*_HEADERS, (b'content-security-policy', policy.encode()), *([_HSTS] if secure else [])]
            # A route's own say goes before: a document's policy is tighter, a form to another site names it.
            message['headers'] = [*given, *(header for header in wanted if header[0] not in present)]
        await send(message)

    return sending


# -- pages and sockets that are open ----------------------------------------------------------------------------------


def own(client: Client, session: Session) -> None:
    """Note that this page belongs to this session; to be called while the page is built."""
    _owners[client.id] = session.id
    client.on_delete(lambda: _owners.pop(client.id, None))


async def viewer(client: Client) -> PortalUser | None:
    """Who looks at this page, asked anew: for handlers that act. None when the session is over."""
    session_id = _owners.get(client.id)
    if session_id is None or session_id in await Session.over({session_id}):
        return None
    session = await Session.get(id=session_id).select_related('user')
    return session.user


def protect_sockets() -> None:
    """Check every message of NiceGUI's socket to come from a socket of the client that it names."""
    handlers: MutableMapping[str, Callable[..., Any]] = core.sio.handlers['/']
    for name in ('event', 'javascript_response', 'ack', 'log'):
        if not hasattr(handlers[name], 'checked'):
            handlers[name] = _checked(handlers[name])
    if not hasattr(handlers['handshake'], 'checked'):
        handlers['handshake'] = _checked_handshake(handlers['handshake'])


def _checked(handler: Callable[..., Any]) -> Callable[..., Any]:
    def check(sid: str, message: Any = None, *_: Any) -> Any:
        client_id = message.get('client_id') if isinstance(message, dict) else None
        client = Client.instances.get(client_id) if isinstance(client_id, str) else None
        if client is None or sid not in client._socket_to_document_id:
            return None
        try:
            return handler(sid, message)
        except (KeyError, TypeError, ValueError, AttributeError):  # a message that no page of ours would send
            log.warning('a malformed message on a page’s socket was dropped')
            return None

    check.checked = True  # type: ignore[attr-defined]
    return check


def _checked_handshake(handler: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
    async def check(sid: str, data: Any = None, *_: Any) -> bool:
        names = ('client_id', 'tab_id', 'document_id')
        if not isinstance(data, dict) or not all(isinstance(data.get(name), str) for name in names):
            return False
        if not sid.startswith('test-'):
            environ = core.sio.get_environ(sid) or {}
            session = environ.get('asgi.scope', {}).get('state', {}).get('session')
            if session is None or _owners.get(data['client_id']) != session.id:
                return False
        return await handler(sid, data)

    check.checked = True  # type: ignore[attr-defined]
    return check


def end_pages(session_ids: list[int]) -> None:
    """Send the open pages of these sessions to sign-in and take their sockets away."""
    ended = set(session_ids)
    live.hub.end(ended)
    for client_id in [c for c, session_id in _owners.items() if session_id in ended]:
        client = Client.instances.get(client_id)
        if client is None:
            _owners.pop(client_id, None)
            continue
        # Not by itself where the live socket has told the page to: two navigations at once can crash a tab.
        client.run_javascript('window.portalLeave ? portalLeave() : location.replace("/login")')
        background_tasks.create(_take_away(client), name='ending a page')


async def _take_away(client: Client) -> None:
    await asyncio.sleep(LEAVING)  # time for the message that sends the browser to sign-in
    for sid in list(client._socket_to_document_id):
        await core.sio.disconnect(sid)
    for document_id in list(client._delete_tasks):  # the framework would delete it a second time, for want of a socket
        client._cancel_delete_task(document_id)
    if not client.is_deleted:
        client.delete()


async def sweep_forever() -> None:
    """Notice sessions that expired or that another process ended, and roles and sights that it changed."""
    while True:
        await asyncio.sleep(SWEEP)
        try:
            over = await Session.over({*_owners.values(), *live.hub.session_ids()})
            if over:
                end_pages(list(over))
            await live.hub.check_standings()
        except database.FAILURES as error:
            database.condition.tell(log, 'sessions could not be checked; trying again', error)


def watch_sessions() -> None:
    events.SESSIONS_ENDED.subscribe(end_pages)
