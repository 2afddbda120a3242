"""The card “Orders” of a customer, the list of orders, and their settings."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from components import cards, order_card
from components.live_table import TABLES, Asked
from models import (
    Attachment,
    AttachmentKind,
    Customer,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    Prospect,
    Rfi,
    VendorState,
)
from models.text import fold, initial, sort_key
from pages.customer import config_of
from pages.order_list import table

FEES = {'monthly': '1065.00', 'annual': '0.00', 'one_time': '120.50', 'initial': '1185.50'}
LINES = [{'code': 'SEC', 'name': 'Email Security', 'quantity': 25}, {'code': 'URL', 'name': 'URL', 'quantity': -10}]


@pytest.fixture
async def ordered(portal):
    """Makes a customer with an order."""

    async def ordered(name: str = 'Émile’s Bakery', vendor: str = 'by_hand', **more: Any) -> Order:
        partner = more.pop('partner', portal.northwind.partner)
        number = await Customer.all().count() + 1
        code = more.pop('code', f'P-{number:06}')
        customer = await portal.add(partner, name, account_code=code, code_is_provisional=code.startswith('P-'))
        facts = {
            'state': OrderState.SUBMITTED, 'seats': 25, 'submitted_by': 'Ana', 'submitted_at': datetime.now(UTC),
            'fees': FEES, 'lines': LINES, 'currency': 'EUR', **more,
        }  # fmt: skip
        return await Order.create(partner=partner, customer=customer, vendor=VendorState(vendor), **facts)

    return ordered


async def _person(portal: Any, role: PortalRole) -> PortalUser:
    return await PortalUser.create(
        partner=portal.northwind.partner, name=role.title, email=f'{role}@northwind.example', role=role
    )


async def _card(browser: Any, order: Order, want: str = 'orders') -> dict[str, Any]:
    answer = await browser.get(f'/api/ui/customers/{order.customer_id}/parts', params={'want': want})
    assert answer.status_code == 200
    return answer.json()


async def test_the_card_shows_both_sides_of_every_order_the_newest_first(portal, ordered):
    told = {'vendor_how': 'mail', 'vendor_to': 'o@vendor.example', 'vendor_at': datetime.now(UTC)}
    first = await ordered(vendor='delivered', **told)
    change = await Order.create(
        partner=portal.northwind.partner, customer_id=first.customer_id, kind=OrderKind.CHANGE, seats=30, was_seats=25,
        state=OrderState.DRAFT, products=['SEC'],
    )  # fmt: skip
    customer = await Customer.get(id=first.customer_id)
    pdf = await Attachment.add_made(customer, kind=AttachmentKind.ORDER, name='Order', pdf=b'%PDF-1.4', by=None)
    await Order.filter(id=first.id).update(attachment_id=pdf.id)
    await portal.sign_in(portal.northwind.ana)
    found = await _card(portal.http, first, 'orders,gist orders,head')
    newest, oldest = found['orders']['rows']
    assert (newest['number'], newest['state_title'], newest['vendor_title']) == (change.number, 'Draft', 'Not told yet')
    assert (newest['was_seats'], newest['seats'], newest['products']) == (25, 30, [['', 'SEC', 30]])
    assert (oldest['state_title'], oldest['vendor_title']) == ('Submitted', 'Delivered')
    assert (oldest['how'], oldest['to']) == ('mail', 'o@vendor.example')
    assert oldest['products'] == [['Email Security', 'SEC', 25], ['URL', 'URL', -10]]
    assert oldest['fees'] == [
        ['Monthly fees', '1,065.00'], ['One-time (up front) fees', '120.50'], ['First payment', '1,185.50'],
    ]  # fmt: skip
    assert (oldest['document'], oldest['moves'], newest['moves']) == (pdf.id, ['accept', 'reject', 'correct'], [])
    assert (found['orders']['code'], found['orders']['is_provisional']) == ('P-000001', True)
    assert found['head']['code_is_provisional'] is True
    assert found['gist orders']['text'] == f'2 orders, {change.number}: draft'


async def test_amounts_are_for_those_who_may_see_prices(portal, ordered):
    order = await ordered()
    customer = await Customer.get(id=order.customer_id)
    pdf = await Attachment.add_made(customer, kind=AttachmentKind.ORDER, name='Order', pdf=b'%PDF-1.4', by=None)
    await Order.filter(id=order.id).update(attachment_id=pdf.id)
    for role in PortalRole:
        who = await _person(portal, role)
        (row,) = (await _card(await portal.signed_in(who), order))['orders']['rows']
        begun = (await config_of(await Customer.get(id=order.customer_id), who))['parts']
        sees = role in (PortalRole.ADMINISTRATOR, PortalRole.SALES, PortalRole.FINANCE)
        assert (row['fees'] is not None) == sees, role
        assert (row['document'] == pdf.id) == sees, role  # no way to a document that refuses them
        assert 'why_not' in begun.get('upgrades', {'why_not': ''}), role
        assert '1,065' not in str(begun) or sees


async def test_the_gist_says_what_is_to_be_done_or_wrong(portal, ordered):
    for more, gist in (
        ({'vendor': 'by_hand'}, '{}: submitted, to be passed on by hand'),
        ({'vendor': 'accepted', 'state': OrderState.APPLIED, 'code': 'NW1', 'kind': OrderKind.CHANGE},
         '{}: applied, accepted by the vendor'),
        ({'vendor': 'rejected', 'decided_because': 'No PO'}, '{} rejected by the vendor: No PO'),
    ):  # fmt: skip
        order = await ordered(**more)
        found = await cards.CARDS['orders'].gist(await Customer.get(id=order.customer_id))
        assert found['text'] == gist.format(order.number)
        assert (found['tone'] == 'bad') == (more['vendor'] == 'rejected')
    none = await portal.add(portal.northwind.partner, 'Nobody')
    assert (await cards.CARDS['orders'].gist(none))['text'] == 'None in the portal'


async def test_what_a_person_records_is_seen_on_other_screens(portal, ordered, wire):
    order = await ordered()
    at = f'/api/ui/customers/{order.customer_id}/orders/{order.id}'
    await portal.sign_in(portal.northwind.ana)
    _, token = await portal.session(portal.northwind.ana)
    async with wire(portal.app, '/live', headers={'cookie': f'portal_session={token}'}) as socket:
        heard: list[str] = []
        await socket.heard()
        socket.say(f'{{"watch": "customer", "id": {order.customer_id}}}')
        while '"all"' not in (heard[-1] if heard else ''):
            heard.append((await socket.heard())['text'])
        for act, sent, vendor in (
            ('passed-on', {'note': 'by phone'}, 'delivered'), ('rejected', {'because': 'No'}, 'rejected'),
            ('deliver-again', {'note': ''}, 'waiting'),
        ):  # fmt: skip
            heard.clear()
            answer = await portal.http.post(f'{at}/{act}', json=sent)
            assert (answer.status_code, answer.json()['vendor']) == (200, vendor)
            async with asyncio.timeout(5):  # heartbeats would go on for ever
                while not any('"parts"' in text and '"orders"' in text for text in heard):
                    heard.append((await socket.heard())['text'])
                while not any('"what":"orders"' in text for text in heard):
                    heard.append((await socket.heard())['text'])


async def test_a_refusal_is_said_beside_the_field_or_in_a_sentence(portal, ordered):
    await portal.add(portal.northwind.partner, 'Other', account_code='TAKEN')
    order = await ordered(vendor='delivered')
    at = f'/api/ui/customers/{order.customer_id}/orders/{order.id}'
    await portal.sign_in(portal.northwind.ana)
    for act, sent, status, field, said in (
        ('rejected', {'because': ''}, 422, 'because', 'To record that it was rejected, say why.'),
        ('accepted', {'account_code': 'taken'}, 422, 'account_code', 'is the account code of another customer'),
        ('passed-on', {}, 409, None, f'{order.number} is delivered already.'),
        ('account-code', {'account_code': 'NW1'}, 409, None, 'The account code comes with the acceptance.'),
    ):  # fmt: skip
        answer = await portal.http.post(f'{at}/{act}', json=sent)
        assert (answer.status_code, answer.json().get('field')) == (status, field)
        assert said in answer.json()['error']
    facts = {'po_number': 'PO 8', 'lead_last_name': 'Ivers', 'lead_email': 'l@b.example'}
    correct = {'version': order.version, 'facts': facts}
    for sent, status, field, said in (
        ({'version': 7}, 409, None, 'somebody else was quicker'),
        ({'version': '1'}, 422, 'version', 'is not the number'),
        ({'facts': {'seats': 3}}, 422, 'seats', 'is changed by a change order'),
        ({'facts': facts | {'po_number': ' '}}, 422, 'po_number', 'is empty'), ({}, 200, None, ''),
        ({'version': order.version + 1}, 409, None, 'Nothing was changed'),
    ):  # fmt: skip
        answer = await portal.http.post(f'{at}/correct', json=correct | sent)
        found = answer.json()
        assert (answer.status_code, found.get('field')) == (status, field)
        assert said in found.get('error', '')
    corrected, customer = await Order.get(id=order.id), await Customer.get(id=order.customer_id)
    row = order_card.row_of(corrected, customer, by_mail=True)
    assert (row['po'], row['vendor'], row['moves'], row['correctable']) == ('PO 8', 'waiting', [], None)
    corrected.vendor, corrected.vendor_error = VendorState.SENDING, 'It waits.'
    row = order_card.row_of(corrected, customer, by_mail=True)
    assert (row['moves'], row['correctable']['lead_last_name']) == (['passed_on', 'correct'], 'Ivers')
    await Order.filter(id=order.id).update(vendor=VendorState.DELIVERED)
    await Rfi.filter(customer_id=order.customer_id).update(sent_to='l@b.example', state='draft')
    assert (await portal.http.post(f'{at}/accepted', json={'account_code': 'NW1'})).status_code == 200
    found = await _card(portal.http, order, 'orders,head')
    assert (found['head']['account_code'], found['head']['code_is_provisional']) == ('NW1', False)
    assert found['orders']['rows'][0]['wants_code'] is False
    assert found['orders']['rfi_sent_to'] == 'l@b.example'


async def test_an_order_of_another_customer_is_not_there(portal, ordered):
    order, other = await ordered(), await ordered('Other')
    await portal.sign_in(portal.northwind.ana)
    for number in (other.id, 999999):
        answer = await portal.http.post(f'/api/ui/customers/{order.customer_id}/orders/{number}/passed-on', json={})
        assert answer.status_code == 404
    assert (await Order.get(id=other.id)).vendor == VendorState.BY_HAND


# -- the list ----------------------------------------------------------------------------------------------------------


async def _listed(browser: Any, **asked: str) -> list[dict[str, Any]]:
    answer = await browser.get('/api/ui/tables/orders/rows', params=asked)
    assert answer.status_code == 200, answer.text
    rows = answer.json()['rows']
    counts = (await browser.get('/api/ui/tables/orders/counts', params=asked)).json()
    assert counts['shown'] == len(rows)
    return rows


async def test_the_list_has_what_needs_a_person_and_on_request_all(portal, ordered):
    northwind, week = portal.northwind.partner, datetime.now(UTC) - timedelta(days=8)
    by_hand = await ordered('Émile’s Bakery')
    late = await ordered('Bianchi', 'delivered', vendor_at=week, kind=OrderKind.CHANGE, code='NW1')
    fresh = await ordered('Zoo', 'delivered', vendor_at=datetime.now(UTC), code='NW2', po_number='PO 77/b')
    await ordered('Fremd', partner=portal.fabrikam.partner)
    prospect = await Prospect.create(
        partner=northwind, name='Larkspur', name_key=sort_key('Larkspur'), initial=initial('Larkspur'),
        search_key=fold('Larkspur'),
    )  # fmt: skip
    draft = await Order.create(partner=northwind, prospect=prospect, seats=3)
    await portal.sign_in(portal.northwind.ana)
    found = await _listed(portal.http)
    assert [row['number'] for row in found] == [late.number, by_hand.number]
    assert found[1] | {'id': 0, 'since': ''} == {
        'id': 0, 'number': by_hand.number, 'customer': 'Émile’s Bakery', 'kind': 'Order', 'seats': 25, 'since': '',
        'state': 'Submitted', 'state_mark': ['half', 'accent', 'Submitted'], 'vendor': 'To be passed on by hand',
        'vendor_mark': ['person', 'accent', 'To be passed on by hand'],
        'place': f'/customers/{by_hand.customer_id}#orders', 'todo': 'Pass it on', 'todo_mark': None,
    }  # fmt: skip
    by_name = await _listed(portal.http, only='all')
    assert [row['customer'] for row in by_name] == ['Bianchi', 'Émile’s Bakery', 'Larkspur', 'Zoo']
    assert by_name[2]['place'] == f'/prospects/{prospect.id}/order'
    assert [row['number'] for row in await _listed(portal.http, only='open')] == [
        order.number for order in (late, by_hand, fresh)
    ]
    assert [row['number'] for row in await _listed(portal.http, only='draft')] == [draft.number]
    for sort in ('customer', 'number', 'kind', 'seats', 'state', 'vendor', 'todo', 'since'):
        assert len(await _listed(portal.http, only='all', sort=sort, dir='desc')) == 4
    for typed, names in (
        ('emile', ['Émile’s Bakery']), ('nw2', ['Zoo']), ('larks', ['Larkspur']), (fresh.number, ['Zoo']),
        (f'chg-{late.id}', ['Bianchi']), ('po 77/B', ['Zoo']), ('ORD-000999', []), ('99999999999', []),
    ):  # fmt: skip
        assert [row['customer'] for row in await _listed(portal.http, only='all', q=typed)] == names, typed


async def test_the_list_asks_both_databases_the_same(db, northwind):
    customer = await Customer.add(northwind.partner, name='Émile’s Bakery', account_code='NW1')
    for vendor in VendorState:
        await Order.create(
            partner=northwind.partner, customer=customer, state=OrderState.SUBMITTED, vendor=vendor,
            decided_at=datetime.now(UTC) if vendor == VendorState.REJECTED else None,
        )  # fmt: skip
    for only, most in (('', 3), ('open', 4), ('draft', 0), ('all', len(VendorState))):
        for sort in ('customer', 'number', 'kind', 'seats', 'state', 'vendor', 'since'):
            for q, found in (('', most), ('emile', most), ('nobody', 0)):
                asked = Asked(table, {'only': only, 'sort': sort, 'dir': 'desc', 'q': q})
                rows = await table.page(northwind.ana, asked, audience='', number=0)
                assert len(rows) == found, (only, sort, q)
                assert (await table.counts(northwind.ana, asked))['shown'] == found


async def test_who_sees_no_customer_sees_none_of_its_orders(portal, ordered):
    await ordered()
    who = await _person(portal, PortalRole.SALES)
    await PortalUser.filter(id=who.id).update(sees_all=False)
    assert await _listed(await portal.signed_in(who), only='all') == []


async def test_the_list_is_not_there_for_a_role_that_does_not_include_it(portal):
    technician, sales = [await _person(portal, role) for role in (PortalRole.TECHNICIAN, PortalRole.SALES)]
    await portal.sign_in(technician)
    await portal.open_refused('/orders')
    await portal.should_see('There is nothing here')
    for who, found in ((technician, (404, False)), (sales, (200, True))):
        answer = await (await portal.signed_in(who)).get('/orders')
        assert (answer.status_code, 'early-table' in answer.text) == found


async def test_a_provisional_code_is_marked_in_lists_and_in_the_search_until_there_is_another(portal, ordered, wire):
    order = await ordered(vendor='delivered')
    await portal.sign_in(portal.northwind.ana)
    for key in ('in-progress', 'complete', 'waiting'):
        (column,) = [each for each in TABLES[key].config_columns() if each['name'] == 'account_code']
        assert (column['flag']['by'], column['flag']['word']) == ('code_is_provisional', 'provisional')

    async def marked() -> tuple[bool, bool]:
        (row,) = (await portal.http.get('/api/ui/tables/in-progress/rows')).json()['rows']
        (found,) = (await portal.http.get('/api/ui/find', params={'q': 'emile'})).json()['customers']
        return bool(row['code_is_provisional']), found['is_provisional']

    assert await marked() == (True, True)
    _, token = await portal.session(portal.northwind.ana)
    async with wire(portal.app, '/live', headers={'cookie': f'portal_session={token}'}) as socket:
        while '"bad"' not in (await socket.heard()).get('text', ''):
            pass
        await order.accept(portal.northwind.ana, 'NW1')
        while '"rows"' not in (text := (await socket.heard())['text']):
            pass
    told = orjson.loads(text)['rows'][str(order.customer_id)]
    assert (told['account_code'], bool(told['code_is_provisional'])) == ('NW1', False)
    assert await marked() == (False, False)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('field', 'typed', 'stored', 'wrong'),
    [
        ('order_desk', ' orders@vendor.example ', 'orders@vendor.example', 'orders at vendor'),
        ('agreement', 'Rahmenvertrag 2026', 'Rahmenvertrag 2026', ' '),
        ('withdraw_days', '0', 0, '91'), ('withdraw_days', '14', 14, 'two'),
        ('upgrades_when_complete', True, True, 'yes'),
    ],
)  # fmt: skip
async def test_settings_of_orders(portal, field, typed, stored, wrong):
    await portal.sign_in(portal.northwind.ana)
    answer = await portal.http.post('/api/ui/settings', json={'facts': {field: typed}})
    assert answer.json()['now']['facts'][field] == stored
    assert getattr(await Partner.get(id=portal.northwind.partner.id), field) == stored
    answer = await portal.http.post('/api/ui/settings', json={'facts': {field: wrong}})
    assert (answer.status_code, answer.json()['field']) == (422, field)
