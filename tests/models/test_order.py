import asyncio
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from models import Customer, HistoryEvent, Order, OrderKind, OrderState, PortalRole, PortalUser, VendorState, events
from models.checking import Impossible, Invalid
from models.order import MOVES
from models.rights import Refused, may

S, V = OrderState, VendorState


@pytest.fixture
def made(northwind):
    """Makes an order of a customer, in any state."""

    async def made(
        kind: Any = OrderKind.NEW, state: Any = S.SUBMITTED, vendor: Any = V.DELIVERED, **more: Any
    ) -> Order:
        number = await Customer.all().count() + 1
        provisional = more.pop('provisional', kind == OrderKind.NEW)
        customer = await Customer.add(
            northwind.partner, name=f'Bakery {number}', account_code=f'P-{number:06}' if provisional else f'NW{number}',
            code_is_provisional=provisional, seats=25,
        )  # fmt: skip
        return await Order.create(
            partner=northwind.partner, customer=customer, kind=kind, state=state, vendor=vendor, seats=25,
            submitted_by='Ana', submitted_at=datetime.now(UTC), **more,
        )  # fmt: skip

    return made


async def _said(chain: str) -> list[tuple[str, str]]:
    entries = await HistoryEvent.filter(chain=chain).order_by('sequence')
    return [
        (entry.kind, (await entry.text()).summary)
        for entry in entries if entry.kind.startswith(('order.', 'account.'))
    ]  # fmt: skip


# -- the table ---------------------------------------------------------------------------------------------------------

# What a person may do, told apart from the table of the model: (verb, kind, state, vendor) -> (state, vendor).
_FIRST, _OTHERS, _ANY = (OrderKind.NEW,), (OrderKind.CHANGE, OrderKind.CANCELLATION), tuple(OrderKind)
_LEGAL: dict[tuple[str, OrderKind, OrderState, VendorState], tuple[OrderState, VendorState]] = {}
for kinds, verb, state, vendor, becomes in (
    *((_ANY, 'passed_on', S.SUBMITTED, vendor, (S.SUBMITTED, V.DELIVERED)) for vendor in (V.BY_HAND, V.SENDING)),
    *((_OTHERS, 'accept', state, vendor, (state, V.ACCEPTED))
      for state in (S.SUBMITTED, S.APPLIED) for vendor in (V.BY_HAND, V.DELIVERED)),
    *((_FIRST, 'accept', state, vendor, (S.ACCEPTED, V.ACCEPTED))
      for state in (S.SUBMITTED, S.APPLIED) for vendor in (V.BY_HAND, V.DELIVERED)),
    *((_ANY, 'reject', S.APPLIED, vendor, (S.APPLIED, V.REJECTED)) for vendor in (V.BY_HAND, V.DELIVERED)),
    *((_ANY, 'reject', S.SUBMITTED, vendor, (S.REJECTED, V.REJECTED)) for vendor in (V.BY_HAND, V.DELIVERED)),
    (_ANY, 'deliver_again', S.SUBMITTED, V.BY_HAND, (S.SUBMITTED, V.WAITING)),
    (_FIRST, 'deliver_again', S.REJECTED, V.REJECTED, (S.SUBMITTED, V.WAITING)),
    (_ANY, 'recalled', S.WITHDRAWN, V.RECALL, (S.WITHDRAWN, V.RECALLED)),
):  # fmt: skip
    for kind in kinds:
        _LEGAL[verb, kind, state, vendor] = becomes
_SAID = {'passed_on': 'By phone', 'accept': '', 'reject': 'No such product', 'deliver_again': 'The PO number',
         'recalled': 'To Kim'}  # fmt: skip


async def test_every_move_from_every_state_is_as_it_should_be(sqlite_db, northwind, made):
    orders = {kind: await made(kind) for kind in OrderKind}
    wrong = []
    for verb, (kind, order), state, vendor in product(_SAID, orders.items(), S, V):
        await Order.filter(id=order.id).update(state=state, vendor=vendor)
        moves = (await Order.get(id=order.id)).moves()
        allowed = verb in moves or (verb == 'deliver_again' and 'order_again' in moves)
        try:
            await getattr(order, verb)(northwind.ana, *filter(None, [_SAID[verb]]))
        except Impossible as error:
            got = None if str(error).endswith('.') else f'“{error}” is no sentence'
        else:
            stored = await Order.get(id=order.id)
            got = stored.state, stored.vendor
            assert (order.state, order.vendor) == got
        expected = _LEGAL.get((verb, kind, state, vendor))
        if got != expected or allowed != (expected is not None):
            wrong.append(f'{verb} of a {kind} that is {state} and {vendor}: {got}, not {expected}; offered: {allowed}')
    assert not wrong, '\n'.join(wrong)


