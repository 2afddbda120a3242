"""The page of change orders, cancelling, and what becomes of a customer that is closed, as a browser asks for it."""

import re
from datetime import timedelta
from typing import Any

import pytest

from components import live
from models import (
    Attachment,
    Closing,
    Customer,
    Monitor,
    MonitorKind,
    MonitorState,
    Order,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    Reading,
    VendorState,
    effective,
)
from models.calendar import add_months, today
from models.changing import said_day
from models.finding import find_customers
from models.overview import Overview
from tests.price_list import priced


@pytest.fixture
async def bakery(portal) -> Customer:
    partner = portal.northwind.partner
    await priced(partner, {'SEC': '2.60', 'DLP': '0.75', 'ARC': '2.10'})
    return await portal.add(
        partner, 'Émile’s <Bakery>', seats=25, products=['SEC'],
        contract_start=add_months(today(partner), -13),
    )  # fmt: skip


async def _person(portal: Any, role: PortalRole) -> Any:
    who = await PortalUser.create(
        partner=portal.northwind.partner, name=role.title, email=f'{role}@northwind.example', role=role
    )
    return await portal.signed_in(who)


async def _parts(http: Any, customer: Customer, wanted: str) -> Any:
    live._shared.clear()  # nobody watches here, so what was read stands for half a second
    return (await http.get(f'/api/ui/customers/{customer.id}/parts?want={wanted}')).json()


async def test_a_quote_is_saved_reviewed_submitted_and_comes_about(portal, bakery):
    http = await portal.signed_in(portal.northwind.ana)
    address = f'/api/ui/customers/{bakery.id}/upgrade'
    now = (await http.get(address)).json()
    assert (now['why'], now['waits_for'], now['quotes'], now['start']['seats']) == ('', '', [], 25)
    assert [(row['code'], row['has']) for row in now['catalogue']] == [('SEC', 25), ('ARC', None), ('DLP', None)]
    assert now['people'] == [[portal.northwind.ana.id, 'Ana']]
    seen = (await http.get(f'{address}/preview?seats=40&add_ons=DLP&drop=')).json()
    assert (seen['fees']['monthly_before'], seen['fees']['monthly_after']) == ('65.00', '134.00')
    assert seen['problems'] == {'po_number': 'is empty; tick that none is required if that is so'}
    assert seen['steps'] == []
    seen = (await http.get(f'{address}/preview?mode=add&primary=ARC')).json()
    assert seen['steps'] == ['Journaling']
    both = (await http.get(f'{address}/preview?seats=9&add_ons=DLP')).json()['problems']['seats']
    assert both.startswith('cannot fall below 25 in the same change order')
    wrong = (await http.get(f'{address}/preview?seats=1_0&mode=x')).json()
    assert set(wrong['problems']) == {'seats', 'mode'}
    assert wrong['lines'] is None
    facts = {'seats': '40', 'add_ons': ['DLP'], 'effective_on': now['today'], 'lead': str(portal.northwind.ana.id)}
    saved = (await http.post(address, json={'facts': facts})).json()
    order, version = saved['order'], saved['version']
    lacking = await http.get(f'{address}/{order}/review')
    assert (lacking.status_code, lacking.json()['field']) == (422, 'po_number')
    saved = await http.post(address, json={'facts': {'po_waived': True}, 'order': order, 'version': version})
    stale = await http.post(address, json={'facts': {'seats': '50'}, 'order': order, 'version': version})
    assert (saved.json()['version'], stale.status_code, stale.json()['field']) == (2, 409, 'version')
    review = (await http.get(f'{address}/{order}/review')).json()
    assert (review['lead'], review['steps']) == ('Ana · ana@northwind.example', [])
    assert (review['company'], review['was_seats'], review['seats'], review['comes']) == (
        'Émile’s <Bakery>', 25, 40, ['Data leak prevention']
    )  # fmt: skip
    agreed = {'version': 2, 'fees': review['fees'], 'accepts_agreement': True, 'is_authorised': True}
    unticked = await http.post(f'{address}/{order}/submit', json=agreed | {'is_authorised': False})
    assert (unticked.status_code, unticked.json()['field']) == (422, 'is_authorised')
    assert (await http.post(f'{address}/{order}/submit', json=agreed)).json()['order'] == order
    again = await http.post(f'{address}/{order}/submit', json=agreed)
    assert (again.status_code, again.json()['error']) == (409, f'Ana has submitted CHG-{order:06} already.')
    card = (await http.get(f'/api/ui/customers/{bakery.id}/parts?want=orders,upgrades,head')).json()
    (row,) = card['orders']['rows']
    assert row['waits'].startswith('Due since')
    assert row['about'] == 'lead on our side: Ana'
    assert (row['can_withdraw'], card['upgrades']['why_not'], card['head']['seats']) == (False, '', 25)
    document = await http.get(f'/api/ui/customers/{bakery.id}/attachments/{row["document"]}.pdf')
    assert document.content.startswith(b'%PDF')
    await Order.filter(id=order).update(vendor=VendorState.ACCEPTED)
    assert await effective.come_about(order)
    card = (await http.get(f'/api/ui/customers/{bakery.id}/parts?want=products')).json()
    assert (await Customer.get(id=bakery.id)).seats == 40
    assert [(one['code'], one['quantity']) for one in card['products']['rows']] == [('SEC', 40), ('DLP', 40)]


