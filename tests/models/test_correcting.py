"""What a first order says is put right, with a new document, as long as the vendor has not accepted it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from models import (
    Attachment,
    AttachmentKind,
    Contact,
    ContactKind,
    Customer,
    HistoryEvent,
    Message,
    Order,
    OrderKind,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    Rfi,
    RfiLink,
    RfiState,
    VendorState,
    attachment_files,
    mailing,
)
from models.checking import Impossible, Invalid
from models.correcting import correct, facts_of
from models.rights import Refused

S, V = OrderState, VendorState
LEAD = {'lead_first_name': 'Lena', 'lead_last_name': 'Ivers', 'lead_email': 'lena@bakery.example', 'lead_phone': ''}


@pytest.fixture
async def order(db, northwind) -> Order:
    """A first order with its document, delivered; its lead is the main contact, too."""
    partner = northwind.partner
    customer = await Customer.add(
        partner, name='Bakery', account_code='P-000001', code_is_provisional=True, seats=25, domain='bakery.example'
    )
    for kind in (ContactKind.MAIN, ContactKind.TECHNICAL):
        await Contact.create(
            customer=customer, kind=kind, first_name='Lena', last_name='Ivers', email='lena@bakery.example'
        )
    await Contact.filter(kind=ContactKind.MAIN).update(email='office@bakery.example')  # somebody has changed it
    pdf = await Attachment.add_made(customer, kind=AttachmentKind.ORDER, name='Order', pdf=b'%PDF-1.4', by=None)
    return await Order.create(
        partner=partner, customer=customer, state=S.SUBMITTED, vendor=V.DELIVERED, seats=25, po_number='PO 7',
        vendor_how='mail', vendor_to='desk@vendor.example', vendor_at=datetime.now(UTC), attachment_id=pdf.id,
        submitted_by='Ana', submitted_at=datetime.now(UTC), currency='USD',
        details={'people': {**LEAD, 'main_is_lead': True}, 'infrastructure': {'mail_server': 'microsoft_365'}},
    )  # fmt: skip


async def _documents() -> list[tuple[int, str]]:
    return await Attachment.all().order_by('id').values_list('id', 'name')


async def test_it_is_delivered_anew_with_a_new_document(order, northwind):
    facts = {'po_number': ' PO 8 ', 'lead_email': 'Lena.Ivers@bakery.example', 'lead_phone': '+44 20 7946 0123'}
    assert await correct(order, facts, by=northwind.ana, note='Sorry')
    stored, documents = await Order.get(id=order.id), await _documents()
    assert (stored.state, stored.vendor, stored.vendor_at, stored.version) == (S.SUBMITTED, V.WAITING, None, 2)
    assert facts_of(stored) == {
        **LEAD, 'po_number': 'PO 8', 'po_waived': False, 'lead_email': 'Lena.Ivers@bakery.example',
        'lead_phone': '+442079460123',
    }  # fmt: skip
    assert [name for _, name in documents] == ['Order', f'Order {order.number}, corrected']
    assert stored.attachment_id == documents[1][0]
    pdf = await Attachment.get(id=stored.attachment_id)
    assert (attachment_files.pdf_of(pdf.stored)).read_bytes().startswith(b'%PDF')
    said = (
        'Order (PO) number: PO 7 → PO 8; E-mail of the implementation lead: lena@bakery.example → '
        'Lena.Ivers@bakery.example; Phone of the implementation lead: nothing → +44 20 7946 0123 – Sorry'
    )
    assert (stored.details['again'], stored.details['was_rejected']) == (said, False)
    entries = await HistoryEvent.filter(chain=f'c:{order.customer_id}', kind='order.corrected')
    told = [await entry.text() for entry in entries]
    assert [each and each.summary for each in told] == [f'{order.number} was corrected – {said}']
    # The contacts follow where they still were the lead.
    emails = dict(await Contact.all().values_list('kind', 'email'))
    assert emails == {ContactKind.TECHNICAL: 'Lena.Ivers@bakery.example', ContactKind.MAIN: 'office@bakery.example'}
    # What it says already is no correction; to and fro on one day it has a document all the same.
    assert not await correct(stored, {'po_number': 'PO 8'}, by=northwind.ana)
    for number in ('PO 9', 'PO 8', 'PO 9'):
        assert await correct(await Order.get(id=order.id), {'po_number': number}, by=northwind.ana)
    assert (await Order.get(id=order.id)).po_number == 'PO 9'


async def test_another_address_of_the_lead_gets_the_form_and_the_wrong_one_nothing_any_more(order, northwind):
    customer, ana, at = await Customer.get(id=order.customer_id), northwind.ana, 'https://portal.example'
    await Partner.filter(id=northwind.partner.id).update(smtp_host='smtp.example', mail_from='portal@northwind.example')
    await Rfi.filter(customer_id=customer.id).update(state=RfiState.REQUESTED)
    wrong = await RfiLink.issue(customer, by=ana, at=at, recipient='lena@bakery.example')
    other = await RfiLink.issue(customer, by=ana, at=at, recipient='office@bakery.example')
    await RfiLink.issue(customer, by=ana, at=at, recipient='lena@bakery.example', is_reminder=True)

    async def correct_to(address: str, **more: Any) -> None:
        assert await correct(await Order.get(id=order.id), {'lead_email': address}, by=sales, at=at, **more)

    sales = await PortalUser.create(
        partner=northwind.partner, name='Sam', email='sam@northwind.example', role=PortalRole.SALES
    )
    await Partner.filter(id=northwind.partner.id).update(sales_limit=0)  # of amounts, and none is corrected
    await correct_to('Lena@bakery.example', moves_rfi=True)  # nobody else
    await RfiLink.open(wrong.token)
    await correct_to('lina@bakery.example', moves_rfi=True)
    with pytest.raises(RfiLink.Closed, match='withdrawn'):
        await RfiLink.open(wrong.token)
    await RfiLink.open(other.token)
    form = await Rfi.get(customer_id=customer.id)
    assert (form.sent_to, form.requested_at is None, form.reminders) == ('lina@bakery.example', False, 0)
    assert (await Message.filter(kind='rfi').order_by('-id').first()).recipient == 'lina@bakery.example'
    entries = (
        await HistoryEvent.filter(chain=f'c:{order.customer_id}', kind__startswith='rfi.').order_by('-id').limit(2)
    )
    told = [await entry.text() for entry in entries]
    assert [each and each.summary for each in told] == [
        'RFI form sent again to lina@bakery.example',
        '2 links to the RFI form that Lena@bakery.example had were revoked',
    ]
    # Where it is not wanted, or the form is complete, it stays.
    await correct_to('lena@bakery.example')
    await Rfi.filter(id=form.id).update(state=RfiState.COMPLETE)
    await correct_to('lova@bakery.example', moves_rfi=True)
    assert (await Rfi.get(id=form.id)).sent_to == 'lina@bakery.example'


async def test_it_is_corrected_until_the_vendor_accepts_it(order, northwind):
    wrong = []
    for state in S:
        for vendor in V:
            message = None
            if vendor == V.SENDING:
                await northwind.partner.refresh_from_db()
                message = await mailing.post(
                    northwind.partner, kind='order_desk', recipient='desk@vendor.example', template='test', facts={}
                )
            await Order.filter(id=order.id).update(
                state=state, vendor=vendor, message_id=message and message.id, po_number='PO 7',
                decided_at=datetime.now(UTC) if vendor == V.REJECTED else None,
            )  # fmt: skip
            fresh = await Order.get(id=order.id)
            offered = 'correct' in fresh.moves()
            try:
                await correct(fresh, {'po_number': f'PO {state} {vendor}'}, by=northwind.ana)
                done = True
            except Impossible:
                done = False
            can = state in (S.SUBMITTED, S.REJECTED) and vendor in (
                V.WAITING, V.SENDING, V.BY_HAND, V.DELIVERED, V.REJECTED
            )  # fmt: skip
            if not done == can == offered:
                wrong.append((state, vendor, done, offered))
            if message is not None and can:
                assert (await Message.get(id=message.id)).state == 'failed'  # the vendor is not told the old one
    assert not wrong
    await Order.filter(id=order.id).update(kind=OrderKind.CHANGE, state=S.SUBMITTED, vendor=V.DELIVERED)
    with pytest.raises(Impossible):
        await correct(await Order.get(id=order.id), {'po_number': 'X'}, by=northwind.ana)
    draft = await Order.create(partner=northwind.partner)
    with pytest.raises(Impossible, match='not submitted yet'):
        await correct(draft, {**LEAD, 'po_number': 'X'}, by=northwind.ana)


async def test_what_cannot_be_is_told_and_leaves_everything_as_it_was(order, northwind, fabrikam):
    before, documents = facts_of(order), await _documents()
    for facts, fields in (
        ({'seats': '30'}, {'seats'}), ({'po_number': ''}, {'po_number'}), ({'lead_email': 'lena'}, {'lead_email'}),
        ({'lead_email': '', 'lead_first_name': '', 'lead_last_name': ''}, {'lead_email', 'lead_last_name'}),
        ({'lead_phone': '12', 'po_number': 'x' * 61}, {'lead_phone', 'po_number'}),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            await correct(order, facts, by=northwind.ana)
        assert set(refused.value.errors) == fields
    for role in (PortalRole.IMPLEMENTATION, PortalRole.TECHNICIAN, PortalRole.FINANCE, PortalRole.READ_ONLY):
        who = await PortalUser.create(
            partner=northwind.partner, name=role.title, email=f'{role}@northwind.example', role=role
        )
        with pytest.raises(Refused):
            await correct(order, {'po_number': 'PO 8'}, by=who)
    with pytest.raises(Refused):
        await correct(order, {'po_number': 'PO 8'}, by=fabrikam.eve)
    assert (facts_of(await Order.get(id=order.id)), await _documents()) == (before, documents)


async def test_of_two_who_correct_it_one_wins_and_the_other_is_told(order, northwind):
    other = await Order.get(id=order.id)
    done: Any = await asyncio.gather(
        correct(order, {'po_number': 'PO 8'}, by=northwind.ana),
        correct(other, {'po_number': 'PO 9'}, by=northwind.ana),
        return_exceptions=True,
    )
    lost = [one for one in done if one is not True]
    assert len(lost) == 1
    assert isinstance(lost[0], Impossible)
    assert len(await _documents()) == 2
    files = attachment_files.pdf_of('x').parent
    assert len(list(files.iterdir())) == 2
