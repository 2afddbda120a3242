import asyncio
from decimal import Decimal
from typing import Any

import pytest

from models import (
    Attachment,
    AttachmentKind,
    BillingTerm,
    ConnectStep,
    Contact,
    ContactKind,
    Customer,
    CustomerAccess,
    CustomerProduct,
    HistoryEvent,
    Infrastructure,
    Listing,
    MailPlatform,
    Message,
    Monitor,
    Order,
    OrderState,
    Partner,
    PortalRole,
    PortalUser,
    Price,
    Product,
    Prospect,
    ProspectState,
    Rfi,
    RfiLink,
    RfiState,
    VendorState,
    attachment_files,
    events,
    ordering,
)
from models.calendar import add_months
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.rights import Refused
from models.text import fold, initial, sort_key
from tests.price_list import priced

LEAD = {'lead_first_name': 'Lena', 'lead_last_name': 'Ivers', 'lead_email': 'lena@bakery.example'}
WHOLE = {
    'seats': '25', 'products': ['TTP-URL', 'SEC', 'SAT'], 'quantities': {'TTP-URL': '10', 'SAT': ''}, **LEAD,
    'mail_server': 'microsoft_365', 'archive_solution': 'MailStore', 'continuity': 'None',
    'citrix_terminal_server': True, 'main_is_lead': False, 'main_first_name': '', 'main_last_name': 'Émile',
    'main_email': '', 'main_phone': '+44 20 7946 0123', 'po_number': 'PO 7', 'po_waived': False,
}  # fmt: skip
FEES = {'monthly': '74.00', 'annual': '405.00', 'one_time': '120.00', 'initial': '599.00'}


@pytest.fixture
async def bakery(db, northwind) -> Prospect:
    """A prospect of Northwind, which has a price list."""
    prices = {'SEC': '2.60', 'ARC': '2.10', 'UEM': '5.40', 'TTP-URL': '0.90', 'SAT': '16.20'}
    await priced(northwind.partner, prices, SAT={'term': BillingTerm.YEAR}, SEC={'one_time_fee': Decimal(120)})
    await Partner.filter(id=northwind.partner.id).update(
        smtp_host='smtp.northwind.example', mail_from='portal@northwind.example'
    )
    return await _prospect(northwind.partner, northwind.ana)


async def _prospect(partner: Partner, by: PortalUser, **more: Any) -> Prospect:
    name = 'Émile’s Bakery'
    facts = {'state': ProspectState.OPEN, 'domain': 'bakery.example', 'seats': 20, **LEAD, **more}
    return await Prospect.create(
        partner=partner, name=name, name_key=sort_key(name), initial=initial(name), search_key=fold(name),
        created_by_id=by.id, created_by=by.name, **facts,
    )  # fmt: skip


async def _saved(prospect: Prospect, by: PortalUser, **facts: Any) -> Order:
    return await ordering.save(prospect, {**WHOLE, **facts}, version=0, by=by)


async def _submit(prospect: Prospect, by: PortalUser, **more: Any) -> ordering.Submitted:
    given = {'version': 1, 'fees': FEES, 'accepts_agreement': True, 'is_authorised': True, **more}
    return await ordering.submit(prospect, at='https://portal.example', by=by, **given)


async def _nothing_happened(prospect: Prospect) -> bool:
    """Whether there is nothing but the draft."""
    fresh = await Prospect.get(id=prospect.id)
    order = await Order.get()
    there = [
        await model.all().count()
        for model in (
            Customer, Attachment, ConnectStep, CustomerProduct, Contact, Infrastructure, Rfi, RfiLink, Message, Monitor
        )
    ]  # fmt: skip
    kinds = set(await HistoryEvent.all().values_list('kind', flat=True))
    files = attachment_files.pdf_of('x').parent
    return (
        not any(there) and kinds <= {'order.saved'} and not (files.exists() and list(files.iterdir()))
        and (fresh.state, fresh.customer_id) == (ProspectState.OPEN, None)
        and (order.state, order.vendor, order.version, order.customer_id, order.submitted_by)
        == (OrderState.DRAFT, VendorState.NOT_TOLD, 1, None, '')
    )  # fmt: skip