async def test_the_job_delivers_only_what_is_submitted_and_waits(sqlite_db, northwind, made):
    order = await made()
    for state, vendor in product(S, V):
        await Order.filter(id=order.id).update(state=state, vendor=vendor, message_id=None)
        delivered = await order.deliver()
        assert delivered == ((state, vendor) == (S.SUBMITTED, V.WAITING)), (state, vendor)
        await Order.filter(id=order.id).update(state=state, vendor=vendor)
        settled = await order.settle()
        assert settled == (vendor == V.SENDING and state in (S.SUBMITTED, S.APPLIED, S.WITHDRAWN)), (state, vendor)


def test_every_state_that_a_move_leads_to_leads_somewhere_or_is_an_answer():
    leads = {vendor for move in MOVES.values() for vendor in move.since}
    assert set(V) - leads == {V.NOT_TOLD, V.ACCEPTED, V.RECALLED}
    assert {move.to for move in MOVES.values()} == set(V)


# -- what is recorded --------------------------------------------------------------------------------------------------


async def test_passed_on_then_accepted_with_the_account_code(db, northwind, made):
    touched, changed = [], []
    events.CUSTOMER_TOUCHED.subscribe(lambda _partner, parts: touched.append(parts))
    events.CUSTOMERS_CHANGED.subscribe(changed.append)
    order = await made(vendor=V.BY_HAND, vendor_error='The portal has no mail server to send it by.')
    await order.passed_on(northwind.ana, '  By phone to\tKim ')
    stored = await Order.get(id=order.id)
    assert (stored.vendor, stored.vendor_how, stored.vendor_to) == (V.DELIVERED, 'hand', 'By phone to Kim')
    assert (stored.vendor_error, stored.version) == ('', 2)
    assert datetime.now(UTC) - stored.vendor_at < timedelta(seconds=30)
    await order.accept(northwind.ana, ' NW0042 ')
    stored, customer = await Order.get(id=order.id), await Customer.get(id=order.customer_id)
    assert (stored.vendor, stored.state, stored.decided_by) == (V.ACCEPTED, S.ACCEPTED, 'Ana')
    assert (customer.account_code, customer.code_is_provisional) == ('NW0042', False)
    assert 'nw0042' in customer.search_key
    assert {order.customer_id: frozenset({'orders'})} in touched
    assert [change.joined for change in changed] == [frozenset({customer.id})]
    told = [
        ('order.passed_on', f'{order.number} was passed on to the vendor by hand – By phone to Kim'),
        ('order.accepted', f'The vendor accepted {order.number}'),
    ]
    assert await _said(f'c:{customer.id}') == [
        *told, ('account.created', 'The account was created: its code is NW0042, in place of the provisional P-000001')
    ]  # fmt: skip
    assert await _said(f'p:{northwind.partner.id}') == [(kind, f'Bakery 1: {said}') for kind, said in told]


async def test_the_code_can_come_later_and_only_once(db, northwind, made):
    order = await made()
    with pytest.raises(Impossible, match='comes with the acceptance'):
        await order.name_account(northwind.ana, 'NW1')
    await order.accept(northwind.ana)
    customer = await Customer.get(id=order.customer_id)
    assert (customer.account_code, customer.code_is_provisional) == ('P-000001', True)
    await order.name_account(northwind.ana, 'NW1')
    with pytest.raises(Invalid, match='has its code already: NW1'):
        await order.name_account(northwind.ana, 'NW2')
    await order.name_account(northwind.ana, 'NW1')  # the same again says nothing new
    assert (await Customer.get(id=order.customer_id)).account_code == 'NW1'
    assert [kind for kind, _ in await _said(f'c:{customer.id}')] == ['order.accepted', 'account.created']


@pytest.mark.parametrize(
    ('code', 'why'),
    [
        ('NW 1', 'has a space in it'), ('x' * 41, 'is longer than 40 characters'),
        ('taken', 'is the account code of another customer, who writes it “TAKEN”'),
    ],
)  # fmt: skip
async def test_a_code_that_cannot_be_leaves_the_order_as_it_was(db, northwind, made, code, why):
    await Customer.add(northwind.partner, name='Other', account_code='TAKEN')
    order = await made()
    with pytest.raises(Invalid, match=why) as told:
        await order.accept(northwind.ana, code)
    assert told.value.field == 'account_code'
    stored, customer = await Order.get(id=order.id), await Customer.get(id=order.customer_id)
    assert (stored.vendor, stored.version, customer.code_is_provisional) == (V.DELIVERED, 1, True)
    assert await _said(f'c:{customer.id}') == []


