import time
from datetime import UTC, datetime, timedelta

import pytest
from pyotp.totp import TOTP

from models import HistoryEvent, PortalUser, Session, TwoFactorRule, own_account, second_factor
from pages.sign_in import FREE_TRIES

ADDRESS = '/api/ui/account'


def another(key: str, ahead: int = 0) -> str:
    return TOTP(key.replace(' ', '')).at(int(time.time()) + 30 * ahead)


async def kinds() -> list[str]:
    return [event.kind for event in await HistoryEvent.filter(customer_id=None).order_by('id')]


async def test_the_page_begins_with_what_one_is_and_the_menu_leads_to_it(portal):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/account')
    await portal.should_see('Europe/Berlin')
    config = portal.config()
    assert (config['facts']['name'], config['facts']['email']) == ('Ana', 'ana@northwind.example')
    assert config['facts']['role'] == 'MSP administrator'
    assert not config['facts']['two_factor']['on']
    assert 'Europe/Berlin' in config['zones']
    links = [each._props.get('href') for each in portal.user._client.elements.values()]
    assert '/account' in links


async def test_the_own_sessions_are_told_in_words_with_this_one_marked(portal):
    browser = await portal.signed_in(portal.northwind.ana)
    await portal.session(portal.northwind.ana)
    await portal.session(portal.northwind.tom)
    sessions = (await browser.get(ADDRESS)).json()['sessions']
    assert [each['mine'] for each in sessions] == [False, True]
    assert all(each['address'] == '127.0.0.1' and each['browser'] for each in sessions)
    assert 'token' not in str(sessions)


# -- name and time zone -----------------------------------------------------------------------------------------------


async def test_a_new_name_is_shown_searched_and_written_down(portal):
    browser = await portal.signed_in(portal.northwind.tom)
    answer = await browser.post(f'{ADDRESS}/name', json={'name': '  Émile\x00 Tomlinson '})
    assert answer.json() == {'name': 'Émile Tomlinson'}
    tom = await PortalUser.get(id=portal.northwind.tom.id)
    assert (tom.name, tom.initial) == ('Émile Tomlinson', 'e')
    assert 'emile' in tom.search_key
    assert (await kinds())[-1] == 'user.renamed'


@pytest.mark.parametrize('name', ['', '   ', '\x00\x01', 'x' * 121, None, 7, ['a']])
async def test_what_is_no_name_is_refused_at_its_field(portal, name):
    browser = await portal.signed_in(portal.northwind.tom)
    answer = await browser.post(f'{ADDRESS}/name', json={'name': name})
    assert (answer.status_code, answer.json()['field']) == (422, 'name')
    assert (await PortalUser.get(id=portal.northwind.tom.id)).name == 'Tom'


async def test_the_chosen_time_zone_stands_in_the_head_of_every_page(portal):
    browser = await portal.signed_in(portal.northwind.tom)
    assert '<meta name="portal-zone" content="">' in (await browser.get('/')).text
    answer = await browser.post(f'{ADDRESS}/time-zone', json={'time_zone': 'Pacific/Auckland'})
    assert answer.status_code == 200
    for page in ('/', '/noc', '/account'):
        assert '<meta name="portal-zone" content="Pacific/Auckland">' in (await browser.get(page)).text
    assert (await browser.post(f'{ADDRESS}/time-zone', json={'time_zone': ''})).status_code == 200
    assert '<meta name="portal-zone" content="">' in (await browser.get('/')).text


@pytest.mark.parametrize('zone', ['Mars/Olympus', '../../etc/passwd', 'Europe/Berlin"><script>', 'localtime', 7])
async def test_a_time_zone_that_is_none_is_refused(portal, zone):
    browser = await portal.signed_in(portal.northwind.tom)
    answer = await browser.post(f'{ADDRESS}/time-zone', json={'time_zone': zone})
    assert (answer.status_code, answer.json()['field']) == (422, 'time_zone')


def test_time_zones_are_those_that_people_live_in():
    zones = own_account.time_zones()
    assert {'Europe/Berlin', 'America/New_York', 'UTC'} <= set(zones)
    assert not [zone for zone in zones if zone.startswith(('Etc/', 'posix', '/'))]


# -- password ---------------------------------------------------------------------------------------------------------


async def test_another_password_takes_the_old_one_and_ends_every_other_session(portal):
    browser, other = [await portal.signed_in(portal.northwind.ana) for _ in range(2)]
    answer = await browser.post(f'{ADDRESS}/password', json={'old': portal.password, 'new': 'another horse battery'})
    assert answer.status_code == 200
    assert (await browser.get(ADDRESS)).status_code == 200
    assert (await other.get(ADDRESS)).status_code == 401
    assert await PortalUser.signing_in('ana@northwind.example', 'another horse battery')
    assert not await PortalUser.signing_in('ana@northwind.example', portal.password)
    assert 'user.password_changed' in await kinds()