async def _said(chain: str) -> dict[str, str]:
    entries = await HistoryEvent.filter(chain=chain).order_by('sequence')
    return {entry.kind: (await entry.text()).summary for entry in entries}  # type: ignore[union-attr]


# -- the draft --------------------------------------------------------------------------------------------------------


async def test_a_draft_is_saved_unfinished_and_the_prospect_stays_what_it_is(bakery, northwind):
    heard = []
    events.PROSPECTS_CHANGED.subscribe(heard.append)
    for version, facts in enumerate(({'seats': ''}, {'products': ['SEC']}, {'seats': '25'}, {'seats': 25})):
        await ordering.save(bakery, facts, version=version, by=northwind.ana)
    assert heard == [northwind.partner.id] * 3  # the last one changed nothing
    stored = await Order.get()
    assert (stored.version, stored.seats, stored.products) == (3, 25, ['SEC'])
    assert (stored.state, stored.vendor, stored.created_by) == (OrderState.DRAFT, VendorState.NOT_TOLD, 'Ana')
    assert stored.fees == {'monthly': '65.00', 'annual': '0.00', 'one_time': '120.00', 'initial': '185.00'}
    assert (await Prospect.get(id=bakery.id)).state == ProspectState.OPEN
    assert (await _said(f'p:{northwind.partner.id}'))['order.saved'] == (
        f'ORD-{stored.id:06} for Émile’s Bakery was saved: 25 licences of SEC'
    )


