import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from components import order_card
from models import (
    Attachment,
    AttachmentKind,
    Closing,
    Customer,
    CustomerProduct,
    HistoryEvent,
    Listing,
    Monitor,
    MonitorKind,
    MonitorState,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    RfiState,
    VendorState,
    attachment_files,
    cancelling,
    changing,
    effective,
)
from models.calendar import add_months, today
from models.checking import Impossible, Invalid
from models.rights import Refused

WHOLE = {'type': 'cancel', 'data_export': 'no', 'because': 'They merged'}


@pytest.fixture
async def bakery(db, northwind) -> Customer:
    """A live customer whose contract is eleven months old today."""
    return await Customer.add(
        northwind.partner, name='Émile’s Bakery', account_code='EB1', seats=25, products=['SEC'],
        rfi=RfiState.NOT_APPLICABLE, listing=Listing.COMPLETE, contract_start=_begun(northwind.partner, 11),
    )  # fmt: skip


def _begun(partner: Partner, months: int) -> date:
    """A contract of so many months today, in every month of whatever length."""
    day = add_months(today(partner), -months)
    return day if add_months(day, months) <= today(partner) else day - timedelta(days=1)


async def _old(customer: Customer, months: int) -> None:
    partner = await Partner.get(id=customer.partner_id)
    await Customer.filter(id=customer.id).update(contract_start=_begun(partner, months))


async def _submit(customer: Customer, by: PortalUser, **facts: Any) -> Order:
    return await cancelling.submit(customer, {**WHOLE, **facts}, is_authorised=True, by=by)


async def _kinds(customer: Customer) -> list[str]:
    entries = await HistoryEvent.filter(chain=f'c:{customer.id}').order_by('sequence')
    return [entry.kind for entry in entries]


# -- when it is possible ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('started', 'now', 'possible', 'earliest'),
    [
        ('2026-03-31', '2027-02-27', False, '2027-03-31'),  # 11 months end on the last day of February
        ('2026-03-31', '2027-02-28', True, '2027-03-31'),
        ('2026-03-31', '2027-03-30', True, '2027-03-31'),
        ('2026-03-31', '2027-03-31', True, '2027-03-31'),
        ('2026-03-31', '2027-04-01', True, '2027-04-01'),
        ('2027-03-29', '2028-02-29', True, '2028-03-29'),
        ('2028-02-29', '2029-01-28', False, '2029-02-28'),
        ('2028-02-29', '2029-01-29', True, '2029-02-28'),
    ],
)  # fmt: skip
async def test_after_eleven_months_and_not_before_the_end_of_twelve(
    sqlite_db, northwind, started, now, possible, earliest
):
    customer = await Customer.add(
        northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE,
        contract_start=date.fromisoformat(started),
    )  # fmt: skip
    at = datetime.fromisoformat(f'{now}T12:00:00+00:00')
    can = await cancelling.leaving(customer, northwind.partner, now=at)
    assert (can.is_possible, can.earliest.isoformat()) == (possible, earliest)
    assert bool(can.why) is not possible
    if started == '2026-03-31' and not possible:
        assert can.why == 'Possible from 28 February 2027 on, after 11 months: the contract began on 31 March 2026.'


async def test_the_day_is_the_one_where_the_msp_is(sqlite_db, northwind):
    customer = await Customer.add(
        northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE, contract_start=date(2026, 3, 5)
    )
    northwind.partner.time_zone = 'Pacific/Auckland'
    evening = datetime(2027, 2, 4, 12, tzinfo=UTC)  # the fifth has begun there
    assert (await cancelling.leaving(customer, northwind.partner, now=evening)).is_possible
    northwind.partner.time_zone = 'America/New_York'
    assert not (await cancelling.leaving(customer, northwind.partner, now=evening)).is_possible


async def test_who_was_added_without_a_beginning_began_on_that_day(sqlite_db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE)
    assert cancelling.contract_start(customer, northwind.partner) == today(northwind.partner)
    can = await cancelling.leaving(customer, northwind.partner)
    assert not can.is_possible
    assert 'nobody has said when the contract began' in can.why