async def test_who_may_not_see_prices_gets_none_and_who_may_not_submit_is_told(portal, bakery):
    http = await _person(portal, PortalRole.IMPLEMENTATION)
    address = f'/api/ui/customers/{bakery.id}/upgrade'
    now = (await http.get(address)).json()
    assert {(row['price'], row['one_time']) for row in now['catalogue']} == {('', '')}
    assert not any(now['may'].values())
    seen = (await http.get(f'{address}/preview?seats=40')).json()
    assert (seen['fees'], seen['lines'][0]) == (None, {'code': 'SEC', 'name': 'Email Security', 'quantity': -25})
    facts = {'seats': '40', 'po_waived': True}
    order = (await http.post(address, json={'facts': facts})).json()
    assert order['now']['quotes'][0]['monthly'] == ''
    review = (await http.get(f'{address}/{order["order"]}/review')).json()
    assert review['fees'] is None
    sam, limited = await _person(portal, PortalRole.SALES), Partner.filter(id=bakery.partner_id)
    await limited.update(sales_limit=1)
    above = [(await each.get(f'{address}/{order["order"]}/review')).json()['above'] for each in (http, sam)]
    assert (above[0], ' adds USD\u00a039.00 a month. Sales may submit up to USD\u00a01.00;' in above[1]) == ('', True)
    leaving = (await sam.get(f'/api/ui/customers/{bakery.id}/cancellation')).json()
    assert leaving['above'].startswith('This cancellation takes USD\u00a065.00 a month away. ')
    assert not re.search(r'\b2\.60\b', str([now, seen, order, review]))  # not the fractions of a second
    refused = await http.post(f'{address}/{order["order"]}/submit', json={'version': 1, 'fees': {}})
    assert refused.status_code == 403
    gone = await http.post(f'{address}/{order["order"]}/discard', json={'version': 1})
    assert gone.json()['now']['quotes'] == []


async def test_the_quote_of_another_customer_is_none_here(portal, bakery):
    http = await portal.signed_in(portal.northwind.ana)
    other = await portal.add(portal.northwind.partner, 'Other', seats=5, products=['SEC'])
    address = f'/api/ui/customers/{bakery.id}/upgrade'
    order = (await http.post(address, json={'facts': {'seats': '40', 'po_waived': True}})).json()['order']
    for method, path, body in (
        ('GET', f'upgrade/{order}/review', None), ('POST', f'upgrade/{order}/discard', {'version': 1}),
        ('POST', 'upgrade', {'facts': {'seats': 9}, 'order': order, 'version': 1}),
        ('POST', f'orders/{order}/withdraw', {}),
    ):  # fmt: skip
        answer = await http.request(method, f'/api/ui/customers/{other.id}/{path}', json=body)
        assert answer.status_code == 409, path
    assert (await Order.get()).version == 1