async def test_of_two_who_save_the_second_is_told_and_loses_nothing(bakery, northwind):
    await ordering.save(bakery, {'seats': 10}, version=0, by=northwind.ana)
    ivo = await _person(northwind.partner, PortalRole.IMPLEMENTATION)
    for version in (0, 2):
        with pytest.raises(ChangedMeanwhile) as told:
            await ordering.save(bakery, {'seats': 30, 'po_number': '7'}, version=version, by=ivo)
        assert (told.value.field, told.value.now['seats'], told.value.now['po_number']) == ('version', 10, '')
    assert (await Order.get()).seats == 10
    await ordering.save(bakery, {'seats': 30, 'po_number': '7'}, version=1, by=ivo)
    both = await asyncio.gather(
        *(ordering.save(bakery, {'seats': n}, version=2, by=northwind.ana) for n in (1, 2)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in both) == ['ChangedMeanwhile', 'Order']
    assert await Order.all().count() == 1


async def test_two_who_begin_at_once_begin_one_draft(bakery, northwind):
    both = await asyncio.gather(
        *(ordering.save(bakery, {'seats': n}, version=0, by=northwind.ana) for n in (1, 2)), return_exceptions=True
    )
    assert sorted(type(each).__name__ for each in both) == ['ChangedMeanwhile', 'Order']
    assert await Order.all().count() == 1


@pytest.mark.parametrize(
    ('facts', 'wrong'),
    [
        ({'seats': 'many', 'lead_email': 'lena@', 'main_phone': '5'}, {'seats', 'lead_email', 'main_phone'}),
        ({'seats': True, 'products': {'SEC': 1}}, {'products'}),
        ({'seats': -1, 'quantities': {'SEC': '1_0'}}, {'seats', 'quantity SEC'}),
        ({'quantities': [1]}, {'quantities'}),
        ({'mail_server': 'exchange', 'continuity': '<b>', 'citrix_terminal_server': 'yes'},
         {'mail_server', 'continuity', 'citrix_terminal_server'}),
        ({'po_number': 'x' * 61, 'state': 'submitted'}, {'po_number', 'state'}),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_told_by_field_and_not_stored(sqlite_db, northwind, facts, wrong):
    prospect = await _prospect(northwind.partner, northwind.ana)
    with pytest.raises(Invalid) as refused:
        await ordering.save(prospect, facts, version=0, by=northwind.ana)
    assert set(refused.value.errors) == wrong
    assert not await Order.exists()


@pytest.mark.parametrize(
    ('facts', 'wrong'),
    [
        ({}, {}),
        ({'seats': '', 'products': [], 'lead_email': '', 'po_number': ''},
         {'seats': 'must be at least 1', 'products': 'must have a primary product among them',
          'lead_email': 'is empty; the RFI form is sent to it',
          'po_number': 'is empty; tick that none is required if that is so'}),
        ({'products': ['TTP-URL', 'GONE'], 'main_last_name': ''},
         {'product TTP-URL': 'needs Email Security', 'product GONE': '“GONE” is not in your catalogue any more',
          'products': 'must have a primary product among them',
          'main_last_name': 'is empty; say who the main contact is'}),
        ({'products': ['SEC', 'UEM']}, {'product SEC': 'does not go together with Unified Email Management'}),
        ({'products': ['CONT', 'ARC']},
         {'product CONT': 'is not in your price list', 'product ARC': 'is not sold any more'}),
        ({'quantities': {'TTP-URL': 26}},
         {'quantity TTP-URL': 'cannot be more than the 25 licences of the order'}),
        ({'lead_first_name': '', 'lead_last_name': ' ', 'po_number': '', 'po_waived': True, 'main_is_lead': True},
         {'lead_last_name': 'is empty; say who the implementation lead is'}),
    ],
)  # fmt: skip
async def test_the_review_says_all_that_is_missing(bakery, northwind, facts, wrong):
    await Product.filter(code='ARC').update(is_active=False)
    await _saved(bakery, northwind.ana, **facts)
    if wrong:
        with pytest.raises(Invalid) as refused:
            await ordering.review(await Partner.get(id=northwind.partner.id), bakery)
        assert refused.value.errors == wrong
        with pytest.raises(Invalid):
            await _submit(bakery, northwind.ana)
        assert await _nothing_happened(bakery)
    else:
        _, found = await ordering.review(await Partner.get(id=northwind.partner.id), bakery)
        assert found.fees.as_data() == FEES
        assert [(each.code, each.quantity) for each in found.lines] == [('SEC', 25), ('SAT', 25), ('TTP-URL', 10)]


# -- submitting -------------------------------------------------------------------------------------------------------


async def test_submitting_makes_the_customer_and_all_that_goes_with_it(bakery, northwind):
    saved = await _saved(bakery, northwind.ana)
    heard = []
    events.CUSTOMERS_ADDED.subscribe(lambda changed: heard.extend(changed.joined))
    events.PROSPECTS_CHANGED.subscribe(heard.append)
    done = await _submit(bakery, northwind.ana)
    customer = await Customer.get()
    assert set(heard) == {customer.id, northwind.partner.id}
    assert (customer.name, customer.domain, customer.seats) == ('Émile’s Bakery', 'bakery.example', 25)
    assert (customer.account_code, customer.code_is_provisional) == (f'P-{saved.id:06}', True)
    assert (customer.listing, customer.contract_start is not None) == (Listing.WAITING, True)
    bought = await CustomerProduct.filter(customer=customer).values_list('product__code', 'quantity', 'renews_on')
    year = add_months(customer.contract_start, 12)  # type: ignore[arg-type]
    assert sorted(bought) == [('SAT', 25, year), ('SEC', 25, year), ('TTP-URL', 10, year)]
    assert [row['renews_on'] for row in await CustomerProduct.list_of(customer.id)] == [year.isoformat()] * 3
    assert 'rfi' in await ConnectStep.filter(customer=customer).values_list('key', flat=True)
    contacts = {each.kind: (each.name, each.email, each.phone) for each in await Contact.all()}
    assert contacts == {
        ContactKind.TECHNICAL: ('Lena Ivers', 'lena@bakery.example', ''),
        ContactKind.MAIN: ('Émile', '', '+442079460123'),
    }
    known = await Infrastructure.get(customer=customer)
    assert (known.domains, known.mail_platform) == (['bakery.example'], MailPlatform.MICROSOFT_365)
    prospect = await Prospect.get(id=bakery.id)
    assert (prospect.state, prospect.customer_id) == (ProspectState.CONVERTED, customer.id)
    order = await Order.get(id=saved.id)
    assert (order.state, order.vendor, order.customer_id) == (OrderState.SUBMITTED, VendorState.WAITING, customer.id)
    assert (order.submitted_by, order.accepts_agreement, order.is_authorised) == ('Ana', True, True)
    assert (order.fees, order.currency) == (FEES, 'USD')
    assert order.details['infrastructure']['archive_solution'] == 'MailStore'
    document = await Attachment.get(id=order.attachment_id)
    assert (document.kind, document.customer_id) == (AttachmentKind.ORDER, customer.id)
    assert document.pdf.read_bytes().startswith(b'%PDF-')
    assert document.pages == 1
    assert (await Rfi.get(customer=customer)).state == RfiState.REQUESTED
    message = await Message.get()
    assert (message.recipient, message.customer_id, done.rfi.is_mailed) == ('lena@bakery.example', customer.id, True)
    assert done.rfi.address.startswith('https://portal.example/rfi/')


async def test_a_provisional_code_is_nobody_elses(bakery, northwind):
    order = await _saved(bakery, northwind.ana)
    await Customer.add(northwind.partner, name='Typed by hand', account_code=f'p-{order.id:06}')
    assert (await _submit(bakery, northwind.ana)).customer.account_code == f'P-{order.id:06}-2'


async def test_the_history_tells_of_the_prospect_to_both_audiences(bakery, northwind):
    order = await _saved(bakery, northwind.ana)
    customer = (await _submit(bakery, northwind.ana)).customer
    told = await _said(f'c:{customer.id}')
    assert told['prospect.created'] == 'Émile’s Bakery was created as a prospect'
    assert told['prospect.converted'] == 'Converted from a prospect to an order'
    assert told['order.submitted'] == f'ORD-{order.id:06} was submitted: 25 licences of TTP-URL, SEC, SAT'
    created = await HistoryEvent.get(chain=f'c:{customer.id}', kind='prospect.created')
    assert (created.at, created.actor_id) == (bakery.created_at, northwind.ana.id)
    audited = await _said(f'p:{northwind.partner.id}')
    assert audited['prospect.converted'] == 'Émile’s Bakery was converted from a prospect to an order'
    assert audited['order.submitted'].endswith('for Émile’s Bakery')


@pytest.mark.parametrize('where', ['add', 'issue', 'save'])
async def test_all_of_it_happens_or_nothing(bakery, northwind, monkeypatch, where):
    await _saved(bakery, northwind.ana)
    model = {'add': Customer, 'issue': RfiLink, 'save': Order}[where]
    works = getattr(model, where)

    async def breaks(*args: Any, **named: Any) -> None:
        await works(*args, **named)
        raise RuntimeError('the power is gone')

    heard = []
    for event in (events.CUSTOMERS_ADDED, events.PROSPECTS_CHANGED, events.CUSTOMER_TOUCHED):
        event.subscribe(lambda *news: heard.append(news))
    with monkeypatch.context() as broken:
        broken.setattr(model, where, breaks)
        with pytest.raises(RuntimeError, match='power'):
            await _submit(bakery, northwind.ana)
    assert await _nothing_happened(bakery)
    assert heard == []
    await _submit(bakery, northwind.ana)  # and afterwards it can be done
    assert await Customer.all().count() == 1


async def test_submitted_twice_at_once_it_makes_one_customer_and_the_second_is_told(bakery, northwind):
    sam = await _person(northwind.partner, PortalRole.SALES)
    await _saved(bakery, northwind.ana)
    found = await asyncio.gather(
        *(_submit(bakery, who) for who in (northwind.ana, sam, northwind.ana)), return_exceptions=True
    )
    done = [each for each in found if isinstance(each, ordering.Submitted)]
    assert len(done) == 1
    who = done[0].order.submitted_by
    said = f'{who} has submitted this order already: Émile’s Bakery is a customer now.'
    assert [str(each) for each in found if isinstance(each, Impossible)] == [said, said]
    assert (await Customer.all().count(), await Attachment.all().count(), await RfiLink.all().count()) == (1, 1, 1)
    assert len(list(attachment_files.pdf_of('x').parent.iterdir())) == 1
    # Nor later, and nobody saves or reviews what is done.
    for again in (
        _submit(bakery, sam), ordering.save(bakery, {'seats': 1}, version=2, by=sam),
        ordering.review(northwind.partner, bakery),
    ):  # fmt: skip
        with pytest.raises(Impossible, match='submitted this order already'):
            await again


async def test_who_submits_agrees_to_what_they_saw(bakery, northwind):
    await _saved(bakery, northwind.ana)
    with pytest.raises(Invalid) as refused:
        await _submit(bakery, northwind.ana, accepts_agreement=False, is_authorised='yes')
    assert set(refused.value.errors) == {'accepts_agreement', 'is_authorised'}
    await ordering.save(bakery, {'seats': '26'}, version=1, by=northwind.ana)
    with pytest.raises(ChangedMeanwhile):
        await _submit(bakery, northwind.ana)
    await ordering.save(bakery, {'seats': '25'}, version=2, by=northwind.ana)
    await Price.filter(product__code='SEC').update(unit_price=Decimal('2.61'))
    with pytest.raises(Impossible, match='prices have changed'):
        await _submit(bakery, northwind.ana, version=3)
    assert not await Customer.exists()


async def test_a_price_that_changes_while_the_document_is_drawn_stops_it(bakery, northwind, monkeypatch):
    await _saved(bakery, northwind.ana)
    draws = ordering.order_pdf

    async def slowly(*args: Any, **named: Any) -> bytes:
        await Price.filter(product__code='SEC').update(unit_price=Decimal('9.99'))
        return await draws(*args, **named)

    monkeypatch.setattr(ordering, 'order_pdf', slowly)
    with pytest.raises(Impossible, match='prices have changed'):
        await _submit(bakery, northwind.ana)
    assert await _nothing_happened(bakery)


async def test_a_lost_prospect_is_reopened_first(bakery, northwind):
    await Prospect.filter(id=bakery.id).update(state=ProspectState.LOST)
    with pytest.raises(Impossible, match='lost'):
        await _saved(bakery, northwind.ana)
    with pytest.raises(Impossible, match='lost'):
        await ordering.review(northwind.partner, await Prospect.get(id=bakery.id))


async def test_who_found_the_prospect_goes_on_seeing_it(bakery, northwind):
    sam = await _person(northwind.partner, PortalRole.SALES, sees_all=False)
    await Prospect.filter(id=bakery.id).update(created_by_id=sam.id)
    await _saved(bakery, northwind.ana)
    customer = (await _submit(bakery, northwind.ana)).customer
    assert (await CustomerAccess.get()).customer_id == customer.id
    assert [each.id for each in await Customer.visible_to(sam)] == [customer.id]


async def test_orders_are_saved_and_submitted_by_those_whose_role_includes_it(bakery, northwind, fabrikam):
    saves = {PortalRole.ADMINISTRATOR, PortalRole.IMPLEMENTATION, PortalRole.SALES}
    version = 0
    for role in PortalRole:
        who = await _person(northwind.partner, role)
        if role in saves:
            version += 1
            await ordering.save(bakery, {**WHOLE, 'po_number': role}, version=version - 1, by=who)
        else:
            with pytest.raises(Refused):
                await ordering.save(bakery, WHOLE, version=version, by=who)
        if role not in (PortalRole.ADMINISTRATOR, PortalRole.SALES):
            with pytest.raises(Refused):
                await _submit(bakery, who, version=version)
    with pytest.raises(Refused):
        await ordering.save(bakery, WHOLE, version=version, by=fabrikam.eve)
    with pytest.raises(Refused):
        await _submit(bakery, fabrikam.eve, version=version)
    sam = await PortalUser.get(partner=northwind.partner, role=PortalRole.SALES)
    assert (await _submit(bakery, sam, version=version)).customer.name == 'Émile’s Bakery'


async def _person(partner: Partner, role: PortalRole, *, sees_all: bool = True) -> PortalUser:
    return await PortalUser.create(
        partner=partner, name=role.title, email=f'{role}@northwind.example', role=role, sees_all=sees_all
    )