@pytest.mark.parametrize(
    ('old', 'new', 'field'),
    [
        ('wrong', 'another horse battery', 'old'),
        ('', 'another horse battery', 'old'),
        (None, 'short', 'new'),
        (None, 'x' * 300, 'new'),
        (None, 'ana@northwind.example 1', 'new'),
        (None, 'qazwsxedcrfv', 'new'),
        (None, None, 'new'),
    ],
)
async def test_a_password_that_cannot_be_is_refused_at_its_field_and_ends_nothing(portal, old, new, field):
    browser, other = [await portal.signed_in(portal.northwind.ana) for _ in range(2)]
    sent = {'old': portal.password if old is None else old, 'new': portal.password if new is None else new}
    answer = await browser.post(f'{ADDRESS}/password', json=sent)
    assert (answer.status_code, answer.json()['field']) == (422, field)
    assert (await other.get(ADDRESS)).status_code == 200


async def test_guessing_the_password_in_an_open_session_is_slowed_down(portal):
    browser = await portal.signed_in(portal.northwind.ana)
    for _ in range(FREE_TRIES):
        answer = await browser.post(f'{ADDRESS}/password', json={'old': 'wrong', 'new': 'another horse battery'})
        assert answer.status_code == 422
    answer = await browser.post(f'{ADDRESS}/password', json={'old': portal.password, 'new': 'another horse battery'})
    assert answer.status_code == 409
    assert 'Too many attempts' in answer.json()['error']
    answer = await browser.post(f'{ADDRESS}/two-factor/begin', json={'password': portal.password})
    assert answer.status_code == 409  # the same password by another way is the same guess
    answer = await browser.post(f'{ADDRESS}/name', json={'name': 'Ana B'})
    assert answer.status_code == 200  # what proves nothing is not slowed down


async def test_who_has_no_password_is_told_how_to_get_one(portal):
    await PortalUser.filter(id=portal.northwind.tom.id).update(password_hash='')
    browser = await portal.signed_in(portal.northwind.tom)
    assert not (await browser.get(ADDRESS)).json()['has_password']
    answer = await browser.post(f'{ADDRESS}/password', json={'old': '', 'new': 'another horse battery'})
    assert answer.status_code == 409
    assert 'administrator' in answer.json()['error']


# -- two-factor -------------------------------------------------------------------------------------------------------


async def key_of(browser, password: str) -> str:
    return (await browser.post(f'{ADDRESS}/two-factor/begin', json={'password': password})).json()['key']


async def test_who_finds_the_page_open_sets_up_no_two_factor_of_theirs(portal):
    browser = await portal.signed_in(portal.northwind.ana)
    for sent in ({}, {'password': ''}, {'password': 'wrong'}, {'password': 7}):
        answer = await browser.post(f'{ADDRESS}/two-factor/begin', json=sent)
        assert (answer.status_code, answer.json()['field']) == (422, 'password')
        assert 'key' not in answer.json()
    assert (await PortalUser.get(id=portal.northwind.ana.id)).totp_key == ''


async def test_who_has_no_password_has_to_have_signed_in_not_long_ago(portal):
    tom = portal.northwind.tom
    await PortalUser.filter(id=tom.id).update(password_hash='', oidc_issuer='https://sso.example', oidc_subject='tom')
    browser = await portal.signed_in(tom)
    assert await key_of(browser, '')
    long_ago = datetime.now(UTC) - own_account.FRESH - timedelta(seconds=1)
    await Session.filter(user_id=tom.id).update(created_at=long_ago)
    answer = await browser.post(f'{ADDRESS}/two-factor/begin', json={'password': 'whatever'})
    assert answer.status_code == 409
    assert 'sign in again' in answer.json()['error']


