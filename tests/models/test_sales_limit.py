from decimal import Decimal
from typing import Any

import pytest

from models import (
    BillingTerm,
    Customer,
    Listing,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    Price,
    Prospect,
    ProspectState,
    RfiState,
    cancelling,
    changing,
    ordering,
)
from models.calendar import add_months, today
from models.rights import Refused
from models.sales_limit import limit_of, monthly_change
from tests.price_list import priced

TICKED: dict[str, Any] = {'accepts_agreement': True, 'is_authorised': True}
LEAVING = {'type': 'cancel', 'data_export': 'no'}
MOST = 'Sales may submit up to USD\u00a0{}; an administrator can submit it.'


@pytest.fixture
async def sam(db, northwind) -> PortalUser:
    """Somebody in sales of Northwind, which has a price list: 25 of SEC and SAT are 65.00 a month and 405.00 a year."""
    await priced(northwind.partner, {'SEC': '2.60', 'SAT': '16.20'}, SAT={'term': BillingTerm.YEAR})
    return await PortalUser.create(
        partner=northwind.partner, name='Sam', email='sam@northwind.example', role=PortalRole.SALES
    )


async def _limited(partner: Partner, most: str) -> None:
    await Partner.filter(id=partner.id).update(sales_limit=Decimal(most))


async def _live(partner: Partner) -> Customer:
    return await Customer.add(
        partner, name='Bakery', account_code='EB1', seats=25, products=['SEC', 'SAT'], listing=Listing.COMPLETE,
        rfi=RfiState.NOT_APPLICABLE, contract_start=add_months(today(partner), -13),
    )  # fmt: skip


@pytest.mark.parametrize(
    ('kind', 'fees', 'currency', 'change'),
    [
        (OrderKind.NEW, {'monthly': '65.00', 'annual': '405.00', 'one_time': '900.00'}, 'USD', '98.75'),
        (OrderKind.CHANGE, {'monthly': '-10.00', 'annual': '-0.05'}, 'USD', '-10.00'),  # 10.0041…
        (OrderKind.CHANGE, {'monthly': '-1000.00', 'annual': '12000.00'}, 'USD', '0.00'),
        (OrderKind.CANCELLATION, {'monthly': '65.00', 'annual': '0.06'}, 'USD', '-65.01'),
        (OrderKind.NEW, {'monthly': '0', 'annual': '1000'}, 'JPY', '83'),
        (OrderKind.CANCELLATION, {}, 'USD', None),
    ],
)
def test_a_month_counts_with_a_twelfth_of_a_year_and_without_what_is_paid_once(kind, fees, currency, change):
    found = monthly_change(Order(kind=kind, fees=fees, currency=currency))
    assert (None if found is None else str(found)) == change


async def test_sales_submits_a_first_order_up_to_the_limit_and_an_administrator_any(sam, northwind, monkeypatch):
    prospect = Prospect(partner=northwind.partner, state=ProspectState.OPEN)
    prospect.set_name('Bakery')
    await prospect.save()
    facts = {'seats': 25, 'products': ['SEC', 'SAT'], 'po_waived': True, 'mail_server': 'microsoft_365'}
    lead = {'lead_last_name': 'Ivers', 'lead_email': 'lena@bakery.example'}
    await Price.filter(product__code='SEC').update(unit_price=Decimal(1))
    order = await ordering.save(prospect, {**facts, **lead}, version=0, by=sam)
    await Price.filter(product__code='SEC').update(unit_price=Decimal('2.60'))  # what it costs now counts
    fees = {'monthly': '65.00', 'annual': '405.00', 'one_time': '0.00', 'initial': '470.00'}

    async def submit(by: PortalUser) -> ordering.Submitted:
        return await ordering.submit(prospect, version=1, fees=fees, by=by, **TICKED)

    await _limited(northwind.partner, '98.74')
    with pytest.raises(Refused) as refused:
        await submit(sam)
    said = f'{order.number} adds USD\u00a098.75 a month. {MOST.format("98.74")} It is saved as it is.'
    assert str(refused.value) == said
    # Also where the limit is another one by the time that the document is drawn.
    await _limited(northwind.partner, '98.75')
    draws = ordering.order_pdf

    async def slowly(*args: Any, **named: Any) -> bytes:
        await _limited(northwind.partner, '98.74')
        return await draws(*args, **named)

    with monkeypatch.context() as while_drawn:
        while_drawn.setattr(ordering, 'order_pdf', slowly)
        with pytest.raises(Refused, match=r'adds USD\u00a098\.75 a month'):
            await submit(sam)
    stored = await Order.get()
    assert (stored.state, stored.version, await Customer.exists()) == (OrderState.DRAFT, 1, False)
    await _limited(northwind.partner, '0')
    assert limit_of(northwind.ana, await Partner.get(id=northwind.partner.id)) == ''
    assert (await submit(northwind.ana)).customer.name == 'Bakery'


async def test_of_a_change_order_the_difference_counts_in_either_direction(sam, northwind):
    customer = await _live(northwind.partner)
    for seats, said in ((35, 'adds USD\u00a039.50 a month.'), (15, 'takes USD\u00a039.50 a month away.')):
        quote = await changing.save(customer, {'seats': seats, 'po_waived': True}, by=sam)
        given = {'version': 1, 'fees': quote.fees, 'by': sam, **TICKED}
        await _limited(northwind.partner, '39.49')
        with pytest.raises(Refused) as refused:
            await changing.submit(customer, quote.id, **given)
        assert str(refused.value) == f'{quote.number} {said} {MOST.format("39.49")} It is saved as it is.'
        assert (await Order.get(id=quote.id)).state == OrderState.DRAFT
        await _limited(northwind.partner, '39.5')
        submitted = await changing.submit(customer, quote.id, **given)
        await _limited(northwind.partner, '0')
        await changing.withdraw(customer, submitted.id, by=sam)  # which takes nothing that was not there


async def test_of_a_cancellation_all_counts_that_falls_away(sam, northwind):
    customer = await _live(northwind.partner)
    await _limited(northwind.partner, '98.74')
    with pytest.raises(Refused) as refused:
        await cancelling.submit(customer, LEAVING, is_authorised=True, by=sam)
    said = f'This cancellation takes USD\u00a098.75 a month away. {MOST.format("98.74")}'
    assert str(refused.value) == said
    partner = await Partner.get(id=northwind.partner.id)
    assert await cancelling.why_above_limit(customer, partner, sam) == said
    assert await cancelling.why_above_limit(customer, partner, northwind.ana) == ''
    assert not await Order.exists()
    # Nobody knows what falls away where something has no price: that is not little.
    await _limited(northwind.partner, '999999999999')
    await Price.filter(product__code='SAT').delete()
    with pytest.raises(Refused, match=r'^What this cancellation changes is not known, because something has no price'):
        await cancelling.submit(customer, LEAVING, is_authorised=True, by=sam)
    await Partner.filter(id=partner.id).update(sales_limit=None)
    assert (await cancelling.submit(customer, LEAVING, is_authorised=True, by=sam)).state == OrderState.SUBMITTED
