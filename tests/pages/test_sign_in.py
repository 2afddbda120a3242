import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyotp.totp import TOTP

from models import (
    ConsoleRole,
    Customer,
    DelegatedAccess,
    HistoryEvent,
    Partner,
    PortalRole,
    PortalUser,
    Session,
    TwoFactorRule,
    second_factor,
    sign_in_failure,
)
from pages import halfway, sign_in
from pages.guard import COOKIE
from pages.sign_in import FREE_TRIES, LONGEST_WAIT, REMEMBERED, Throttle, safe_target


def _form(email: str, password: str, **more: str) -> dict[str, str]:
    return {'email': email, 'password': password, **more}


# -- right and wrong --------------------------------------------------------------------------------------------------


async def test_the_right_password_leads_to_the_dashboard(portal):
    answer = await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))
    assert (answer.status_code, answer.headers['location']) == (303, '/')
    page = await portal.http.get('/')
    assert page.status_code == 200
    assert 'ana@northwind.example' in page.text


async def test_the_address_is_read_in_any_case_and_with_spaces_around(portal):
    answer = await portal.http.post('/login', data=_form('  ANA@Northwind.example ', portal.password))
    assert answer.status_code == 303


async def test_a_wrong_password_and_an_unknown_address_look_the_same(portal):
    wrong = await portal.http.post('/login', data=_form('ana@northwind.example', 'wrong horse battery'))
    unknown = await portal.http.post('/login', data=_form('bob@northwind.example', portal.password))
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace('ana@', '') == unknown.text.replace('bob@', '')
    assert 'do not match' in wrong.text
    assert COOKIE not in wrong.cookies


async def test_an_unknown_address_costs_as_much_as_a_known_one(portal, monkeypatch):
    compared = []

    def matches(stored: str, password: str) -> bool:
        compared.append(stored)
        return False

    monkeypatch.setattr('models.user._matches', matches)
    await portal.http.post('/login', data=_form('ana@northwind.example', 'wrong horse battery'))
    await portal.http.post('/login', data=_form('nobody@northwind.example', 'wrong horse battery'))
    assert len(compared) == 2


async def test_who_was_disabled_cannot_sign_in(portal):
    await portal.northwind.ana.disable(datetime.now(UTC))
    answer = await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))
    assert answer.status_code == 401


async def test_the_generic_account_cannot_sign_in_even_with_a_password(portal):
    await Partner.set_up('Contoso', domain='contoso.example')
    await PortalUser.filter(email='msp_client@contoso.example').update(password_hash=portal.northwind.ana.password_hash)
    for password in ('', portal.password):
        answer = await portal.http.post('/login', data=_form('msp_client@contoso.example', password))
        assert answer.status_code == 401


async def test_the_typed_address_is_kept_as_text_and_the_password_is_not(portal):
    typed = '"><script>alert(1)</script>'
    answer = await portal.http.post('/login', data=_form(typed, 'wrong horse battery'))
    assert answer.status_code == 401
    assert '<script>alert(1)' not in answer.text
    assert '&lt;script&gt;alert(1)' in answer.text
    assert 'wrong horse battery' not in answer.text


@pytest.mark.parametrize(
    'body',
    [
        b'',
        b'email=%00%ff%fe&password=%00',
        b'email=' + b'a' * 60_000,
        b'&'.join(b'a%d=1' % n for n in range(60)),
        b'\xff\xfe\x00',
        '{"email": "ana@northwind.example"}'.encode('utf-16'),
    ],
    ids=['empty', 'nul', 'huge', 'many fields', 'no text', 'another format'],
)
async def test_a_form_that_no_browser_would_send_is_refused_like_a_wrong_password(portal, body):
    answer = await portal.http.post('/login', content=body)
    assert answer.status_code == 401


# -- slowing down -----------------------------------------------------------------------------------------------------


