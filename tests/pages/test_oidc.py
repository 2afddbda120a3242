import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from pyotp.totp import TOTP

from models import HistoryEvent, LinkKind, OneTimeLink, PortalUser, Session, TwoFactorRule, second_factor
from models.user import PortalRole
from pages import halfway, oidc
from pages.guard import COOKIE
from pages.sign_in import FREE_TRIES
from tests.oidc import Provider, honest_provider, shared_key, sign_in_there

SECRET = 'a secret of the portal at its provider'


@pytest.fixture(scope='module')
def honest():
    with honest_provider(
        {'sub': 'ana-1', 'email': 'Ana@Northwind.example', 'email_verified': True},
        {'sub': 'tom-1', 'email': 'tom@northwind.example', 'email_verified': False},
        {'sub': 'stranger', 'email': 'stranger@elsewhere.example', 'email_verified': True},
    ) as issuer:
        yield issuer


@pytest.fixture
def configured(test_settings, monkeypatch):
    def configure(issuer: str) -> None:
        monkeypatch.setattr(test_settings, 'oidc_issuer', issuer)
        monkeypatch.setattr(test_settings, 'oidc_client_id', 'portal')
        monkeypatch.setattr(test_settings, 'oidc_client_secret', SecretStr(SECRET))
        monkeypatch.setattr(test_settings, 'oidc_name', 'Northwind ID')

    return configure


@pytest.fixture
def provider(configured):
    """One that answers as it is told."""
    with Provider().serving() as provider:
        configured(provider.issuer)
        yield provider


async def begun(browser: httpx.AsyncClient, target: str = '') -> str:
    """The address at the provider to which the portal sends somebody."""
    answer = await browser.get('/oidc/start', params={'next': target} if target else {})
    assert answer.status_code == 303, answer.text
    return answer.headers['location']


async def through(browser: httpx.AsyncClient, provider: Provider, **changed: str) -> httpx.Response:
    """The whole way there and back; `changed` is what the query has otherwise."""
    back = provider.authorize(await begun(browser))
    return await browser.get('/oidc/callback', params={**back, **changed})


async def kinds() -> list[str]:
    return [event.kind for event in await HistoryEvent.filter(customer_id=None).order_by('id')]


async def refused(browser: httpx.AsyncClient, answer: httpx.Response, status: int) -> None:
    """A page with a way back, and nobody signed in."""
    assert answer.status_code == status, answer.text
    assert 'href="/login"' in answer.text
    assert 'role="alert"' in answer.text
    assert COOKIE not in browser.cookies
    assert not await Session.exists()


# -- an honest provider in a process of its own -----------------------------------------------------------------------


async def test_who_is_registered_signs_in_by_their_verified_address_and_later_by_issuer_and_subject(
    portal, honest, configured
):
    configured(honest)
    page = await portal.http.get('/login?next=/help')
    assert 'Sign in with Northwind ID' in page.text
    assert 'href="/oidc/start?next=/help"' in page.text
    back = await sign_in_there(await begun(portal.http, '/help'), 'ana-1')
    answer = await portal.http.get(back)
    assert (answer.status_code, answer.headers['location']) == (303, '/help')
    assert (await portal.http.get('/help')).status_code == 200
    ana = await PortalUser.get(id=portal.northwind.ana.id)
    assert (ana.oidc_issuer, ana.oidc_subject) == (honest, 'ana-1')
    assert await kinds() == ['user.oidc_linked', 'user.signed_in']

    await PortalUser.filter(id=ana.id).update(email='ana.new@northwind.example')  # what counts now is the subject
    other = portal.browser()
    answer = await other.get(await sign_in_there(await begun(other), 'ana-1'))
    assert (answer.status_code, answer.headers['location']) == (303, '/')
    assert (await Session.filter().order_by('-id').first()).user_id == ana.id
    assert (await kinds())[2:] == ['user.signed_in']


