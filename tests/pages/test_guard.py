import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
from nicegui import Client, core
from starlette.routing import Mount
from tortoise.connection import get_connection

from components import live
from components.island import Island
from models import OneTimeLink, PortalUser, Session, SessionKind, database
from models.session import token_hash
from pages import errors, guard, unread
from pages.guard import Guard

REAL = {'key': 'in-progress', 'customer_id': '1', 'kind': 'inbound_queue'}  # so that nothing is 404 for want of sense


def _routes(routes: Any) -> Iterator[tuple[str, str]]:
    """Every method and path of a route table, with something in the place of its parameters."""
    for route in routes:
        if hasattr(route, 'original_router'):  # a router that FastAPI includes lazily
            yield from _routes(route.original_router.routes)
        elif isinstance(route, Mount):
            yield 'GET', route.path + '/x'
        elif methods := getattr(route, 'methods', None):
            for method in sorted(methods):
                yield method, re.sub(r'{(\w+)(:\w+)?}', lambda found: REAL.get(found[1], 'x'), route.path)


def _sockets(routes: Any) -> set[str]:
    return {route.path for route in routes if type(route).__name__ in ('WebSocketRoute', 'APIWebSocketRoute')}


async def _kind(kind: SessionKind, user: PortalUser | None = None) -> str:
    token = f'{kind.value}-'.ljust(43, 'x')
    await Session.create(
        token_hash=token_hash(token), kind=kind, user=user, expires_at=datetime.now(UTC) + timedelta(hours=1)
    )
    return token


# -- the route table --------------------------------------------------------------------------------------------------


async def test_every_route_refuses_a_stranger_unless_it_is_in_the_one_list(portal):
    await portal.add(portal.northwind.partner, 'Émile’s Bakery')
    # Errors of a route that was reached without a session are answers here.
    stranger, open_to_all = portal.browser(raise_app_exceptions=False), []
    for method, path in _routes(portal.app.routes):
        answer = await stranger.request(method, path)
        assert 'Bakery' not in answer.text
        to_sign_in = answer.status_code == 303 and answer.headers['location'].startswith('/login')
        if guard.is_public(path):
            open_to_all.append(path)
            assert answer.status_code < 500
        else:
            assert answer.status_code == 401 or to_sign_in, f'{method} {path} gave a stranger {answer.status_code}'
    assert {'/login', '/setup', '/healthz', '/readyz', '/api/v1/readings'} <= set(open_to_all)


async def test_the_routes_that_are_checked_are_all_there_are(portal):
    paths = {path for _, path in _routes(portal.app.routes)}
    assert {'/', '/x', '/noc', '/logout', '/api/ui/tables/in-progress/export.xlsx', '/api/ui/theme'} <= paths
    assert _sockets(portal.app.routes) == {'/live'}


@pytest.mark.parametrize('kind', SessionKind)
async def test_a_kind_of_session_reaches_only_what_it_is_for(portal, kind):
    """And where it may go it gets an answer, also without a user: no kind may bring the guard down."""
    ana = portal.northwind.ana if kind == SessionKind.USER else None
    browser = portal.browser(await _kind(kind, ana))
    for method, path in [*_routes(portal.app.routes), ('GET', '/rfi/x'), ('GET', '/nocturnal'), ('GET', '/livery')]:
        if guard.is_public(path) or path == '/logout':
            continue
        answer = await browser.request(method, path)
        assert answer.status_code < 500, f'{method} {path}'
        if not guard.is_below(path, guard.REACH[kind]):
            assert answer.status_code == 404, f'{method} {path}'


@pytest.mark.parametrize('kind', [SessionKind.RFI_LINK, SessionKind.DISPLAY, SessionKind.SET_UP])
async def test_a_socket_of_a_session_without_a_user_is_refused_in_an_orderly_way(portal, wire, kind):
    token = await _kind(kind)
    async with wire(portal.app, '/live', headers={'cookie': f'{guard.COOKIE}={token}'}) as socket:
        assert (await socket.heard())['type'] == 'websocket.close'