async def test_repeated_failures_slow_down_the_account_and_the_address(portal):
    for _ in range(FREE_TRIES):
        assert (await portal.http.post('/login', data=_form('ana@northwind.example', 'wrong'))).status_code == 401
    answer = await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))
    assert answer.status_code == 429
    assert 1 <= int(answer.headers['retry-after']) <= 2
    assert re.search('Too many attempts. Wait (1 second|2 seconds) and', answer.text)
    other_account = await portal.http.post('/login', data=_form('tom@northwind.example', portal.password))
    assert other_account.status_code == 429
    elsewhere = portal.browser(client=('203.0.113.9', 50000))
    same_account = await elsewhere.post('/login', data=_form('ana@northwind.example', portal.password))
    assert same_account.status_code == 429
    assert (await elsewhere.post('/login', data=_form('tom@northwind.example', portal.password))).status_code == 303


@pytest.mark.parametrize('spelt', ['ANA@northwind.example', ' ana@northwind.example', 'ana@northwind.example\x00'])
async def test_an_account_is_slowed_down_however_it_is_spelt(portal, spelt):
    """Every spelling that reaches the account counts for it; else an attacker has as many tries as spellings."""
    for number in range(FREE_TRIES):
        elsewhere = portal.browser(client=(f'203.0.113.{number}', 50000))
        await elsewhere.post('/login', data=_form('ana@northwind.example', 'wrong'))
    last = portal.browser(client=('203.0.113.99', 50000))
    assert (await last.post('/login', data=_form(spelt, portal.password))).status_code == 429


async def test_a_burst_at_the_same_moment_gets_no_more_tries_than_one_after_the_other(portal):
    forms = [_form('ana@northwind.example', f'wrong {n}') for n in range(3 * FREE_TRIES)]
    answers = await asyncio.gather(*(portal.http.post('/login', data=form) for form in forms))
    assert [answer.status_code for answer in answers].count(401) == FREE_TRIES


async def test_signing_in_rightly_counts_as_no_failure_of_the_address(portal):
    for _ in range(2 * FREE_TRIES):
        browser = portal.browser()
        answer = await browser.post('/login', data=_form('ana@northwind.example', portal.password))
        assert answer.status_code == 303


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sign_in, 'time', clock)
    return clock


def test_five_tries_are_free_then_each_doubles_the_wait_up_to_a_minute(clock):
    throttle = Throttle()
    waits = []
    for _ in range(FREE_TRIES + 8):
        throttle.failed('a')
        waits.append(throttle.wait('a'))
        clock.now += throttle.wait('a')
    assert waits[: FREE_TRIES - 1] == [0.0] * (FREE_TRIES - 1)
    assert waits[FREE_TRIES - 1 :] == [1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]


def test_the_wait_passes_and_failures_are_forgotten_after_a_quarter_of_an_hour(clock):
    throttle = Throttle()
    for _ in range(FREE_TRIES + 3):
        throttle.failed('a')
    assert throttle.wait('a') == 8
    clock.now += 8
    assert throttle.wait('a') <= 0
    clock.now += 901
    throttle.failed('a')
    assert throttle.wait('a') == 0


def test_the_longest_wait_of_all_keys_counts_and_success_forgets_one(clock):
    throttle = Throttle()
    for _ in range(FREE_TRIES):
        throttle.failed('account', 'address')
    throttle.succeeded('account')
    assert throttle.wait('account') == 0
    assert throttle.wait('account', 'address') == 1


def test_who_types_everything_right_is_not_held_up_by_what_others_at_the_address_typed_wrong(clock):
    throttle = Throttle()
    for _ in range(FREE_TRIES + 2):
        throttle.failed('address')
    clock.now += 480
    for _ in range(3):  # the password, the code, and somebody else's password: each counted first, and taken back
        assert throttle.wait('address') <= 0
        throttle.failed('address')
        throttle.take_back('address')
    clock.now += 421  # and so nothing keeps the failures alive
    throttle.failed('address')
    assert throttle.wait('address') == 0


def test_an_attacker_with_many_addresses_fills_no_memory(clock):
    throttle = Throttle()
    for number in range(REMEMBERED + 500):
        throttle.failed(f'address {number}')
    assert len(throttle._failures) == REMEMBERED


# -- where to go afterwards -------------------------------------------------------------------------------------------

