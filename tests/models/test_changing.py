import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import (
    Attachment,
    AttachmentKind,
    BillingTerm,
    ConnectStep,
    Customer,
    CustomerAccess,
    CustomerProduct,
    HistoryEvent,
    Monitor,
    MonitorKind,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    Price,
    Product,
    ProductKind,
    RfiState,
    VendorState,
    attachment_files,
    change_form,
    changing,
    effective,
)
from models.calendar import add_months, today
from models.change_form import Held
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.product import CATALOGUE, RULES, load_catalogue
from models.rights import Refused
from tests.price_list import priced

PRICES = {
    'SEC': '2.60', 'ARC': '2.10', 'SEC+ARC': '4.10', 'UEM': '5.40', 'TTP-URL': '0.90', 'DLP': '0.75', 'SAT': '16.20',
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    'SAT': {'term': BillingTerm.YEAR}, 'TTP_URL': {'one_time_fee': Decimal(120)}, 'UEM': {'one_time_fee': Decimal(50)},
}  # fmt: skip
WHOLE = {'po_number': 'PO 7'}


@pytest.fixture
async def bakery(db, northwind) -> Customer:
    """A customer with 25 licences of security, and awareness training for ten of them."""
    await priced(northwind.partner, PRICES, **MORE)
    customer = await Customer.add(
        northwind.partner, name='Émile’s Bakery', account_code='EB1', seats=25, products=['SEC', 'SAT'],
        rfi=RfiState.NOT_APPLICABLE, domain='bakery.example',
    )  # fmt: skip
    await CustomerProduct.filter(product__code='SAT').update(quantity=10)
    return customer


async def _submit(customer: Customer, by: PortalUser, **facts: Any) -> Order:
    order = await changing.save(customer, {**WHOLE, **facts}, by=by)
    seen = await changing.review(customer, await Partner.get(id=customer.partner_id), order.id)
    return await changing.submit(
        customer, order.id, version=order.version, fees=seen.found.fees, accepts_agreement=True, is_authorised=True,
        by=by,
    )  # fmt: skip


async def _refused(customer: Customer, **facts: Any) -> dict[str, str]:
    partner = await Partner.get(id=customer.partner_id)
    start = change_form.empty_for(await changing.held_by(customer), today(partner))
    found = await changing.judge(customer, partner, {**start, **WHOLE, **change_form.clean(facts)})
    return {each.field: each.message for each in found.problems.found}


async def _said(chain: str) -> list[tuple[str, str]]:
    entries = await HistoryEvent.filter(chain=chain).order_by('sequence')
    texts = [await entry.text() for entry in entries]
    return [(entry.kind, text.summary if text else '') for entry, text in zip(entries, texts, strict=True)]


async def _has(customer: Customer) -> dict[str, int]:
    return dict(await CustomerProduct.filter(customer_id=customer.id).values_list('product__code', 'quantity'))


# -- what it costs ----------------------------------------------------------------------------------------------------


async def test_a_new_total_takes_the_old_lines_away_and_puts_new_ones_in_their_place(bakery, northwind):
    order = await changing.save(bakery, {'seats': '40', 'add_ons': ['TTP-URL']}, by=northwind.ana)
    assert [(row['code'], row['quantity'], row['monthly'], row['one_time']) for row in order.lines] == [
        ('SEC', -25, '-65.00', '0.00'), ('SEC', 40, '104.00', '0.00'), ('TTP-URL', 40, '36.00', '120.00'),
    ]  # fmt: skip
    assert order.fees == {
        'one_time': '120.00', 'monthly': '75.00', 'monthly_before': '65.00', 'monthly_after': '140.00',
        'annual': '0.00', 'annual_before': '162.00', 'annual_after': '162.00',
    }  # fmt: skip
    assert (order.was_seats, order.seats, order.products) == (25, 40, ['SEC', 'SAT', 'TTP-URL'])
    assert (order.state, order.vendor, order.version) == (OrderState.DRAFT, VendorState.NOT_TOLD, 1)
    assert order.effective_on == add_months(today(northwind.partner).replace(day=1), 1)
    assert (await _said(f'c:{bakery.id}'))[-1] == (
        'change_order.saved', f'CHG-{order.id:06} was saved as a quote: 25 → 40 licences; URL protection comes'
    )  # fmt: skip


