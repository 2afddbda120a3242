"""What proxies say about a request, and from whom it is believed; cookies, origins and headers that follow from it."""

from ipaddress import ip_network

import pytest

from models import Session
from pages import guard, proxies
from pages.proxies import client_of
from settings import Settings, settings

PROXY, VISITOR = '10.0.0.2', '203.0.113.7'
PUBLIC = 'https://portal.example.com'
SAID = {'x-forwarded-for': VISITOR, 'x-forwarded-proto': 'https', 'x-forwarded-host': 'portal.example.com'}


@pytest.fixture
def behind(monkeypatch):
    """Set the settings of a portal that stands behind proxies."""

    def set_to(proxies: str = '10.0.0.0/24', public: str = '') -> None:
        monkeypatch.setenv('PORTAL_TRUSTED_PROXIES', proxies)
        monkeypatch.setenv('PORTAL_PUBLIC_URL', public)
        settings.cache_clear()

    return set_to


def _from(portal, address, **more):
    return portal.browser(client=(address, 4711), **more)


async def _sign_in(portal, browser, **headers):
    form = {'email': 'ana@northwind.example', 'password': portal.password}
    return await browser.post('/login', data=form, headers=headers)


# -- the visitor's address --------------------------------------------------------------------------------------------

TRUSTED = (ip_network('10.0.0.0/24'), ip_network('2001:db8:1::/64'))


@pytest.mark.parametrize(('forwarded', 'client'), [
    ([], PROXY),
    ([VISITOR], VISITOR),
    (['198.51.100.1, 203.0.113.7'], VISITOR),                    # what stands left of it, the visitor wrote
    (['10.0.0.9, 203.0.113.7'], VISITOR),
    ([VISITOR + ', 10.0.0.3'], VISITOR),                         # two proxies of ours
    (['198.51.100.1', VISITOR], VISITOR),                        # two headers are one list
    (['10.0.0.4, 10.0.0.3'], '10.0.0.4'),                        # one of ours asks for itself
    ([VISITOR + ':8443'], VISITOR),
    (['[2001:db8:2::7]:8443'], '2001:db8:2::7'),
    (['2001:db8:2::7, 2001:db8:1::1'], '2001:db8:2::7'),
    (['::ffff:203.0.113.7'], VISITOR),
    ([VISITOR + ', unknown'], PROXY),                            # whom the nearest proxy could not name
    (['<script>'], PROXY),
    ([''], PROXY),
    ([', ,'], PROXY),
    ([', '.join(['198.51.100.1'] * 5000)], '198.51.100.1'),
    ([', '.join([VISITOR, *['10.0.0.3'] * 5000])], '10.0.0.3'),  # searched no further than there are proxies
])  # fmt: skip
def test_the_visitor_is_the_nearest_who_is_no_proxy_of_ours(forwarded, client):
    assert client_of(PROXY, forwarded, TRUSTED) == client


async def test_sessions_know_the_visitors_address_and_not_the_proxys(portal, behind):
    behind()
    await _sign_in(portal, _from(portal, PROXY), **{'x-forwarded-for': f'198.51.100.1, {VISITOR}'})
    assert (await Session.get()).address == VISITOR


@pytest.mark.parametrize('trusted', ['', '10.0.0.2/32', '127.0.0.1'])
async def test_nobody_else_is_believed(portal, behind, trusted):
    behind(trusted)
    stranger = _from(portal, '198.51.100.9')
    answer = await _sign_in(portal, stranger, **SAID, **{'x-real-ip': VISITOR, 'forwarded': f'for={VISITOR}'})
    assert (await Session.get()).address == '198.51.100.9'
    assert 'secure' not in answer.headers['set-cookie'].lower()
    assert 'strict-transport-security' not in answer.headers


async def test_the_machine_itself_is_believed_only_when_it_is_named(portal, behind):
    behind('')
    await _sign_in(portal, _from(portal, '127.0.0.1'), **SAID)
    assert (await Session.get()).address == '127.0.0.1'