async def test_an_address_that_is_not_verified_or_not_known_makes_nobody(portal, honest, configured):
    configured(honest)
    before = await PortalUser.all().count()
    answer = await portal.http.get(await sign_in_there(await begun(portal.http), 'tom-1'))
    await refused(portal.http, answer, 403)
    assert 'has not verified your e-mail address' in answer.text
    answer = await portal.http.get(await sign_in_there(await begun(portal.http), 'stranger'))
    await refused(portal.http, answer, 403)
    assert 'no account for you' in answer.text
    assert await PortalUser.all().count() == before
    assert await kinds() == ['user.sign_in_failed']  # Tom's; a stranger is no MSP's
    assert not (await PortalUser.get(id=portal.northwind.tom.id)).oidc_subject


async def test_a_code_that_the_provider_never_gave_signs_nobody_in(portal, honest, configured):
    configured(honest)
    state = parse_qs(urlsplit(await begun(portal.http)).query)['state'][0]
    answer = await portal.http.get('/oidc/callback', params={'code': 'made-up', 'state': state})
    await refused(portal.http, answer, 502)


# -- what is asked ----------------------------------------------------------------------------------------------------


async def test_the_provider_is_asked_with_pkce_state_and_nonce_and_the_code_goes_with_the_secret(portal, provider):
    address = await begun(portal.http)
    asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert asked['response_type'] == 'code'
    assert asked['code_challenge_method'] == 'S256'
    assert asked['redirect_uri'] == 'http://test/oidc/callback'
    assert set(asked['scope'].split()) == {'openid', 'email', 'profile'}
    assert all(len(asked[name]) >= 43 for name in ('state', 'nonce', 'code_challenge'))
    answer = await portal.http.get('/oidc/callback', params=provider.authorize(address))
    assert answer.status_code == 303
    [(_, form, headers)] = [each for each in provider.seen if each[0] == '/token']
    assert form['redirect_uri'] == asked['redirect_uri']
    assert 43 <= len(form['code_verifier']) <= 128
    assert headers['Authorization'].startswith('Basic ')
    assert SECRET not in address
    # What the browser holds meanwhile tells it nothing.
    assert asked['nonce'] not in str(portal.http.cookies)


async def test_the_provider_sends_people_back_to_the_public_address(portal, provider, test_settings, monkeypatch):
    monkeypatch.setattr(test_settings, 'public_url', 'https://portal.example.com')
    address = await begun(portal.http)
    assert parse_qs(urlsplit(address).query)['redirect_uri'] == ['https://portal.example.com/oidc/callback']


async def test_the_provider_is_asked_who_it_is_once(portal, provider):
    for _ in range(3):
        assert (await through(portal.browser(), provider)).status_code == 303
    assert [path for path, *_ in provider.seen].count('/.well-known/openid-configuration') == 1
    assert [path for path, *_ in provider.seen].count('/jwks') == 1


async def test_who_is_signed_in_is_not_sent_to_the_provider(portal, provider):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.get('/oidc/start?next=/help')
    assert answer.headers['location'] == '/help'


@pytest.mark.parametrize('target', ['//evil.example', 'https://evil.example', '/\\evil.example', '/.//evil.example'])
async def test_a_next_of_another_site_is_not_followed(portal, provider, target):
    back = provider.authorize(await begun(portal.http, target))
    answer = await portal.http.get('/oidc/callback', params=back)
    assert answer.headers['location'] == '/'


async def test_without_an_issuer_there_is_no_button_and_nothing_to_come_to(portal):
    assert 'oidc' not in (await portal.http.get('/login')).text
    for path in ('/oidc/start', '/oidc/callback?code=a&state=b'):
        answer = await portal.http.get(path)
        assert answer.status_code == 404
        assert 'href="/login"' in answer.text