async def test_fewer_licences_cap_what_has_a_number_of_its_own(bakery, northwind):
    order = await changing.save(bakery, {'seats': 8}, by=northwind.ana)
    assert [(row['code'], row['quantity']) for row in order.lines] == [
        ('SEC', -25), ('SEC', 8), ('SAT', -10), ('SAT', 8)
    ]  # fmt: skip
    assert changing.is_downsell(order)


async def test_a_new_primary_product_takes_the_place_of_all_that_there_were(bakery, northwind):
    order = await changing.save(bakery, {'mode': 'select_new', 'primary': ['ARC']}, by=northwind.ana)
    assert [(row['code'], row['quantity']) for row in order.lines] == [('ARC', 25), ('SEC', -25)]
    bundle = await changing.save(bakery, {'mode': 'add', 'primary': ['UEM']}, by=northwind.ana)
    assert [(row['code'], row['quantity']) for row in bundle.lines] == [('SEC', -25), ('UEM', 25)]
    assert bundle.products == ['UEM', 'SAT']
    assert await Order.filter(customer=bakery).count() == 2  # quotes are many


def _catalogue() -> dict[str, Product]:
    return {
        code: Product(code=code, name=name, kind=kind, data=RULES[code]) for code, name, kind, _ in CATALOGUE
    }  # fmt: skip


CATALOGUED = _catalogue()
amounts = st.decimals(0, 500, places=2)


@given(
    held=st.dictionaries(st.sampled_from(sorted(CATALOGUED)), st.integers(0, 5000), max_size=6),
    seats=st.integers(0, 5000), total=st.integers(0, 5000), mode=st.sampled_from(['keep', 'add', 'select_new']),
    codes=st.lists(st.sampled_from(sorted(CATALOGUED)), max_size=6, unique=True),
    drop=st.lists(st.sampled_from(sorted(CATALOGUED)), max_size=3, unique=True),
    prices=st.dictionaries(
        st.sampled_from(sorted(CATALOGUED)), st.tuples(amounts, st.sampled_from(BillingTerm), amounts)
    ),
)  # fmt: skip
def test_what_changes_is_what_is_paid_before_and_after_to_the_last_cent(held, seats, total, mode, codes, drop, prices):
    listed = {
        code: Price(product_id=1, unit_price=price, term=term, one_time_fee=once, currency='USD')
        for code, (price, term, once) in prices.items()
    }  # fmt: skip
    day = date(2027, 1, 31)
    facts = change_form.clean({
        **change_form.empty_for(Held(seats, held), day), 'mode': mode, 'seats': total, 'drop': drop, **WHOLE,
        'primary': [code for code in codes if CATALOGUED[code].kind == ProductKind.PRIMARY],
        'add_ons': [code for code in codes if CATALOGUED[code].kind == ProductKind.ADD_ON],
    })  # fmt: skip
    found = change_form.judged(facts, Held(seats, held), CATALOGUED, listed, 'USD', day)
    fees = {name: Decimal(value) for name, value in found.fees.items()}
    for name in ('monthly', 'annual'):
        assert sum((getattr(each, name) for each in found.lines), Decimal(0)) == fees[name]
        assert fees[f'{name}_after'] - fees[f'{name}_before'] == fees[name]
    by_code: dict[str, list[int]] = {}
    for each in found.lines:
        by_code.setdefault(each.code, []).append(each.quantity)
    for code, quantities in by_code.items():
        assert sum(quantities) == found.after.get(code, 0) - held.get(code, 0) != 0
        assert len(quantities) <= 2
        assert quantities == sorted(quantities)
    charged = {each.code for each in found.lines if each.one_time}
    assert charged <= set(found.added)
    if mode == 'keep' and not found.problems.found:
        primary = {code for code in held if CATALOGUED[code].kind == ProductKind.PRIMARY}
        assert primary == {code for code in found.after if CATALOGUED[code].kind == ProductKind.PRIMARY}
    if not found.problems.found:
        assert found.lines or total != seats
        assert not (total < seats and (found.added or found.removed))
        assert not set(found.after) - set(listed)