async def test_a_code_typed_among_the_facts_is_no_longer_provisional(sqlite_db, northwind, made):
    order = await made()
    customer = await Customer.get(id=order.customer_id)
    await customer.change(account_code='NW7', by=northwind.ana)
    assert not (await Customer.get(id=customer.id)).code_is_provisional
    await order.accept(northwind.ana, 'NW7')
    assert (await Order.get(id=order.id)).vendor == V.ACCEPTED


async def test_a_change_takes_no_code(sqlite_db, northwind, made):
    order = await made(OrderKind.CHANGE)
    with pytest.raises(Invalid, match='first order only'):
        await order.accept(northwind.ana, 'NW9')
    assert (await Order.get(id=order.id)).vendor == V.DELIVERED


async def test_a_rejected_first_order_is_delivered_again(sqlite_db, northwind, made):
    order = await made(vendor_how='mail', vendor_to='orders@vendor.example', vendor_at=datetime.now(UTC), message_id=3)
    with pytest.raises(Invalid, match='say why'):
        await order.reject(northwind.ana, ' \n ')
    await order.reject(northwind.ana, 'The PO number is missing')
    stored, customer = await Order.get(id=order.id), await Customer.get(id=order.customer_id)
    assert (stored.vendor, stored.state) == (V.REJECTED, S.REJECTED)
    assert stored.decided_because == 'The PO number is missing'
    assert customer.listing == 'waiting'  # still in Connect
    await order.deliver_again(northwind.ana, 'The PO number is in')
    stored = await Order.get(id=order.id)
    assert (stored.vendor, stored.decided_because, stored.decided_by, stored.decided_at) == (V.WAITING, '', '', None)
    assert (stored.vendor_how, stored.vendor_to, stored.vendor_at, stored.message_id) == ('', '', None, None)
    assert stored.state == S.SUBMITTED
    assert [said for _, said in await _said(f'c:{customer.id}')] == [
        f'The vendor rejected {order.number} – The PO number is missing',
        f'{order.number} is delivered again – The PO number is in',
    ]


# -- who, and two at once ----------------------------------------------------------------------------------------------


async def test_only_those_may_record_whose_role_includes_it(sqlite_db, northwind, fabrikam, made):
    acts = {
        'passed_on': lambda order, by: order.passed_on(by), 'accept': lambda order, by: order.accept(by),
        'reject': lambda order, by: order.reject(by, 'No'), 'deliver_again': lambda order, by: order.deliver_again(by),
        'name_account': lambda order, by: order.name_account(by, 'NW1'),
        'recalled': lambda order, by: order.recalled(by),
    }  # fmt: skip
    order = await made(vendor=V.BY_HAND)
    for role in PortalRole:
        who = await PortalUser.create(partner=northwind.partner, name=role, email=f'{role}@x.example', role=role)
        if not may(who, 'order.record'):
            for act in acts.values():
                with pytest.raises(Refused):
                    await act(order, who)
    for act in acts.values():
        with pytest.raises(Refused, match='another MSP'):
            await act(order, fabrikam.eve)
    assert (await Order.get(id=order.id)).version == 1


async def test_of_two_at_once_one_wins_and_the_other_is_told(db, northwind, made):
    order = await made()
    ivo = await PortalUser.create(
        partner=northwind.partner, name='Ivo', email='ivo@northwind.example', role=PortalRole.IMPLEMENTATION
    )
    answers = await asyncio.gather(
        order.accept(northwind.ana, 'NW1'), (await Order.get(id=order.id)).reject(ivo, 'No'), return_exceptions=True
    )
    (told,) = [answer for answer in answers if answer is not None]
    assert isinstance(told, Impossible)
    stored = await Order.get(id=order.id)
    verb = {V.ACCEPTED: 'accepted', V.REJECTED: 'rejected'}[stored.vendor]
    assert str(told) == f'{stored.decided_by} has recorded already that the vendor {verb} {order.number}.'
    assert len(await _said(f'c:{order.customer_id}')) == (2 if verb == 'accepted' else 1)


