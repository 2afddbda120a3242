"""Prospects: their list, what the page of one tells, what is changed there, and that others hear of it."""

import asyncio
from typing import Any

import orjson
import pytest

from components.live_table import Asked
from models import Customer, Order, OrderState, Partner, PortalRole, PortalUser, Prospect, ProspectState, dns_asking
from models.dns_asking import Found
from models.finding import find_prospects
from models.history_reading import of_prospect
from models.overview import Overview, trends
from pages.api import prospects as routes
from pages.prospects import table

AT = '/api/ui/prospects'
ROWS = '/api/ui/tables/prospects/rows'
WHOLE: dict[str, Any] = {
    'name': 'Åkesson Fisk',
    'domain': 'akesson.example',
    'lead_email': 'eva@akesson.example',
    'seats': 20,
}
FOUND = Found('akesson.example', ['akesson-example.mail.protection.outlook.com'], ['v=spf1 -all'])


@pytest.fixture(autouse=True)
def _nobody_has_been_told():
    routes._answers.clear()
    yield
    routes._answers.clear()


@pytest.fixture
async def ana(portal) -> Any:
    return await portal.signed_in(portal.northwind.ana)


async def _ask(browser: Any, path: str, body: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
    answer = await (browser.get(AT + path) if body is None else browser.post(AT + path, json=body))
    return answer.status_code, answer.json()


async def _made(browser: Any, **facts: Any) -> int:
    status, answer = await _ask(
        browser, '', {'facts': WHOLE | facts, 'confirmed': facts.get('domain', WHOLE['domain'])}
    )
    assert status == 200, answer
    return answer['id']


async def _names(browser: Any, query: str = '') -> list[str]:
    return [row['name'] for row in (await browser.get(f'{ROWS}?{query}')).json()['rows']]


async def test_the_list_shows_who_may_become_a_customer_and_where_the_order_is(portal, ana):
    made = await _made(ana, products=['SEC', 'DMARC'], lead_first_name='Eva', lead_last_name='Åkesson')
    await _made(ana, name='Zander', domain='', lead_email='', seats='')
    lost = await _made(ana, name='Lost & Co', domain='lost.example')
    await _ask(ana, f'/{lost}/state', {'state': 'lost', 'because': 'Too dear', 'was': 'open'})
    await (await Prospect.get(id=made)).verified(FOUND, by=portal.northwind.ana)
    order = await Order.create(partner=portal.northwind.partner, prospect_id=made)
    rows = (await ana.get(ROWS)).json()['rows']
    columns = ('name', 'domain', 'seats', 'products', 'lead', 'state', 'mark')
    assert [[row[name] for name in columns] for row in rows] == [
        ['Åkesson Fisk', 'akesson.example', 20, 'SEC, DMARC', 'Eva Åkesson', 'Open',
         ['good', 'good', 'akesson.example is there and takes mail.']],
        ['Zander', '', None, '', '', 'Draft', None],
    ]  # fmt: skip
    assert rows[0]['order'] == {
        'text': 'Provision', 'href': f'/prospects/{made}/order', 'tip': f'Go on with {order.number}, which is saved',
    }  # fmt: skip
    assert await _names(ana, 'only=lost') == ['Lost & Co']
    assert await _names(ana, 'only=all&sort=state') == ['Åkesson Fisk', 'Zander', 'Lost & Co']
    assert (
        await _names(ana, 'q=AKESSON')
        == await _names(ana, 'letter=a')
        == await _names(ana, 'q=eva')
        == ['Åkesson Fisk']
    )
    for column in ('domain', 'seats', 'products', 'lead', 'changed_at', 'order'):
        assert set(await _names(ana, f'sort={column}&dir=desc')) == {'Åkesson Fisk', 'Zander'}, column
    assert (await ana.get(f'{ROWS}?only=nonsense')).status_code == 422
    counts = (await ana.get('/api/ui/tables/prospects/counts?only=lost')).json()
    assert (counts['shown'], counts['all'], counts['letters']) == (1, 1, 'l')
    answer = await ana.get('/api/ui/tables/prospects/export.csv?only=all&sort=state')
    assert '"prospects-2' in answer.headers['content-disposition']
    lines = answer.text.splitlines()
    assert lines[0].lstrip('\ufeff').split(',')[0] == 'Company'
    assert lines[1].endswith(order.number)
    assert len(lines) == 4


async def test_who_only_reads_has_no_way_to_an_order_and_no_form(portal, ana):
    made = await _made(ana)
    who = await PortalUser.create(
        partner=portal.northwind.partner, name='Rea', email='rea@northwind.example', role=PortalRole.READ_ONLY
    )
    reader = await portal.signed_in(who)
    assert [row['order'] for row in (await reader.get(ROWS)).json()['rows']] == [None]
    status, state = await _ask(reader, f'/{made}')
    assert (status, state['may_change'], state['may_move']) == (200, False, False)
    await portal.sign_in(who)
    await portal.user.open('/prospects')
    assert 'order' not in [column['name'] for column in portal.config()['columns']]
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open('/prospects')
    assert 'order' in [column['name'] for column in portal.config()['columns']]


async def test_who_sees_some_customers_sees_the_prospects_that_they_made(portal, ana):
    theirs = await _made(ana)
    await PortalUser.filter(id=portal.northwind.tom.id).update(role=PortalRole.SALES)
    tom = await portal.signed_in(await PortalUser.get(id=portal.northwind.tom.id))
    # Of who has the domain he is told nothing, for he does not see them.
    assert (await _ask(tom, '', {'facts': WHOLE | {'name': 'Again'}}))[1].keys() == {'id'}
    assert await _names(tom) == ['Again']
    for path, body in ((f'/{theirs}', None), (f'/{theirs}', {'facts': {'seats': 1}}), (f'/{theirs}/verify', {})):
        status, answer = await _ask(tom, path, body)
        assert (status, answer) == (404, {'error': 'There is nothing here, or it is not yours to see.'})
    eve = await portal.signed_in(portal.fabrikam.eve)
    assert await _names(eve, 'only=all') == []
    found = (await ana.get('/api/ui/find?q=akesson')).json()['prospects']
    assert [(each['name'], each['state']) for each in found] == [('Åkesson Fisk', 'Open'), ('Again', 'Open')]
    assert [each['name'] for each in (await tom.get('/api/ui/find?q=akesson')).json()['prospects']] == ['Again']
    assert (await eve.get('/api/ui/find?q=akesson')).json()['prospects'] == []
    assert (await ana.get('/api/ui/overview')).json()['prospects'] == 2
    assert (await ana.get('/api/ui/trends')).json()['prospects'][-2:] == [0, 2]
    assert (await tom.get('/api/ui/overview')).json()['prospects'] == 1


async def test_a_domain_that_is_somebodys_is_stored_once_that_is_said(portal, ana):
    friend = await portal.add(portal.northwind.partner, 'Friend', domain='akesson.example')
    body = {'facts': WHOLE | {'domain': 'AKESSON.example.'}}
    _, answer = await _ask(ana, '', body)
    assert answer == {
        'domain': 'akesson.example',
        'alike': [{'kind': 'customer', 'id': friend.id, 'name': 'Friend', 'state': 'Customer'}],
    }
    assert not await Prospect.exists()
    _, answer = await _ask(ana, '', body | {'confirmed': 'akesson.example'})
    made = answer['id']
    assert [each['name'] for each in (await _ask(ana, f'/{made}'))[1]['alike']] == ['Friend']
    other = await _made(ana, name='Other', domain='other.example')
    _, answer = await _ask(ana, f'/{other}', {'facts': {'domain': 'akesson.example'}, 'was': {}})
    assert [each['name'] for each in answer['alike']] == ['Åkesson Fisk', 'Friend']
    assert (await Prospect.get(id=other)).domain == 'other.example'
    _, answer = await _ask(ana, f'/{made}', {'facts': {'domain': 'akesson.example', 'seats': 3}})  # it has that already
    assert answer['changed'] == ['seats']


async def test_what_is_wrong_is_told_by_field_and_a_slower_editor_what_it_says_now(portal, ana):
    status, answer = await _ask(ana, '', {'facts': {'name': '', 'domain': 'x', 'seats': 'many'}})
    assert (status, set(answer['errors'])) == (422, {'name', 'domain', 'seats'})
    made = await _made(ana)
    await _ask(ana, f'/{made}', {'facts': {'seats': '21'}, 'was': {'seats': 20}})
    status, answer = await _ask(ana, f'/{made}', {'facts': {'seats': '22'}, 'was': {'seats': 20}})
    assert (status, answer['field'], answer['now']) == (409, 'seats', 21)
    status, answer = await _ask(ana, f'/{made}/state', {'state': 'lost', 'because': ' ', 'was': 'open'})
    assert (status, answer['field']) == (422, 'because')
    assert (await _ask(ana, f'/{made}/state', {'state': 'lost', 'because': 'No budget', 'was': 'open'}))[0] == 200
    status, answer = await _ask(ana, f'/{made}/state', {'state': 'lost', 'because': 'Late', 'was': 'open'})
    assert (status, answer['error']) == (409, 'Somebody else has just moved this prospect. Look at it again.')
    assert (await _ask(ana, f'/{made}', {'facts': {'seats': 5}}))[0] == 409


async def test_the_page_tells_the_story_and_leads_to_the_customer(portal, ana):
    made = await _made(ana, remarks='<script>alert(1)</script>')
    await _ask(ana, f'/{made}', {'facts': {'seats': '21'}})
    order = await Order.create(
        partner=portal.northwind.partner, prospect_id=made, state=OrderState.SUBMITTED, created_by='Ana'
    )
    bought = await portal.add(portal.northwind.partner, 'Åkesson Fisk')
    await Prospect.filter(id=made).update(state=ProspectState.CONVERTED, customer_id=bought.id)
    _, state = await _ask(ana, f'/{made}')
    assert [entry['summary'] for entry in state['history']] == [
        'Åkesson Fisk: Licences: 20 → 21', 'Åkesson Fisk was added as a prospect',
    ]  # fmt: skip
    assert state['customer'] == {'id': bought.id, 'name': 'Åkesson Fisk'}
    assert [(each['number'], each['state'], each['by']) for each in state['orders']] == [
        (order.number, 'submitted', 'Ana')
    ]
    assert (state['may_change'], state['may_move'], state['alike']) == (False, False, [])
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open(f'/prospects/{made}')
    await portal.should_see('alert(1)')
    assert portal.config()['state']['facts']['remarks'] == '<script>alert(1)</script>'
    assert await _names(ana) == []
    assert await _names(ana, 'only=converted') == ['Åkesson Fisk']
    assert (await ana.get('/api/ui/find?q=akesson')).json()['prospects'] == []
    groups = (await ana.get('/api/ui/audit?group=prospects')).json()
    assert len(groups['rows']) == 2


async def test_what_dns_says_is_the_servers_word_and_of_one_domain_at_a_time(portal, ana, monkeypatch):
    asked: list[str] = []
    gate = asyncio.Event()

    async def ask(domain: str) -> Found:
        asked.append(domain)
        await gate.wait()
        return FOUND if domain == FOUND.domain else Found(domain, error='No name server could answer.', exists=None)

    monkeypatch.setattr(dns_asking, 'ask', ask)
    first = asyncio.ensure_future(_ask(ana, '/verify', {'domain': 'Akesson.Example'}))
    while not asked:
        await asyncio.sleep(0)
    status, answer = await asyncio.wait_for(_ask(ana, '/verify', {'domain': 'other.example'}), 5)
    assert (status, answer['error']) == (
        409, 'The name servers are being asked for you already. Wait for the answer.',
    )  # fmt: skip
    assert (await _ask(ana, '/verify', {'domain': 'no domain'}))[1]['field'] == 'domain'
    gate.set()
    _, answer = await first
    assert (answer['found']['tone'], answer['found']['looks_like']) == ('good', ['Microsoft 365'])
    # What was said of what was typed is stored with it; what the browser says of it is not asked.
    made = await _made(ana)
    assert (await Prospect.get(id=made)).found == FOUND
    _, answer = await _ask(ana, f'/{made}/verify', {'domain': 'other.example'})
    assert 'now' not in answer
    assert answer['found']['said'] == 'DNS could not be asked. No name server could answer.'
    await _ask(ana, f'/{made}', {'facts': {'domain': 'other.example'}})
    _, state = await _ask(ana, f'/{made}')
    assert (state['found'], state['facts']['domain']) == (None, 'other.example')
    await _ask(ana, f'/{made}', {'facts': {'domain': 'akesson.example'}})
    _, answer = await _ask(ana, f'/{made}/verify', {})
    assert answer['now']['found']['at']
    assert asked == ['akesson.example', 'other.example', 'akesson.example']


async def test_every_open_page_of_the_msp_hears_that_there_is_a_prospect(portal, ana, wire):
    async def opened(who: PortalUser) -> Any:
        _, token = await portal.session(who)
        return wire(portal.app, '/live', headers={'cookie': f'portal_session={token}'})

    async with await opened(portal.northwind.ana) as page:
        await page.heard()
        page.say('{"watch": "overview"}')
        await _made(ana)
        waits_for = {'list', 'dashboard'}
        async with asyncio.timeout(10):  # heartbeats go on for ever
            while waits_for:
                said = orjson.loads((await page.heard())['text'])
                if said.get('what') == 'prospects':
                    waits_for.discard('list')
                elif said['t'] == 's' and said['prospects'] == 1:
                    waits_for.discard('dashboard')


async def test_the_partner_of_another_is_never_whose_prospect_it_becomes(portal, ana):
    """Nothing that is sent says whose it is."""
    made = await _made(ana)
    partner = await Partner.get(id=portal.fabrikam.partner.id)
    status, answer = await _ask(ana, f'/{made}', {'facts': {'partner_id': partner.id, 'state': 'converted'}})
    assert (status, set(answer['errors'])) == (422, {'partner_id', 'state'})
    assert not await Customer.exists()


async def test_both_databases_sort_count_and_find_alike(db, northwind):
    ana = northwind.ana
    made = await Prospect.add(northwind.partner, by=ana, products=['SEC'], lead_last_name='Åkesson', **WHOLE)
    lost = await Prospect.add(northwind.partner, by=ana, name='100% Wool', domain='wool.example', lead_last_name='Bell')
    await lost.set_state('lost', because='Nobody "prospect":1, answered', by=ana)
    order = await Order.create(partner=northwind.partner, prospect_id=made.id)
    for name, first in (
        ('name', '100% Wool'), ('domain', 'Åkesson Fisk'), ('seats', '100% Wool'), ('products', '100% Wool'),
        ('state', 'Åkesson Fisk'),
    ):  # fmt: skip
        rows = await table.page(ana, Asked(table, {'sort': name, 'only': 'all'}), audience='', number=0)
        assert rows[0]['name'] == first, name
    for name in ('lead', 'changed_at', 'order'):
        rows = await table.page(ana, Asked(table, {'sort': name, 'only': 'all'}), audience='', number=0)
        assert {row['order_number'] for row in rows} == {'', order.number}, name
    counts = await table.counts(ana, Asked(table, {'q': '0%', 'only': 'lost'}))
    assert (counts['shown'], counts['letters']) == (1, '#')
    assert [each['name'] for each in await find_prospects(ana, 'wool.ex')] == ['100% Wool']
    assert [each['name'] for each in await find_prospects(ana, '%')] == ['100% Wool']
    assert (await trends(Customer.visible_to(ana), Prospect.visible_to(ana)))['prospects'][-1] == 1
    assert (await Overview.of(Customer.visible_to(ana), Prospect.pending(ana))).prospects == 1
    for prospect, kinds in ((made, ['prospect.created']), (lost, ['prospect.lost', 'prospect.created'])):
        told = await of_prospect(northwind.partner.id, prospect.id, since=prospect.created_at)
        assert [entry['kind'] for entry in told] == kinds