# -- refusals ---------------------------------------------------------------------------------------------------------

BOTH = (
    'cannot fall below 25 in the same change order that changes products. Make two of it: one for the products, one '
    'for the licences'
)
NOTHING = 'Nothing changes: type another number of licences, or choose other products'


@pytest.mark.parametrize(
    ('facts', 'problems'),
    [
        ({'seats': 40}, {}),
        ({'seats': 25}, {'seats': NOTHING}),
        ({'seats': ''}, {'seats': 'must be at least 1'}),
        ({'seats': 20, 'add_ons': ['DLP']}, {'seats': BOTH}),
        ({'seats': 20, 'drop': ['SAT']}, {'seats': BOTH}),
        ({'seats': 20, 'mode': 'select_new', 'primary': ['ARC']}, {'seats': BOTH}),
        ({'drop': ['SAT']}, {}),
        ({'drop': ['SEC']}, {'seats': NOTHING}),  # a primary product goes by choosing another one
        ({'mode': 'add'}, {'primary': 'is empty; choose which product comes', }),
        ({'mode': 'add', 'primary': ['SEC']}, {'primary': 'Email Security is what the customer has already'}),
        ({'mode': 'select_new', 'primary': ['SEC']},
         {'primary': 'is what the customer has already; keep it, or choose another one'}),
        ({'mode': 'select_new', 'primary': ['DLP']},
         {'primary': '“DLP” is no primary product'}),
        ({'mode': 'select_new', 'primary': ['ARC'], 'add_ons': ['DLP']},
         {'product DLP': 'needs Email Security'}),
        ({'add_ons': ['IEP']}, {'product IEP': 'is not in your price list'}),
        ({'add_ons': ['GONE']}, {'add_ons': '“GONE” is not in your catalogue any more'}),
        ({'mode': 'add', 'primary': ['ARC', 'SEC+ARC']},
         {'product ARC': 'does not go together with Email Security and Archiving'}),
        ({'seats': 40, 'effective_on': '2020-01-01'}, {'effective_on': 'must be today or later'}),
        ({'seats': 40, 'effective_on': ''}, {'effective_on': 'is empty'}),
        ({'seats': 40, 'effective_on': '2100-01-01'}, {'effective_on': 'cannot be more than 24 months from now'}),
        ({'seats': 40, 'po_number': ''}, {'po_number': 'is empty; tick that none is required if that is so'}),
        ({'seats': 40, 'po_number': '', 'po_waived': True}, {}),
    ],
)  # fmt: skip
def test_what_cannot_be_says_so_at_its_field(facts, problems):
    prices = {code: Price(product_id=1, unit_price=Decimal(1), currency='USD') for code in PRICES}
    held, day = Held(25, {'SEC': 25, 'SAT': 10}), date(2027, 1, 31)
    whole = {**change_form.empty_for(held, day), **WHOLE, **change_form.clean(facts)}
    found = change_form.judged(change_form.clean(whole), held, CATALOGUED, prices, 'USD', day)
    first = {each.field: each.message for each in reversed(found.problems.found)}
    assert {field: first[field] for field in first if field in problems or not problems} == problems


