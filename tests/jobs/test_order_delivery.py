"""Orders reach the vendor's order desk: by a real mail server on this machine, or by a person."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from jobs.mailing import Mailing
from jobs.order_delivery import OrderDelivery
from models import (
    Attachment,
    AttachmentKind,
    Customer,
    HistoryEvent,
    Message,
    Order,
    OrderKind,
    OrderState,
    Partner,
    VendorState,
    changing,
    events,
)
from models import order as order_module
from models.checking import Impossible
from tests.smtp import Post, mail_server, use

DESK = 'orders@vendor.example'


@pytest.fixture
def submitted(northwind):
    """Makes a customer with an order that has been submitted."""

    async def submitted(kind: OrderKind = OrderKind.NEW, *, code: str = '', **more: Any) -> Order:
        number = await Customer.all().count() + 1
        customer = await Customer.add(
            northwind.partner, name=f'Émile’s Bakery {number}', account_code=code or f'P-{number:06}', seats=25,
            code_is_provisional=not code,
        )  # fmt: skip
        pdf = await Attachment.add_made(
            customer, kind=AttachmentKind.ORDER, name='Order ORD', pdf=b'%PDF-1.4 ' + str(number).encode(), by=None
        )
        return await Order.create(
            partner=northwind.partner, customer=customer, kind=kind, state=OrderState.SUBMITTED, seats=25,
            vendor=VendorState.WAITING, attachment_id=pdf.id, po_number='PO 7', submitted_by='Ana',
            submitted_at=datetime.now(UTC), **more,
        )  # fmt: skip

    return submitted


async def _with_a_desk(partner: Partner, port: int = 1) -> Partner:
    partner.order_desk = DESK
    return await use(partner, port)


async def _said(customer_id: int | None) -> list[tuple[str, str]]:
    entries = await HistoryEvent.filter(chain=f'c:{customer_id}', kind__startswith='order.').order_by('sequence')
    return [(entry.kind, (await entry.text()).summary) for entry in entries]


async def _vendor(order: Order) -> tuple[VendorState, str, str, str]:
    stored = await Order.get(id=order.id)
    return stored.vendor, stored.vendor_how, stored.vendor_to, stored.vendor_error


async def test_an_order_is_mailed_with_its_document_and_delivered_when_that_is_sent(db, northwind, clock, submitted):
    box, heard = Post(), []
    events.CUSTOMER_TOUCHED.subscribe(lambda _partner, touched: heard.append(touched))
    async with mail_server(box) as port:
        await _with_a_desk(northwind.partner, port)
        order = await submitted()
        job, mailing = OrderDelivery(clock), Mailing(clock)
        await job.work()
        assert await _vendor(order) == (VendorState.SENDING, 'mail', DESK, '')
        await job.work()  # nothing has been sent yet
        assert (await Order.get(id=order.id)).vendor == VendorState.SENDING
        clock.advance(5)
        await mailing.work()
        await mailing.idle()
        heard.clear()
        await job.work()
    (got,) = box.got
    assert (got['To'], got['From']) == (DESK, 'Northwind IT <portal@northwind.example>')
    assert got['Subject'] == f'Order {order.number}: Émile’s Bakery 1'
    text = got.get_body(('plain',)).get_content()
    assert 'Account code: P-000001 (provisional)' in text
    assert 'Order (PO) number: PO 7' in text
    assert 'please tell us its account code' in text
    (document,) = got.iter_attachments()
    assert document.get_content() == b'%PDF-1.4 1'
    stored = await Order.get(id=order.id)
    message = await Message.get(id=stored.message_id)
    assert await _vendor(order) == (VendorState.DELIVERED, 'mail', DESK, '')
    assert (stored.vendor_at, stored.state, stored.version) == (message.sent_at, OrderState.SUBMITTED, 3)
    assert (message.kind, message.customer_id) == ('order_desk', order.customer_id)
    assert {order.customer_id: frozenset({'orders'})} in heard
    assert await _said(order.customer_id) == [('order.delivered', f'{order.number} was delivered to {DESK} by e-mail')]


@pytest.mark.parametrize(
    ('without', 'why'),
    [
        ('order_desk', 'The settings name no order desk that takes orders by e-mail.'),
        ('smtp_host', 'The portal has no mail server to send it by.'),
        ('document', 'There is no document of it that could be sent.'),
        ('address', 'The order desk cannot be written to: “orders at vendor” is not an e-mail address: an email '
                    'address must have an @-sign.'),
    ],
)  # fmt: skip
async def test_without_a_way_a_person_is_told_why(sqlite_db, northwind, clock, submitted, without, why):
    partner = await _with_a_desk(northwind.partner)
    order = await submitted()
    match without:
        case 'document':
            await Order.filter(id=order.id).update(attachment_id=None)
        case 'address':
            await Partner.filter(id=partner.id).update(order_desk='orders at vendor')
        case _:
            await Partner.filter(id=partner.id).update(**{without: ''})
    await OrderDelivery(clock).work()
    assert await _vendor(order) == (VendorState.BY_HAND, '', '', why)
    assert await Message.all().count() == 0
    assert await _said(order.customer_id) == [
        ('order.by_hand', f'{order.number} is to be passed on to the vendor by hand. {why}')
    ]


async def test_mail_that_is_given_up_leaves_it_to_a_person(sqlite_db, northwind, clock, submitted):
    box = Post()
    box.rcpt[DESK] = '550 No such order desk'
    async with mail_server(box) as port:
        await _with_a_desk(northwind.partner, port)
        order = await submitted(OrderKind.CHANGE, code='NW1')
        job, mailing = OrderDelivery(clock), Mailing(clock)
        await job.work()
        clock.advance(5)
        await mailing.work()
        await mailing.idle()
        await job.work()
    why = f'The mail server refused the address {DESK} (550 No such order desk).'
    assert await _vendor(order) == (VendorState.BY_HAND, '', '', why)
    assert await _said(order.customer_id) == [
        ('order.by_hand', f'{order.number} could not be e-mailed to {DESK}: it is to be passed on by hand. {why}')
    ]


async def test_a_mail_server_that_is_down_delays_and_loses_nothing(sqlite_db, northwind, clock, submitted):
    box = Post()
    box.data[''] = '451 Later'
    async with mail_server(box) as port:
        await _with_a_desk(northwind.partner, port)
        order = await submitted()
        mailing = Mailing(clock)
        await OrderDelivery(clock).work()
        clock.advance(5)
        await mailing.work()
        await mailing.idle()
        await OrderDelivery(clock).work()  # after a restart: nothing is remembered but what is stored
        vendor, _, to, why = await _vendor(order)
        assert (vendor, to) == (VendorState.SENDING, DESK)
        assert '451 Later' in why
        box.data.clear()
        clock.advance(3600)
        await mailing.work()
        await mailing.idle()
        await OrderDelivery(clock).work()
    assert len(box.got) == 1
    assert await _vendor(order) == (VendorState.DELIVERED, 'mail', DESK, '')


async def test_who_passes_it_on_while_its_mail_waits_keeps_the_mail_back(db, northwind, clock, submitted):
    await _with_a_desk(northwind.partner)
    waits, leaves = await submitted(), await submitted()
    await OrderDelivery(clock).work()
    waits, leaves = await Order.get(id=waits.id), await Order.get(id=leaves.id)
    await Message.filter(id=leaves.message_id).update(attempts=1)  # it is leaving at this moment
    with pytest.raises(Impossible, match='is being e-mailed at this moment'):
        await leaves.passed_on(northwind.ana)
    await Message.filter(id=waits.message_id).update(created_at=datetime.now(UTC) - timedelta(minutes=1))
    await OrderDelivery(clock).work()
    assert [(await _vendor(order))[3] for order in (waits, leaves)] == [order_module.STILL_QUEUED, '']
    await waits.passed_on(northwind.ana, 'By phone')
    assert await _vendor(waits) == (VendorState.DELIVERED, 'hand', 'By phone', '')
    stopped = await Message.get(id=waits.message_id)
    assert (stopped.state, stopped.body) == ('stopped', '')
    assert stopped.error == f'{waits.number} went another way before it was sent.'
    assert await Message.filter(state='waiting').values_list('id', flat=True) == [leaves.message_id]
    await OrderDelivery(clock).work()
    assert (await _vendor(waits))[0] == VendorState.DELIVERED


async def test_what_was_rejected_goes_out_again_and_says_what_was_put_right(sqlite_db, northwind, clock, submitted):
    box = Post()
    async with mail_server(box) as port:
        await _with_a_desk(northwind.partner, port)
        order, mailing = await submitted(), Mailing(clock)
        for again in (False, True):
            if again:
                await order.reject(northwind.ana, 'No PO')
                await order.deliver_again(northwind.ana, 'The PO <number>')
            await OrderDelivery(clock).work()
            clock.advance(5)
            await mailing.work()
            await mailing.idle()
            await OrderDelivery(clock).work()
    first, second = ((got.get_body(('plain',)).get_content(), got.get_body(('html',)).get_content()) for got in box.got)
    assert not any('before' in text for text in first)
    said = 'You have had it before and rejected it; this takes its place. What has been put right: The PO <number>'
    assert said in second[0]
    assert 'put right: The PO &lt;number&gt;' in second[1]
    assert await _vendor(order) == (VendorState.DELIVERED, 'mail', DESK, '')


async def test_two_processes_send_it_once(db, northwind, clock, submitted):
    await _with_a_desk(northwind.partner)
    orders = [await submitted() for _ in range(3)]
    await asyncio.gather(*(OrderDelivery(clock).work() for _ in range(4)))
    assert await Message.all().count() == len(orders)
    sent = set(await Order.filter(vendor=VendorState.SENDING).values_list('message_id', flat=True))
    assert sent == set(await Message.all().values_list('id', flat=True))


async def test_a_crash_before_it_is_noted_leaves_nothing_behind(sqlite_db, northwind, clock, submitted, monkeypatch):
    await _with_a_desk(northwind.partner)
    order = await submitted()

    async def killed(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(Order, '_store', killed)
        with pytest.raises(asyncio.CancelledError):
            await OrderDelivery(clock).work()
    assert await Message.all().count() == 0
    assert await _vendor(order) == (VendorState.WAITING, '', '', '')
    await OrderDelivery(clock).work()
    assert await Message.all().count() == 1


async def test_one_that_fails_holds_up_no_other(sqlite_db, northwind, clock, submitted, monkeypatch, caplog):
    await _with_a_desk(northwind.partner)
    broken, whole = await submitted(), await submitted()
    posted, tried = order_module.post, []

    async def failing(partner: Partner, **given: Any) -> Any:
        tried.append(given['customer_id'])
        if given['customer_id'] == broken.customer_id:
            raise LookupError('no such template')
        return await posted(partner, **given)

    job = OrderDelivery(clock)
    with monkeypatch.context() as patched:
        patched.setattr(order_module, 'post', failing)
        await job.work()
        await job.work()
    assert tried == [broken.customer_id, whole.customer_id]
    assert (await _vendor(broken))[0] == VendorState.WAITING
    assert (await _vendor(whole))[0] == VendorState.SENDING
    assert f'{broken.number} is not delivered: LookupError: no such template' in caplog.text
    clock.advance(31)
    await job.work()
    assert (await _vendor(broken))[0] == VendorState.SENDING


async def test_what_was_withdrawn_is_not_delivered_and_what_went_out_was(sqlite_db, northwind, clock, submitted):
    await _with_a_desk(northwind.partner)
    early, late = await submitted(OrderKind.CHANGE), await submitted(OrderKind.CHANGE)
    await Order.filter(id=early.id).update(state=OrderState.WITHDRAWN)
    await OrderDelivery(clock).work()
    assert (await _vendor(early))[0] == VendorState.WAITING
    await Order.filter(id=late.id).update(state=OrderState.WITHDRAWN)
    await Message.all().update(state='sent', sent_at=datetime.now(UTC) - timedelta(seconds=1))
    await OrderDelivery(clock).work()
    assert (await _vendor(late))[0] == VendorState.RECALL
    assert (await _said(late.customer_id))[-1][1].endswith('as it was withdrawn: the vendor has to be told')


async def test_an_e_mail_that_has_not_left_when_the_order_is_withdrawn_never_does(db, northwind, clock, submitted):
    await _with_a_desk(northwind.partner)
    orders = [await submitted(OrderKind.CHANGE, withdraw_until=date(2100, 1, 1)) for _ in range(4)]
    await OrderDelivery(clock).work()
    waits, leaves, fails, later = [await Order.get(id=order.id) for order in orders]
    for order in (leaves, fails, later):  # their e-mail is on its way to the mail server at this moment
        await Message.filter(id=order.message_id).update(attempts=1)
    for order in (waits, leaves, fails, later):
        await changing.withdraw(await Customer.get(id=order.customer_id), order.id, by=northwind.ana)
    stopped = await Message.get(id=waits.message_id)
    assert (stopped.state, stopped.body) == ('stopped', '')
    assert stopped.error == f'{waits.number} was withdrawn before it was sent.'
    assert [(await _vendor(order))[0] for order in (waits, leaves, fails)] == ['not_told', 'sending', 'sending']
    await Message.filter(id=leaves.message_id).update(state='sent', sent_at=datetime.now(UTC))
    await Message.filter(id=fails.message_id).update(state='failed', error='550 No such order desk')
    await Message.filter(id=later.message_id).update(error='451 Try again later')
    await OrderDelivery(clock).work()
    found = [(await _vendor(order))[0] for order in (waits, leaves, fails, later)]
    assert found == ['not_told', 'recall', 'not_told', 'not_told']
    assert (await Message.get(id=later.message_id)).state == 'stopped', 'there is no second try'
    assert await _said(fails.customer_id) == [
        ('order.not_sent', f'{fails.number} was not e-mailed: the vendor has not got it')
    ]
