"""From a prospect to a customer: the draft of a first order, its review, and its submission (domain.md 1.8).

A prospect has one draft at most, which whoever may edit prospects saves. It is not autosaved over somebody else's: who
saves names the version that they saw. Submitting makes the customer and everything that goes with it, or nothing.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models import attachment_files, calendar, checking, events, order_form, rights, sales_limit
from models.access import CustomerAccess
from models.attachment import Attachment, AttachmentKind
from models.catalogue import for_partner, prices_of
from models.checking import ChangedMeanwhile, Impossible
from models.connect_fitting import refit
from models.contact import Contact, ContactKind
from models.customer import Customer
from models.documents import order_pdf
from models.events import transaction
from models.history import HistoryEvent
from models.infrastructure import Infrastructure, MailPlatform
from models.order import Order, OrderKind, OrderState, VendorState
from models.order_form import Judged
from models.partner import Partner
from models.product import CustomerProduct, load_catalogue
from models.prospect import Prospect, ProspectState
from models.rfi import RfiState
from models.rfi_link import Issued, RfiLink
from models.user import PortalUser

if TYPE_CHECKING:
    from tortoise.backends.base.client import BaseDBAsyncClient

SAVED_BY = 'saved_by'


@dataclass(frozen=True)
class Submitted:
    """A prospect that has become a customer. `rfi` is the link for the implementation lead, mailed or not."""

    order: Order
    customer: Customer
    rfi: Issued


# -- questions --------------------------------------------------------------------------------------------------------


async def draft_of(prospect: Prospect) -> Order | None:
    """The order that is being prepared for this prospect, if one is."""
    from models.database import reader

    return await _drafts(prospect).using_db(reader()).first()


def _drafts(prospect: Prospect) -> Any:
    return Order.filter(prospect_id=prospect.id, kind=OrderKind.NEW, state=OrderState.DRAFT)


async def submitted_of(prospect: Prospect) -> Order | None:
    """The order by which this prospect became a customer, if it has."""
    from models.database import reader

    orders = Order.filter(prospect_id=prospect.id, kind=OrderKind.NEW).exclude(state=OrderState.DRAFT)
    return await orders.using_db(reader()).order_by('-id').first()


async def documents_with_prices(customer_id: int) -> set[int]:
    """The documents (ids) that orders of any kind were made into: what they cost stands on them."""
    from models.database import reader

    orders = Order.filter(customer_id=customer_id, attachment_id__isnull=False).using_db(reader())
    return {order.attachment_id for order in await orders.only('id', 'attachment_id') if order.attachment_id}


async def judge(partner: Partner, facts: Mapping[str, Any]) -> Judged:
    """What an order with these facts costs now and what it lacks; `facts` are as `order_form.clean` has made them."""
    catalogue = await for_partner(partner.id)
    return order_form.judged(facts, catalogue, await prices_of(partner.id, catalogue), partner.currency)


async def review(partner: Partner, prospect: Prospect) -> tuple[Order, Judged]:
    """The draft as it would be submitted, at the prices of now; raises `Invalid` with everything that it lacks, and
    `Impossible`."""
    _require_open(prospect, await submitted_of(prospect))
    order = await draft_of(prospect)
    if order is None:
        raise Impossible('There is no order to review yet. Save it first.')
    found = await judge(partner, order_form.clean(order_form.stored(order, prospect)))
    found.problems.refuse()
    _price(order, found)
    return order, found


# -- saving -----------------------------------------------------------------------------------------------------------


async def save(prospect: Prospect, facts: Mapping[str, Any], *, version: int, by: PortalUser) -> Order:
    """Keep the form as the prospect's draft; the prospect itself stays what it is.

    `version` is the one that the form was filled in from, 0 where there was none. Raises `Invalid` with all that cannot
    be, `Impossible` for a prospect that is no longer one, and `ChangedMeanwhile` where somebody else saved meanwhile:
    then nothing is stored, and `now` are the fields of their draft.
    """
    rights.require(by, 'prospect.change')
    clean = order_form.clean(facts)
    async with transaction():
        fresh = await _held(prospect, by)
        partner = await Partner.get(id=fresh.partner_id)
        order = await _drafts(fresh).first()
        if (order.version if order else 0) != version:
            now = order_form.stored(order, fresh) if order else {}
            raise ChangedMeanwhile('version', now)
        catalogue = await load_catalogue(partner.id)
        prices = await prices_of(partner.id, catalogue, within=_connection())
        before = order_form.stored(order, fresh) if order else None
        if order is None:
            order = Order(
                partner_id=partner.id, prospect_id=fresh.id, version=0, created_by_id=by.id, created_by=by.name[:120]
            )
        order_form.put(order, {**order_form.empty_for(fresh), **(before or {}), **clean})
        after = order_form.stored(order, fresh)
        if before == after:
            return order
        _price(order, order_form.judged(order_form.clean(after), catalogue, prices, partner.currency))
        order.version += 1
        order.changed_at = datetime.now(UTC)
        order.details = {**order.details, SAVED_BY: by.name[:120]}
        await order.save()
        await HistoryEvent.add(
            partner.id, 'order.saved', f'{order.number} for {fresh.name} was saved: {_in_short(order)}', by=by,
            order=order.id, prospect=fresh.id, version=order.version,
        )  # fmt: skip
        events.PROSPECTS_CHANGED.emit(partner.id)
    return order


async def _held(prospect: Prospect, by: PortalUser) -> Prospect:
    """The prospect as it is now; whoever else orders for it waits. Raises `Refused` and `Impossible`."""
    if by.partner_id != prospect.partner_id:
        raise rights.Refused('This prospect is another MSP’s.')
    fresh = await Prospect.filter(id=prospect.id).select_for_update(no_key=True).get()
    orders = Order.filter(prospect_id=fresh.id, kind=OrderKind.NEW).exclude(state=OrderState.DRAFT)
    _require_open(fresh, await orders.order_by('-id').first())
    return fresh


def _require_open(prospect: Prospect, ordered: Order | None) -> None:
    if prospect.state == ProspectState.CONVERTED or ordered is not None:
        who = ordered.submitted_by if ordered is not None and ordered.submitted_by else 'Somebody'
        raise Impossible(f'{who} has submitted this order already: {prospect.name} is a customer now.')
    if prospect.state == ProspectState.LOST:
        raise Impossible(f'{prospect.name} is lost. Reopen the prospect to order for it.')


def _price(order: Order, found: Judged) -> None:
    order.lines, order.fees, order.currency = found.lines_data, found.fees.as_data(), found.fees.currency


def _in_short(order: Order) -> str:
    licences = f'{order.seats:,} {"licence" if order.seats == 1 else "licences"}'
    return f'{licences} of {", ".join(order.products) or "nothing yet"}'


def _connection() -> 'BaseDBAsyncClient':
    from tortoise.connection import get_connection

    return get_connection('default')


# -- submitting -------------------------------------------------------------------------------------------------------


async def submit(
    prospect: Prospect, *, version: int, fees: Mapping[str, Any], accepts_agreement: bool, is_authorised: bool,
    by: PortalUser, at: str = '',
) -> Submitted:  # fmt: skip
    """Make a customer of the prospect, with its Connect steps, contacts, infrastructure and the order's PDF, and send
    the RFI form to the implementation lead: all of it, or nothing.

    `version` and `fees` are what `review` showed to whoever submits: another draft or another price is not what they
    agreed to. `at` is where the portal is, for the link in the mail. Raises `Invalid` with all that is missing,
    `Refused`, `ChangedMeanwhile`, and `Impossible` where it was submitted already.
    """
    rights.require(by, 'order.submit')
    if by.partner_id != prospect.partner_id:
        raise rights.Refused('This prospect is another MSP’s.')
    problems = checking.Problems()
    for field, is_ticked in (('accepts_agreement', accepts_agreement), ('is_authorised', is_authorised)):
        if is_ticked is not True:
            problems.found.append(checking.Invalid(field, 'must be ticked'))
    partner = await Partner.get(id=prospect.partner_id)
    order, found = await review(partner, prospect)
    problems.refuse()
    if order.version != version:
        raise ChangedMeanwhile('version', order_form.stored(order, prospect))
    if dict(fees) != found.fees.as_data():
        raise Impossible('The prices have changed since you reviewed the order. Review it again.')
    now = datetime.now(UTC)
    facts = order_form.clean(order_form.stored(order, prospect))
    order.accepts_agreement = order.is_authorised = True
    order.submitted_by_id, order.submitted_by, order.submitted_at = by.id, by.name[:120], now
    code = await provisional_code(order)
    # Before the transaction: nobody waits for a drawing. What it says is looked at again inside.
    pdf = await order_pdf(
        order, customer_name=prospect.name, by=by.name, at=now, account_code=f'{code} (provisional)',
        customer_lines=order_form.lines_about(facts, address=prospect.address, domain=prospect.domain),
        infrastructure=order_form.infrastructure_said(facts), partner=partner,
    )  # fmt: skip
    document: Attachment | None = None
    try:
        async with transaction():
            fresh = await _held(prospect, by)
            drawn = (order.lines, order.fees, order.currency)
            await _still_as_drawn(order, fresh, partner, drawn, by)
            customer = await _converted(fresh, partner, order, facts, code, by)
            document = await Attachment.add_made(
                customer, kind=AttachmentKind.ORDER, name=f'Order {order.number}', pdf=pdf, by=by
            )
            order.customer_id, order.attachment_id = customer.id, document.id
            order.state, order.vendor = OrderState.SUBMITTED, VendorState.WAITING
            order.version += 1
            order.changed_at = now
            await order.save()
            issued = await RfiLink.issue(
                customer, by=by, at=at, recipient=facts['lead_email'], is_told=rights.may(by, 'rfi.send')
            )
            touched = frozenset({'orders', 'attachments', 'contacts', 'infrastructure', 'products'})
            events.CUSTOMER_TOUCHED.emit(partner.id, {customer.id: touched})
            events.PROSPECTS_CHANGED.emit(partner.id)
    except BaseException:
        if document is not None:
            await asyncio.to_thread(attachment_files.pdf_of(document.stored).unlink, missing_ok=True)
        raise
    return Submitted(order, customer, issued)


async def provisional_code(order: Order) -> str:
    """The account code until the vendor gives one; another one where somebody has given a customer this very code."""
    codes = [f'P-{order.id:06}', *(f'P-{order.id:06}-{n}' for n in range(2, 10))]
    known = await Customer.with_codes(order.partner_id, codes).values_list('account_code', flat=True)
    taken = {str(code).upper() for code in known}
    return next((code for code in codes if code not in taken), codes[0])


async def _still_as_drawn(
    order: Order, prospect: Prospect, partner: Partner, drawn: tuple[Any, ...], by: PortalUser
) -> None:  # fmt: skip
    """Raise where the draft or a price is another one than on the document, or it is above the limit by now."""
    stored = await Order.filter(id=order.id, state=OrderState.DRAFT).select_for_update(no_key=True).first()
    if stored is None or stored.version != order.version:
        raise ChangedMeanwhile('version', order_form.stored(stored, prospect) if stored else {})
    catalogue = await load_catalogue(partner.id)
    prices = await prices_of(partner.id, catalogue, within=_connection())
    now_there = await Partner.get(id=partner.id)
    facts = order_form.clean(order_form.stored(stored, prospect))
    found = order_form.judged(facts, catalogue, prices, now_there.currency)
    found.problems.refuse()
    if (found.lines_data, found.fees.as_data(), found.fees.currency) != drawn:
        raise Impossible('The prices have changed since you reviewed the order. Review it again.')
    sales_limit.require_within(order, now_there, by)


async def _converted(
    prospect: Prospect, partner: Partner, order: Order, facts: Mapping[str, Any], code: str, by: PortalUser
) -> Customer:
    """The customer that the prospect becomes; inside the transaction that submits the order."""
    customer = await Customer.add(
        partner, by=by, right='order.submit', rfi=RfiState.REQUESTED, products=order.products, name=prospect.name,
        account_code=code, domain=prospect.domain, seats=order.seats, code_is_provisional=True,
        contract_start=calendar.today(partner),
    )  # fmt: skip
    for row in await CustomerProduct.filter(customer_id=customer.id).select_related('product'):
        if quantity := facts['quantities'].get(row.product.code):
            await CustomerProduct.filter(id=row.id).update(quantity=quantity)
    await _introduce(customer, facts)
    platform = MailPlatform(facts['mail_server'])
    await Infrastructure.create(
        customer=customer, domains=[prospect.domain] if prospect.domain else [], mail_platform=platform
    )  # fmt: skip
    await refit(customer.id, by=by)
    creator = await PortalUser.get_or_none(id=prospect.created_by_id, partner_id=partner.id)
    if creator is not None and creator.id != by.id and not creator.sees_all:
        # Who found the prospect goes on seeing it.
        await CustomerAccess.create(user=creator, customer=customer, allowed=True)
        events.SIGHT_CHANGED.emit(creator.id)
    prospect.state, prospect.customer_id, prospect.changed_at = ProspectState.CONVERTED, customer.id, datetime.now(UTC)
    await prospect.save(update_fields=['state', 'customer_id', 'changed_at'])
    said = f'{order.number} was submitted: {_in_short(order)}'
    about: dict[str, Any] = {'order': order.id, 'prospect': prospect.id}
    await HistoryEvent.add(
        partner.id, 'prospect.created', f'{prospect.name} was created as a prospect', customer_id=customer.id,
        by=creator, at=prospect.created_at, **about,
    )  # fmt: skip
    await HistoryEvent.add(
        partner.id, 'prospect.converted', 'Converted from a prospect to an order', customer_id=customer.id, by=by,
        **about,
    )  # fmt: skip
    await HistoryEvent.add(partner.id, 'order.submitted', said, customer_id=customer.id, by=by, **about)
    # The same in the MSP's own chain, where the prospect's life is written down.
    await HistoryEvent.add(
        partner.id, 'prospect.converted', f'{prospect.name} was converted from a prospect to an order', by=by,
        customer=customer.id, **about,
    )  # fmt: skip
    await HistoryEvent.add(
        partner.id, 'order.submitted', f'{said}, for {prospect.name}', by=by, customer=customer.id, **about
    )  # fmt: skip
    return customer


async def _introduce(customer: Customer, facts: Mapping[str, Any]) -> None:
    """Give the customer its contacts: who leads the implementation, and the main one."""
    whose = {ContactKind.TECHNICAL: 'lead', ContactKind.MAIN: 'lead' if facts['main_is_lead'] else 'main'}
    for kind, who in whose.items():
        await Contact.create(
            customer=customer, kind=kind, first_name=facts[f'{who}_first_name'], last_name=facts[f'{who}_last_name'],
            email=facts[f'{who}_email'], phone=facts[f'{who}_phone'],
        )  # fmt: skip
