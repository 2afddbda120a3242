"""The settings page, its routes, and where what is set shows."""

import io

import pytest
from PIL import Image

from models import ApiToken, BackupRun, HistoryEvent, Message, Partner, PortalRole, PortalUser
from models.demo import ACCOUNTS
from models.mailing import post
from pages import unread
from tests.smtp import Post, mail_server, use

ADDRESS = '/api/ui/settings'


def _picture() -> bytes:
    made = io.BytesIO()
    Image.new('RGB', (600, 200), (11, 102, 195)).save(made, 'PNG')
    return made.getvalue()


async def _now(portal) -> dict:
    return (await portal.http.get(ADDRESS)).json()


# -- who --------------------------------------------------------------------------------------------------------------


async def test_an_administrator_sees_the_settings(portal):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/settings')
    await portal.should_see('Northwind IT')
    config = portal.config()
    assert config['facts']['name'] == 'Northwind IT'
    assert config['mine'] == {'email': 'ana@northwind.example', 'second_factor': False}
    assert config['tokens'] == []
    assert ['EUR', 'EUR – Euro'] in config['currencies']
    assert 'Europe/London' in config['time_zones']


@pytest.mark.parametrize('role', [role for role in PortalRole if role != PortalRole.ADMINISTRATOR])
async def test_nobody_else_finds_them(portal, role):
    tom = portal.northwind.tom
    await PortalUser.filter(id=tom.id).update(role=role)
    await portal.sign_in(tom)
    await portal.open_refused('/settings')
    await portal.should_see('There is nothing here')
    for method, path in (
        ('GET', ''), ('POST', ''), ('POST', '/logo'), ('DELETE', '/logo'), ('POST', '/mail/test'),
        ('POST', '/mail/retry'), ('POST', '/tokens'), ('DELETE', '/tokens/1'),
    ):  # fmt: skip
        answer = await portal.http.request(method, ADDRESS + path, json={'facts': {'name': 'x'}, 'name': 'x'})
        assert answer.status_code == 403, path
    assert (await Partner.get(id=tom.partner_id)).name == 'Northwind IT'


async def test_the_menu_offers_them_to_administrators_only(portal):
    await portal.sign_in(portal.northwind.ana)
    assert '"/settings"' in (await portal.http.get('/')).text
    await portal.sign_in(portal.northwind.tom)
    assert '"/settings"' not in (await portal.http.get('/')).text


# -- facts ------------------------------------------------------------------------------------------------------------


async def test_what_is_saved_is_there_again(portal):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(
        ADDRESS, json={
            'facts': {'name': 'Northwind Ltd', 'outbound_ips': '8.8.8.8\n1.1.1.0/24', 'link rfi/error': 'https://h.example/e',
                      'sales_limit': '500'},
            'was': {'name': 'Northwind IT', 'outbound_ips': [], 'link rfi/error': '', 'sales_limit': ''},
        },
    )  # fmt: skip
    assert answer.status_code == 200
    assert answer.json()['changed'] == ['link rfi/error', 'name', 'outbound_ips', 'sales_limit']
    facts = (await _now(portal))['facts']
    assert (facts['name'], facts['outbound_ips']) == ('Northwind Ltd', ['8.8.8.8', '1.1.1.0/24'])
    assert (facts['link rfi/error'], facts['sales_limit']) == ('https://h.example/e', '500.00')
    assert (await Partner.get(id=portal.fabrikam.partner.id)).name == 'Fabrikam'


async def test_what_cannot_be_is_told_beside_its_field(portal):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(ADDRESS, json={'facts': {'currency': 'XYZ'}})
    assert answer.status_code == 422
    assert answer.json() == {'field': 'currency', 'error': '“XYZ” is not a currency of ISO 4217, such as EUR'}
    for body in ({}, {'facts': []}, {'facts': {'name': 'x'}, 'was': 3}):
        assert (await portal.http.post(ADDRESS, json=body)).status_code == 422
    assert (await portal.http.post(ADDRESS, content=b'{')).status_code == 422


async def test_a_change_of_somebody_else_is_told(portal):
    await portal.sign_in(portal.northwind.ana)
    await portal.http.post(ADDRESS, json={'facts': {'name': 'Theirs'}})
    answer = await portal.http.post(ADDRESS, json={'facts': {'name': 'Mine'}, 'was': {'name': 'Northwind IT'}})
    assert answer.status_code == 409
    assert answer.json()['now'] == 'Theirs'
    again = await portal.http.post(ADDRESS, json={'facts': {'name': 'Mine'}, 'was': {'name': 'Theirs'}})
    assert again.status_code == 200