HOSTILE = [
    '//evil.example', '/\\evil.example', '\\\\evil.example', 'https://evil.example', 'javascript:alert(1)',
    '/.//evil.example', '/..//evil.example', '/a//evil.example', '/\x00/evil.example', '/\u2028/evil.example',
    '/\t/evil.example', '/\n/evil.example', ' //evil.example', '///evil.example', 'evil.example', '', '/\r\nX: y',
]  # fmt: skip


def _as_a_browser_reads(target: str) -> str:
    """Browsers take tabs and line ends out of an address and read a backslash as a slash."""
    return ''.join(c for c in target if c not in '\t\r\n').strip('\x00 ').replace('\\', '/')


@given(st.one_of(st.sampled_from(HOSTILE), st.text(), st.text('/\\.:@?#a\t\n%', max_size=12).map(lambda s: '/' + s)))
def test_signing_in_never_leads_to_another_site(target):
    safe = safe_target(target)
    parts = urlsplit(urljoin('http://test/login', _as_a_browser_reads(safe)))
    assert (parts.scheme, parts.netloc) == ('http', 'test')


@pytest.mark.parametrize('target', HOSTILE)
def test_a_hostile_target_leads_to_the_dashboard(target):
    assert safe_target(target) == '/'


def test_a_path_of_ours_with_its_query_is_kept():
    assert safe_target('/customers/complete?q=%C3%89mile&sort=name') == '/customers/complete?q=%C3%89mile&sort=name'


async def test_after_signing_in_the_page_that_was_asked_for_comes(portal):
    refused = await portal.http.get('/customers/complete', params={'q': 'Émile & Söhne'})
    assert refused.status_code == 303
    form = await portal.http.get(refused.headers['location'])
    assert 'value="/customers/complete?q=%C3%89mile' in form.text
    target = form.text.split('name="next" value="')[1].split('"')[0].replace('&amp;', '&')
    answer = await portal.http.post(
        '/login', data=_form('ana@northwind.example', portal.password, next=target), follow_redirects=True
    )
    assert answer.url.path == '/customers/complete'
    assert answer.url.params['q'] == 'Émile & Söhne'


async def test_a_next_of_another_site_is_not_followed(portal):
    answer = await portal.http.post(
        '/login', data=_form('ana@northwind.example', portal.password, next='//evil.example/')
    )
    assert answer.headers['location'] == '/'


# -- cookie and session -----------------------------------------------------------------------------------------------


async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(portal):
    answer = await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))
    cookie = answer.headers['set-cookie'].lower()
    assert cookie.startswith(COOKIE)
    assert 'httponly' in cookie
    assert 'samesite=lax' in cookie
    assert 'path=/' in cookie
    assert 'secure' not in cookie
    secure = portal.browser(base_url='https://test')
    answer = await secure.post('/login', data=_form('ana@northwind.example', portal.password))
    assert '; secure' in answer.headers['set-cookie'].lower()


async def test_the_token_is_stored_nowhere(portal):
    answer = await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))
    token = answer.cookies[COOKIE]
    session = await Session.get()
    assert token not in str(dict(session))
    assert (await Session.live(token)) == session


async def test_signing_in_again_gives_a_new_token_and_ends_the_old_session(portal):
    first = (await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))).cookies[COOKIE]
    second = (await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))).cookies[COOKIE]
    assert first != second
    assert await Session.live(first) is None
    assert await Session.live(second) is not None


async def test_who_is_signed_in_is_not_asked_again(portal):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get('/login?next=/noc')
    assert (answer.status_code, answer.headers['location']) == (303, '/noc')


async def test_signing_out_ends_the_session_for_good(portal):
    answer = await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))
    token = answer.cookies[COOKIE]
    out = await portal.http.post('/logout')
    assert (out.status_code, out.headers['location']) == (303, '/login')
    assert COOKIE not in portal.http.cookies
    replayed = await portal.browser(token).get('/')
    assert (replayed.status_code, replayed.headers['location']) == (303, '/login')


async def test_an_expired_session_leads_to_sign_in_and_back(portal):
    _, token = await portal.session(portal.northwind.ana, seconds=-1)
    answer = await portal.browser(token).get('/customers/complete?letter=e')
    assert answer.status_code == 303
    assert answer.headers['location'] == '/login?next=/customers/complete%3Fletter%3De'