async def test_keys_that_the_provider_has_changed_are_asked_for_once_more(portal, provider, monkeypatch):
    assert (await through(portal.http, provider)).status_code == 303
    provider.key = provider.published = provider.OTHER_KEY
    monkeypatch.setattr(oidc, 'FRESH', -1.0)
    assert (await through(portal.browser(), provider)).status_code == 303


async def test_an_address_that_is_only_in_userinfo_counts_if_it_is_about_the_same_person(portal, provider):
    provider.claims = {'sub': 'ana-1'}
    provider.userinfo = {'sub': 'ana-1', 'email': 'ana@northwind.example', 'email_verified': True}
    assert (await through(portal.http, provider)).status_code == 303
    await PortalUser.all().update(oidc_subject='')
    await Session.all().delete()
    provider.userinfo['sub'] = 'somebody else'
    other = portal.browser()
    await refused(other, await through(other, provider), 502)


# -- answers that are wrong -------------------------------------------------------------------------------------------

WRONG = {
    'nonce of another sign-in': {'nonce': 'another'},
    'no nonce': {'nonce': None},
    'another issuer': {'iss': 'https://evil.example'},
    'no issuer': {'iss': None},
    'another audience': {'aud': 'another portal'},
    'no audience': {'aud': None},
    'several audiences and no party': {'aud': ['portal', 'another']},
    'another party': {'aud': ['portal', 'another'], 'azp': 'another'},
    'expired': {'exp': int(time.time()) - 3600},
    'no expiry': {'exp': None},
    'expiry is no number': {'exp': 'tomorrow'},
    'of the future': {'iat': int(time.time()) + 3600},
    'not good yet': {'nbf': int(time.time()) + 3600},
    'no subject': {'sub': None},
    'an empty subject': {'sub': ''},
    'a subject that is no text': {'sub': 7},
    'an endless subject': {'sub': 'x' * 300},
    'a subject that no database takes': {'sub': 'ana\x00'},
}


@pytest.mark.parametrize('claims', WRONG.values(), ids=WRONG)
async def test_a_token_that_is_wrong_in_one_thing_signs_nobody_in(portal, provider, claims, caplog):
    provider.claims |= claims
    answer = await through(portal.http, provider)
    await refused(portal.http, answer, 502)
    assert 'does not prove who you are' in answer.text
    assert 'signing in with the OIDC provider failed' in caplog.text
    assert 'Traceback' not in caplog.text


async def test_a_token_for_several_that_names_the_portal_counts(portal, provider):
    provider.claims |= {'aud': ['portal', 'another'], 'azp': 'portal'}
    assert (await through(portal.http, provider)).status_code == 303


async def test_a_clock_that_is_a_little_off_is_forgiven(portal, provider):
    provider.claims |= {'iat': int(time.time()) + 30, 'exp': int(time.time()) - 30}
    assert (await through(portal.http, provider)).status_code == 303


@pytest.mark.parametrize('how', ['another key', 'the secret as a key', 'the public key as a secret', 'not at all'])
async def test_a_token_that_the_provider_did_not_sign_signs_nobody_in(portal, provider, how):
    if how == 'another key':
        provider.key = provider.OTHER_KEY
    elif how == 'not at all':
        provider.header = {'alg': 'none'}
        provider.key = None
    else:
        provider.header = {'alg': 'HS256', 'kid': 'one'}
        provider.key = shared_key(SECRET if how == 'the secret as a key' else str(provider.KEY.as_pem(private=False)))
    await refused(portal.http, await through(portal.http, provider), 502)


GARBAGE = {
    'nothing': b'', 'html': b'<html>Welcome!</html>', 'a list': b'[]', 'a number': b'7', 'null': b'null',
    'bytes': b'\xff\xfe\x00', 'deep': b'[' * 5000, 'endless': b'{"a": "' + b'x' * (oidc.MAX_ANSWER + 10) + b'"}',
}  # fmt: skip