async def test_the_password_of_the_mail_server_never_reaches_a_browser(portal):
    await portal.sign_in(portal.northwind.ana)
    facts = {
        'smtp_host': 'smtp.northwind.example', 'smtp_user': 'portal', 'mail_from': 'p@northwind.example',
        'smtp_password': 'geheim-123',
    }  # fmt: skip
    answer = await portal.http.post(ADDRESS, json={'facts': facts})
    assert answer.status_code == 200
    sealed = (await Partner.get(id=portal.northwind.partner.id)).smtp_password
    page = (await portal.http.get('/settings')).text
    for text in (answer.text, (await portal.http.get(ADDRESS)).text, page):
        assert 'geheim' not in text
        assert sealed not in text
    assert (await _now(portal))['password_set']


# -- logo -------------------------------------------------------------------------------------------------------------


async def test_a_logo_is_shown_to_ones_own_msp_only(portal):
    await portal.sign_in(portal.northwind.ana)
    assert (await portal.http.get('/api/ui/partner/logo')).status_code == 404
    answer = await portal.http.post(ADDRESS + '/logo', content=_picture())
    assert answer.status_code == 200
    address = answer.json()['now']['logo']
    shown = await portal.http.get(address)
    assert shown.headers['content-type'] == 'image/png'
    assert shown.headers['x-content-type-options'] == 'nosniff'
    assert shown.content.startswith(b'\x89PNG')
    assert address in (await portal.http.get('/noc')).text
    tom = await portal.signed_in(portal.northwind.tom)
    assert (await tom.get(address)).status_code == 200
    eve = await portal.signed_in(portal.fabrikam.eve)
    assert (await eve.get(address)).status_code == 404
    assert address not in (await eve.get('/noc')).text
    assert (await portal.http.delete(ADDRESS + '/logo')).json()['now']['logo'] == ''
    assert (await portal.http.get(address)).status_code == 404


@pytest.mark.parametrize(
    ('content', 'said'), [
        (b'<svg/>', 'is not a PNG, JPEG or WebP picture'), (b'', 'is empty'), (b'x' * 500_001, 'is larger than 500 KB'),
    ],
)  # fmt: skip
async def test_a_logo_that_is_none_is_refused_in_words(portal, content, said):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(ADDRESS + '/logo', content=content)
    assert answer.status_code == 422
    assert answer.json() == {'field': 'logo', 'error': said}


async def test_a_body_without_an_end_is_not_read_to_it(portal, monkeypatch):
    await portal.sign_in(portal.northwind.ana)
    monkeypatch.setattr(unread, 'MOST', 1_000_000)
    read = 0

    async def endless():
        nonlocal read
        while read < 50_000_000:
            read += 65536
            yield b'x' * 65536

    answer = await portal.http.post(ADDRESS + '/logo', content=endless())
    assert answer.status_code == 422
    assert read < 10_000_000


# -- mail -------------------------------------------------------------------------------------------------------------


async def test_a_test_message_is_answered_with_what_the_server_said(portal):
    await portal.sign_in(portal.northwind.ana)
    box = Post()
    async with mail_server(box) as port:
        await use(portal.northwind.partner, port)
        answer = await portal.http.post(ADDRESS + '/mail/test', json={})
        assert answer.json()['ok'] is True
        assert 'Taken as 4711' in answer.json()['said']
        box.rcpt[''] = '550 <script>alert(1)</script>'
        refused = await portal.http.post(ADDRESS + '/mail/test', json={})
    assert box.recipients == ['ana@northwind.example']
    assert refused.json()['ok'] is False
    assert '550' in refused.json()['said']


async def test_without_a_server_the_test_says_so(portal):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post(ADDRESS + '/mail/test', json={})
    assert answer.json() == {'ok': False, 'said': 'No mail server is set.'}
    text = await (await HistoryEvent.get(kind='settings.mail_tested')).text()
    assert text is not None
    assert text.summary == 'A test message could not be sent: No mail server is set.'


async def test_what_waits_is_told_and_can_be_tried_again(portal):
    partner = await use(portal.northwind.partner, 25)
    await post(partner, kind='invite', recipient='ivo@northwind.example', template='test', facts={'name': 'Ana'})
    await Message.all().update(error='127.0.0.1:25 cannot be reached.')
    await portal.sign_in(portal.northwind.ana)
    mail = (await _now(portal))['mail']
    assert (mail['waiting'], mail['error']) == (1, '127.0.0.1:25 cannot be reached.')
    answer = await portal.http.post(ADDRESS + '/mail/retry', json={})
    assert answer.json()['tried'] == 1
    eve = await portal.signed_in(portal.fabrikam.eve)
    assert (await eve.get(ADDRESS)).json()['mail']['waiting'] == 0