@pytest.mark.parametrize(
    ('facts', 'problems'),
    [
        ({'type': ''}, {'type': 'is empty; choose one'}),
        ({'type': 'sell'}, {'type': 'is none of those that can be chosen'}),
        ({'data_export': ''}, {'data_export': 'is empty; choose yes or no'}),
        ({'effective_on': 'soon'}, {'effective_on': '“soon” is not a day such as 2027-01-31'}),
        ({'effective_on': '2020-01-01'}, {'effective_on': 'must be today or later'}),
        ({'effective_on': '2100-01-01'}, {'effective_on': 'cannot be more than 24 months from now'}),
        ({'because': 'x' * 301}, {'because': 'is longer than 300 characters'}),
        ({'colour': 'red'}, {'colour': 'is not a field of the cancellation'}),
    ],
)
async def test_what_cannot_be_says_so_at_its_field(sqlite_db, northwind, facts, problems):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_APPLICABLE)
    await _old(customer, 13)
    with pytest.raises(Invalid) as told:
        await _submit(customer, northwind.ana, **facts)
    assert told.value.errors == problems
    with pytest.raises(Invalid) as unticked:
        await cancelling.submit(customer, WHOLE, is_authorised=False, by=northwind.ana)
    assert unticked.value.errors == {'is_authorised': 'must be ticked'}
    assert not await Order.all().count()


# -- submitting -------------------------------------------------------------------------------------------------------


async def test_within_the_first_year_it_takes_effect_at_its_end(bakery, northwind):
    partner = northwind.partner
    with pytest.raises(Invalid) as told:
        await _submit(bakery, northwind.ana, effective_on=today(partner).isoformat())
    term_end = add_months(_begun(partner, 11), 12)
    said = f'cannot be before {changing.said_day(term_end)}: the first 12 months run to their end'
    assert told.value.errors == {'effective_on': said}
    order = await Order.get(id=(await _submit(bakery, northwind.ana)).id)
    assert (order.kind, order.state, order.vendor) == (
        OrderKind.CANCELLATION, OrderState.SUBMITTED, VendorState.WAITING
    )  # fmt: skip
    assert order.effective_on == order.withdraw_until == term_end
    assert order.details == {'type': 'cancel', 'data_export': False, 'because': 'They merged'}
    document = await Attachment.get(id=order.attachment_id)
    assert (document.kind, document.name) == (AttachmentKind.CANCELLATION, f'Cancellation {order.number}')
    assert document.pdf.read_bytes().startswith(b'%PDF')
    assert (await Customer.get(id=bakery.id)).listing == Listing.COMPLETE
    assert 'cancellation.requested' in await _kinds(bakery)
    can = await cancelling.leaving(bakery, partner)
    assert can.why == f'Ana has submitted {order.number}, which takes effect on {changing.said_day(term_end)}.'


async def test_of_two_who_cancel_at_once_one_does_and_nothing_is_left_of_the_other(bakery, northwind):
    both = await asyncio.gather(*(_submit(bakery, northwind.ana) for _ in range(2)), return_exceptions=True)
    assert sorted(type(each).__name__ for each in both) == ['Impossible', 'Order']
    assert await Order.all().count() == await Attachment.all().count() == 1
    assert len(list(attachment_files.pdf_of('x').parent.iterdir())) == 1


async def test_what_a_killed_portal_left_is_seen_by_nobody_and_goes_with_the_next(bakery, northwind):
    left = await Order.create(partner=northwind.partner, customer=bakery, kind=OrderKind.CANCELLATION)
    assert not await Order.visible_to(northwind.ana).exists()
    card = await order_card.content(bakery)
    assert (card['rows'], (await order_card.gist(bakery))['text']) == ([], 'None in the portal')
    assert (await cancelling.leaving(bakery, northwind.partner)).is_possible
    await Order.filter(id=left.id).update(created_at=datetime.now(UTC) - timedelta(hours=2))
    order = await _submit(bakery, northwind.ana)
    assert await Order.all().values_list('id', flat=True) == [order.id]


async def test_it_can_be_withdrawn_until_it_takes_effect(bakery, northwind):
    order = await _submit(bakery, northwind.ana)
    quote = await changing.save(bakery, {'seats': 40}, by=northwind.ana)
    with pytest.raises(Impossible, match='it ends the subscription on'):
        await changing.review(bakery, northwind.partner, quote.id)
    await changing.withdraw(bakery, order.id, by=northwind.ana)
    assert 'cancellation.withdrawn' in await _kinds(bakery)
    assert (await cancelling.leaving(bakery, northwind.partner)).is_possible
    assert not await effective.come_about(order.id)
    assert (await Customer.get(id=bakery.id)).listing == Listing.COMPLETE


