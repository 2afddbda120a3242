"""What the board of Connect is given, and who is said to look after what on it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from models import (
    ConnectStep,
    Customer,
    CustomerAccess,
    Listing,
    PortalRole,
    PortalUser,
    RfiState,
    StepOwner,
    connect_board,
)
from models.connect_template import ConnectTemplate
from pages import connect_board as page_of_board


@pytest.fixture
async def board(portal):
    """One customer of each sort: waiting, overdue, blocked, on hold, nothing of these, complete; one of Fabrikam."""
    northwind = portal.northwind.partner
    waiting = await portal.add(northwind, 'Waiting', rfi=RfiState.REQUESTED)
    late, blocked, held, calm = [await portal.add(northwind, name) for name in ('Låte', 'Blocked', 'Held', 'Calm')]
    await portal.add(northwind, 'Complete', listing=Listing.COMPLETE)
    await portal.add(portal.fabrikam.partner, 'Foreign')
    ana, tom = portal.northwind.ana, portal.northwind.tom
    first = ConnectStep.filter(customer_id=late.id, key='account_configuration')
    await first.update(due_at=datetime.now(UTC) - timedelta(days=3))
    await late.restate()
    await (await ConnectStep.get(customer_id=blocked.id, key='account_configuration')).move('block', because='No DNS')
    await held.hold('holidays', by=ana)
    await ConnectStep.filter(customer_id=calm.id, key='account_configuration').update(owner=StepOwner.CUSTOMER)
    await calm.restate()
    await portal.sign_in(ana)
    return SimpleNamespace(waiting=waiting, late=late, blocked=blocked, held=held, calm=calm, ana=ana, tom=tom)


async def cards(http, query: str = '') -> list[dict]:
    answer = await http.get(f'/api/ui/connect{query}')
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told['names'] == list(connect_board.NAMES)
    return [dict(zip(told['names'], row, strict=True)) for row in told['rows']]


async def names(http, query: str = '') -> list[str]:
    return [card['name'] for card in await cards(http, query)]


async def test_everybody_in_connect_is_on_the_board_what_is_late_and_blocked_first(portal, board):
    found = await names(portal.http)
    assert found[:2] == ['Låte', 'Blocked']
    assert sorted(found) == ['Blocked', 'Calm', 'Held', 'Låte', 'Waiting']
    by_name = {card['name']: card for card in await cards(portal.http)}
    assert (by_name['Waiting']['listing'], by_name['Waiting']['connect_owner']) == ('waiting', 'customer')
    assert by_name['Blocked']['blocked_because'] == 'No DNS'
    assert (by_name['Held']['connect_key'], by_name['Held']['hold_because']) == ('on_hold', 'holidays')
    assert by_name['Held']['connect_status'] == 'On hold at Account configuration'
    assert by_name['Calm']['steps_of'] > by_name['Calm']['steps_done'] == 0
    told = (await portal.http.get('/api/ui/connect')).json()
    assert told['all'] == 5
    assert told['order'][:2] == [['rfi', 'Request for Information'], ['account_configuration', 'Account configuration']]


async def test_it_is_narrowed_by_what_its_address_says(portal, board):
    await PortalUser.filter(id=board.ana.id).update(time_zone='UTC')
    await portal.http.post(f'/api/ui/customers/{board.calm.id}/looking-after', json={'person': board.ana.id})
    await Customer.filter(id=board.late.id).update(responsible_id=board.tom.id, connect_person_id=board.tom.id)
    for query, found in {
        '?q=lÅ': {'Låte'}, '?q=x%25': set(), '?state=overdue': {'Låte'}, '?state=blocked': {'Blocked'},
        '?state=held': {'Held'}, '?owner=customer': {'Waiting', 'Calm'}, '?owner=vendor': {'Låte', 'Blocked', 'Held'},
        '?who=mine': {'Calm'}, '?who=nobody': {'Waiting', 'Blocked', 'Held'}, '?who=mine&state=overdue': set(),
        '?state=nonsense&owner=nobody': {'Waiting', 'Låte', 'Blocked', 'Held', 'Calm'},
        f'?ids={board.held.id},{board.late.id},999': {'Held', 'Låte'},
    }.items():  # fmt: skip
        assert set(await names(portal.http, query)) == found, query
    await PortalUser.filter(id=board.tom.id).update(disabled_at=datetime.now(UTC))
    assert 'Låte' in await names(portal.http, '?who=nobody'), 'what is a disabled person’s is nobody’s'
    told = (await portal.http.get('/api/ui/connect?q=låte')).json()
    assert told['people'] == {str(board.tom.id): [board.tom.name, False]}
    assert (await portal.http.get('/api/ui/connect?ids=1,x')).status_code == 422


async def test_how_its_columns_will_be_is_known_before_the_cards_are(portal, board):
    outline = (await page_of_board.outlined(board.ana, '/connect'))['outline']
    assert outline['order'][1] == ('account_configuration', 'Account configuration')
    assert outline['places'][0] == ['in_progress', 'account_configuration', 'Account configuration', 3]
    assert sorted(outline['places'][1:]) == [
        ['in_progress', 'on_hold', 'On hold at Account configuration', 1],
        ['waiting', 'rfi_requested', 'RFI requested', 1]
    ]  # fmt: skip
    narrowed = (await page_of_board.outlined(board.ana, '/connect?state=blocked'))['outline']
    assert [row[-1] for row in narrowed['places']] == [1]
    await CustomerAccess.create(user=board.tom, customer=board.late, allowed=True)
    assert [row[-1] for row in (await page_of_board.outlined(board.tom, '/connect'))['outline']['places']] == [1]
    assert '"places": [["in_progress"' in (await portal.http.get('/connect')).text


async def test_nobody_is_on_it_whom_the_viewer_may_not_see(portal, board):
    await CustomerAccess.create(user=board.tom, customer=board.late, allowed=True)
    tom = await portal.signed_in(board.tom)
    assert await names(tom) == ['Låte']
    assert await names(tom, f'?ids={board.blocked.id}') == []
    eve = await portal.signed_in(portal.fabrikam.eve)
    assert await names(eve) == ['Foreign']
    await portal.user.open('/connect?state=overdue&owner=x&who=mine')
    assert portal.config()['asked'] == {'state': 'overdue', 'who': 'mine'}


async def test_of_too_many_those_come_that_need_attention(portal, board, monkeypatch):
    monkeypatch.setattr(connect_board, 'MOST', 2)
    monkeypatch.setattr(connect_board.cards, '__kwdefaults__', {'most': 2})
    assert await names(portal.http) == ['Låte', 'Blocked']
    assert (await portal.http.get('/api/ui/connect?q=e')).json()['all'] >= 3
    assert await names(portal.http, '?state=held') == ['Held']


async def test_the_steps_are_in_the_order_of_the_templates(portal, board):
    partner = portal.northwind.partner
    classic = await ConnectTemplate.current(partner, 'classic')
    own = classic.steps[0] | {'key': 'own', 'title': 'Own', 'needs': []}
    steps = [*classic.steps[:2], own, *classic.steps[2:]]
    await ConnectTemplate.edit(partner, 'classic', name='Classic six', steps=steps, was=1, by=board.ana)
    order, titles = zip(*await connect_board.order_of_steps(partner.id), strict=True)
    assert titles[order.index('own')] == 'Own'
    assert order.index('own') == order.index('outbound_email') + 1
    assert [key for key in order if key != 'own'] == [
        step['key'] for step in (await ConnectTemplate.of(partner.id))[0].steps
    ]


async def test_who_looks_after_a_customer_is_chosen_among_who_sees_it(portal, board):
    ana, tom, at = board.ana, board.tom, f'/api/ui/customers/{board.calm.id}'
    told = (await portal.http.get(f'{at}/looking-after')).json()
    assert (told['people'], told['responsible']) == ([[ana.id, ana.name]], None)
    assert {'key': 'account_configuration', 'title': 'Account configuration', 'assignee': None} in told['steps']
    refused = await portal.http.post(f'{at}/looking-after', json={'person': tom.id})
    assert (refused.status_code, refused.json()['field']) == (422, 'person')
    assert (await portal.http.post(f'{at}/looking-after', json={'person': 'x'})).status_code == 404
    step = f'{at}/steps/account_configuration/assignee'
    assert (await portal.http.post(step, json={'person': ana.id, 'was': None})).status_code == 200
    stale = await portal.http.post(step, json={'person': None, 'was': None})
    assert stale.status_code == 409
    assert (await cards(portal.http, '?q=calm'))[0]['connect_person_id'] == ana.id
    tom.role = PortalRole.TECHNICIAN
    await tom.save()
    await CustomerAccess.create(user=tom, customer=board.calm, allowed=True)
    assert (await (await portal.signed_in(tom)).get(f'{at}/looking-after')).status_code == 403


async def test_mail_about_connect_is_off_until_somebody_wants_it(portal, board):
    at = '/api/ui/account'
    assert (await portal.http.get(at)).json()['mail'] == {'digest': False, 'reminders': False, 'works': False}
    for wrong in ({'digest': 1, 'reminders': False}, {'digest': True}):
        assert (await portal.http.post(f'{at}/connect-mail', json=wrong)).status_code == 422
    await portal.http.post(f'{at}/connect-mail', json={'digest': True, 'reminders': False})
    assert (await portal.http.get(at)).json()['mail'] == {'digest': True, 'reminders': False, 'works': False}


async def test_the_dashboard_counts_those_that_want_somebody(portal, board):
    found = (await portal.http.get('/api/ui/overview')).json()
    assert [found[name] for name in ('waiting', 'overdue', 'blocked', 'held', 'in_connect')] == [1, 1, 1, 1, 5]