async def test_a_cancellation_is_submitted_withdrawn_and_submitted_again(portal, bakery):
    http = await portal.signed_in(portal.northwind.ana)
    address = f'/api/ui/customers/{bakery.id}/cancellation'
    can = (await http.get(address)).json()
    assert (can['possible'], can['until'], can['earliest']) == (True, '', today(portal.northwind.partner).isoformat())
    assert (can['changes'], can['above']) == ([], '')
    wrong = await http.post(address, json={'facts': {'type': '', 'data_export': ''}})
    assert set(wrong.json()['errors']) == {'type', 'data_export', 'is_authorised'}
    day = (today(portal.northwind.partner) + timedelta(days=3)).isoformat()
    facts = {'type': 'partner_change', 'data_export': 'yes', 'because': '=HYPERLINK(1)', 'effective_on': day}
    done = (await http.post(address, json={'facts': facts, 'is_authorised': True})).json()
    head = (await http.get(f'/api/ui/customers/{bakery.id}/parts?want=head,orders')).json()
    assert head['head']['leaving']['possible'] is False
    assert done['number'] in head['head']['leaving']['why']
    row = head['orders']['rows'][0]
    assert row['about'] == 'Move to another partner, who keeps the products, with a data export'
    assert (row['can_withdraw'], row['withdraw_until']) == (True, day)
    assert (row['wants_export'], row['comes_about']) == (True, '')
    said = said_day(today(portal.northwind.partner) + timedelta(days=3))
    assert head['head']['end'] == {
        'number': done['number'], 'says': f'moves the customer to another partner on {said}', 'wants_export': True,
        'because': '=HYPERLINK(1)', 'told': 'The vendor has not been told yet.', 'mark': f'Moves away {said}',
        'exported': False,
    }  # fmt: skip
    back = await http.post(f'/api/ui/customers/{bakery.id}/orders/{done["order"]}/withdraw', json={'because': 'No'})
    assert back.status_code == 200
    assert (await http.get(address)).json()['possible'] is True
    head = await _parts(http, bakery, 'head,orders')
    assert (head['head']['end'], head['orders']['rows'][0]['wants_export']) == (None, False)
    assert (await Order.get()).state == OrderState.WITHDRAWN
    assert await Attachment.all().count() == 1


async def _listed(http, *columns: str, **asked: str) -> list[tuple]:
    """What the list of orders that need a person shows."""
    answer = await http.get('/api/ui/tables/orders/rows', params=asked)
    return [tuple(row[column] for column in columns) for row in answer.json()['rows']]


async def test_what_is_recorded_says_that_it_comes_about_now_and_an_export_is_required_until_it_is_done(portal, bakery):
    http = await portal.signed_in(portal.northwind.ana)
    base = f'/api/ui/customers/{bakery.id}'
    facts = {'type': 'cancel', 'data_export': 'yes', 'effective_on': today(portal.northwind.partner).isoformat()}
    done = (await http.post(f'{base}/cancellation', json={'facts': facts, 'is_authorised': True})).json()
    await Order.filter().update(vendor=VendorState.BY_HAND)
    seen = await _parts(http, bakery, 'head,orders,products')
    assert seen['orders']['rows'][0]['comes_about'] == 'Its day has come: this closes the customer now.'
    assert seen['head']['end']['says'].startswith('is due to end the subscription, since ')
    assert seen['head']['end']['told'] == 'It waits, because the vendor has not been told yet.'
    assert seen['products']['renews']
    await http.post(f'{base}/orders/{done["order"]}/passed-on', json={'note': ''})
    assert await effective.come_about(done['order'])
    seen = await _parts(http, bakery, 'head,orders,gist%20orders,products')
    assert (seen['head']['status'], seen['head']['end']['wants_export']) == ('Closed', True)
    assert (seen['orders']['rows'][0]['wants_export'], seen['orders']['rows'][0]['comes_about']) == (True, '')
    assert seen['gist orders']['text'].endswith('applied, delivered, data export required')
    assert not seen['products']['renews']  # nothing of it is renewed any more
    assert seen['orders']['rows'][0]['export_is_late'] is False
    todo = await _listed(http, 'todo', 'todo_mark')
    by = said_day(today(portal.northwind.partner))
    assert todo == [('Hand over the data', ['clock', 'accent', f'Data export required before {by}'])]
    yesterday = today(portal.northwind.partner) - timedelta(days=1)
    await Order.filter(id=done['order']).update(effective_on=yesterday)
    late = ['bad', 'bad', f'Data export required: it was due on {said_day(yesterday)}']
    assert await _listed(http, 'todo', 'todo_mark', sort='todo') == [('Hand over the data', late)]
    assert (await _parts(http, bakery, 'orders'))['orders']['rows'][0]['export_is_late'] is True
    at = f'{base}/orders/{done["order"]}/exported'
    assert (await http.post(at, json={'note': 'x' * 255})).json()['field'] == 'note'
    assert (await http.post(at, json={'note': 'on a disk, to Kim'})).status_code == 200
    seen = await _parts(http, bakery, 'head,orders,gist%20orders')
    assert (seen['head']['end']['wants_export'], seen['head']['end']['exported']) == (False, True)
    row = seen['orders']['rows'][0]
    assert (row['wants_export'], row['exported']['by'], row['exported']['note']) == (False, 'Ana', 'on a disk, to Kim')
    assert seen['gist orders']['text'].endswith('applied, delivered')
    assert await _listed(http, 'todo') == []
    twice = await http.post(at, json={})
    assert twice.json()['error'] == 'Ana has recorded already that the data were handed over.'