async def test_who_may_cancel_and_whom(bakery, northwind, fabrikam):
    for role in PortalRole:
        if role not in (PortalRole.ADMINISTRATOR, PortalRole.SALES):
            who = await PortalUser.create(partner=northwind.partner, name=role, email=f'{role}@n.example', role=role)
            with pytest.raises(Refused):
                await _submit(bakery, who)
    with pytest.raises(Refused):
        await _submit(bakery, fabrikam.eve)
    await _old(bakery, 10)
    with pytest.raises(Impossible, match='Possible from'):
        await _submit(bakery, northwind.ana)
    await Customer.filter(id=bakery.id).update(listing=Listing.WAITING)
    with pytest.raises(Impossible, match='abandon Connect instead'):
        await _submit(bakery, northwind.ana)


# -- when its day has come --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('type_', 'closing', 'status'),
    [('cancel', Closing.CANCELLED, 'Cancelled'), ('partner_change', Closing.MOVED, 'Moved to another partner')],
)
async def test_on_its_day_the_customer_is_closed_and_nothing_is_lost(bakery, northwind, type_, closing, status):
    await _old(bakery, 13)
    await Monitor.filter(kind=MonitorKind.INBOUND_QUEUE).update(state=MonitorState.BAD)
    change = await changing.save(bakery, {'seats': 40, 'po_waived': True}, by=northwind.ana)
    await Order.filter(id=change.id).update(state=OrderState.SUBMITTED, vendor=VendorState.WAITING)
    order = await _submit(bakery, northwind.ana, type=type_)
    assert order.effective_on == today(northwind.partner)
    assert await effective.due() == [order.id]
    assert not await effective.come_about(order.id)  # the vendor was not told
    await Order.filter(id=order.id).update(vendor=VendorState.DELIVERED)
    order = await Order.get(id=order.id)
    assert sorted(await asyncio.gather(*(cancelling.end(order) for _ in range(2)))) == [False, True]
    closed = await Customer.get(id=bakery.id)
    assert (closed.listing, closed.closing, closed.connect_status) == (Listing.CLOSED, closing, status)
    assert (closed.closed_because, closed.seats, closed.products_in_short) == ('They merged', 25, 'SEC')
    assert closed.closed_at is not None
    assert await CustomerProduct.filter(customer=bakery).count() == 1
    assert not await Monitor.filter(customer=bakery).exclude(state=MonitorState.NOT_CONFIGURED).count()
    lapsed = await Order.get(id=change.id)
    assert (lapsed.state, lapsed.vendor) == (OrderState.WITHDRAWN, VendorState.NOT_TOLD)
    kinds = await _kinds(bakery)
    assert {'cancellation.effective', 'customer.closed', 'change_order.withdrawn'} <= set(kinds)
    assert kinds.count('cancellation.effective') == 1
    assert not (await cancelling.leaving(closed, northwind.partner)).is_possible


async def test_what_is_due_and_not_delivered_waits_and_says_so_once(bakery, northwind):
    await _old(bakery, 13)
    order = await _submit(bakery, northwind.ana)
    for _ in range(2):
        assert not await effective.come_about(order.id)
    assert (await _kinds(bakery)).count('cancellation.waits') == 1
    order = await Order.get(id=order.id)
    assert order.state == OrderState.SUBMITTED
    assert changing.waits_because(order, northwind.partner) == (
        f'Due since {changing.said_day(order.effective_on)}; it waits, because the vendor has not been told yet.'
    )
    await Order.filter(id=order.id).update(vendor=VendorState.DELIVERED)
    await bakery.close(Closing.ABANDONED, 'Gone', northwind.ana)  # whatever is under way is over at once
    order = await Order.get(id=order.id)
    assert (order.state, order.vendor) == (OrderState.WITHDRAWN, VendorState.RECALL)
    assert (await _kinds(bakery)).count('cancellation.withdrawn') == 1
    assert not await effective.come_about(order.id)


async def test_a_day_begins_where_the_msp_is(bakery, northwind):
    order = await _submit(bakery, northwind.ana)
    await Order.filter(id=order.id).update(effective_on=date(2027, 3, 1))
    eve = datetime(2027, 2, 28, 12, tzinfo=UTC)
    for zone, hours, is_due in (
        ('UTC', 0, False), ('UTC', 12, True), ('Pacific/Kiritimati', -3, False), ('Pacific/Kiritimati', -2, True),
        ('America/Los_Angeles', 19, False), ('America/Los_Angeles', 20, True),
    ):  # fmt: skip
        await Partner.filter(id=northwind.partner.id).update(time_zone=zone)
        assert await effective.due(now=eve + timedelta(hours=hours)) == ([order.id] if is_due else []), (zone, hours)
    assert await effective.due(now=eve + timedelta(days=40)) == [order.id]  # of a portal that was down on the day
