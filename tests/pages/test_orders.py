"""The order form over its routes: what it begins with, fees, saving, review, submission; tests/models/test_ordering.py
has the rules."""

from decimal import Decimal

import pytest

from models import Attachment, Customer, Order, Partner, PortalRole, PortalUser, Prospect, ProspectState
from tests.price_list import priced

WHOLE = {
    'seats': '25', 'products': ['SEC', 'TTP-URL'], 'quantities': {'TTP-URL': '10'}, 'lead_first_name': 'Lena',
    'lead_last_name': 'Ivers', 'lead_email': 'lena@bakery.example', 'main_is_lead': True, 'po_waived': True,
    'mail_server': 'google_workspace',
}  # fmt: skip
FEES = {'monthly': '74.00', 'annual': '0.00', 'one_time': '120.00', 'initial': '194.00'}


@pytest.fixture
async def address(portal) -> str:
    """Of the order of a prospect of Northwind, which has a price list."""
    partner = portal.northwind.partner
    await priced(partner, {'SEC': '2.60', 'TTP-URL': '0.90', 'ARC': '2.10'}, SEC={'one_time_fee': Decimal(120)})
    prospect = Prospect(partner=partner, state=ProspectState.OPEN, domain='bakery.example', seats=20, products=['ARC'])
    prospect.set_name('Émile <b>Bakery</b>')
    await prospect.save()
    return f'/api/ui/prospects/{prospect.id}/order'


async def _signed_in(portal, role: PortalRole):
    user = await PortalUser.create(
        partner=portal.northwind.partner, name=role.title, email=f'{role}@northwind.example', role=role
    )
    return await portal.signed_in(user)


async def test_an_order_goes_from_the_form_to_the_customer(portal, address):
    ana = await portal.signed_in(portal.northwind.ana)
    begun = (await ana.get(address)).json()
    assert (begun['order'], begun['done']) == (None, None)
    assert (begun['facts']['seats'], begun['facts']['products']) == (20, ['ARC'])
    assert [row['code'] for row in begun['catalogue']] == ['ARC', 'SEC', 'TTP-URL']
    assert begun['catalogue'][1] == {
        'code': 'SEC', 'name': 'Email Security', 'kind': 'primary', 'is_sample': True, 'is_priced': True,
        'price': '2.60', 'term': 'month', 'one_time': '120.00',
    }  # fmt: skip
    saved = (await ana.post(address, json={'facts': WHOLE, 'version': 0})).json()['now']
    assert (saved['order']['version'], saved['order']['saved_by']) == (1, 'Ana')
    assert saved['facts']['quantities'] == {'TTP-URL': 10}
    # That a customer has the domain already is said, and no reason not to order.
    other = await portal.add(portal.northwind.partner, 'Other', domain=(await Prospect.get()).domain)
    assert (await ana.get(address)).json()['alike'] == [
        {'kind': 'customer', 'id': other.id, 'name': 'Other', 'state': 'Customer'}
    ]
    await other.delete()
    review = (await ana.get(f'{address}/review')).json()
    assert (review['fees'], review['mails']) == (FEES, False)
    assert [(line['name'], line['quantity'], line['monthly']) for line in review['lines']] == [
        ('Email Security', 25, '65.00'), ('URL protection', 10, '9.00'),
    ]  # fmt: skip
    assert (review['company'], review['po'], review['agreement']) == (
        'Émile <b>Bakery</b>', 'Not required', 'Master Service Provider Agreement',
    )  # fmt: skip
    assert review['infrastructure'] == [['Mail server', 'Google Workspace']]
    assert review['lead'] == review['main'] == ['Lena Ivers', 'lena@bakery.example']
    agreed = {'version': 1, 'fees': FEES, 'accepts_agreement': True, 'is_authorised': True}
    for missing in ('accepts_agreement', 'is_authorised'):
        refused = await ana.post(f'{address}/submit', json=agreed | {missing: 'true'})
        assert (refused.status_code, refused.json()['field']) == (422, missing)
    done = (await ana.post(f'{address}/submit', json=agreed)).json()
    customer = await Customer.get()
    assert (done['customer'], done['mailed'], done['to']) == (customer.id, False, 'lena@bakery.example')
    assert done['link'].startswith('http://test/rfi/')
    assert (await ana.get(address)).json()['done'] | {'at': None} == {
        'number': f'ORD-{(await Order.get()).id:06}', 'by': 'Ana', 'at': None, 'customer': customer.id,
    }  # fmt: skip
    again = await ana.post(f'{address}/submit', json=agreed)
    assert again.status_code == 409
    assert again.json()['error'] == 'Ana has submitted this order already: Émile <b>Bakery</b> is a customer now.'
    assert (await ana.post(address, json={'facts': WHOLE, 'version': 2})).status_code == 409


async def test_fees_follow_what_is_typed(portal, address):
    ana = await portal.signed_in(portal.northwind.ana)
    for query, fees, problems in (
        ('seats=25&products=SEC,TTP-URL&quantities=TTP-URL:10', FEES, {}),
        ('seats=1000&products=ARC', {**FEES, 'monthly': '2100.00', 'one_time': '0.00', 'initial': '2100.00'}, {}),
        ('seats=&products=SEC', dict.fromkeys(FEES, '0.00'), {}),
        ('seats=x&products=SEC', None, {'seats': '“x” is not a whole number'}),
        ('seats=5&products=TTP-URL,GONE&quantities=TTP-URL:6',
         {**FEES, 'monthly': '5.40', 'one_time': '0.00', 'initial': '5.40'},
         {'product TTP-URL': 'needs Email Security', 'product GONE': '“GONE” is not in your catalogue any more',
          'quantity TTP-URL': 'cannot be more than the 5 licences of the order'}),
    ):  # fmt: skip
        found = (await ana.get(f'{address}/fees?{query}')).json()
        assert (found['fees'], found['problems']) == (fees, problems), query