def test_an_entry_without_a_slash_at_its_end_is_one_address():
    assert guard.is_below('/noc', ('/noc',))
    assert not guard.is_below('/nocturnal', ('/noc',))
    assert guard.is_below('/rfi/x', ('/rfi/',))
    assert not guard.is_public('/login2')
    assert not guard.is_public('/_nicegui/client/x/upload/1')


async def test_every_answer_says_what_a_browser_must_not_do_with_it(portal):
    for path in ('/login', '/', '/api/ui/session', '/healthz'):
        headers = (await portal.http.get(path)).headers
        assert headers['x-content-type-options'] == 'nosniff'
        assert headers['x-frame-options'] == 'DENY'
        assert "frame-ancestors 'none'" in headers['content-security-policy']


async def test_a_database_that_cannot_be_read_is_said_in_a_sentence(portal, monkeypatch, caplog):
    await portal.sign_in(portal.northwind.ana)

    async def fails(*_: object) -> None:
        raise OSError('disk on fire')

    monkeypatch.setattr(Session, 'live', fails)
    for path in ('/', '/audit', '/noc'):
        answer = await portal.http.get(path)
        assert (answer.status_code, answer.headers['refresh']) == (503, '8')
        assert '<h1>The database does not answer</h1>' in answer.text
        assert 'tries again by itself' in answer.text
        assert 'fire' not in answer.text
    answer = await portal.http.get('/api/ui/session')
    assert (answer.status_code, answer.json()) == (503, {'error': 'the database does not answer.'})
    answer = await portal.http.post('/api/ui/users', json={})
    assert answer.json() == {'error': 'The database does not answer. Nothing was stored: try again in a moment.'}
    caplog.clear()  # that it is logged is right here; elsewhere an ERROR fails a page test


async def test_a_database_that_cannot_be_written_is_not_ready(portal, monkeypatch):
    for method in ('GET', 'HEAD'):
        assert (await portal.http.request(method, '/readyz')).status_code == 200
        assert (await portal.http.request(method, '/healthz')).status_code == 200
    monkeypatch.setattr(database.condition, 'trouble', 'the file /srv/x was replaced')
    answer = await portal.http.get('/readyz')
    assert (answer.status_code, answer.json()) == (503, {'status': 'nothing can be stored in the database'})
    assert (await portal.http.get('/healthz')).status_code == 200


@pytest.mark.parametrize(
    'error', [sqlite3.OperationalError('disk I/O error'), asyncpg.ConnectionDoesNotExistError('gone')]
)
async def test_what_no_library_translates_is_a_sentence_as_well(portal, monkeypatch, error):
    async def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(PortalUser, 'signing_in', fails)
    answer = await portal.browser(raise_app_exceptions=False).post('/login', data={'email': 'a', 'password': 'b'})
    assert answer.status_code == 503
    assert 'Nothing was stored' in answer.text
    assert 'refresh' not in answer.headers  # it would come as a GET