@pytest.mark.parametrize(
    ('field', 'value', 'message'),
    [
        ('mode', 'sell', 'none of keep, add, select_new'), ('mode', '', 'is empty'), ('seats', '1_000', 'whole number'),
        ('seats', '-1', 'between'), ('seats', True, ''), ('effective_on', '31.12.2027', 'is not a day'),
        ('effective_on', '2027-02-30', 'is not a day'), ('po_waived', 'yes', 'yes or no'),
        ('primary', 7, 'must be a list'), ('lines', [], 'is not a field'), ('po_number', 'x' * 61, 'longer'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(field, value, message):
    if not message:
        assert change_form.clean({field: value}) == {field: ''}
        return
    with pytest.raises(Invalid) as told:
        change_form.clean({field: value})
    assert told.value.field == field
    assert message in told.value.message


async def test_a_primary_product_that_left_the_price_list_stops_every_change(bakery, northwind):
    await Price.filter(product__code='SEC').delete()
    said = {'product SEC': 'is not in your price list, so nothing can be changed yet'}
    assert await _refused(bakery, seats=40) == said
    assert await _refused(bakery, mode='select_new', primary=['ARC']) == said
    quote = await changing.save(bakery, {'seats': 40}, by=northwind.ana)
    assert (quote.lines, quote.fees) == ([], {})  # no sum rather than one that leaves something out
    await Price.filter(product__code='SAT').update(currency='EUR')
    assert (await _refused(bakery, seats=40))['product SAT'] == 'has no price in USD yet'


async def test_nothing_is_taken_away_that_another_product_needs(bakery, northwind):
    await (await _applied(bakery, northwind.ana, add_ons=['DLP'])).refresh_from_db()
    assert (await _refused(bakery, mode='select_new', primary=['ARC']))['product DLP'].startswith('needs Email Sec')
    assert await _refused(bakery, mode='select_new', primary=['ARC'], drop=['DLP']) == {}


async def test_who_waits_is_closed_or_not_complete_yet_is_not_upgraded(bakery, northwind):
    waiting = await Customer.add(northwind.partner, name='W', account_code='W', rfi=RfiState.REQUESTED)
    with pytest.raises(Impossible, match='RFI has come back'):
        await changing.save(waiting, {'seats': 9}, by=northwind.ana)
    await Partner.filter(id=northwind.partner.id).update(upgrades_when_complete=True)
    with pytest.raises(Impossible, match='once Connect is complete'):
        await changing.save(bakery, {'seats': 9}, by=northwind.ana)
    await bakery.abandon('They went elsewhere', by=northwind.ana)
    with pytest.raises(Impossible, match='Émile’s Bakery is closed'):
        await changing.save(bakery, {'seats': 9}, by=northwind.ana)


# -- quotes and submitting --------------------------------------------------------------------------------------------


async def test_of_two_who_save_a_quote_the_second_is_told_and_loses_nothing(bakery, northwind):
    order = await changing.save(bakery, {'seats': 40}, by=northwind.ana)
    again = await changing.save(bakery, {'seats': 41}, order_id=order.id, version=1, by=northwind.ana)
    assert (again.id, again.version, again.po_number) == (order.id, 2, '')
    with pytest.raises(ChangedMeanwhile) as told:
        await changing.save(bakery, {'seats': 50}, order_id=order.id, version=1, by=northwind.ana)
    assert (told.value.now['seats'], (await Order.get()).seats) == (41, 41)
    unchanged = await changing.save(bakery, {'seats': '41'}, order_id=order.id, version=2, by=northwind.ana)
    assert unchanged.version == 2
    with pytest.raises(ChangedMeanwhile):
        await changing.discard(bakery, order.id, version=1, by=northwind.ana)
    await changing.discard(bakery, order.id, version=2, by=northwind.ana)
    assert not await Order.all().count()
    with pytest.raises(Impossible, match='discarded'):
        await changing.save(bakery, {'seats': 50}, order_id=order.id, version=2, by=northwind.ana)


async def test_submitting_keeps_the_customer_as_it_is_and_attaches_the_addendum(bakery, northwind):
    order = await _submit(bakery, northwind.ana, seats=20)
    order = await Order.get(id=order.id)
    assert (order.state, order.vendor, order.submitted_by) == (OrderState.SUBMITTED, VendorState.WAITING, 'Ana')
    assert order.effective_on is not None
    assert order.withdraw_until == order.effective_on - timedelta(days=1)
    document = await Attachment.get(id=order.attachment_id)
    assert (document.kind, document.name) == (AttachmentKind.ADDENDUM, f'Addendum {order.number}')
    assert document.pdf.read_bytes().startswith(b'%PDF')
    assert (await Customer.get(id=bakery.id)).seats == 25
    said = f'{order.number} was submitted: 25 → 20 licences, from {changing.said_day(order.effective_on)} on'
    assert ('change_order.submitted', said) in await _said(f'c:{bakery.id}')
    assert ('change_order.submitted', f'Émile’s Bakery: {said}') in await _said(f'p:{northwind.partner.id}')


async def test_what_was_not_agreed_to_is_not_submitted(bakery, northwind):
    order = await changing.save(bakery, {'seats': 40, **WHOLE}, by=northwind.ana)
    seen = await changing.review(bakery, northwind.partner, order.id)
    given = {'version': 1, 'fees': seen.found.fees, 'accepts_agreement': True, 'is_authorised': True}

    async def submit(**more: Any) -> Order:
        return await changing.submit(bakery, order.id, **{**given, **more}, by=northwind.ana)

    for ticks in ({'accepts_agreement': False}, {'is_authorised': False}):
        with pytest.raises(Invalid, match='must be ticked'):
            await submit(**ticks)
    with pytest.raises(ChangedMeanwhile):
        await submit(version=0)
    with pytest.raises(Impossible, match='prices have changed'):
        await submit(fees={**seen.found.fees, 'monthly': '1.00'})
    await Price.filter(product__code='SEC').update(unit_price=Decimal(3))
    with pytest.raises(Impossible, match='prices have changed'):
        await submit()
    await Price.filter(product__code='SEC').update(unit_price=Decimal('2.60'))
    await bakery.change(seats=30)
    with pytest.raises(Impossible, match='prices have changed'):
        await submit()
    assert not await Attachment.all().count()
    folder = attachment_files.pdf_of('x').parent
    assert not (folder.exists() and list(folder.iterdir()))


async def test_submitted_twice_at_once_is_one_change_and_another_one_has_to_wait(bakery, northwind):
    one = await changing.save(bakery, {'seats': 40, **WHOLE}, by=northwind.ana)
    two = await changing.save(bakery, {'seats': 50, **WHOLE}, by=northwind.ana)
    submitting = []
    for each in (one, one, two):
        seen = await changing.review(bakery, northwind.partner, each.id)
        submitting.append(changing.submit(
            bakery, each.id, version=1, fees=seen.found.fees, accepts_agreement=True, is_authorised=True,
            by=northwind.ana,
        ))  # fmt: skip
    found = await asyncio.gather(*submitting, return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ['Impossible', 'Impossible', 'Order']
    assert await Order.filter(state=OrderState.SUBMITTED).count() == await Attachment.all().count() == 1
    folder = attachment_files.pdf_of('x').parent
    assert len(list(folder.iterdir())) == 1
    won = await Order.get(state=OrderState.SUBMITTED)
    with pytest.raises(Impossible, match=f'Ana has submitted {won.number} already'):
        await changing.review(bakery, northwind.partner, won.id)
    with pytest.raises(Impossible, match=f'Another change is under way: Ana submitted {won.number}'):
        await changing.review(bakery, northwind.partner, (two if won.id == one.id else one).id)


async def test_it_can_be_withdrawn_until_the_deadline_and_the_vendor_is_not_forgotten(bakery, northwind):
    order = await _submit(bakery, northwind.ana, seats=40)
    assert changing.why_not_withdrawn(order, northwind.partner) == ''
    await changing.withdraw(bakery, order.id, by=northwind.ana, because='Too many')
    order = await Order.get(id=order.id)
    assert (order.state, order.vendor, order.decided_by) == (OrderState.WITHDRAWN, VendorState.NOT_TOLD, 'Ana')
    assert ('change_order.withdrawn', f'{order.number} was withdrawn – Too many') in await _said(f'c:{bakery.id}')
    with pytest.raises(Impossible, match='is withdrawn already'):
        await changing.withdraw(bakery, order.id, by=northwind.ana)
    told = await _submit(bakery, northwind.ana, seats=41)
    await Order.filter(id=told.id).update(vendor=VendorState.DELIVERED)
    await changing.withdraw(bakery, told.id, by=northwind.ana)
    assert (await _said(f'c:{bakery.id}'))[-1][1].endswith('The vendor has it already and has to be told')
    told = await Order.get(id=told.id)
    assert (told.vendor, told.moves()) == (VendorState.RECALL, ['recalled'])
    assert await Order.filter(Order.needing_somebody()).values_list('id', flat=True) == [told.id]
    await told.recalled(northwind.ana, 'By phone to Kim')
    assert (await Order.get(id=told.id)).vendor == VendorState.RECALLED
    assert not await Order.filter(Order.needing_somebody()).exists()
    said = f'The vendor was told that {told.number} is withdrawn – By phone to Kim'
    assert (await _said(f'c:{bakery.id}'))[-1] == ('order.recalled', said)
    with pytest.raises(Impossible, match='recorded already that the vendor was told of the withdrawal'):
        await told.recalled(northwind.ana)
    at_once = await _submit(bakery, northwind.ana, seats=41, effective_on=today(northwind.partner).isoformat())
    with pytest.raises(Impossible, match='could be withdrawn until'):
        await changing.withdraw(bakery, at_once.id, by=northwind.ana)


async def test_each_verb_asks_for_its_right_and_for_the_own_msp(bakery, northwind, fabrikam):
    order = await changing.save(bakery, {'seats': 40, **WHOLE}, by=northwind.ana)
    given = {'version': 1, 'fees': order.fees, 'accepts_agreement': True, 'is_authorised': True}
    people = [
        await PortalUser.create(partner=northwind.partner, name=role, email=f'{role}@n.example', role=role)
        for role in PortalRole
    ]  # fmt: skip
    for who in [*people, fabrikam.eve]:
        is_own = who.partner_id == northwind.partner.id
        may_save = is_own and who.role in (PortalRole.ADMINISTRATOR, PortalRole.IMPLEMENTATION, PortalRole.SALES)
        if not may_save:
            with pytest.raises(Refused):
                await changing.save(bakery, {'seats': 50}, by=who)
            with pytest.raises(Refused):
                await changing.discard(bakery, order.id, version=1, by=who)
        if not (is_own and who.role in (PortalRole.ADMINISTRATOR, PortalRole.SALES)):
            with pytest.raises(Refused):
                await changing.submit(bakery, order.id, **given, by=who)
            with pytest.raises(Refused):
                await changing.withdraw(bakery, order.id, by=who)
    assert (await Order.get()).state == OrderState.DRAFT


# -- when its day has come --------------------------------------------------------------------------------------------


async def _applied(customer: Customer, by: PortalUser, **facts: Any) -> Order:
    now = today(await Partner.get(id=customer.partner_id)).isoformat()
    order = await _submit(customer, by, effective_on=now, **facts)
    await Order.filter(id=order.id).update(vendor=VendorState.DELIVERED)
    assert await effective.come_about(order.id)
    await customer.refresh_from_db()
    return order


async def test_on_its_day_licences_thresholds_and_products_are_what_it_says(bakery, northwind):
    await Monitor.filter(kind=MonitorKind.OUTBOUND_QUEUE).update(threshold=7)  # set by somebody
    begun = add_months(today(northwind.partner), -5)
    await Customer.filter(id=bakery.id).update(contract_start=begun)
    await _applied(bakery, northwind.ana, seats=400, mode='add', primary=['UEM'], add_ons=['DLP'])
    fresh = await Customer.get(id=bakery.id)
    assert (fresh.seats, fresh.products_in_short) == (400, 'UEM, SAT, DLP')
    assert await _has(bakery) == {'UEM': 400, 'SAT': 10, 'DLP': 400}
    bought = await CustomerProduct.get(product__code='UEM')
    assert (bought.since, bought.renews_on) == (today(northwind.partner), add_months(begun, 12))
    thresholds = dict(await Monitor.filter(customer=bakery).values_list('kind', 'threshold'))
    assert thresholds[MonitorKind.OUTBOUND_QUEUE] == 7
    assert thresholds[MonitorKind.INBOUND_QUEUE] == Monitor.default_threshold(MonitorKind.INBOUND_QUEUE, 400)
    assert thresholds[MonitorKind.INBOUND_QUEUE] != Monitor.default_threshold(MonitorKind.INBOUND_QUEUE, 25)
    kinds = [kind for kind, _ in await _said(f'c:{bakery.id}')]
    for kind in ('change_order.applied', 'seats.changed', 'product.added', 'product.removed'):
        assert kind in kinds
    assert ('seats.changed', 'Licences: 25 → 400') in await _said(f'c:{bakery.id}')
    order = await Order.get()
    assert order.state == OrderState.APPLIED
    assert order.applied_at is not None
    assert changing.why_not_withdrawn(order, northwind.partner) == f'{order.number} is applied already.'


async def test_who_leads_the_change_is_on_its_document_and_sees_to_what_it_has_set_up(bakery, northwind):
    ana, tom = northwind.ana, northwind.tom
    nobody = {'lead': 'is nobody who sees this customer and can sign in'}
    assert await _refused(bakery, seats=40, lead=str(tom.id)) == nobody
    for lead in ('x', True, -1):
        with pytest.raises(Invalid, match='is nobody who sees'):
            change_form.clean({'lead': lead})
    await CustomerAccess.create(user=tom, customer=bakery, allowed=True)
    await bakery.refresh_from_db()
    assert changing.start_of(bakery, northwind.partner, Held(25))['lead'] == ''
    catalogue = await load_catalogue(northwind.partner.id)
    assert await changing.to_set_up(bakery, ['SEC', 'DLP'], catalogue) == []
    assert await changing.to_set_up(bakery, ['SEC', 'ARC'], catalogue) == ['Journaling']
    assert not await ConnectStep.filter(customer=bakery, key='journaling').exists()
    order = await _applied(bakery, ana, mode='add', primary=['ARC'], lead=tom.id)
    assert changing.lead_said(order) == 'Tom\ntom@northwind.example'
    step = await ConnectStep.get(customer=bakery, key='journaling')
    assert (step.assignee_id, (await ConnectStep.get(customer=bakery, key='handover')).assignee_id) == (tom.id, None)
    said = f'Journaling, seen to by: Tom, who leads {order.number}'
    assert ('connect.step_assigned', said) in await _said(f'c:{bakery.id}')
    # Who cannot sign in any more leads nothing that is still to be submitted.
    quote = await changing.save(bakery, {'seats': 60, 'lead': tom.id, **WHOLE}, by=ana)
    await PortalUser.filter(id=tom.id).update(can_sign_in=False)
    with pytest.raises(Invalid) as told:
        await changing.review(bakery, northwind.partner, quote.id)
    assert told.value.errors == nobody


async def test_it_is_applied_once_whoever_else_does_it_at_the_same_moment(bakery, northwind):
    order = await _submit(bakery, northwind.ana, add_ons=['DLP'], effective_on=today(northwind.partner).isoformat())
    await Order.filter(id=order.id).update(vendor=VendorState.ACCEPTED)
    order = await Order.get(id=order.id)
    assert sorted(await asyncio.gather(*(changing.apply(order) for _ in range(3)))) == [False, False, True]
    assert await _has(bakery) == {'SEC': 25, 'SAT': 10, 'DLP': 25}
    assert [kind for kind, _ in await _said(f'c:{bakery.id}')].count('change_order.applied') == 1
    assert (await Order.get()).kind == OrderKind.CHANGE