@pytest.mark.parametrize('body', GARBAGE.values(), ids=GARBAGE)
@pytest.mark.parametrize('path', ['/token', '/jwks', '/userinfo', '/.well-known/openid-configuration'])
async def test_garbage_is_a_page_with_a_way_back(portal, provider, path, body, caplog):
    if path == '/userinfo':
        provider.claims = {'sub': 'ana-1'}
    provider.answers[path] = (200, body)
    if path.startswith('/.well-known'):
        answer = await portal.http.get('/oidc/start')
    else:
        answer = await through(portal.http, provider)
    await refused(portal.http, answer, 502)
    assert 'Traceback' not in caplog.text


@pytest.mark.parametrize('status', [301, 400, 401, 404, 500, 503])
@pytest.mark.parametrize('path', ['/token', '/jwks', '/.well-known/openid-configuration'])
async def test_a_refusal_of_the_provider_is_a_page_with_a_way_back(portal, provider, path, status):
    provider.answers[path] = (status, b'{"error": "temporarily_unavailable"}')
    if path.startswith('/.well-known'):
        answer = await portal.http.get('/oidc/start')
    else:
        answer = await through(portal.http, provider)
    await refused(portal.http, answer, 502)


@pytest.mark.parametrize(
    'token',
    [{}, {'id_token': None}, {'id_token': 7}, {'id_token': ''}, {'id_token': 'a.b.c'}, {'id_token': 'x' * 9999}],
)
async def test_an_answer_without_a_token_that_can_be_read_signs_nobody_in(portal, provider, token):
    provider.token = {'access_token': 'a', 'token_type': 'Bearer', **token}
    await refused(portal.http, await through(portal.http, provider), 502)


@pytest.mark.parametrize(
    'metadata',
    [
        {'issuer': 'https://evil.example'},
        {'issuer': None},
        {'token_endpoint': None},
        {'token_endpoint': 'http://elsewhere.example/token'},
        {'jwks_uri': 'file:///etc/passwd'},
        {'authorization_endpoint': 'javascript:alert(1)'},
        {'userinfo_endpoint': ['x']},
        {'id_token_signing_alg_values_supported': ['HS256', 'none']},
    ],
    ids=str,
)
async def test_what_a_provider_says_about_itself_is_judged_before_anybody_is_sent_there(portal, provider, metadata):
    provider.metadata = metadata
    await refused(portal.http, await portal.http.get('/oidc/start'), 502)


async def test_a_provider_that_is_away_is_told_as_such(portal, configured, honest):
    configured('http://127.0.0.1:9')  # nobody listens there
    answer = await portal.http.get('/oidc/start')
    await refused(portal.http, answer, 502)
    assert 'cannot be reached' in answer.text


async def test_a_provider_without_encryption_is_not_asked_unless_it_is_on_this_machine(portal, configured, caplog):
    configured('http://id.example.com')
    await refused(portal.http, await portal.http.get('/oidc/start'), 502)
    assert 'not an https address' in caplog.text


# -- states and replays -----------------------------------------------------------------------------------------------


async def test_an_answer_counts_once(portal, provider):
    address = await begun(portal.http)
    held = portal.http.cookies[oidc.COOKIE]
    back = provider.authorize(address)
    assert (await portal.http.get('/oidc/callback', params=back)).status_code == 303
    again = portal.browser()
    again.cookies.set(oidc.COOKIE, held)
    await Session.all().delete()
    provider.codes[back['code']] = {}  # even if the provider took it again
    answer = await again.get('/oidc/callback', params=back)
    await refused(again, answer, 400)
    assert 'Begin again' in answer.text