async def test_whoever_holds_a_link_is_sent_to_no_dashboard_while_the_database_is_away(portal, monkeypatch, caplog):
    async def fails(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError('disk I/O error')

    monkeypatch.setattr(OneTimeLink, 'open', fails)
    answer = await portal.browser(raise_app_exceptions=False).get('/invite/' + 'A' * 43)
    assert (answer.status_code, answer.headers['refresh']) == (503, '8')
    assert 'dashboard' not in answer.text
    assert 'console' not in answer.text
    caplog.clear()


async def test_requests_wait_for_the_database_no_longer_than_all_in_all_allowed(portal, monkeypatch):
    token = (await portal.session(portal.northwind.ana))[1]
    monkeypatch.setattr(database, 'PATIENCE', 0.1)
    async with get_connection('default')._lock:
        for method, path in (('POST', '/logout'), ('POST', '/login'), ('GET', '/readyz')):
            answer = await asyncio.wait_for(portal.browser(token).request(method, path), 5)
            assert answer.status_code == 503, path
    assert (await portal.browser(token).get('/api/ui/session')).status_code == 200


# -- addresses and bodies ---------------------------------------------------------------------------------------------


async def test_an_address_that_somebody_types_leads_to_where_it_should(portal):
    await portal.sign_in(portal.northwind.ana)
    for typed, target in (('/customers', '/customers/in-progress'), ('/noc/', '/noc'), ('/logout', '/')):
        answer = await portal.http.get(typed)
        assert (answer.status_code, answer.headers['location']) == (303, target)
    assert (await portal.http.get('/api/ui/session')).status_code == 200  # nobody is signed out by an address
    assert (await portal.browser().head('/login')).status_code == 200
    answer = await portal.http.get('/api/v1/readings')
    assert (answer.status_code, answer.headers['allow'], 'POST' in answer.json()['error']) == (405, 'POST', True)


@pytest.mark.parametrize('is_announced', [True, False])
@pytest.mark.parametrize('path', ['/login', '/api/ui/theme'])
async def test_a_body_that_is_too_long_is_refused_before_it_is_read(portal, path, is_announced, monkeypatch):
    await portal.sign_in(portal.northwind.ana)
    monkeypatch.setattr(unread, 'MOST', 0)  # so that the rest does not come in for a proxy's sake
    taken = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += 16384
            yield b'x' * 16384

    headers = {'content-length': str(100 * 16384)} if is_announced else {}
    answer = await portal.http.post(path, content=parts(), headers=headers)
    assert answer.status_code == (401 if path == '/login' and not is_announced else 413)  # which reads even less of it
    assert taken < 100 * 16384
    if is_announced:
        assert answer.json() == {'error': guard.TOO_LONG}


# -- where a request comes from ---------------------------------------------------------------------------------------

FOREIGN = {
    'another host': 'http://evil.example',
    'another port': 'http://test:8081',
    'null': 'null',
    'lookalike': 'http://test.evil.example',
    'prefix': 'http://tes',
    'with a user': 'http://test@evil.example',
    'broken': 'http://[',
    'empty': '',
}


@pytest.fixture
async def ana(sqlite_db, northwind) -> SimpleNamespace:
    """Ana with two sessions, in front of a guard with nothing behind it but a note of what came through."""
    first, token = await Session.open(northwind.ana, lasts=timedelta(hours=1), address='', agent='')
    second, other_token = await Session.open(northwind.ana, lasts=timedelta(hours=1), address='', agent='')
    came: list[dict] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        came.append(scope)
        await send({'type': 'websocket.accept'})

    return SimpleNamespace(
        guard=Guard(inner, failed=errors.database_failed), came=came, first=first, second=second, user=northwind.ana,
        cookie=f'{guard.COOKIE}={token}', other_cookie=f'{guard.COOKIE}={other_token}',
    )  # fmt: skip


SOCKETS = ['/live', '/_nicegui_ws/socket.io/']


@pytest.mark.parametrize('path', SOCKETS)
async def test_a_socket_of_the_same_origin_with_a_session_is_let_in(ana, wire, path):
    async with wire(ana.guard, path, headers={'cookie': ana.cookie}) as socket:
        assert (await socket.heard())['type'] == 'websocket.accept'
    assert ana.came[0]['state']['session'].id == ana.first.id


@pytest.mark.parametrize('path', SOCKETS)
@pytest.mark.parametrize('origin', [*FOREIGN.values(), None], ids=[*FOREIGN, 'missing'])
async def test_a_socket_of_another_origin_is_refused(ana, wire, path, origin):
    async with wire(ana.guard, path, headers={'cookie': ana.cookie, 'origin': origin}) as socket:
        assert (await socket.heard())['type'] == 'websocket.close'
    assert not ana.came


@pytest.mark.parametrize('path', SOCKETS)
async def test_a_socket_without_a_session_that_goes_on_is_refused(ana, wire, path):
    async with wire(ana.guard, path) as socket:
        assert (await socket.heard())['type'] == 'websocket.close'
    await ana.first.end(because='signed out')
    async with wire(ana.guard, path, headers={'cookie': ana.cookie}) as socket:
        assert (await socket.heard())['type'] == 'websocket.close'
    assert not ana.came


@pytest.mark.parametrize('origin', FOREIGN.values(), ids=FOREIGN)
async def test_a_post_from_another_site_is_refused(portal, origin):
    await portal.sign_in(portal.northwind.ana)
    for path in ('/login', '/logout', '/api/ui/theme', '/setup'):
        answer = await portal.http.post(path, json={'theme': 'dark'}, headers={'origin': origin})
        assert answer.status_code == 403
    assert (await PortalUser.get(id=portal.northwind.ana.id)).theme == 'system'
    assert (await portal.http.get('/api/ui/session')).status_code == 200


async def test_a_post_of_our_own_page_is_let_through(portal):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post('/api/ui/theme', json={'theme': 'dark'}, headers={'origin': 'http://test'})
    assert answer.status_code == 200
    assert (await PortalUser.get(id=portal.northwind.ana.id)).theme == 'dark'


@pytest.mark.parametrize(
    'body', [b'', b'{', b'[]', b'null', b'[' * 60_000, b'{"theme": 7}', b'{"theme": "pink"}', b'\xff\xfe']
)
async def test_a_theme_that_there_is_not_is_refused_with_a_sentence(portal, body):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post('/api/ui/theme', content=body)
    assert answer.status_code == 422
    assert set(answer.json()) == {'error', 'field'}


# -- pages belong to the session that opened them ---------------------------------------------------------------------


@pytest.fixture
def page_of_first(ana, monkeypatch) -> str:
    """A page that the first session has opened."""
    monkeypatch.setitem(Client.instances, 'page-1', SimpleNamespace())
    monkeypatch.setitem(guard._owners, 'page-1', ana.first.id)
    return 'page-1'


@pytest.mark.parametrize(
    'query', ['client_id={}', 'implicit_handshake=true&client_id={}', 'client_id={}&client_id=other']
)
async def test_a_page_cannot_be_joined_by_another_session_not_even_of_the_same_user(ana, wire, page_of_first, query):
    path, query = '/_nicegui_ws/socket.io/', query.format(page_of_first)
    async with wire(ana.guard, path, headers={'cookie': ana.other_cookie}, query=query) as socket:
        assert (await socket.heard())['type'] == 'websocket.close'
    assert not ana.came
    async with wire(ana.guard, path, headers={'cookie': ana.cookie}, query=query) as socket:
        assert (await socket.heard())['type'] == 'websocket.accept'


async def test_a_page_that_nobody_owns_cannot_be_joined(ana, wire, page_of_first):
    guard._owners.clear()
    path, query = '/_nicegui_ws/socket.io/', f'client_id={page_of_first}'
    async with wire(ana.guard, path, headers={'cookie': ana.cookie}, query=query) as socket:
        assert (await socket.heard())['type'] == 'websocket.close'


async def test_an_unknown_page_is_left_to_the_framework_which_starts_it_anew(ana, wire):
    path = '/_nicegui_ws/socket.io/'
    async with wire(ana.guard, path, headers={'cookie': ana.cookie}, query='client_id=gone') as socket:
        assert (await socket.heard())['type'] == 'websocket.accept'


async def test_the_socket_is_no_socket_over_http(portal):
    await portal.sign_in(portal.northwind.ana)
    for method in ('GET', 'POST'):
        answer = await portal.http.request(method, '/_nicegui_ws/socket.io/?EIO=4&transport=polling')
        assert answer.status_code == 404


async def test_an_upload_to_a_page_of_another_session_is_refused(portal):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/')
    eve = await portal.signed_in(portal.fabrikam.eve)
    path = f'/_nicegui/client/{client.id}/upload/1'
    assert (await portal.browser().post(path)).status_code == 401
    assert (await eve.post(path)).status_code == 404


@pytest.mark.parametrize('data', [None, [], 'x', {}, {'client_id': 'page-1'}, {'client_id': [], 'tab_id': 1}])
async def test_a_malformed_handshake_is_refused(data):
    async def handler(sid: str, data: Any) -> bool:
        raise AssertionError('reached')

    assert await guard._checked_handshake(handler)('sid', data) is False


@pytest.mark.parametrize('value', [[], {}, None, 7, 'x'])
async def test_a_handshake_with_wrong_types_is_refused_without_a_traceback(portal, value):
    check = core.sio.handlers['/']['handshake']
    for name in ('client_id', 'tab_id', 'document_id'):
        data = {'client_id': 'x', 'tab_id': 'x', 'document_id': 'x', name: value}
        assert await check('test-sid', data) is False


async def test_a_handshake_names_a_page_of_its_own_session(ana, page_of_first, monkeypatch):
    sockets = {'mine': ana.first, 'other': ana.second, 'none': None}

    def environ(sid: str) -> dict:
        session = sockets[sid]
        return {'asgi.scope': {'state': {'session': session} if session else {}}}

    async def handler(sid: str, data: Any) -> bool:
        return True

    monkeypatch.setattr(core.sio, 'get_environ', environ)
    check = guard._checked_handshake(handler)
    data = {'client_id': page_of_first, 'tab_id': 't', 'document_id': 'd'}
    assert [await check(sid, data) for sid in sockets] == [True, False, False]


# -- what is said on a page's socket ----------------------------------------------------------------------------------


@pytest.fixture
def preferred(monkeypatch) -> list[Any]:
    """What a page has asked to be remembered."""
    kept: list[Any] = []

    async def prefer(self: PortalUser, key: str, value: Any) -> None:
        kept.append((self.email, value))

    monkeypatch.setattr(PortalUser, 'prefer', prefer)
    return kept


def _columns_event(client: Client, width: int) -> dict[str, Any]:
    island = next(element for element in client.elements.values() if isinstance(element, Island))
    listener = next(each for each in island._event_listeners.values() if each.type == 'columns')
    return {'client_id': client.id, 'id': island.id, 'listener_id': listener.id, 'args': [f'{{"width":{width}}}']}


async def test_an_event_counts_only_from_the_socket_of_the_page_it_names(portal, preferred, until):
    await portal.sign_in(portal.northwind.ana)
    anas = await portal.user.open('/customers/complete')
    event = core.sio.handlers['/']['event']
    await portal.sign_in(portal.fabrikam.eve)
    eves = await portal.user.open('/customers/complete')
    (anas_socket,), (eves_socket,) = anas._socket_to_document_id, eves._socket_to_document_id
    event(eves_socket, _columns_event(anas, 1))
    event('nobody', _columns_event(anas, 2))
    event(anas_socket, _columns_event(anas, 3))
    await until(lambda: preferred)
    assert preferred == [('ana@northwind.example', {'width': 3})]


async def test_a_page_whose_session_is_over_does_nothing_more(portal, preferred, until, monkeypatch):
    session = await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/customers/complete')
    (socket,) = client._socket_to_document_id
    asked = []
    over = Session.over

    async def noting(ids: set[int]) -> set[int]:
        asked.append(ids)
        return await over(ids)

    monkeypatch.setattr(Session, 'over', noting)
    await Session.filter(id=session.id).update(ended_at=datetime.now(UTC))  # another process, so no event
    core.sio.handlers['/']['event'](socket, _columns_event(client, 1))
    await until(lambda: asked)
    assert await guard.viewer(client) is None
    assert not preferred


@pytest.mark.parametrize('name', ['event', 'javascript_response', 'ack', 'log'])
async def test_every_kind_of_message_is_checked(portal, name, monkeypatch):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/')
    reached = []
    method = {'event': 'handle_event', 'log': 'handle_log_message', 'javascript_response': 'handle_javascript_response'}
    if name == 'ack':
        monkeypatch.setattr(client.outbox, 'prune_history', reached.append)
    else:
        monkeypatch.setattr(client, method[name], reached.append)
    message = {'client_id': client.id, 'next_message_id': 1, 'request_id': 'x', 'level': 'info', 'message': 'x'}
    handler = core.sio.handlers['/'][name]
    handler('foreign', message)
    handler('foreign', {**message, 'client_id': 'unknown'})
    assert not reached
    handler(next(iter(client._socket_to_document_id)), message)
    assert len(reached) == 1


@pytest.mark.parametrize('name', ['event', 'javascript_response', 'ack', 'log'])
async def test_a_malformed_message_is_dropped_without_a_traceback(portal, name):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/customers/complete')
    (socket,) = client._socket_to_document_id
    handler = core.sio.handlers['/'][name]
    good = _columns_event(client, 1)
    for message in (
        None, 7, 'x', [], {}, {'client_id': None}, {'client_id': []}, {'client_id': {}}, {'client_id': client.id},
        {**good, 'id': []}, {**good, 'args': 7}, {**good, 'args': ['{']}, {**good, 'args': None},
        {**good, 'listener_id': []}, {**good, 'args': [7]}, {'client_id': client.id, 'request_id': []},
        {'client_id': client.id, 'next_message_id': 'x'}, {'client_id': client.id, 'next_message_id': None},
        {'client_id': client.id, 'level': 'shout', 'message': 'x'}, {'client_id': client.id, 'level': []},
    ):  # fmt: skip
        handler(socket, message)
    assert (await portal.http.get('/')).status_code == 200


FRAMES = [
    'garbage', '', '4', '9', '2', '5', '4x', '42', '42[', '42{}', '42[]', '42[7]', '42[[]]', '42"event"', '40{"a":',
    '40[]', '43', '43[]', '44{}', '451-["event",{"_placeholder":true,"num":0}]', '42/admin,["event",{}]',
    '42' + '[' * 100_000, '42' + '9' * 200 + '["event"]', 'b4', '\x00',
]  # fmt: skip


@pytest.mark.parametrize('frame', FRAMES, ids=lambda frame: repr(frame[:30]))
async def test_a_frame_that_no_page_would_send_ends_the_socket_without_a_traceback(portal, wire, frame, caplog):
    token = (await portal.session(portal.northwind.ana))[1]
    headers = {'cookie': f'{guard.COOKIE}={token}', 'connection': 'upgrade', 'upgrade': 'websocket'}
    async with wire(
        portal.app, '/_nicegui_ws/socket.io/', headers=headers, query='EIO=4&transport=websocket'
    ) as socket:
        assert (await socket.heard())['type'] == 'websocket.accept'
        assert (await socket.heard())['type'] == 'websocket.send'
        socket.say(frame)
        assert (await socket.heard())['type'] == 'websocket.close'
    assert not [record for record in caplog.records if record.exc_info]
    assert 'no page of ours would send' in caplog.text


async def test_a_message_with_too_few_or_too_many_parts_is_dropped(portal):
    handlers = core.sio.handlers['/']
    for parts in ((), ({}, {}), ({}, {}, {})):
        for name in ('event', 'javascript_response', 'ack', 'log'):
            assert handlers[name]('socket', *parts) is None
        assert await handlers['handshake']('socket', *parts) is False


# -- the end of a session ---------------------------------------------------------------------------------------------


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """The scripts that pages were sent."""
    scripts: list[str] = []
    run = Client.run_javascript

    def noting(self: Client, code: str, **more: Any) -> Any:
        scripts.append(code)
        return run(self, code, **more)

    monkeypatch.setattr(Client, 'run_javascript', noting)
    monkeypatch.setattr(guard, 'LEAVING', 0.01)
    return scripts


TO_SIGN_IN = 'window.portalLeave ? portalLeave() : location.replace("/login")'


@pytest.mark.parametrize('how', ['signs out', 'is disabled', 'has a new password'])
async def test_who_signs_out_or_is_disabled_loses_the_open_pages(portal, wire, until, told, how):
    ana = portal.northwind.ana
    session, token = await portal.session(ana)
    portal.http.cookies.set(guard.COOKIE, token)
    client = await portal.user.open('/customers/complete')
    async with wire(portal.app, '/live', headers={'cookie': f'{guard.COOKIE}={token}'}) as socket:
        assert [(await socket.heard())['type'] for _ in range(3)] == ['websocket.accept'] + ['websocket.send'] * 2
        if how == 'signs out':
            await portal.http.post('/logout')
        elif how == 'is disabled':
            await ana.disable(datetime.now(UTC))
        else:
            await ana.set_password('another long password')
        while '"t":"h"' in (last := await socket.heard()).get('text', ''):
            pass  # a heartbeat, where the machine is slow
        assert last == {'type': 'websocket.send', 'text': '{"t":"bye"}'}
        assert (await socket.heard())['type'] == 'websocket.close'
    assert told.count(TO_SIGN_IN) == 1
    await until(lambda: client.is_deleted)
    assert client.id not in Client.instances
    assert client.id not in guard._owners
    assert session.id not in live.hub.session_ids()
    assert (await portal.browser(token).get('/')).status_code == 303


async def test_a_page_that_was_taken_away_is_not_deleted_again_by_the_framework(portal, until, told, caplog):
    session = await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/customers/complete')
    client.page.reconnect_timeout = 0.05
    client.handle_disconnect(next(iter(client._socket_to_document_id)))  # the browser is on its way to sign-in
    await session.end(because='signed out')
    await until(lambda: client.is_deleted)
    await asyncio.sleep(0.1)
    assert [record for record in caplog.records if record.exc_info] == []


async def test_the_pages_of_others_stay(portal, told):
    await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/')
    other, _ = await portal.session(portal.northwind.ana)
    await other.end(because='signed out')
    assert TO_SIGN_IN not in told
    assert not client.is_deleted


@pytest.fixture
def sweep_until(until, monkeypatch) -> Callable[[Callable[[], Any]], Awaitable[None]]:
    """Sweep again and again until what is given is true."""

    async def sweep_until(check: Callable[[], Any]) -> None:
        monkeypatch.setattr(guard, 'SWEEP', 0.01)
        sweeping = asyncio.ensure_future(guard.sweep_forever())
        try:
            await until(check)
        finally:
            sweeping.cancel()

    return sweep_until


@pytest.mark.parametrize('how', ['ended', 'expired', 'disabled'])
async def test_the_sweep_notices_what_another_process_ended(portal, sweep_until, told, how):
    session = await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/')
    now = datetime.now(UTC)
    if how == 'ended':
        await Session.filter(id=session.id).update(ended_at=now)
    elif how == 'expired':
        await Session.filter(id=session.id).update(expires_at=now)
    else:
        await PortalUser.filter(id=session.user_id).update(disabled_at=now)
    await sweep_until(lambda: client.is_deleted)
    assert TO_SIGN_IN in told


async def test_the_sweep_goes_on_when_the_database_fails_once(portal, sweep_until, monkeypatch):
    session = await portal.sign_in(portal.northwind.ana)
    client = await portal.user.open('/')
    await Session.filter(id=session.id).update(ended_at=datetime.now(UTC))
    over, failures = Session.over, []

    async def fails_once(ids: set[int]) -> set[int]:
        if not failures:
            failures.append(ids)
            raise OSError('locked')
        return await over(ids)

    monkeypatch.setattr(Session, 'over', fails_once)
    await sweep_until(lambda: client.is_deleted)
    assert failures


def test_the_ends_of_sessions_are_seen_within_five_seconds():
    assert guard.SWEEP + guard.LEAVING < 5