async def test_two_orders_that_are_given_the_same_code(db, northwind, made):
    orders = [await made(), await made()]
    answers = await asyncio.gather(*(order.accept(northwind.ana, 'NW1') for order in orders), return_exceptions=True)
    (told,) = [answer for answer in answers if answer is not None]
    assert isinstance(told, Invalid), told
    assert 'another customer' in str(told)
    assert await Order.filter(vendor=V.ACCEPTED).count() == 1


# -- what needs a person -----------------------------------------------------------------------------------------------


async def test_which_orders_need_a_person(db, northwind, made):
    now = datetime.now(UTC)
    week, day = now - timedelta(days=8), now - timedelta(days=1)
    needed = {
        await made(vendor=V.BY_HAND), await made(vendor=V.DELIVERED, vendor_at=week),
        await made(OrderKind.CHANGE, S.APPLIED, V.DELIVERED, vendor_at=week),
        await made(vendor=V.REJECTED, decided_at=week),
        await made(OrderKind.CHANGE, S.APPLIED, V.REJECTED, decided_at=week),
        await made(OrderKind.CHANGE, S.REJECTED, V.REJECTED, decided_at=day),
        await made(vendor=V.ACCEPTED, decided_at=week),
        await made(vendor=V.SENDING, changed_at=datetime.now(UTC) - timedelta(hours=2)),
        await made(OrderKind.CHANGE, S.WITHDRAWN, V.RECALL, decided_at=week),
    }  # fmt: skip
    for calm in (
        {'vendor': V.WAITING}, {'vendor': V.SENDING}, {'vendor': V.DELIVERED, 'vendor_at': day},
        {'kind': OrderKind.CANCELLATION, 'state': S.REJECTED, 'vendor': V.REJECTED, 'decided_at': week},
        {'vendor': V.ACCEPTED, 'decided_at': day, 'provisional': False},
        {'kind': OrderKind.CHANGE, 'state': S.WITHDRAWN, 'vendor': V.RECALLED},
        {'kind': OrderKind.CHANGE, 'state': S.DRAFT, 'vendor': V.NOT_TOLD},
    ):  # fmt: skip
        await made(**calm)
    closed = await made(vendor=V.REJECTED, decided_at=week)
    await Customer.filter(id=closed.customer_id).update(listing='closed')
    found = await Order.visible_to(northwind.ana).filter(Order.needing_somebody(now=now)).values_list('id', flat=True)
    assert sorted(found) == sorted(order.id for order in needed)


async def test_the_customers_of_the_demo_have_their_orders_and_nothing_of_it_was_sent(sqlite_db, monkeypatch):
    from models import Attachment, Message
    from models.demo import load_demo
    from settings import settings

    monkeypatch.setenv('PORTAL_DEMO', '1')
    settings.cache_clear()
    await load_demo()
    assert set(await Order.all().values_list('vendor_how', flat=True)) == {'', 'hand'}
    orders = await Order.filter(kind=OrderKind.NEW, customer_id__isnull=False).select_related('customer')
    assert len(orders) == await Customer.all().count()
    assert await Message.all().count() == 0
    assert {order.vendor for order in orders} == {V.BY_HAND, V.DELIVERED, V.ACCEPTED}
    for order in orders:
        assert (await Attachment.get(id=order.attachment_id)).customer_id == order.customer_id
        grown = await Order.get_or_none(customer_id=order.customer_id, state=OrderState.APPLIED, kind=OrderKind.CHANGE)
        seats = order.customer.seats if grown is None else grown.was_seats
        assert (order.submitted_at, order.seats) == (order.customer.created_at, seats)
        assert order.since <= datetime.now(UTC)


async def test_a_first_order_is_over_when_connect_is_abandoned_and_who_has_it_is_told(db, northwind, made):
    told, untold, accepted = await made(), await made(vendor=V.WAITING), await made(state=S.ACCEPTED, vendor=V.ACCEPTED)
    for order in (told, untold, accepted):
        customer = await Customer.get(id=order.customer_id)
        await customer.abandon('They changed their mind', by=northwind.ana)
    found = [await Order.get(id=order.id) for order in (told, untold, accepted)]
    assert [(order.state, order.vendor) for order in found] == [
        (S.WITHDRAWN, V.RECALL), (S.WITHDRAWN, V.NOT_TOLD), (S.ACCEPTED, V.ACCEPTED),
    ]  # fmt: skip
    assert ('order.withdrawn', f'{told.number} is over: the customer was closed before the vendor accepted it. '
            'The vendor has it already and has to be told') in await _said(f'c:{told.customer_id}')  # fmt: skip