@pytest.mark.parametrize('token', ['', 'x', 'x' * 43, 'x' * 5000, '\xff' * 43])
async def test_a_cookie_that_is_no_token_is_no_session(portal, token):
    answer = await portal.http.get('/', headers={'cookie': f'{COOKIE}={token}'.encode('latin-1')})
    assert answer.status_code == 303


async def test_setting_hours_says_how_long_a_session_lasts(portal, monkeypatch, test_settings):
    monkeypatch.setattr(test_settings, 'session_hours', 3)
    answer = await portal.http.post('/login', data=_form('ana@northwind.example', portal.password))
    assert 'max-age=10800' in answer.headers['set-cookie'].lower()
    assert abs((await Session.get()).expires_at - datetime.now(UTC) - timedelta(hours=3)) < timedelta(minutes=1)


# -- set-up -----------------------------------------------------------------------------------------------------------


def _set_up(**more: str) -> dict[str, str]:
    return {
        'code': sign_in.set_up_code, 'msp': 'Contoso Managed', 'name': 'Cleo', 'email': 'cleo@contoso.example',
        'password': 'a long enough one', 'again': 'a long enough one', **more,
    }  # fmt: skip


async def test_without_an_msp_everything_leads_to_set_up(empty_portal):
    answer = await empty_portal.http.get('/', follow_redirects=True)
    assert answer.url.path == '/setup'
    assert 'Set-up code' in answer.text
    assert sign_in.set_up_code not in answer.text


async def test_set_up_makes_the_msp_its_administrator_and_its_generic_account(empty_portal):
    answer = await empty_portal.http.post('/setup', data=_set_up(), follow_redirects=True)
    assert (answer.status_code, answer.url.path) == (200, '/')
    assert 'cleo@contoso.example' in answer.text
    cleo = await PortalUser.get(email='cleo@contoso.example').select_related('partner')
    assert (cleo.role, cleo.sees_all, cleo.partner.name) == (PortalRole.ADMINISTRATOR, True, 'Contoso Managed')
    generic = await PortalUser.get(email='msp_client@contoso.example')
    assert not generic.is_active
    customer = await Customer.add(cleo.partner, name='Later', account_code='L1')
    roles = await DelegatedAccess.roles_of(generic, [customer.id])
    assert roles == {customer.id: ConsoleRole.PARTNER_ADMINISTRATOR}
    assert await DelegatedAccess.roles_of(cleo, [customer.id]) == {}


async def test_set_up_is_over_once_there_is_an_msp(portal):
    assert (await portal.http.get('/setup')).headers['location'] == '/login'
    answer = await portal.http.post('/setup', data=_set_up())
    assert (answer.status_code, answer.headers['location']) == (303, '/login')
    assert not await PortalUser.exists(email='cleo@contoso.example')


@pytest.mark.parametrize(
    ('wrong', 'field', 'status'),
    [
        ({'code': 'guessed'}, 'code', 403),
        ({'code': ''}, 'code', 403),
        ({'code': 'é\x00'}, 'code', 403),
        ({'msp': '  '}, 'msp', 422),
        ({'msp': '\x00\x01'}, 'msp', 422),
        ({'again': 'another one'}, 'again', 422),
        ({'password': 'short', 'again': 'short'}, 'password', 422),
        ({'password': 'x' * 300, 'again': 'x' * 300}, 'password', 422),
        ({'email': 'no address'}, 'email', 422),
        ({'email': ''}, 'email', 422),
        ({'email': 'a@' + 'b' * 300 + '.example'}, 'email', 422),
        ({'email': 'a@' + 'b' * 240 + '.example'}, 'email', 422),
        ({'email': 'a@b\x00.example'}, 'email', 422),
    ],
    ids=lambda value: str(value)[:40].replace('\x00', 'NUL'),
)
async def test_a_mistake_in_set_up_is_named_at_its_field_and_keeps_what_was_typed(empty_portal, wrong, field, status):
    answer = await empty_portal.http.post('/setup', data=_set_up(**wrong))
    assert answer.status_code == status
    assert f'id="{field}-help" role="alert"' in answer.text
    assert answer.text.count('role="alert"') == 1
    for name in {'code', 'msp', 'name', 'email'} - {field}:
        assert f'value="{_set_up()[name]}"' in answer.text
    assert 'a long enough one' not in answer.text
    assert not await Partner.exists()
    assert not await PortalUser.exists()