async def test_tries_are_counted_by_the_visitor_and_not_by_the_proxy(portal, behind):
    """Behind a proxy everybody would wait for one attacker; and an attacker who writes addresses gets no new tries."""
    behind()
    proxy = _from(portal, PROXY)

    async def fail(forwarded: str, number: int) -> int:
        form = {'email': f'nobody{number}@northwind.example', 'password': 'wrong wrong wrong'}
        return (await proxy.post('/login', data=form, headers={'x-forwarded-for': forwarded})).status_code

    statuses = [await fail(f'198.51.100.{number}, {VISITOR}', number) for number in range(7)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert await fail('203.0.113.8', 99) == 401


# -- https ------------------------------------------------------------------------------------------------------------


async def test_behind_an_https_proxy_the_cookie_is_secure_and_of_this_host_alone(portal, behind):
    behind()
    proxy = _from(portal, PROXY)
    answer = await _sign_in(portal, proxy, **SAID)
    cookie = answer.headers['set-cookie']
    assert cookie.startswith(f'__Host-{guard.COOKIE}=')
    assert '; secure' in cookie.lower()
    assert '; path=/' in cookie.lower()
    assert 'domain' not in cookie.lower()
    assert answer.headers['strict-transport-security'] == 'max-age=31536000'
    token = cookie.split('=', 1)[1].split(';')[0]
    inside = {**SAID, 'cookie': f'{guard.SECURE_COOKIE}={token}'}
    assert (await proxy.get('/api/ui/session', headers=inside)).status_code == 200
    out = await proxy.post('/logout', headers=inside)
    assert out.headers['set-cookie'].startswith(f'{guard.SECURE_COOKIE}=""')
    assert '; secure' in out.headers['set-cookie'].lower()


async def test_over_https_a_cookie_that_a_neighbouring_site_could_have_set_is_none(portal, behind):
    behind()
    _, token = await portal.session(portal.northwind.ana)
    headers = {**SAID, 'cookie': f'{guard.COOKIE}={token}'}
    assert (await _from(portal, PROXY).get('/api/ui/session', headers=headers)).status_code == 401


async def test_over_http_there_is_no_hsts(portal):
    answer = await portal.http.get('/login')
    assert 'strict-transport-security' not in answer.headers


async def test_the_public_name_is_https_even_where_no_proxy_says_so(portal, behind):
    behind('', PUBLIC)
    browser = _from(portal, '198.51.100.9', base_url='http://portal.example.com')
    answer = await _sign_in(portal, browser, origin=PUBLIC)
    assert answer.status_code == 303
    assert '; secure' in answer.headers['set-cookie'].lower()
    assert 'strict-transport-security' in answer.headers


# -- origins ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(('public', 'host', 'origin', 'is_ours'), [
    (PUBLIC, 'portal.example.com', PUBLIC, True),
    (PUBLIC, 'portal.example.com:443', PUBLIC, True),
    (PUBLIC, 'upstream:8080', PUBLIC, True),                      # a proxy that puts its own name there
    (PUBLIC, 'portal.example.com', 'http://portal.example.com', False),
    (PUBLIC, 'evil.example', 'https://evil.example', False),      # a name that somebody else points here
    (PUBLIC, 'evil.example', 'http://evil.example', False),
    (PUBLIC, '10.0.0.9:8080', 'http://10.0.0.9:8080', False),
    (PUBLIC, '127.0.0.1:8080', 'http://127.0.0.1:8080', True),    # by a tunnel
    (PUBLIC, 'localhost:8080', 'http://localhost:8080', True),
    (PUBLIC, '[::1]:8080', 'http://[::1]:8080', True),
    (PUBLIC, '127.evil.example', 'http://127.evil.example', False),
    (PUBLIC, 'localhost.evil.example', 'http://localhost.evil.example', False),
    (PUBLIC, 'portal.example.com', 'null', False),
    (PUBLIC, 'portal.example.com', 'https://portal.example.com.evil.example', False),
    (PUBLIC, 'portal.example.com', 'https://[', False),
    ('https://portal.example.com:8443', 'portal.example.com:8443', 'https://portal.example.com:8443', True),
    ('https://portal.example.com:8443', 'portal.example.com:8443', PUBLIC, False),
    ('', 'anything.example', 'https://anything.example', True),
    ('', 'anything.example', 'https://other.example', False),
])  # fmt: skip
async def test_only_pages_of_the_portal_may_send(portal, behind, wire, public, host, origin, is_ours):
    behind('', public)
    browser = portal.browser()
    answer = await browser.post(
        '/login', data={'email': 'a', 'password': 'b'}, headers={'host': host, 'origin': origin}
    )
    assert (answer.status_code == 401) == is_ours, answer.text
    assert (answer.status_code == 403) != is_ours
    _, token = await portal.session(portal.northwind.ana)
    named = {'host': host, 'origin': origin, 'cookie': f'{guard.COOKIE}={token}; {guard.SECURE_COOKIE}={token}'}
    async with wire(portal.app, '/live', headers=named) as socket:
        assert ((await socket.heard())['type'] == 'websocket.accept') == is_ours


async def test_whoever_comes_by_another_address_is_told_the_right_one(portal, behind):
    behind('', PUBLIC)
    headers = {'host': '10.0.0.9:8080', 'origin': 'http://10.0.0.9:8080'}
    answer = await portal.browser().post('/login', data={}, headers=headers)
    assert answer.json()['error'] == f'This portal is used at {PUBLIC}/. Open it there.'


async def test_whatever_watches_the_portal_may_ask_directly(portal, behind):
    behind('10.0.0.0/24', PUBLIC)
    for path in ('/healthz', '/readyz'):
        assert (await portal.browser(base_url='http://127.0.0.1:8080').get(path)).status_code == 200


# -- the host, and links ----------------------------------------------------------------------------------------------