async def test_what_is_wrong_is_told_beside_its_field(portal, address):
    ana = await portal.signed_in(portal.northwind.ana)
    refused = await ana.post(address, json={'facts': {'seats': 'x', 'lead_email': 'y'}, 'version': 0})
    assert refused.status_code == 422
    assert set(refused.json()['errors']) == {'seats', 'lead_email'}
    for version in (None, '0', True, -1):
        assert (await ana.post(address, json={'facts': WHOLE, 'version': version})).json()['field'] == 'version'
    await ana.post(address, json={'facts': {'seats': '5', 'products': ['TTP-URL']}, 'version': 0})
    refused = await ana.get(f'{address}/review')
    assert refused.status_code == 422
    assert set(refused.json()['errors']) == {
        'product TTP-URL', 'products', 'lead_last_name', 'lead_email', 'po_number'
    }  # fmt: skip


async def test_who_saves_over_somebody_is_told_what_it_says_now(portal, address):
    ana, ivo = await portal.signed_in(portal.northwind.ana), await _signed_in(portal, PortalRole.IMPLEMENTATION)
    await ivo.post(address, json={'facts': {'seats': '30'}, 'version': 0})
    told = await ana.post(address, json={'facts': {'seats': '31'}, 'version': 0})
    assert (told.status_code, told.json()['field'], told.json()['now']['seats']) == (409, 'version', 30)
    await ana.post(address, json={'facts': WHOLE, 'version': 1})
    told = await ana.post(
        f'{address}/submit', json={'version': 1, 'fees': FEES, 'accepts_agreement': True, 'is_authorised': True}
    )
    assert (told.status_code, told.json()) == (
        409, {'error': 'Somebody else has changed this order meanwhile. Go back to it and look.'},
    )  # fmt: skip


async def test_who_may_not_see_prices_sees_none_and_who_may_not_submit_does_not(portal, address):
    ivo = await _signed_in(portal, PortalRole.IMPLEMENTATION)
    answers = [
        await ivo.post(address, json={'facts': WHOLE, 'version': 0}), await ivo.get(address),
        await ivo.get(f'{address}/fees?seats=25&products=SEC'), await ivo.get(f'{address}/review'),
        await ivo.get(address.removeprefix('/api/ui')),
    ]  # fmt: skip
    assert [answer.status_code for answer in answers] == [200] * 5
    assert not any(price in answer.text for answer in answers for price in ('2.60', '65.00', '120.00'))
    assert answers[3].json()['products'] == [['Email Security', 'SEC', 25], ['URL protection', 'TTP-URL', 10]]
    agreed = {'version': 1, 'fees': FEES, 'accepts_agreement': True, 'is_authorised': True}
    assert (await ivo.post(f'{address}/submit', json=agreed)).status_code == 403
    # Whoever sells is told before that it is above their limit; nobody else hears of one.
    sam = await _signed_in(portal, PortalRole.SALES)
    await Partner.filter(id=portal.northwind.partner.id).update(sales_limit=73)
    said = f'ORD-{(await Order.get()).id:06} adds USD\u00a074.00 a month. Sales may submit up to USD\u00a073.00; '
    said += 'an administrator can submit it. It is saved as it is.'
    for browser, limit, above in ((sam, '73.00', said), (ivo, '', '')):
        assert (await browser.get(address)).json()['limit'] == limit
        assert (await browser.get(f'{address}/review')).json()['above'] == above
    refused = await sam.post(f'{address}/submit', json=agreed)
    assert (refused.status_code, refused.json()) == (403, {'error': said})
    await Partner.filter(id=portal.northwind.partner.id).update(sales_limit=74)
    assert (await sam.get(f'{address}/review')).json()['above'] == ''
    # Whoever sells submits, and is not shown a link that they may not send.
    done = (await sam.post(f'{address}/submit', json=agreed)).json()
    assert (done['mailed'], done['link']) == (False, '')
    # Nor does anybody read them in the document.
    document = f'/api/ui/customers/{done["customer"]}/attachments/{(await Attachment.get()).id}.pdf'
    assert (await sam.get(document)).content.startswith(b'%PDF-')
    for browser, is_closed in ((sam, None), (ivo, True)):
        parts = (await browser.get(f'/api/ui/customers/{done["customer"]}/parts?want=attachments')).json()
        assert [row.get('is_closed') for row in parts['attachments']['rows']] == [is_closed]
    refused = await ivo.get(document)
    assert (refused.status_code, refused.json()['error'].startswith('There are prices in this')) == (403, True)


async def test_the_page_is_there_for_who_may_order_for_the_prospect(portal, address):
    page = address.removeprefix('/api/ui')
    await portal.sign_in(portal.northwind.ana)
    await portal.user.open(page)
    await portal.should_see('Bakery')
    assert portal.config()['prospect']['name'] == 'Émile <b>Bakery</b>'
    assert '<b>Bakery' not in (await portal.http.get(page)).text
    tom, eve = await portal.signed_in(portal.northwind.tom), await portal.signed_in(portal.fabrikam.eve)
    for browser, there in ((tom, page), (eve, page), (portal.http, '/prospects/999/order'), (portal.http, page + 's')):
        assert (await browser.get(there)).status_code == 404