async def test_guessing_the_code_is_slowed_down(empty_portal):
    for _ in range(FREE_TRIES):
        assert (await empty_portal.http.post('/setup', data=_set_up(code='guessed'))).status_code == 403
    answer = await empty_portal.http.post('/setup', data=_set_up())
    assert answer.status_code == 429
    assert 'retry-after' in answer.headers
    assert not await Partner.exists()


async def test_two_who_set_up_at_once_make_one_msp(empty_portal):
    other = empty_portal.browser()
    answers = await asyncio.gather(
        empty_portal.http.post('/setup', data=_set_up()),
        other.post('/setup', data=_set_up(msp='Another', email='dan@another.example')),
    )
    assert await Partner.all().count() == 1
    assert {answer.status_code for answer in answers} == {303}


# -- the second factor ------------------------------------------------------------------------------------------------


async def _with_two_factor(user: PortalUser) -> tuple[str, list[str]]:
    """The key and recovery codes of somebody who set it up a minute ago."""
    key = await second_factor.begin(user)
    codes = await second_factor.confirm(user, TOTP(key).now())
    await PortalUser.filter(id=user.id).update(totp_step=int(time.time()) // 30 - 2)
    return key, codes


async def _password_given(portal, browser=None, **more: str):
    browser = browser or portal.http
    return await browser.post('/login', data=_form('ana@northwind.example', portal.password, **more))


async def test_after_the_password_a_code_is_asked_for_and_only_then_there_is_a_session(portal):
    key, _ = await _with_two_factor(portal.northwind.ana)
    answer = await _password_given(portal, next='/help?a=b')
    assert (answer.status_code, answer.headers['location']) == (303, '/login/code')
    cookie = answer.headers['set-cookie'].lower()
    assert 'httponly' in cookie
    assert 'samesite=lax' in cookie
    assert COOKIE not in portal.http.cookies
    assert not await Session.exists()
    for path in ('/', '/customers/complete', '/api/ui/account'):
        assert (await portal.http.get(path)).status_code in (303, 401)
    page = await portal.http.get('/login/code')
    assert (page.status_code, page.headers['cache-control']) == (200, 'no-store')
    answer = await portal.http.post('/login/code', data={'code': TOTP(key).now()})
    assert (answer.status_code, answer.headers['location']) == (303, '/help?a=b')
    assert halfway.COOKIE not in portal.http.cookies
    assert (await portal.http.get('/')).status_code == 200


async def test_over_https_the_half_cookie_is_bound_to_the_host(portal):
    await _with_two_factor(portal.northwind.ana)
    browser = portal.browser(base_url='https://test')
    cookie = (await _password_given(portal, browser)).headers['set-cookie'].lower()
    assert cookie.startswith('__host-')
    assert '; secure' in cookie
    assert (await browser.get('/login/code')).status_code == 200


async def test_a_code_that_was_used_or_is_wrong_is_refused_and_a_recovery_code_is_good_once(portal):
    key, codes = await _with_two_factor(portal.northwind.ana)
    await _password_given(portal)
    typed = TOTP(key).now()
    wrong = await portal.http.post('/login/code', data={'code': '000000' if typed != '000000' else '1'})
    assert wrong.status_code == 401
    assert 'not right, or was used before' in wrong.text
    assert (await portal.http.post('/login/code', data={'code': typed})).status_code == 303
    for code, status in ((typed, 401), (codes[0], 303)):
        other = portal.browser()
        await _password_given(portal, other)
        assert (await other.post('/login/code', data={'code': code})).status_code == status
    last = portal.browser()
    await _password_given(portal, last)
    assert (await last.post('/login/code', data={'code': codes[0]})).status_code == 401


@pytest.mark.parametrize('how', ['none', 'made up', 'of a session', 'too late', 'used', 'password changed', 'disabled'])
async def test_who_is_not_halfway_is_sent_back_to_the_password(portal, how, monkeypatch):
    key, _ = await _with_two_factor(portal.northwind.ana)
    browser = portal.browser()
    if how == 'made up':
        browser.cookies.set(halfway.COOKIE, 'x' * 43)
    elif how == 'of a session':
        browser.cookies.set(halfway.COOKIE, (await portal.session(portal.northwind.ana))[1])
    elif how != 'none':
        await _password_given(portal, browser)
    if how == 'too late':
        now = time.monotonic()
        monkeypatch.setattr(halfway.time, 'monotonic', lambda: now + halfway.LASTS + 1)
    elif how == 'used':
        token = browser.cookies[halfway.COOKIE]
        await browser.post('/login/code', data={'code': TOTP(key).now()})
        browser = portal.browser()
        browser.cookies.set(halfway.COOKIE, token)
    elif how == 'password changed':
        await portal.northwind.ana.set_password('another horse battery')
    elif how == 'disabled':
        await portal.northwind.ana.disable(datetime.now(UTC))
    assert (await browser.get('/login/code')).headers['location'] == '/login'
    answer = await browser.post('/login/code', data={'code': TOTP(key).at(int(time.time()) + 30)})
    assert answer.status_code == 401
    assert 'Sign in again' in answer.text
    assert COOKIE not in browser.cookies


async def test_guessing_codes_is_slowed_down_for_the_account_from_wherever(portal):
    key, _ = await _with_two_factor(portal.northwind.ana)
    for number in range(FREE_TRIES):
        browser = portal.browser(client=(f'203.0.113.{number}', 50000))
        await _password_given(portal, browser)
        assert (await browser.post('/login/code', data={'code': '1'})).status_code == 401
    last = portal.browser(client=('203.0.113.99', 50000))
    await _password_given(portal, last)
    answer = await last.post('/login/code', data={'code': TOTP(key).now()})
    assert answer.status_code == 429
    assert 'retry-after' in answer.headers


async def test_one_password_is_good_for_so_many_codes_and_no_more(portal, monkeypatch):
    key, _ = await _with_two_factor(portal.northwind.ana)
    monkeypatch.setattr(sign_in.throttle, 'wait', lambda *_: 0.0)
    await _password_given(portal)
    for _ in range(halfway.TRIES):
        assert (await portal.http.post('/login/code', data={'code': '1'})).status_code == 401
    answer = await portal.http.post('/login/code', data={'code': TOTP(key).now()})
    assert answer.status_code == 401
    assert COOKIE not in portal.http.cookies


async def test_of_two_who_send_one_code_at_once_one_gets_a_session(portal):
    _, codes = await _with_two_factor(portal.northwind.ana)
    await _password_given(portal)
    answers = await asyncio.gather(*(portal.http.post('/login/code', data={'code': codes[n]}) for n in range(2)))
    assert sorted(answer.status_code for answer in answers) == [303, 401]
    assert await Session.all().count() == 1


async def test_those_who_are_halfway_fill_no_memory(portal):
    for number in range(halfway.REMEMBERED + 50):
        halfway.waiting.begin(PortalUser(id=number + 1, password_hash='x'), '/')
    for _ in range(50):
        halfway.waiting.begin(portal.northwind.ana, '/')
    theirs = [each for each in halfway.waiting._those.values() if each.user_id == portal.northwind.ana.id]
    assert len(halfway.waiting._those) <= halfway.REMEMBERED
    assert len(theirs) <= halfway.OF_ONE_PERSON


async def test_who_had_it_reset_meanwhile_goes_on_without_a_code(portal):
    await _with_two_factor(portal.northwind.tom)
    browser = portal.browser()
    await browser.post('/login', data=_form('tom@northwind.example', portal.password))
    await second_factor.reset(portal.northwind.tom, portal.northwind.ana)
    answer = await browser.post('/login/code', data={'code': ''})
    assert (answer.status_code, answer.headers['location']) == (303, '/')


# -- where the MSP wants it of everyone -------------------------------------------------------------------------------


async def _for_everyone(portal) -> None:
    portal.northwind.partner.two_factor = TwoFactorRule.EVERYONE
    await portal.northwind.partner.save()


def _key_in(page: str) -> str:
    return page.split('class="mono key">')[1].split('<')[0].replace(' ', '')


async def test_who_has_none_sets_it_up_before_anything_else(portal):
    await _for_everyone(portal)
    answer = await _password_given(portal, next='/help')
    assert answer.headers['location'] == '/login/enrol'
    assert not await Session.exists()
    page = await portal.http.get('/login/enrol')
    key = _key_in(page.text)
    assert '<svg' in page.text
    assert _key_in((await portal.http.get('/login/enrol')).text) == key  # what was scanned stays good
    wrong = await portal.http.post('/login/enrol', data={'code': '1'})
    assert (wrong.status_code, _key_in(wrong.text)) == (401, key)
    answer = await portal.http.post('/login/enrol', data={'code': TOTP(key).now()})
    assert answer.status_code == 200
    assert len(re.findall(r'<li>[0-9a-z]{5}-[0-9a-z]{5}-[0-9a-z]{5}</li>', answer.text)) == 10
    assert 'href="/help"' in answer.text
    assert (await portal.http.get('/help')).status_code == 200
    assert second_factor.is_on(await PortalUser.get(id=portal.northwind.ana.id))
    again = portal.browser()
    assert (await _password_given(portal, again)).headers['location'] == '/login/code'
    assert (await portal.browser().post('/login', data=_form('eve@fabrikam.example', portal.password))).headers[
        'location'
    ] == '/'


async def test_a_key_that_another_browser_has_seen_is_not_confirmed(portal):
    await _for_everyone(portal)
    thief = portal.browser()
    await _password_given(portal, thief)
    seen = _key_in((await thief.get('/login/enrol')).text)
    await _password_given(portal)
    mine = _key_in((await portal.http.get('/login/enrol')).text)
    assert mine != seen
    answer = await thief.post('/login/enrol', data={'code': TOTP(seen).now()})
    assert answer.status_code == 409
    assert not await Session.exists()


async def test_the_demo_and_everybody_without_it_sign_in_with_the_password_alone(portal):
    answer = await _password_given(portal)
    assert (answer.status_code, answer.headers['location']) == (303, '/')
    assert halfway.COOKIE not in portal.http.cookies


# -- failures in the audit --------------------------------------------------------------------------------------------


async def _told() -> list[str]:
    found = []
    for event in await HistoryEvent.filter(kind__startswith='user.sign_in_').order_by('id'):
        text = await event.text()
        assert text is not None
        found.append(text.summary)
    return found


async def test_failures_are_told_once_when_they_begin_and_once_when_they_are_slowed_down(portal):
    for _ in range(3 * FREE_TRIES):
        await portal.http.post('/login', data=_form('ana@northwind.example', 'wrong'))
    first, slowed = await _told()
    assert first == 'ana@northwind.example could not sign in from 127.0.0.1: the password was wrong'
    assert 'slowed down' in slowed


async def test_a_quarter_of_an_hour_later_they_are_told_again(portal, clock, monkeypatch):
    monkeypatch.setattr(sign_in_failure, 'time', clock)
    for _ in range(2):
        await portal.http.post('/login', data=_form('ana@northwind.example', 'wrong'))
        clock.now += sign_in_failure.QUIET + 1
    assert len(await _told()) == 2


async def test_what_was_typed_is_in_no_history_and_unknown_accounts_are_logged_only(portal, caplog):
    for number in range(4):
        await portal.http.post('/login', data=_form(f'my secret {number}', 'hunter2'))
    assert await _told() == []
    assert caplog.text.count('could not sign in') == 1
    assert 'my secret' not in caplog.text
    assert 'hunter2' not in caplog.text


async def test_wrong_codes_are_told_as_well(portal):
    await _with_two_factor(portal.northwind.ana)
    await _password_given(portal)
    for _ in range(3):
        await portal.http.post('/login/code', data={'code': '1'})
    assert await _told() == ['ana@northwind.example could not sign in from 127.0.0.1: the code was wrong']
