"""The page of the MSP's people: what it lists, what its panel tells, and what is changed there."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from components import live
from models import CustomerAccess, CustomerTag, Message, OneTimeLink, PortalRole, PortalUser, Session, Sight, UserState
from settings import settings

PEOPLE = '/api/ui/people'


async def _ask(browser: Any, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    answer = await (browser.get(PEOPLE + path) if body is None else browser.post(PEOPLE + path, json=body))
    return answer.status_code, answer.json()


def _invitation(**more: Any) -> dict[str, Any]:
    sight = {'everything': True, 'customers': [], 'tags': []}
    return {'name': 'Nina Berg', 'email': 'nina@northwind.example', 'role': 'sales', 'sight': sight, **more}


@pytest.fixture
async def ana(portal) -> Any:
    for who in (portal.northwind.ana, portal.northwind.tom):
        who.set_name(who.name)
        await who.save()
    return await portal.signed_in(portal.northwind.ana)


async def test_the_page_is_there_for_administrators_only(portal):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/users')
    await portal.should_see('name or e-mail address')
    assert portal.config()['table']['key'] == 'users'
    roles = portal.config()['roles']
    assert [value for value, _, _ in roles] == list(PortalRole)
    assert len({about for _, _, about in roles}) == len(PortalRole), 'each role says what it is for'
    await portal.sign_in(portal.northwind.tom)
    await portal.open_refused('/users')
    await portal.should_see('There is nothing here')
    answer = await portal.http.get('/api/ui/tables/users/rows')
    assert answer.status_code == 403
    assert 'does not include' in answer.json()['error']


async def test_the_list_says_who_may_what_and_how_far_they_are(portal, ana):
    birch = await portal.add(portal.northwind.partner, 'Birch')
    await portal.northwind.tom.change_sight(Sight(False, frozenset({birch.id})), by=portal.northwind.ana)
    await _ask(ana, '', _invitation())
    rows = (await ana.get('/api/ui/tables/users/rows')).json()['rows']
    shown = {
        row['name']: [row[c] for c in ('email', 'role', 'sees', 'state', 'two_factor', 'sessions')] for row in rows
    }
    assert shown == {
        'Ana': ['ana@northwind.example', 'MSP administrator', 'All customers', 'Registered', 'Off', 1],
        'Nina Berg': ['nina@northwind.example', 'Sales', 'All customers', 'Invited', 'Off', 0],
        'Tom': ['tom@northwind.example', 'Technician', '1 customer', 'Registered', 'Off', 0],
    }
    assert rows[0]['last_sign_in']


async def test_the_list_is_searched_and_sorted_like_those_of_customers(portal, ana):
    await _ask(ana, '', _invitation(name='Émile Zola', email='zola@northwind.example'))

    async def names(query: str) -> list[str]:
        return [row['name'] for row in (await ana.get(f'/api/ui/tables/users/rows?{query}')).json()['rows']]

    assert await names('') == ['Ana', 'Émile Zola', 'Tom']
    assert await names('q=EMILE') == await names('q=zola%40') == await names('letter=e') == ['Émile Zola']
    assert await names('sort=name&dir=desc') == ['Tom', 'Émile Zola', 'Ana']
    assert await names('sort=state') == ['Émile Zola', 'Ana', 'Tom']
    assert await names('sort=role') == ['Ana', 'Tom', 'Émile Zola']
    assert (await names('sort=last_sign_in&dir=desc'))[0] == 'Ana'
    assert (await names('sort=sessions&dir=desc'))[0] == 'Ana'
    assert (await names('sort=sees&dir=desc'))[0] == 'Tom'
    assert set(await names('sort=two_factor')) == {'Ana', 'Émile Zola', 'Tom'}
    counts = (await ana.get('/api/ui/tables/users/counts?q=northwind')).json()
    assert (counts['shown'], counts['all'], counts['letters']) == (3, 3, 'aet')


async def test_a_change_shows_in_a_list_that_is_asked_for_at_once(portal, ana):
    async def roles() -> set[str]:
        return {row['role'] for row in (await ana.get('/api/ui/tables/users/rows')).json()['rows']}

    assert 'Finance' not in await roles()
    await _ask(ana, f'/{portal.northwind.tom.id}/role', {'role': 'finance'})
    assert 'Finance' in await roles()


async def test_nobody_of_another_msp_is_listed_found_or_changed(portal, ana):
    eve = portal.fabrikam.eve
    rows = (await ana.get('/api/ui/tables/users/rows')).json()['rows']
    assert {row['name'] for row in rows} == {'Ana', 'Tom'}
    unknown = await ana.get(f'{PEOPLE}/999999')
    assert (await ana.get(f'{PEOPLE}/{eve.id}')).content == unknown.content
    for path, body in (
        ('role', {'role': 'sales'}), ('sight', _invitation()), ('link', {}), ('link/revoke', {}), ('disable', {}),
        ('enable', {}), ('sessions/end', {'session': None}),
    ):  # fmt: skip
        status, answer = await _ask(ana, f'/{eve.id}/{path}', body)
        assert (status, answer) == await _ask(ana, f'/999999/{path}', body)
        assert status == 404, path
    assert (await PortalUser.get(id=eve.id)).role == PortalRole.ADMINISTRATOR


async def test_without_a_mail_server_the_link_is_shown_once(portal, ana):
    status, answer = await _ask(ana, '', _invitation())
    assert (status, answer['mailed']) == (200, False)
    assert answer['link'].startswith('http://test/invite/')
    status, person = await _ask(ana, f'/{answer["id"]}')
    assert person['state'] == 'invited'
    assert person['link']['kind'] == 'invite'
    assert answer['link'].rpartition('/')[2] not in str(person)


async def test_with_a_mail_server_nobody_is_shown_the_link(portal, ana):
    partner = portal.northwind.partner
    partner.smtp_host, partner.mail_from = 'mail.example', 'portal@northwind.example'
    await partner.save()
    _, answer = await _ask(ana, '', _invitation())
    assert (answer['mailed'], answer['link']) == (True, '')
    assert (await Message.get()).recipient == 'nina@northwind.example'
    _, person = await _ask(ana, f'/{answer["id"]}')
    assert person['mail']['state'] == 'waiting'
    _, again = await _ask(ana, f'/{answer["id"]}/link', {'by_mail': False})
    assert again['link'].startswith('http://test/invite/')


async def test_links_lead_to_the_public_address(portal, ana, monkeypatch):
    monkeypatch.setenv('PORTAL_PUBLIC_URL', 'https://p.example')
    settings.cache_clear()
    _, answer = await _ask(ana, '', _invitation())
    assert answer['link'].startswith('https://p.example/invite/')


@pytest.mark.parametrize(
    ('more', 'field'),
    [
        ({'name': ''}, 'name'),
        ({'email': 'x'}, 'email'),
        ({'role': 'x'}, 'role'),
        ({'name': 3}, 'name'),
        ({'sight': None}, 'sight'),
        ({'sight': {'everything': 'yes'}}, 'sight'),
        ({'sight': {'everything': False, 'customers': ['x']}}, 'sight'),
        ({'sight': {'everything': False, 'customers': 7}}, 'sight'),
        ({'sight': {'everything': False, 'customers': list(range(2001))}}, 'sight'),
        ({'sight': {'everything': False, 'customers': [], 'tags': 'x' * 50}}, 'sight'),
        ({'sight': {'everything': False, 'customers': [], 'tags': [1]}}, 'sight'),
        ({'sight': {'everything': False}}, 'sight'),
        ({'sight': {'everything': False, 'customers': [], 'tags': [], 'none': 'yes'}}, 'sight'),
    ],
)
async def test_what_is_wrong_with_an_invitation_is_said_beside_its_field(portal, ana, more, field):
    status, answer = await _ask(ana, '', _invitation(**more))
    assert (status, answer['field']) == (422, field)
    assert await PortalUser.all().count() == 3


async def test_the_panel_tells_role_sight_links_and_sessions(portal, ana):
    birch = await portal.add(portal.northwind.partner, 'Birch')
    await CustomerTag.change(birch, ['gold'], by=portal.northwind.ana)
    tom = portal.northwind.tom
    session, _ = await portal.session(tom)
    sight = {'everything': False, 'customers': [birch.id], 'tags': ['Gold']}
    assert await _ask(ana, f'/{tom.id}/sight', {'sight': sight}) == (200, {'changed': True})
    _, person = await _ask(ana, f'/{tom.id}')
    assert person['sight']['words'] == '1 customer and what is tagged gold'
    assert [each['name'] for each in person['sight']['customers']] == ['Birch']
    assert [each['id'] for each in person['sessions']] == [session.id]
    assert person['sessions'][0]['browser'] == 'test'
    for ended in (1, 0):  # the second time it has ended already, which is no trouble
        assert await _ask(ana, f'/{tom.id}/sessions/end', {'session': session.id}) == (200, {'ended': ended})
    mine, _ = await portal.session(portal.northwind.ana)
    for one in (mine.id, 999999, 'x'):
        assert (await _ask(ana, f'/{tom.id}/sessions/end', {'session': one}))[0] == 404
    _, person = await _ask(ana, f'/{tom.id}')
    assert person['sessions'] == []
    assert (await ana.get(f'{PEOPLE}/customers?q=bIR')).json()['rows'][0]['name'] == 'Birch'
    assert (await ana.get(f'{PEOPLE}/customers?q=nothing')).json()['rows'] == []
    assert (await ana.get(f'{PEOPLE}/tags')).json() == {'tags': ['gold']}


async def test_that_somebody_sees_no_customer_has_to_be_said(portal, ana):
    tom = portal.northwind.tom
    await tom.change_sight(Sight(), by=portal.northwind.ana)
    nothing = {'everything': False, 'customers': [], 'tags': []}
    status, answer = await _ask(ana, f'/{tom.id}/sight', {'sight': nothing})
    assert (status, answer['field']) == (422, 'sight')
    assert (await PortalUser.get(id=tom.id)).sees_all
    assert await _ask(ana, f'/{tom.id}/sight', {'sight': {**nothing, 'none': True}}) == (200, {'changed': True})
    _, person = await _ask(ana, f'/{tom.id}')
    assert person['sight']['words'] == 'No customers'
    status, _ = await _ask(ana, '', _invitation(sight={**nothing, 'none': True}))
    assert status == 200


async def test_the_last_administrator_is_told_why_not(portal, ana):
    me = portal.northwind.ana.id
    for path, body in (('role', {'role': 'sales'}), ('disable', {})):
        status, answer = await _ask(ana, f'/{me}/{path}', body)
        assert status == 409
        assert 'last administrator' in answer['error']


async def test_disabling_closes_the_pages_and_enabling_opens_the_account_again(portal, ana):
    tom = portal.northwind.tom
    browser = await portal.signed_in(tom)
    assert (await _ask(ana, f'/{tom.id}/disable', {}))[0] == 200
    assert (await browser.get('/api/ui/session')).status_code == 401
    _, person = await _ask(ana, f'/{tom.id}')
    assert person['state'] == UserState.DISABLED
    assert await _ask(ana, f'/{tom.id}/enable', {}) == (200, {'invite': False})
    assert (await PortalUser.get(id=tom.id)).is_active


async def test_whoever_was_an_administrator_a_moment_ago_changes_nobody(portal, ana):
    bob = await PortalUser.register(
        portal.northwind.partner, name='Bob', email='bob@northwind.example', password='four words are plenty',
        role=PortalRole.ADMINISTRATOR,
    )  # fmt: skip
    browser = await portal.signed_in(bob)
    assert (await _ask(ana, f'/{bob.id}/role', {'role': 'read_only'}))[0] == 200
    tom = portal.northwind.tom.id
    for path, body in (
        ('', _invitation()), (f'/{tom}/role', {'role': 'sales'}), (f'/{tom}/disable', {}), (f'/{tom}', None),
        ('/tags', None), ('/customers', None),
    ):  # fmt: skip
        assert (await _ask(browser, path, body))[0] == 403, path


# -- open pages and sockets -------------------------------------------------------------------------------------------


async def _hello(wire: Any) -> dict[str, Any]:
    while True:
        said = await wire.heard()
        if said['type'] == 'websocket.send' and (message := orjson.loads(said['text']))['t'] == 'hello':
            return message


async def _until_closed(wire: Any) -> int:
    while (said := await wire.heard())['type'] != 'websocket.close':
        pass
    return said['code']


def _standing(html: str) -> str:
    return html.partition('name="portal-me" content="')[2].partition('"')[0]


@pytest.mark.parametrize('change', ['role', 'sight'])
async def test_a_page_learns_that_it_was_made_for_another_role_or_sight(portal, wire, ana, change):
    tom = portal.northwind.tom
    _, token = await portal.session(tom)
    browser = portal.browser(token)
    made_for = _standing((await browser.get('/')).text)
    cookie = {'cookie': f'portal_session={token}'}
    async with wire(portal.app, '/live', headers=cookie) as socket:
        assert (await _hello(socket))['me'] == made_for != ''
        body = {'role': 'sales'} if change == 'role' else {'sight': {'everything': True}}
        assert (await _ask(ana, f'/{tom.id}/{change}', body))[0] == 200
        assert await _until_closed(socket) == 1012
    async with wire(portal.app, '/live', headers=cookie) as socket:
        assert (await _hello(socket))['me'] == _standing((await browser.get('/')).text) != made_for


@pytest.mark.parametrize('change', ['role', 'sight', 'listed'])
async def test_what_another_process_changed_is_noticed(portal, wire, change):
    tom = portal.northwind.tom
    birch = await portal.add(portal.northwind.partner, 'Birch')
    _, token = await portal.session(tom)
    async with wire(portal.app, '/live', headers={'cookie': f'portal_session={token}'}) as socket:
        await _hello(socket)
        await live.hub.check_standings()  # nothing has changed
        assert live.hub.session_ids()
        if change == 'listed':
            await CustomerAccess.create(user=tom, customer=birch, allowed=True)
        else:
            changed = {'role': PortalRole.SALES} if change == 'role' else {'sees_all': True}
            await PortalUser.filter(id=tom.id).update(**changed)  # no event tells
        await live.hub.check_standings()
        assert await _until_closed(socket) == 1012
    assert not live.hub.session_ids()


async def test_pages_of_the_msp_hear_that_its_people_changed(portal, wire, ana):
    heard: dict[str, list[str]] = {}
    for who in (portal.northwind.ana, portal.fabrikam.eve):
        _, token = await portal.session(who)
        async with wire(portal.app, '/live', headers={'cookie': f'portal_session={token}'}) as socket:
            await _hello(socket)
            await _ask(ana, '', _invitation(email=f'{who.id}@northwind.example'))
            live.hub.end({(await Session.all().order_by('-id').first()).id})  # type: ignore[union-attr]
            said = heard[who.name] = []
            while (message := await socket.heard())['type'] != 'websocket.close':
                said.append(orjson.loads(message['text']))  # type: ignore[arg-type]
    assert [m['what'] for m in heard['Ana'] if m['t'] == 'p'] == ['users']  # type: ignore[index]
    assert not [m for m in heard['Eve'] if m['t'] == 'p']  # type: ignore[index]


# -- tags on the page of a customer -----------------------------------------------------------------------------------


async def test_tags_are_edited_among_the_facts_of_a_customer(portal, ana):
    birch = await portal.add(portal.northwind.partner, 'Birch')
    address = f'/api/ui/customers/{birch.id}'
    answer = await ana.post(f'{address}/facts', json={'facts': {'tags': 'Gold\nOld'}, 'was': {'tags': []}})
    assert answer.json() == {'changed': ['tags']}
    head = (await ana.get(f'{address}/parts?want=head')).json()['head']
    assert head['tags'] == ['gold', 'old']
    assert head['facts'][-1]['value'] == ['gold', 'old']
    answer = await ana.post(f'{address}/facts', json={'facts': {'tags': 'x'}, 'was': {'tags': []}})
    assert answer.status_code == 409
    assert answer.json()['now'] == ['gold', 'old']


async def test_a_customer_that_loses_its_tag_is_gone_for_who_saw_it_by_it(portal, ana):
    birch = await portal.add(portal.northwind.partner, 'Birch')
    tom = portal.northwind.tom
    await _ask(ana, f'/{tom.id}/sight', {'sight': {'everything': False, 'tags': ['gold']}})
    browser = await portal.signed_in(tom)
    address = f'/api/ui/customers/{birch.id}/parts?want=head'
    assert (await browser.get(address)).status_code == 404
    await CustomerTag.change(birch, ['gold'], by=portal.northwind.ana)
    assert (await browser.get(address)).status_code == 200
    await CustomerTag.change(birch, [], by=portal.northwind.ana)
    assert (await browser.get(address)).status_code == 404


async def test_an_invitation_that_was_withdrawn_is_gone_from_the_panel(portal, ana):
    _, issued = await _ask(ana, '', _invitation())
    assert await _ask(ana, f'/{issued["id"]}/link/revoke', {}) == (200, {})
    _, person = await _ask(ana, f'/{issued["id"]}')
    assert person['link'] is None
    assert await OneTimeLink.filter(revoked_at__isnull=False).count() == 1
    assert (await OneTimeLink.get()).expires_at > datetime.now(UTC)