async def test_two_factor_is_turned_on_with_a_code_and_off_with_the_password_and_a_code(portal):
    browser, other = [await portal.signed_in(portal.northwind.ana) for _ in range(2)]
    begun = (await browser.post(f'{ADDRESS}/two-factor/begin', json={'password': portal.password})).json()
    assert begun['qr'].startswith('<svg')
    assert 'script' not in begun['qr']
    answer = await browser.post(f'{ADDRESS}/two-factor/confirm', json={'code': '12'})
    assert (answer.status_code, answer.json()['field']) == (422, 'code')
    answer = await browser.post(f'{ADDRESS}/two-factor/confirm', json={'code': another(begun['key'])})
    codes = answer.json()['codes']
    assert len(codes) == 10
    facts = (await browser.get(ADDRESS)).json()['two_factor']
    assert (facts['on'], facts['codes_left']) == (True, 10)
    assert begun['key'].replace(' ', '') not in (await browser.get('/account')).text
    assert (await other.get(ADDRESS)).status_code == 401

    for sent, field in (
        ({'password': 'wrong', 'code': codes[0]}, 'password'), ({'password': portal.password}, 'code'),
    ):  # fmt: skip
        answer = await browser.post(f'{ADDRESS}/two-factor/off', json=sent)
        assert (answer.status_code, answer.json()['field']) == (422, field)
    answer = await browser.post(f'{ADDRESS}/two-factor/off', json={'password': portal.password, 'code': codes[0]})
    assert answer.status_code == 200
    assert not (await browser.get(ADDRESS)).json()['two_factor']['on']
    assert await kinds() == [
        'user.signed_in', 'user.signed_in', 'user.two_factor_on', 'user.recovery_code_used', 'user.two_factor_off'
    ]  # fmt: skip


async def test_new_recovery_codes_take_a_code(portal):
    browser = await portal.signed_in(portal.northwind.ana)
    key = await key_of(browser, portal.password)
    old = (await browser.post(f'{ADDRESS}/two-factor/confirm', json={'code': another(key)})).json()['codes']
    assert (await browser.post(f'{ADDRESS}/two-factor/codes', json={'code': 'wrong'})).status_code == 422
    new = (await browser.post(f'{ADDRESS}/two-factor/codes', json={'code': old[0]})).json()['codes']
    assert not set(old) & set(new)


async def test_guessing_codes_in_an_open_session_is_slowed_down(portal):
    browser = await portal.signed_in(portal.northwind.ana)
    key = await key_of(browser, portal.password)
    for _ in range(FREE_TRIES):
        assert (await browser.post(f'{ADDRESS}/two-factor/confirm', json={'code': '1'})).status_code == 422
    answer = await browser.post(f'{ADDRESS}/two-factor/confirm', json={'code': another(key)})
    assert answer.status_code == 409
    assert not second_factor.is_on(await PortalUser.get(id=portal.northwind.ana.id))


async def test_turning_it_off_where_everybody_needs_it_signs_out(portal):
    portal.northwind.partner.two_factor = TwoFactorRule.EVERYONE
    await portal.northwind.partner.save()
    browser = await portal.signed_in(portal.northwind.ana)
    key = await key_of(browser, portal.password)
    codes = (await browser.post(f'{ADDRESS}/two-factor/confirm', json={'code': another(key)})).json()['codes']
    assert (await browser.get(ADDRESS)).json()['two_factor']['must']
    await browser.post(f'{ADDRESS}/two-factor/off', json={'password': portal.password, 'code': codes[0]})
    assert (await browser.get(ADDRESS)).status_code == 401


# -- sessions ---------------------------------------------------------------------------------------------------------


async def test_another_of_the_own_sessions_is_ended(portal):
    browser, other = [await portal.signed_in(portal.northwind.ana) for _ in range(2)]
    theirs = next(each['id'] for each in (await browser.get(ADDRESS)).json()['sessions'] if not each['mine'])
    for is_first in (True, False):
        answer = await browser.post(f'{ADDRESS}/sessions/{theirs}/end', json={})
        assert (answer.status_code, answer.json()) == (200, {'ended': is_first})
    assert (await other.get(ADDRESS)).status_code == 401
    assert (await kinds())[-1] == 'user.sessions_ended'


async def test_all_others_are_ended_and_this_one_goes_on(portal):
    browser, *others = [await portal.signed_in(portal.northwind.ana) for _ in range(4)]
    toms = await portal.signed_in(portal.northwind.tom)
    assert (await browser.post(f'{ADDRESS}/sessions/others/end', json={})).json() == {'ended': 3}
    for other in others:
        assert (await other.get(ADDRESS)).status_code == 401
    assert (await browser.get(ADDRESS)).status_code == 200
    assert (await toms.get(ADDRESS)).status_code == 200
    assert (await browser.post(f'{ADDRESS}/sessions/others/end', json={})).json() == {'ended': 0}


async def test_somebody_elses_session_looks_like_one_that_is_not_there(portal):
    browser = await portal.signed_in(portal.northwind.ana)
    toms, token = await portal.session(portal.northwind.tom)
    answers = [await browser.post(f'{ADDRESS}/sessions/{each}/end', json={}) for each in (toms.id, 999999, 'x', '-1')]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert await Session.live(token) is not None


async def test_nobody_who_is_signed_out_reaches_any_of_it(portal):
    for path in ('', '/name', '/password', '/two-factor/begin', '/sessions/others/end'):
        answer = await portal.browser().post(f'{ADDRESS}{path}', json={})
        assert answer.status_code == 401