# -- tokens -----------------------------------------------------------------------------------------------------------


async def test_a_token_is_shown_once_works_and_is_revoked(portal):
    await portal.sign_in(portal.northwind.ana)
    made = await portal.http.post(ADDRESS + '/tokens', json={'name': ' collector in Leeds '})
    token = made.json()['token']
    (row,) = made.json()['now']['tokens']
    assert (row['name'], row['used_at'], row['revoked_at']) == ('collector in Leeds', None, None)
    assert token not in (await portal.http.get(ADDRESS)).text
    assert await ApiToken.holder(token) is not None
    answer = await portal.http.delete(f'{ADDRESS}/tokens/{row["id"]}')
    assert answer.json()['now']['tokens'][0]['revoked_at']
    assert await ApiToken.holder(token) is None
    kinds = await HistoryEvent.filter(kind__startswith='token.').order_by('id')
    assert [entry.kind for entry in kinds] == ['token.created', 'token.revoked']
    assert [(await entry.text()).actor for entry in kinds] == ['Ana', 'Ana']
    await portal.http.delete(f'{ADDRESS}/tokens/{row["id"]}')  # once is enough
    assert await HistoryEvent.filter(kind='token.revoked').count() == 1


async def test_a_token_of_another_msp_is_not_there(portal):
    await ApiToken.issue(portal.fabrikam.partner, 'theirs')
    theirs = await ApiToken.get(name='theirs')
    await portal.sign_in(portal.northwind.ana)
    for number in (theirs.id, 999, 'x', '1e9', '-1'):
        assert (await portal.http.delete(f'{ADDRESS}/tokens/{number}')).status_code == 404
    assert (await ApiToken.get(id=theirs.id)).revoked_at is None
    assert (await _now(portal))['tokens'] == []


async def test_a_token_needs_a_name_and_there_is_an_end_to_them(portal, monkeypatch):
    await portal.sign_in(portal.northwind.ana)
    assert (await portal.http.post(ADDRESS + '/tokens', json={'name': ' \x00 '})).json()['field'] == 'name'
    monkeypatch.setattr('models.api_token.MOST', 1)
    await portal.http.post(ADDRESS + '/tokens', json={'name': 'one'})
    assert (await portal.http.post(ADDRESS + '/tokens', json={'name': 'two'})).status_code == 422
    assert await ApiToken.all().count() == 1


# -- help -------------------------------------------------------------------------------------------------------------


async def test_help_leads_where_the_msp_says_and_elsewhere_for_others(portal):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/customers/in-progress')
    before = portal.config()['links']['connect_status']
    assert before == {'own': {}, 'by': 'connect_key', 'others': '/help/connect/{connect_key}'}
    await portal.http.post(ADDRESS, json={'facts': {
        'help_base': 'https://kb.example.com/msp/', 'link step/journaling': 'https://kb.example.com/j',
        'link status/blocked': 'https://kb.example.com/b', 'link rfi/error': 'https://kb.example.com/e',
    }})  # fmt: skip
    await portal.user.open('/customers/in-progress')
    assert portal.config()['links']['connect_status'] == {
        'own': {'journaling': 'https://kb.example.com/j', 'blocked': 'https://kb.example.com/b'}, 'by': 'connect_key',
        'others': 'https://kb.example.com/msp/connect/{connect_key}',
    }  # fmt: skip
    assert portal.config()['beginning']['href'] == 'https://kb.example.com/msp/import/customers'
    acme = await portal.add(portal.northwind.partner, 'Acme')
    await portal.user.open(f'/customers/{acme.id}')
    await portal.should_see('Acme')
    assert portal.config()['help'] == 'https://kb.example.com/msp'
    assert portal.config()['helps']['rfi/error'] == 'https://kb.example.com/e'
    await portal.sign_in(portal.fabrikam.eve)
    await portal.user.open('/customers/in-progress')
    assert portal.config()['links']['connect_status'] == before


async def test_a_change_by_another_process_is_seen_at_the_next_load(portal):
    from models import events

    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/customers/complete')
    await Partner.filter(id=portal.northwind.partner.id).update(help_base='https://kb.example.com')
    events.MANY_CHANGED.emit(None)
    await portal.user.open('/customers/complete')
    assert portal.config()['links']['connect_status']['others'] == 'https://kb.example.com/connect/{connect_key}'