class _Asked:
    """What `base_url` is asked about."""

    def __init__(self, host: str, *, signed_in: bool, peer: str = '198.51.100.9', **headers: str) -> None:
        named = {'host': host, **headers}
        self.scope = {
            'type': 'http', 'method': 'POST', 'path': '/reset', 'query_string': b'', 'scheme': 'http', 'root_path': '',
            'headers': [(name.replace('_', '-').encode(), value.encode()) for name, value in named.items()],
            'client': (peer, 1), 'server': ('x', 80), 'state': {'session': object()} if signed_in else {},
        }  # fmt: skip

    async def base(self) -> str:
        found = []

        async def app(scope, receive, send):
            found.append(proxies.base_url(proxies.HTTPConnection(scope)))

        await proxies.Proxies(app)(self.scope, None, None)  # type: ignore[arg-type]
        return found[0]


async def test_links_begin_with_the_public_address(behind):
    behind('', PUBLIC + '/')
    for signed_in in (True, False):
        assert await _Asked('evil.example', signed_in=signed_in).base() == PUBLIC


async def test_without_one_they_begin_as_whoever_is_signed_in_came(behind):
    behind()
    assert await _Asked('portal.lan:8080', signed_in=True).base() == 'http://portal.lan:8080'
    forwarded = {'x_forwarded_proto': 'https', 'x_forwarded_host': 'portal.example.com'}
    assert await _Asked('upstream', signed_in=True, peer=PROXY, **forwarded).base() == PUBLIC
    assert await _Asked('upstream', signed_in=True, **forwarded).base() == 'http://upstream'


async def test_a_stranger_does_not_choose_where_a_link_in_a_mail_leads(behind):
    behind('')
    assert await _Asked('evil.example', signed_in=False).base() == 'http://127.0.0.1:8080'
    behind()
    forwarded = {'x_forwarded_host': 'evil.example'}
    assert await _Asked('evil.example', signed_in=False, peer=PROXY, **forwarded).base() == 'http://127.0.0.1:8080'


@pytest.mark.parametrize('host', ['evil.example/x', 'a b', 'a@b', '', 'x' * 300, 'a:999999', '"><script>'])
async def test_a_forwarded_host_that_is_none_is_left_out(behind, host):
    behind()
    assert await _Asked('upstream', signed_in=True, peer=PROXY, x_forwarded_host=host).base() == 'http://upstream'


async def test_nothing_behind_sees_what_was_forwarded(behind):
    """The page framework would put X-Forwarded-Prefix of anybody into the addresses of its pages."""
    behind()
    for peer in (PROXY, '198.51.100.9'):
        asked = _Asked('upstream', signed_in=True, peer=peer, x_forwarded_prefix='/evil', x_forwarded_for='1.2.3.4')
        await asked.base()
        assert [name for name, _ in asked.scope['headers']] == [b'host']


def test_every_form_of_listening_address_makes_a_link():
    made = {host: proxies.listening_url(Settings(host=host, port=81)) for host in ('0.0.0.0', '::', '::1', 'x.lan')}  # type: ignore[call-arg]
    assert made == {
        '0.0.0.0': 'http://127.0.0.1:81', '::': 'http://[::1]:81', '::1': 'http://[::1]:81', 'x.lan': 'http://x.lan:81',
    }  # fmt: skip


# -- policies ---------------------------------------------------------------------------------------------------------


def _policy(answer) -> dict[str, list[str]]:
    parts = [part.split() for part in answer.headers['content-security-policy'].split(';')]
    return {part[0]: part[1:] for part in parts}


@pytest.mark.parametrize('path', ['/login', '/noc', '/healthz', '/api/ui/overview', '/api/ui/trends'])
async def test_what_is_no_page_of_the_framework_runs_no_script_that_was_written_into_it(portal, path):
    browser = portal.browser() if path == '/login' else await portal.signed_in(portal.northwind.ana)
    policy = _policy(await browser.get(path))
    assert policy['default-src'] == policy['frame-ancestors'] == policy['base-uri'] == ["'none'"]
    assert policy['connect-src'] == ["'self'"]
    for kind in ('script-src', 'style-src'):
        assert not {"'unsafe-inline'", "'unsafe-eval'", '*', 'https:', 'data:'} & set(policy[kind])


async def test_the_hashes_are_those_of_what_is_in_the_page(portal):
    import base64
    import hashlib
    import re

    answer = await portal.browser().get('/login')
    policy = _policy(answer)
    for tag, kind in (('script', 'script-src'), ('style', 'style-src')):
        written = [text for text in re.findall(rf'<{tag}[^>]*>(.*?)</{tag}>', answer.text, re.DOTALL) if text]
        assert len(written) == 1
        digest = base64.b64encode(hashlib.sha256(written[0].encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[kind]
    assert not re.search(r'\s(style|on[a-z]+)=', answer.text)


async def test_a_page_of_the_framework_runs_no_handlers_written_into_it(portal):
    policy = _policy(await (await portal.signed_in(portal.northwind.ana)).get('/'))
    assert policy['script-src-attr'] == ["'none'"]
    assert policy['default-src'] == ["'none'"]
    assert policy['connect-src'] == ["'self'"]


async def test_pages_are_of_no_use_to_other_sites(portal):
    headers = (await portal.browser().get('/login')).headers
    assert headers['cross-origin-opener-policy'] == headers['cross-origin-resource-policy'] == 'same-origin'
    assert 'camera=()' in headers['permissions-policy']