@pytest.mark.parametrize('wrong', ['another state', 'no state', 'another browser', 'too late', 'forged', 'not sealed'])
async def test_an_answer_that_this_browser_did_not_ask_for_signs_nobody_in(portal, provider, wrong, monkeypatch):
    back = provider.authorize(await begun(portal.http))
    browser = portal.http
    if wrong == 'another state':
        back['state'] = 'x' * 43
    elif wrong == 'no state':
        del back['state']
    elif wrong == 'another browser':
        browser = portal.browser()
    elif wrong == 'forged':
        browser = portal.browser()
        browser.cookies.set(oidc.COOKIE, 's1.' + 'A' * 400)
    elif wrong == 'not sealed':
        browser = portal.browser()
        browser.cookies.set(oidc.COOKIE, '{"state": "x"}')
    else:
        now = time.time()
        monkeypatch.setattr(oidc.time, 'time', lambda: now + oidc.LASTS + 1)
    answer = await browser.get('/oidc/callback', params=back)
    await refused(browser, answer, 400)
    assert '/token' not in [path for path, *_ in provider.seen]


async def test_an_answer_that_names_another_issuer_signs_nobody_in(portal, provider):
    await refused(portal.http, await through(portal.http, provider, iss='https://evil.example'), 502)


async def test_who_does_not_want_to_comes_back_to_a_page_that_says_so(portal, provider):
    back = provider.authorize(await begun(portal.http))
    answer = await portal.http.get(
        '/oidc/callback', params={'state': back['state'], 'error': 'access_denied', 'error_description': '<b>x</b>'}
    )
    await refused(portal.http, answer, 403)
    assert '<b>x</b>' not in answer.text


async def test_trying_callbacks_is_slowed_down(portal, provider):
    for _ in range(FREE_TRIES):
        assert (await portal.http.get('/oidc/callback?code=a&state=b')).status_code == 400
    answer = await portal.http.get('/oidc/callback?code=a&state=b')
    assert answer.status_code == 429


# -- who it is --------------------------------------------------------------------------------------------------------


async def invited(portal, **lasts: float) -> PortalUser:
    ida = await PortalUser.create(
        partner=portal.northwind.partner, name='Ida', email='ida@northwind.example', role='technician'
    )
    await OneTimeLink.create(
        kind=LinkKind.INVITE, user=ida, token_hash='x' * 64, expires_at=datetime.now(UTC) + timedelta(**lasts)
    )
    return ida


async def test_somebody_who_was_invited_is_registered_by_it_and_the_invitation_is_used(portal, provider):
    ida = await invited(portal, hours=1)
    provider.claims |= {'sub': 'ida-1', 'email': 'IDA@northwind.example'}
    assert (await through(portal.http, provider)).status_code == 303
    ida = await PortalUser.get(id=ida.id)
    assert (ida.registered_at is not None, ida.oidc_subject) == (True, 'ida-1')
    assert (await OneTimeLink.get(user_id=ida.id)).used_at is not None
    assert await kinds() == ['user.registered', 'user.signed_in']


@pytest.mark.parametrize('how', ['expired', 'withdrawn'])
async def test_an_invitation_that_is_over_registers_nobody(portal, provider, how):
    ida = await invited(portal, hours=-1 if how == 'expired' else 1)
    if how == 'withdrawn':
        await OneTimeLink.filter(user_id=ida.id).update(revoked_at=datetime.now(UTC))
    provider.claims |= {'sub': 'ida-1', 'email': 'ida@northwind.example'}
    answer = await through(portal.http, provider)
    await refused(portal.http, answer, 403)
    assert 'expired or was withdrawn' in answer.text
    ida = await PortalUser.get(id=ida.id)
    assert (ida.registered_at, ida.oidc_subject) == (None, '')
    assert await kinds() == ['user.sign_in_failed']


@pytest.mark.parametrize('linked', [False, True])
async def test_somebody_disabled_does_not_sign_in(portal, provider, linked):
    if linked:
        assert (await through(portal.http, provider)).status_code == 303
    await portal.northwind.ana.disable(datetime.now(UTC))
    await Session.all().delete()
    browser = portal.browser()
    answer = await through(browser, provider)
    await refused(browser, answer, 403)
    assert 'disabled' in answer.text
    assert (await kinds())[-1] == 'user.sign_in_failed'


