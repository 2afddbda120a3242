"""Change orders of a customer: quotes, their review, submitting, withdrawing, and what they do when their day has come
(domain.md 1.9).

A customer can have many quotes. One of them is submitted at a time; nothing of the customer changes by that. It
changes on the effective day, by a job (`apply`), once the vendor has been told.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tortoise.expressions import F

from models import attachment_files, calendar, change_form, checking, connect_fitting, events, rights, sales_limit
from models.attachment import Attachment, AttachmentKind
from models.catalogue import for_partner, prices_of
from models.change_form import Held, Judged, changes_said
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.connect_step import DONE, ConnectStep
from models.customer import Customer, Listing, follow_seats, hold_monitors
from models.database import reader
from models.documents import addendum_pdf
from models.events import Changed, transaction
from models.history import HistoryEvent
from models.looking_after import who_can
from models.order import Order, OrderKind, OrderState, VendorState
from models.partner import Partner
from models.product import CustomerProduct, Product, load_catalogue, renewal
from models.rfi_knowing import services_of
from models.user import PortalUser

if TYPE_CHECKING:
    from tortoise.backends.base.client import BaseDBAsyncClient

MOST_QUOTES = 30  # of one customer
# What their events in the history begin with.
EVENTS = {OrderKind.NEW: 'order', OrderKind.CHANGE: 'change_order', OrderKind.CANCELLATION: 'cancellation'}
SAVED_BY, LEAD_SAID = 'saved_by', 'lead_said'  # of `details`
# What the vendor must have been told before anything changes here.
TOLD = (VendorState.DELIVERED, VendorState.ACCEPTED)


# -- questions --------------------------------------------------------------------------------------------------------


async def held_by(customer: Customer, *, within: 'BaseDBAsyncClient | None' = None) -> Held:
    """What the customer has now; `within` is the connection of a transaction, which has the customer locked."""
    bought = CustomerProduct.filter(customer_id=customer.id).order_by('id').using_db(within or reader())
    found = await bought.values_list('product__code', 'quantity')
    return Held(customer.seats, {str(code): int(quantity) for code, quantity in found})


async def under_way(customer: Customer, *, within: 'BaseDBAsyncClient | None' = None) -> list[Order]:
    """What was submitted of this customer and has not come about yet, changes and cancellations."""
    kinds = [OrderKind.CHANGE, OrderKind.CANCELLATION]
    orders = Order.filter(customer_id=customer.id, kind__in=kinds, state=OrderState.SUBMITTED).order_by('id')
    return await orders.using_db(within or reader())


def why_no_upgrade(customer: Customer, partner: Partner) -> str:
    """Why nothing of this customer can be changed by an order, whatever it is; empty where something can."""
    if customer.listing == Listing.CLOSED:
        return f'{customer.name} is closed.'
    if customer.listing == Listing.WAITING:
        return 'Possible once the RFI has come back.'
    if customer.listing != Listing.COMPLETE and partner.upgrades_when_complete:
        return 'Possible once Connect is complete; your MSP wants it so.'
    return ''


def why_not_submitted(submitted: list[Order]) -> str:
    """Why no change order can be submitted while these are under way; empty where none is."""
    for order in submitted:
        if order.kind == OrderKind.CANCELLATION:
            return f'{order.number} is under way: it ends the subscription on {said_day(order.effective_on)}.'
    for order in submitted:
        who = order.submitted_by or 'Somebody'
        return (
            f'Another change is under way: {who} submitted {order.number}, and it takes effect on '
            f'{said_day(order.effective_on)}. Wait for that, or withdraw it.'
        )
    return ''


async def quotes_of(customer: Customer) -> list[Order]:
    """The quotes that were saved and not submitted, the one that was changed last first."""
    drafts = _quotes(customer).order_by('-changed_at', '-id').using_db(reader())
    return await drafts.limit(MOST_QUOTES)


def _quotes(customer: Customer) -> Any:
    return Order.filter(customer_id=customer.id, kind=OrderKind.CHANGE, state=OrderState.DRAFT)


async def judge(customer: Customer, partner: Partner, facts: Mapping[str, Any]) -> Judged:
    """What a change with these facts costs now and what it lacks; `facts` are as `change_form.clean` has made them."""
    catalogue, leads = await for_partner(partner.id), await leads_of(customer)
    held, prices = await held_by(customer), await prices_of(partner.id, catalogue)
    return change_form.judged(facts, held, catalogue, prices, partner.currency, calendar.today(partner), leads)


async def to_set_up(customer: Customer, codes: Iterable[str], catalogue: Mapping[str, Product]) -> list[str]:
    """What would have to be set up (titles of steps) if the customer had these products."""
    services = {letter for code in codes if code in catalogue for letter in catalogue[code].connect_services}
    return await connect_fitting.to_set_up(customer, ''.join(sorted(services)))


async def leads_of(customer: Customer) -> dict[int, PortalUser]:
    """Who can lead a change of this customer, by id and in the order of their names."""
    return {person.id: person for person in await who_can(customer)}


def start_of(customer: Customer, partner: Partner, held: Held) -> dict[str, Any]:
    """What the form of a change order begins with."""
    return change_form.empty_for(held, calendar.today(partner), customer.responsible_id)


def lead_said(order: Order) -> str:
    """Who leads the change, as it was when the quote was saved or submitted: name and e-mail, on two lines."""
    return str((order.details or {}).get(LEAD_SAID, ''))


def is_downsell(order: Order) -> bool:
    return order.was_seats is not None and order.seats < order.was_seats


def withdraw_until(partner: Partner, effective_on: date) -> date:
    """The last day on which a change with this effective day can be taken back."""
    return effective_on - timedelta(days=max(0, partner.withdraw_days))


def why_not_withdrawn(order: Order, partner: Partner, *, now: datetime | None = None) -> str:
    """Why this order cannot be withdrawn (any more); empty where it can."""
    if order.kind == OrderKind.NEW:
        return 'A first order cannot be withdrawn; abandon Connect instead.'
    if order.state == OrderState.DRAFT:
        return f'{order.number} is a quote; it was not submitted.'
    if order.state != OrderState.SUBMITTED:
        return f'{order.number} is {order.state.title.lower()} already.'
    if order.withdraw_until is None or calendar.today(partner, now=now) > order.withdraw_until:
        return f'{order.number} could be withdrawn until {said_day(order.withdraw_until)}.'
    return ''


def waits_because(order: Order, partner: Partner, *, now: datetime | None = None) -> str:
    """Why an order whose day has come has not come about; empty where its day has not come, or nothing is missing."""
    is_due = order.effective_on is not None and order.effective_on <= calendar.today(partner, now=now)
    if order.kind == OrderKind.NEW or order.state != OrderState.SUBMITTED or not is_due or order.vendor in TOLD:
        return ''
    return f'Due since {said_day(order.effective_on)}; it waits, because the vendor has not been told yet.'


def said_day(day: date | None) -> str:
    return calendar.said(day, none='no day')


# -- quotes -----------------------------------------------------------------------------------------------------------


async def save(
    customer: Customer, facts: Mapping[str, Any], *, order_id: int | None = None, version: int = 0, by: PortalUser
) -> Order:
    """Keep the form as a quote: a new one, or the one with this id as it was at `version`.

    Raises `Invalid` with all that cannot be, `Impossible`, `Refused`, and `ChangedMeanwhile` where somebody else saved
    meanwhile: then nothing is stored, and `now` are the fields of theirs.
    """
    rights.require(by, 'prospect.change')
    clean = change_form.clean(facts)
    async with transaction() as connection:
        fresh, partner = await _held(customer, by)
        if why := why_no_upgrade(fresh, partner):
            raise Impossible(why)
        held = await held_by(fresh, within=connection)
        before = None
        if order_id is None:
            if await _quotes(fresh).count() >= MOST_QUOTES:
                raise Impossible(f'There are {MOST_QUOTES} quotes for {fresh.name} already. Discard some first.')
            order = Order(
                partner_id=partner.id, customer_id=fresh.id, kind=OrderKind.CHANGE, version=0, created_by_id=by.id,
                created_by=by.name[:120],
            )  # fmt: skip
            start = start_of(fresh, partner, held)
        else:
            order = await _quote(fresh, order_id, version)
            before = start = change_form.stored(order)
        change_form.put(order, {**start, **clean})
        after = change_form.clean(change_form.stored(order))
        found = await _judged_within(connection, fresh, partner, after, held)
        await _put_found(order, found, held)
        if before is not None and before == change_form.stored(order):
            return order
        order.version += 1
        order.changed_at = datetime.now(UTC)
        order.details = {**order.details, SAVED_BY: by.name[:120]}
        await order.save()
        said = changes_said(after, held, found, await load_catalogue(partner.id))
        await HistoryEvent.add(
            partner.id, 'change_order.saved', f'{order.number} was saved as a quote: {said}', customer_id=fresh.id,
            by=by, order=order.id, version=order.version,
        )  # fmt: skip
        _touch(fresh, 'orders')
    return order


async def discard(customer: Customer, order_id: int, *, version: int, by: PortalUser) -> None:
    """Throw a quote away. Raises `Refused`, `Impossible`, and `ChangedMeanwhile` where it is not what was seen."""
    rights.require(by, 'prospect.change')
    async with transaction():
        fresh, partner = await _held(customer, by)
        order = await _quote(fresh, order_id, version)
        number = order.number
        await order.delete()
        await HistoryEvent.add(
            partner.id, 'change_order.discarded', f'The quote {number} was discarded', customer_id=fresh.id, by=by,
            order=order_id,
        )  # fmt: skip
        _touch(fresh, 'orders')


async def _held(customer: Customer, by: PortalUser) -> tuple[Customer, Partner]:
    """The customer as it is now, and its MSP; whoever else orders for it waits. Raises `Refused`."""
    if by.partner_id != customer.partner_id:
        raise rights.Refused('This customer is another MSP’s.')
    fresh = await Customer.filter(id=customer.id).select_for_update(no_key=True).get()
    return fresh, await Partner.get(id=fresh.partner_id)


async def _quote(customer: Customer, order_id: int, version: int) -> Order:
    """The quote as it is now. Raises `Impossible` and `ChangedMeanwhile`."""
    of_this = Order.filter(id=order_id, customer_id=customer.id, kind=OrderKind.CHANGE)
    order = await of_this.select_for_update(no_key=True).first()
    if order is None:
        raise Impossible('This quote is not there any more: somebody has discarded it.')
    if order.state != OrderState.DRAFT:
        raise Impossible(_submitted_already(order))
    if order.version != version:
        raise ChangedMeanwhile('version', change_form.stored(order))
    return order


def _submitted_already(order: Order) -> str:
    return f'{order.submitted_by or "Somebody"} has submitted {order.number} already.'


async def _judged_within(
    connection: 'BaseDBAsyncClient', customer: Customer, partner: Partner, facts: Mapping[str, Any], held: Held
) -> Judged:
    catalogue = await load_catalogue(partner.id)
    prices, leads = await prices_of(partner.id, catalogue, within=connection), await leads_of(customer)
    return change_form.judged(facts, held, catalogue, prices, partner.currency, calendar.today(partner), leads)


async def _put_found(order: Order, found: Judged, held: Held) -> None:
    order.lines, order.currency = found.lines_data, found.currency
    order.fees = found.fees if found.is_priced else {}
    order.products, order.was_seats = list(found.after), held.seats
    lead = await PortalUser.get_or_none(id=order.details.get('lead') or 0, partner_id=order.partner_id)
    order.details = {**order.details, LEAD_SAID: f'{lead.name}\n{lead.email}' if lead else ''}


# -- review and submitting --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reviewed:
    """A quote as it would be submitted now, with what the customer has at this moment."""

    order: Order
    found: Judged
    held: Held
    catalogue: dict[str, Product]

    @property
    def said(self) -> str:
        facts = change_form.stored(self.order)
        return changes_said(facts, self.held, self.found, self.catalogue)


async def review(customer: Customer, partner: Partner, order_id: int) -> Reviewed:
    """The quote as it would be submitted; raises `Invalid` with everything that it lacks, and `Impossible`."""
    submitted = await under_way(customer)
    if mine := [order for order in submitted if order.id == order_id]:
        raise Impossible(_submitted_already(mine[0]))
    if why := why_no_upgrade(customer, partner) or why_not_submitted(submitted):
        raise Impossible(why)
    order = await _quotes(customer).filter(id=order_id).using_db(reader()).first()
    if order is None:
        raise Impossible('This quote is not there any more: it was submitted or discarded.')
    catalogue, held = await for_partner(partner.id), await held_by(customer)
    found = await judge(customer, partner, change_form.clean(change_form.stored(order)))
    found.problems.refuse()
    await _put_found(order, found, held)
    assert order.effective_on is not None  # without one there is a problem
    order.withdraw_until = withdraw_until(partner, order.effective_on)
    return Reviewed(order, found, held, catalogue)


async def submit(
    customer: Customer, order_id: int, *, version: int, fees: Mapping[str, Any], accepts_agreement: bool,
    is_authorised: bool, by: PortalUser,
) -> Order:  # fmt: skip
    """Submit a quote, with its addendum as a PDF; nothing of the customer changes before its effective day.

    `version` and `fees` are what `review` showed to whoever submits: another quote or another price is not what they
    agreed to. Raises `Invalid` with all that is missing, `Refused`, `ChangedMeanwhile`, and `Impossible`.
    """
    rights.require(by, 'order.submit')
    if by.partner_id != customer.partner_id:
        raise rights.Refused('This customer is another MSP’s.')
    require_ticks(accepts_agreement=accepts_agreement, is_authorised=is_authorised)
    partner = await Partner.get(id=customer.partner_id)
    seen = await review(await Customer.get(id=customer.id), partner, order_id)
    order = seen.order
    if order.version != version:
        raise ChangedMeanwhile('version', change_form.stored(order))
    if dict(fees) != seen.found.fees:
        raise Impossible('The prices have changed since you reviewed the order. Review it again.')
    now = datetime.now(UTC)
    order.accepts_agreement = order.is_authorised = True
    order.submitted_by_id, order.submitted_by, order.submitted_at = by.id, by.name[:120], now
    # Before the transaction: nobody waits for a drawing. What it says is looked at again inside.
    pdf = await addendum_pdf(
        order, customer_name=customer.name, customer_lines=[customer.domain] if customer.domain else [],
        account_code=customer.account_code, by=by.name, at=now, partner=partner,
    )  # fmt: skip

    async def within(connection: 'BaseDBAsyncClient', fresh: Customer, stored: Partner) -> None:
        drawn = (order.lines, order.fees, order.currency, order.was_seats, order.withdraw_until)
        quote = await _quote(fresh, order_id, version)
        if why := why_no_upgrade(fresh, stored) or why_not_submitted(await under_way(fresh, within=connection)):
            raise Impossible(why)
        held = await held_by(fresh, within=connection)
        facts = change_form.clean(change_form.stored(quote))
        found = await _judged_within(connection, fresh, stored, facts, held)
        found.problems.refuse()
        until = withdraw_until(stored, quote.effective_on) if quote.effective_on else None
        if (found.lines_data, found.fees, found.currency, held.seats, until) != drawn:
            raise Impossible('What the customer has, or a price, has changed since you reviewed the order. Review it '
                             'again.')  # fmt: skip

    said = f'{seen.said}, from {said_day(order.effective_on)} on'
    return await submitted(
        order, customer, within=within, pdf=pdf, kind=AttachmentKind.ADDENDUM, name=f'Addendum {order.number}',
        event='change_order.submitted', said=f'{order.number} was submitted: {said}', by=by,
    )  # fmt: skip


def require_ticks(**ticks: bool) -> None:
    problems = checking.Problems()
    problems.found += [Invalid(field, 'must be ticked') for field, ticked in ticks.items() if ticked is not True]
    problems.refuse()


async def submitted(
    order: Order, customer: Customer, *, within: Any, pdf: bytes, kind: AttachmentKind, name: str, event: str,
    said: str, by: PortalUser,
) -> Order:  # fmt: skip
    """Store an order as submitted with its document, or nothing. `within` is asked inside the transaction, with the
    customer locked, whether everything is still as it was drawn; it raises where it is not."""
    document: Attachment | None = None
    try:
        async with transaction() as connection:
            fresh, partner = await _held(customer, by)
            await within(connection, fresh, partner)
            sales_limit.require_within(order, partner, by)
            document = await Attachment.add_made(fresh, kind=kind, name=name, pdf=pdf, by=by)
            order.attachment_id = document.id
            order.state, order.vendor = OrderState.SUBMITTED, VendorState.WAITING
            order.version += 1
            order.changed_at = datetime.now(UTC)
            await order.save()
            await tell(order, fresh, event, said, by=by)
            _touch(fresh, 'orders', 'attachments')
    except BaseException:
        if document is not None:
            await asyncio.to_thread(attachment_files.pdf_of(document.stored).unlink, missing_ok=True)
        raise
    return order


async def tell(
    order: Order, customer: Customer, kind: str, said: str, *, by: PortalUser | None = None, **more: Any
) -> None:
    """Write it down in the customer's history and in the MSP's own: it is a contract of both."""
    about: dict[str, Any] = {'order': order.id, **more}
    await HistoryEvent.add(order.partner_id, kind, said, customer_id=customer.id, by=by, **about)
    await HistoryEvent.add(
        order.partner_id, kind, f'{customer.name}: {said}', by=by, customer=customer.id, **about
    )  # fmt: skip


def _touch(customer: Customer, *parts: str) -> None:
    events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset(parts)})


# -- withdrawing ------------------------------------------------------------------------------------------------------


async def withdraw(customer: Customer, order_id: int, *, by: PortalUser, because: str = '') -> Order:
    """Take back a change order or a cancellation before its deadline.

    Raises `Refused`, `Impossible` with the reason, and `Invalid`.
    """
    rights.require(by, 'order.submit')
    because = checking.line('because', because, 300)
    async with transaction():
        fresh, partner = await _held(customer, by)
        order = await Order.filter(id=order_id, customer_id=fresh.id).select_for_update(no_key=True).first()
        if order is None:
            raise Impossible('There is no such order of this customer.')
        if why := why_not_withdrawn(order, partner):
            raise Impossible(why)
        said = f'{order.number} was withdrawn{f" – {because}" if because else ""}'
        await take_back(order, fresh, said, because, by=by)
    return order


async def take_back(order: Order, customer: Customer, said: str, because: str, *, by: PortalUser | None = None) -> None:
    """Make a submitted order a withdrawn one, within the transaction that has it locked. Where the vendor has it, the
    order stays with those that need somebody until the vendor was told."""
    now = datetime.now(UTC)
    columns: dict[str, Any] = {
        'state': OrderState.WITHDRAWN, 'decided_at': now, 'decided_by': by.name[:120] if by else '',
        'decided_because': because, 'changed_at': now, 'version': order.version + 1, 'vendor': await order.untold(),
    }  # fmt: skip
    await Order.filter(id=order.id).update(**columns)
    order.update_from_dict(columns)
    if order.vendor == VendorState.RECALL:
        said += '. The vendor has it already and has to be told'
    await tell(order, customer, f'{EVENTS[order.kind]}.withdrawn', said, by=by)
    _touch(customer, 'orders')


# -- when the day has come --------------------------------------------------------------------------------------------


async def taken_up(order: Order, connection: 'BaseDBAsyncClient') -> Customer | None:
    """Mark a submitted order that the vendor was told of as applied, within the transaction that does what it says;
    the customer, whom nobody else changes until then. None where somebody was quicker, or it is not to be applied."""
    assert order.customer_id is not None
    await hold_monitors(connection, [order.customer_id])
    customer = await Customer.filter(id=order.customer_id).select_for_update().get()
    now = datetime.now(UTC)
    mine = Order.filter(id=order.id, state=OrderState.SUBMITTED, vendor__in=list(TOLD))
    is_mine = await mine.update(state=OrderState.APPLIED, applied_at=now, changed_at=now, version=F('version') + 1)
    return customer if is_mine else None


async def apply(order: Order) -> bool:
    """Make a submitted change come about: products and licences are what it says from now on. Whoever is second does
    nothing (False). Whether its day has come is asked before (models/effective.py)."""
    async with transaction() as connection:
        customer = await taken_up(order, connection)
        if customer is None:
            return False
        was, had = customer.seats, await services_of(customer.id)
        added, removed = await _exchange(order, customer)
        customer.seats = order.seats
        await follow_seats(connection, order.partner_id, {customer.id: (was, order.seats)})
        for code, quantity in _ordered(order).items():  # after what follows by itself: these were agreed
            await CustomerProduct.filter(customer_id=customer.id, product__code=code).update(quantity=quantity)
        customer.products_in_short = ', '.join(await _codes(customer))[:200]
        await customer.save(update_fields=['seats', 'products_in_short'])
        await tell(order, customer, 'change_order.applied', f'{order.number} took effect')
        about: dict[str, Any] = {'order': order.id}
        if was != order.seats:
            await HistoryEvent.add(
                order.partner_id, 'seats.changed', f'Licences: {was:,} → {order.seats:,}', customer_id=customer.id,
                before=was, after=order.seats, **about,
            )  # fmt: skip
        for kind, products, verb in (('product.added', added, 'added'), ('product.removed', removed, 'removed')):
            for product in products:
                await HistoryEvent.add(
                    order.partner_id, kind, f'{product.name} ({product.code}) was {verb}', customer_id=customer.id,
                    product=product.code, **about,
                )  # fmt: skip
        await _have_it_led(order, customer, await connect_fitting.set_up_products(customer, had=had))
        changed = frozenset({'seats', 'products_in_short'})
        events.CUSTOMERS_CHANGED.emit(Changed(order.partner_id, {customer.id: changed}))
        _touch(customer, 'orders', 'products')
    return True


async def _have_it_led(order: Order, customer: Customer, titles: list[str]) -> None:
    """What is to be set up now is seen to by whoever leads the change, if they still can."""
    lead = (await leads_of(customer)).get((order.details or {}).get('lead') or 0)
    if lead is None or not titles or lead.id == customer.responsible_id:
        return
    steps = ConnectStep.filter(customer_id=customer.id, title__in=titles, assignee_id__isnull=True)
    if await steps.exclude(state__in=list(DONE)).update(assignee_id=lead.id):
        said = f'{", ".join(titles)}, seen to by: {lead.name}, who leads {order.number}'
        await HistoryEvent.add(
            order.partner_id, 'connect.step_assigned', said, customer_id=customer.id, order=order.id
        )  # fmt: skip
        await (await Customer.get(id=customer.id)).moved_on()


def _ordered(order: Order) -> dict[str, int]:
    """What was agreed of the products that change: how many there are by code, 0 of those that go."""
    found: dict[str, int] = {}
    for each in order.lines or ():
        found[str(each['code'])] = max(found.get(str(each['code']), 0), int(each['quantity']), 0)
    return found


async def _exchange(order: Order, customer: Customer) -> tuple[list[Product], list[Product]]:
    """Give the customer the products that come and take those that go; return both."""
    catalogue = await load_catalogue(order.partner_id)
    bought = {row.product.code: row for row in
              await CustomerProduct.filter(customer_id=customer.id).select_related('product')}  # fmt: skip
    added, removed = [], []
    for code, quantity in _ordered(order).items():
        if not quantity and code in bought:
            removed.append(bought[code].product)
            await bought[code].delete()
        elif quantity and code not in bought:
            added.append(catalogue[code])
            await CustomerProduct.create(
                customer_id=customer.id, product_id=catalogue[code].id, quantity=quantity, since=order.effective_on,
                renews_on=renewal(customer.contract_start, order.effective_on) if order.effective_on else None,
            )  # fmt: skip
    return added, removed


async def _codes(customer: Customer) -> list[str]:
    found = await CustomerProduct.filter(customer_id=customer.id).order_by('id').values_list(
        'product__code', 'product__kind'
    )  # fmt: skip
    return [str(code) for code, kind in sorted(found, key=lambda each: str(each[1]) != 'primary')]