async def test_everything_that_is_wrong_in_a_section_is_told_at_once(portal):
    await portal.sign_in(portal.northwind.ana)
    facts = {'name': '', 'outbound_ips': '10.0.0.1', 'smtp_port': '0', 'currency': 'EUR'}
    told = (await portal.http.post(ADDRESS, json={'facts': facts})).json()
    assert told['errors'] == {
        'name': 'is empty', 'outbound_ips': '“10.0.0.1” is not a public address (private)',
        'smtp_port': 'must be a number from 1 to 65535',
    }  # fmt: skip
    assert (await Partner.get(id=portal.northwind.partner.id)).currency == 'USD'


# -- the face of the MSP ----------------------------------------------------------------------------------------------


async def test_every_page_shows_the_name_and_the_logo_of_ones_own_msp(portal):
    await portal.sign_in(portal.northwind.ana)
    for address in ('/', '/customers/in-progress', '/help'):
        page = (await portal.http.get(address)).text
        assert 'MSP Portal, Northwind IT' in page, address
        assert 'brand-logo' not in page, address
    logo = (await portal.http.post(ADDRESS + '/logo', content=_picture())).json()['now']['logo']
    await portal.http.post(ADDRESS, json={'facts': {'name': 'N <b>Ltd'}})
    tom, eve = await portal.signed_in(portal.northwind.tom), await portal.signed_in(portal.fabrikam.eve)
    assert (await tom.get('/api/ui/partner')).json() == {'name': 'N <b>Ltd', 'logo': logo}
    assert (await eve.get('/api/ui/partner')).json() == {'name': 'Fabrikam', 'logo': ''}
    page = (await tom.get('/customers/in-progress')).text
    assert logo in page
    assert 'N <b>Ltd' not in page
    assert logo not in (await eve.get('/customers/in-progress')).text


# -- the first steps of a new MSP --------------------------------------------------------------------------------------

STEPS = '/api/ui/next-steps'


async def _done(browser) -> dict[str, bool] | None:
    steps = (await browser.get(STEPS)).json()['steps']
    return steps and {step['key']: step['done'] for step in steps}


async def test_the_first_steps_are_worked_out_from_what_is_there(portal):
    await portal.sign_in(portal.fabrikam.eve)
    assert await _done(portal.http) == {'people': False, 'mail': False, 'customers': False, 'backup': False}
    assert 'next_steps.js' in (await portal.http.get('/')).text
    await PortalUser.create(
        partner=portal.fabrikam.partner, name='Fay', email='fay@fabrikam.example', role=PortalRole.SALES
    )
    await portal.http.post(
        ADDRESS, json={'facts': {'smtp_host': 'smtp.fabrikam.example', 'mail_from': 'p@fabrikam.example'}}
    )
    await portal.add(portal.fabrikam.partner, 'Ash')
    assert await _done(portal.http) == {'people': True, 'mail': True, 'customers': True, 'backup': False}
    run = await BackupRun.begin()
    await run.finish('/backups/x.tar', 1, is_encrypted=False)
    await run.verified()
    assert await _done(portal.http) == {'people': True, 'mail': True, 'customers': True, 'backup': True}
    for step in (await portal.http.get(STEPS)).json()['steps']:
        for _, address in step['links']:
            assert (await portal.http.get(address)).status_code == 200


async def test_dismissed_steps_do_not_come_back_to_who_dismissed_them(portal):
    await portal.sign_in(portal.northwind.ana)
    assert (await portal.http.post(STEPS + '/dismiss', json={})).status_code == 200
    assert await _done(portal.http) is None
    assert 'next_steps.js' not in (await portal.http.get('/')).text
    eve = await portal.signed_in(portal.fabrikam.eve)
    assert await _done(eve) is not None


async def test_nobody_sets_up_the_demo_and_only_administrators_set_up_anything(portal):
    await PortalUser.create(
        partner=portal.northwind.partner, name='Generic', email=ACCOUNTS[0], role=PortalRole.ADMINISTRATOR,
        can_sign_in=False,
    )  # fmt: skip
    await portal.sign_in(portal.northwind.ana)
    assert await _done(portal.http) is None
    tom = await portal.signed_in(portal.northwind.tom)
    assert (await tom.get(STEPS)).status_code == 403
    assert 'next_steps.js' not in (await tom.get('/')).text