async def test_the_generic_account_never_signs_in(portal, provider):
    await PortalUser.create(
        partner=portal.northwind.partner, name='Generic', email='msp_client@northwind.example', role='administrator',
        can_sign_in=False,
    )  # fmt: skip
    provider.claims |= {'sub': 'generic', 'email': 'msp_client@northwind.example'}
    answer = await through(portal.http, provider)
    await refused(portal.http, answer, 403)
    assert 'no account for you' in answer.text
    assert not await PortalUser.exists(oidc_subject='generic')


@pytest.mark.parametrize('verified', [False, None, 'true', 1, 'yes'])
async def test_only_what_is_plainly_verified_is(portal, provider, verified):
    provider.claims |= {'email_verified': verified}
    answer = await through(portal.http, provider)
    await refused(portal.http, answer, 403)
    assert not (await PortalUser.get(id=portal.northwind.ana.id)).oidc_subject


@pytest.mark.parametrize('email', [None, '', 7, ['ana@northwind.example'], 'x' * 400, 'ana@northwind.example\x00'])
async def test_an_address_that_is_none_is_nobodys(portal, provider, email):
    provider.claims |= {'email': email}
    provider.userinfo = {'sub': 'ana-1'}
    await refused(portal.http, await through(portal.http, provider), 403)


async def test_an_address_that_was_given_to_somebody_else_at_the_provider_opens_no_account(portal, provider):
    assert (await through(portal.http, provider)).status_code == 303
    await Session.all().delete()
    provider.claims |= {'sub': 'a newcomer'}
    browser = portal.browser()
    answer = await through(browser, provider)
    await refused(browser, answer, 403)
    assert 'belongs to another account' in answer.text
    assert (await kinds())[-1] == 'user.sign_in_failed'
    # The administrator who is asked can help, if that is who it says.
    ana, tom = portal.northwind.ana, portal.northwind.tom
    await PortalUser.filter(id=tom.id).update(role=PortalRole.ADMINISTRATOR)
    administrator = await portal.signed_in(tom)
    address = f'/api/ui/people/{ana.id}'
    assert (await administrator.get(address)).json()['provider']
    assert (await administrator.post(f'{address}/single-sign-on/unlink', json={})).status_code == 200
    assert (await administrator.post(f'{address}/single-sign-on/unlink', json={})).status_code == 409
    assert (await kinds())[-1] == 'user.oidc_unlinked'
    assert (await through(portal.browser(), provider)).status_code == 303
    assert (await PortalUser.get(id=ana.id)).oidc_subject == 'a newcomer'


async def test_failures_are_written_down_once_in_a_while_and_not_each_time(portal, provider):
    await portal.northwind.ana.disable(datetime.now(UTC))
    for _ in range(4):
        assert (await through(portal.browser(), provider)).status_code == 403
    assert (await kinds()).count('user.sign_in_failed') == 1


async def test_the_second_factor_is_asked_for_after_a_provider_as_after_a_password(portal, provider):
    key = await second_factor.begin(portal.northwind.ana)
    await PortalUser.filter(id=portal.northwind.ana.id).update(totp_since=datetime.now(UTC))
    answer = await through(portal.http, provider)
    assert (answer.status_code, answer.headers['location']) == (303, '/login/code')
    assert COOKIE not in portal.http.cookies
    assert halfway.COOKIE in portal.http.cookies
    answer = await portal.http.post('/login/code', data={'code': TOTP(key).now()})
    assert (answer.status_code, answer.headers['location']) == (303, '/')
    assert await Session.filter(user_id=portal.northwind.ana.id).count() == 1


async def test_the_rule_for_everyone_holds_after_a_provider_as_well(portal, provider):
    portal.northwind.partner.two_factor = TwoFactorRule.EVERYONE
    await portal.northwind.partner.save()
    answer = await through(portal.http, provider)
    assert answer.headers['location'] == '/login/enrol'
    assert COOKIE not in portal.http.cookies
