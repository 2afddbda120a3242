"""What the demo's customers have ordered since their first order: quotes, changes and cancellations, at every stage.

They are judged and priced by what judges and prices those of people (models/change_form.py), so that what waits for its
day comes about when that comes. Nothing was sent anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from models import calendar, change_form
from models.attachment import AttachmentKind
from models.cancelling import CANCEL, EXPORTED, PARTNER_CHANGE
from models.change_form import Held
from models.changing import LEAD_SAID, SAVED_BY, withdraw_until
from models.customer import Closing, Customer, Listing
from models.demo_closed import NOTICE
from models.demo_documents import to_be_drawn
from models.demo_orders import BY_HAND_BECAUSE, priced
from models.events import transaction
from models.history import Entry, append_many
from models.order import Order, OrderKind, OrderState, VendorState
from models.partner import Partner
from models.price import Price
from models.pricing import fees, line
from models.product import CustomerProduct, Product, ProductKind, load_catalogue
from models.user import PortalUser

_DAY = timedelta(days=1)
_TOLD, _ANSWERED = timedelta(hours=3), timedelta(days=2)  # after it was submitted


@dataclass(frozen=True)
class _Change:
    """Of which customer, when it was saved or submitted (days ago) and takes effect (days from now), how far it is."""

    customer: str
    facts: dict[str, Any]
    days: float
    effective: int
    state: OrderState = OrderState.SUBMITTED
    vendor: VendorState = VendorState.ACCEPTED
    was: int = 0  # how many licences there were, where it has come about
    withdrawn: float = 0  # days ago
    because: str = ''


_CHANGES = {
    'Northwind IT': (
        _Change('Tidewater Credit Union', {'seats': 280}, 63, -46, OrderState.APPLIED, was=220),
        _Change('Fjord Seafood', {'seats': 50}, 6.2, 17, OrderState.WITHDRAWN, VendorState.RECALL, withdrawn=0.8,
                because='They keep all licences after all'),
        _Change('Yıldız Tekstil', {'seats': 240}, 3.1, 9, vendor=VendorState.DELIVERED),
        _Change('Löwenthal Pharma', {'add_ons': ['IEP']}, 0.3, 21, vendor=VendorState.BY_HAND),
        _Change('Espinosa Hoteles', {'add_ons': ['SAT']}, 1.4, 30, OrderState.DRAFT, VendorState.NOT_TOLD),
    ),
    'Fabrikam Managed Services': (
        _Change('Żółkiewski Steel', {'seats': 760}, 8.3, 12),
        _Change('42 North Brewing', {'seats': 55, 'add_ons': ['IMP']}, 2.2, 24, OrderState.DRAFT, VendorState.NOT_TOLD),
    ),
}  # fmt: skip
# Customers that leave: submitted days ago, and in how many days it takes effect.
_LEAVING = {'Alder & Sons Timber': (5.4, 47, 'Their group buys for all of them from the new year on')}


@dataclass
class _Books:
    """An MSP with what it sells, who orders there, and what is to be written into the history."""

    partner: Partner
    by: PortalUser
    now: datetime
    catalogue: dict[str, Product]
    prices: dict[str, Price]
    entries: list[Entry] = field(default_factory=list)

    def tell(
        self, customer: Customer, kind: str, at: datetime, said: str, *, order: Order | None = None,
        is_by_somebody: bool = True, is_for_both: bool = True, **data: Any,
    ) -> None:  # fmt: skip
        who = (self.by.id, self.by.name) if is_by_somebody else (None, '')
        about = {'order': order.id, **data} if order else data
        self.entries.append(Entry(self.partner.id, customer.id, kind, at, said, *who, about))
        if is_for_both:  # it is a contract of both
            about = {'customer': customer.id, **about}
            self.entries.append(Entry(self.partner.id, None, kind, at, f'{customer.name}: {said}', *who, about))


async def load_changes() -> None:
    """Make what was ordered later, of customers that there are and of those that were; belongs in the transaction that
    made them and their first orders."""
    catalogue, now = await load_catalogue(), datetime.now(UTC)
    codes = {product.id: code for code, product in catalogue.items()}
    for partner in await Partner.filter(name__in=list(_CHANGES)).order_by('id'):
        by = await PortalUser.filter(partner_id=partner.id, can_sign_in=True).order_by('id').first()
        assert by is not None
        prices = {codes[price.product_id]: price for price in await Price.filter(partner_id=partner.id)}
        books = _Books(partner, by, now, catalogue, prices)
        theirs = Customer.filter(partner_id=partner.id)
        named = {customer.name: customer for customer in await theirs}
        bought: dict[int, list[CustomerProduct]] = {}
        rows = CustomerProduct.filter(customer__partner_id=partner.id).select_related('product').order_by('id')
        for row in await rows:
            bought.setdefault(row.customer_id, []).append(row)
        for closed in await theirs.filter(listing=Listing.CLOSED).order_by('closed_at'):
            await _closed(books, closed, bought.get(closed.id, []))
        for name, (days, effective, because) in _LEAVING.items():
            if customer := named.get(name):
                on = calendar.today(partner, now=now) + effective * _DAY
                details = {'type': CANCEL, 'data_export': True, 'because': because}
                await _cancellation(books, customer, bought[customer.id], now - days * _DAY, on, details)
        for change in _CHANGES[partner.name]:
            customer = named[change.customer]
            await _change(books, change, customer, bought[customer.id])
        books.entries.sort(key=lambda entry: entry.at)
        async with transaction() as connection:
            await append_many(connection, books.entries)


async def _keep(order: Order, customer: Customer, kind: AttachmentKind) -> None:
    """Store it with its document; its number, which is on it, comes with the first saving."""
    await order.save()
    if order.submitted_at is not None:
        document = to_be_drawn(customer.id, kind, f'{kind.title} {order.number}', order.submitted_at)
        await document.save()
        order.attachment_id = document.id
        await order.save(update_fields=['attachment_id'])


def _hear(books: _Books, order: Order, at: datetime, vendor: VendorState) -> None:
    """What the vendor was told by a person, and said."""
    order.vendor = vendor
    if vendor == VendorState.BY_HAND:
        order.vendor_error = BY_HAND_BECAUSE
    elif vendor != VendorState.NOT_TOLD:
        order.vendor_how, order.vendor_at = 'hand', min(at + _TOLD, books.now)
    if vendor == VendorState.ACCEPTED:
        order.decided_at, order.decided_by = min(at + _ANSWERED, books.now), books.by.name


def _tell_of_vendor(books: _Books, order: Order, customer: Customer) -> None:
    if order.vendor == VendorState.BY_HAND and order.submitted_at is not None:
        said = f'{order.number} is to be passed on to the vendor by hand. {order.vendor_error}'
        books.tell(customer, 'order.by_hand', order.submitted_at, said, order=order, is_by_somebody=False)
    if order.vendor_at is not None:
        said = f'{order.number} was passed on to the vendor by hand'
        books.tell(customer, 'order.passed_on', order.vendor_at, said, order=order)
    if order.vendor == VendorState.ACCEPTED and order.decided_at is not None:
        books.tell(customer, 'order.accepted', order.decided_at, f'The vendor accepted {order.number}', order=order)


# -- changes ----------------------------------------------------------------------------------------------------------


async def _change(books: _Books, change: _Change, customer: Customer, bought: list[CustomerProduct]) -> None:
    partner, by, at = books.partner, books.by, books.now - change.days * _DAY
    today = calendar.today(partner, now=books.now)
    quantities = {row.product.code: change.was or row.quantity for row in bought}
    held = Held(change.was or customer.seats, quantities)
    effective_on = today + change.effective * _DAY
    given = {'effective_on': effective_on.isoformat(), 'po_waived': True, 'lead': by.id}
    facts = change_form.clean({**change_form.empty_for(held, today), **change.facts, **given})
    found = change_form.judged(facts, held, books.catalogue, books.prices, partner.currency, today)
    order = _new(books, customer, OrderKind.CHANGE, change.state, at)
    change_form.put(order, facts)
    order.lines, order.fees, order.currency = found.lines_data, found.fees, found.currency
    order.products, order.was_seats = list(found.after), held.seats
    order.details = {**order.details, SAVED_BY: by.name, LEAD_SAID: f'{by.name}\n{by.email}'}
    _hear(books, order, at, change.vendor)
    said = change_form.changes_said(facts, held, found, books.catalogue)
    if change.state == OrderState.DRAFT:
        await order.save()
        saved = f'{order.number} was saved as a quote: {said}'
        books.tell(customer, 'change_order.saved', at, saved, order=order, is_for_both=False, version=order.version)
        return
    order.accepts_agreement, order.withdraw_until = True, withdraw_until(partner, effective_on)
    if change.state == OrderState.APPLIED:
        order.applied_at = calendar.at(partner, effective_on, 1)
    if change.state == OrderState.WITHDRAWN:
        order.decided_at, order.decided_by = books.now - change.withdrawn * _DAY, by.name
        order.decided_because = change.because
    order.changed_at = order.applied_at or order.decided_at or order.vendor_at or at
    await _keep(order, customer, AttachmentKind.ADDENDUM)
    said = f'{order.number} was submitted: {said}, from {calendar.said(effective_on)} on'
    books.tell(customer, 'change_order.submitted', at, said, order=order)
    _tell_of_vendor(books, order, customer)
    if order.applied_at is not None:
        await _applied(books, order, customer, bought)
    if order.state == OrderState.WITHDRAWN and order.decided_at is not None:
        said = f'{order.number} was withdrawn – {change.because}. The vendor has it already and has to be told'
        books.tell(customer, 'change_order.withdrawn', order.decided_at, said, order=order)


async def _applied(books: _Books, order: Order, customer: Customer, bought: list[CustomerProduct]) -> None:
    """It has come about: the customer has what it says, and its first order was about what there was before."""
    assert order.applied_at is not None
    assert order.was_seats is not None
    at, was = order.applied_at, order.was_seats
    books.tell(customer, 'change_order.applied', at, f'{order.number} took effect', order=order, is_by_somebody=False)
    books.tell(
        customer, 'seats.changed', at, f'Licences: {was:,} → {order.seats:,}', order=order, is_by_somebody=False,
        is_for_both=False, before=was, after=order.seats,
    )  # fmt: skip
    first = await Order.get(customer_id=customer.id, kind=OrderKind.NEW)
    first.seats = was
    for row in bought:
        row.quantity = was
    prices = {(price.partner_id, price.product_id): price for price in books.prices.values()}
    await priced(first, bought, prices).save(update_fields=['seats', 'lines', 'fees'])


def _new(books: _Books, customer: Customer, kind: OrderKind, state: OrderState, at: datetime) -> Order:
    by, is_quote = books.by, state == OrderState.DRAFT
    order = Order(
        partner_id=books.partner.id, customer_id=customer.id, kind=kind, state=state, version=1 if is_quote else 2,
        po_waived=True, created_by_id=by.id, created_by=by.name, created_at=at, changed_at=at,
    )  # fmt: skip
    if not is_quote:
        order.is_authorised = True
        order.submitted_by_id, order.submitted_by, order.submitted_at = by.id, by.name, at
    return order


# -- cancellations ----------------------------------------------------------------------------------------------------


async def _closed(books: _Books, customer: Customer, bought: list[CustomerProduct]) -> None:
    """How a customer that is closed came to be so."""
    assert customer.closed_at is not None
    is_abandoned, because = customer.closing == Closing.ABANDONED, customer.closed_because
    if not is_abandoned:
        on = calendar.day_of(books.partner, customer.closed_at)
        type_ = PARTNER_CHANGE if customer.closing == Closing.MOVED else CANCEL
        details = {'type': type_, 'data_export': type_ == PARTNER_CHANGE, 'because': because}
        await _cancellation(books, customer, bought, customer.closed_at - NOTICE, on, details)
    books.tell(
        customer, 'connect.abandoned' if is_abandoned else 'customer.closed', customer.closed_at,
        f'{customer.closing.title} – {because}', is_by_somebody=is_abandoned, is_for_both=False,
        closing=customer.closing.value,
    )  # fmt: skip


async def _cancellation(
    books: _Books, customer: Customer, bought: list[CustomerProduct], at: datetime, on: Any, details: dict[str, Any]
) -> None:
    """A cancellation, with its end where the customer is closed."""
    is_over = customer.closed_at is not None
    order = _new(books, customer, OrderKind.CANCELLATION, OrderState.APPLIED if is_over else OrderState.SUBMITTED, at)
    order.seats = order.was_seats = customer.seats
    order.currency, order.details, order.effective_on, order.withdraw_until = books.partner.currency, details, on, on
    order.products = [row.product.code for row in bought]
    lines = [line(product, books.prices[product.code], quantity, with_one_time_fee=False)
             for product, quantity in _in_order(bought)]  # fmt: skip
    sums = fees(lines, order.currency).as_data()
    order.lines, order.fees = [each.as_data() for each in lines], {name: sums[name] for name in ('monthly', 'annual')}
    _hear(books, order, at, VendorState.ACCEPTED)
    order.applied_at = customer.closed_at
    handed_over = customer.closed_at - _DAY if customer.closed_at is not None and details['data_export'] else None
    if handed_over is not None:
        order.details = {**details, EXPORTED: {'at': handed_over.isoformat(), 'by': order.submitted_by, 'note': ''}}
    order.export_open = details['data_export'] and handed_over is None
    order.changed_at = order.applied_at or order.decided_at or at
    await _keep(order, customer, AttachmentKind.CANCELLATION)
    title = {CANCEL: 'The cancellation', PARTNER_CHANGE: 'The move to another partner'}[details['type']]
    export = 'with an export of its data' if details['data_export'] else 'without an export of its data'
    said = f'{title} {order.number} was submitted, {export}; it takes effect on {calendar.said(on)}'
    books.tell(customer, 'cancellation.requested', at, f'{said} – {details["because"]}', order=order)
    _tell_of_vendor(books, order, customer)
    if handed_over is not None:
        said = f'The data of {order.number} were handed over'
        books.tell(customer, 'cancellation.exported', handed_over, said, order=order)
    if order.applied_at is not None:
        said = f'{order.number} took effect'
        books.tell(customer, 'cancellation.effective', order.applied_at, said, order=order, is_by_somebody=False)


def _in_order(bought: list[CustomerProduct]) -> Iterator[tuple[Product, int]]:
    """Primary products first, as documents have them."""
    for row in sorted(bought, key=lambda row: (row.product.kind != ProductKind.PRIMARY, row.product.name)):
        yield row.product, row.quantity