async def test_who_is_closed_is_in_that_list_and_nowhere_else_is_counted(portal, bakery):
    ana = portal.northwind.ana
    http = await portal.signed_in(ana)
    await portal.add(portal.northwind.partner, 'Other', seats=5, products=['SEC'])
    await Monitor.filter(customer=bakery).update(state=MonitorState.BAD)
    await Monitor.record([Reading(bakery.id, MonitorKind.INBOUND_QUEUE, bakery.created_at, 9e9)])
    await http.post(f'/api/ui/customers/{bakery.id}/upgrade', json={'facts': {'seats': '40'}})
    assert len((await http.get('/api/ui/tables/orders/rows?only=draft')).json()['rows']) == 1
    await bakery.close(Closing.CANCELLED, 'Too dear', ana)
    assert not (await http.get('/api/ui/tables/orders/rows?only=draft')).json()['rows']
    assert len((await http.get('/api/ui/tables/orders/rows?only=all')).json()['rows']) == 1  # nothing is lost
    (row,) = (await http.get('/api/ui/tables/closed/rows?q=emile')).json()['rows']
    assert (row['name'], row['closing'], row['closed_because']) == ('Émile’s <Bakery>', 'cancelled', 'Too dear')
    assert (row['products_in_short'], row['seats']) == ('SEC', 25)
    assert row['closed_at']
    for key in ('in-progress', 'complete', 'waiting'):
        assert not (await http.get(f'/api/ui/tables/{key}/rows?q=emile')).json()['rows']
    export = await http.get('/api/ui/tables/closed/export.csv')
    assert 'Cancelled' in export.text
    assert 'Account code,What happened,Closed on,Reason' in export.text
    counts = await Overview.of(Customer.visible_to(ana))
    assert (counts.total, counts.seats, counts.bad, counts.monitored) == (1, 5, 0, 0)
    assert {signal['none'] for signal in counts.signals} == {1}
    console = await http.post(f'/customers/{bakery.id}/console', headers={'origin': 'http://test'})
    assert (console.status_code, 'its console is not opened from here any more' in console.text) == (409, True)
    # A reading that was on its way when it was closed changes nothing any more.
    late = await Monitor.record([Reading(bakery.id, MonitorKind.INBOUND_QUEUE, bakery.created_at + timedelta(1), 9e9)])
    assert (late.stored, late.flips) == (0, 0)
    assert (await find_customers(ana, 'emile'))[0]['listing'] == 'closed'
    head = (await http.get(f'/api/ui/customers/{bakery.id}/parts?want=head,upgrades,connect')).json()
    assert (head['head']['closed']['closing'], head['head']['list']) == ('Cancelled', 'Closed')
    assert head['upgrades']['why_not'] == 'Émile’s <Bakery> is closed.'
    assert not any(option['available'] for option in head['upgrades']['rows'])
    page = (await http.get(f'/api/ui/customers/{bakery.id}/upgrade')).json()
    assert page['why'] == 'Émile’s <Bakery> is closed.'


async def test_the_page_is_there_for_who_orders_only(portal, bakery):
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open(f'/customers/{bakery.id}/upgrade')
    await portal.should_see('Keep existing')
    config = portal.config()
    assert (config['id'], config['customer']['seats'], [mode[0] for mode in config['modes']]) == (
        bakery.id, 25, ['keep', 'add', 'select_new']
    )  # fmt: skip
    for who in (portal.northwind.tom, portal.fabrikam.eve):
        http = await portal.signed_in(who)
        assert (await http.get(f'/customers/{bakery.id}/upgrade')).status_code == 404
