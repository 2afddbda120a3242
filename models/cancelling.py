"""Leaving: the cancellation of a customer's subscription, or its move to another partner (domain.md 1.10).

It is possible after 11 months of the contract. The first 12 months run to their end; after them it takes effect when it
is wished. What was submitted comes about on its day, by a job (`end`), and can be withdrawn until then.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from models import calendar, checking, events, rights, sales_limit
from models.attachment import AttachmentKind
from models.catalogue import for_partner, prices_of
from models.change_form import day
from models.changing import held_by, require_ticks, said_day, submitted, take_back, taken_up, tell, under_way
from models.checking import Impossible, Invalid
from models.customer import Closing, Customer, Listing
from models.documents import cancellation_pdf
from models.events import transaction
from models.order import Order, OrderKind, OrderState
from models.partner import Partner
from models.pricing import Line, fees, line
from models.product import ProductKind

if TYPE_CHECKING:
    from tortoise.backends.base.client import BaseDBAsyncClient

    from models.user import PortalUser

AFTER = 11  # months of the contract
TERM = 12  # months that run to their end whatever happens
FARTHEST = 24  # months from now
CANCEL, PARTNER_CHANGE = 'cancel', 'partner_change'
TYPES = {CANCEL: 'Cancel the subscription', PARTNER_CHANGE: 'Move to another partner, who keeps the products'}
_CLOSING = {CANCEL: Closing.CANCELLED, PARTNER_CHANGE: Closing.MOVED}
EXPORTED = 'exported'  # in the details of an order: when its customer's data were handed over, by whom, and a note


# -- questions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaving:
    """Whether the customer can be cancelled now. `why` says why not, and when it will be possible; `earliest` is the
    first day on which it could take effect, and `until` the end of the term that runs until then, if one does."""

    is_possible: bool
    why: str
    earliest: date
    until: date | None = None
    order: Order | None = None  # the cancellation that is under way


def contract_start(customer: Customer, partner: Partner) -> date:
    """When the contract began: for a customer of whom nobody has said so, the day on which it was added."""
    return customer.contract_start or calendar.day_of(partner, customer.created_at)


async def leaving(customer: Customer, partner: Partner, *, now: datetime | None = None, within: Any = None) -> Leaving:
    """Whether and from when on the customer can leave; `within` is the connection of a transaction."""
    started, today = contract_start(customer, partner), calendar.today(partner, now=now)
    possible_on, term_end = calendar.add_months(started, AFTER), calendar.add_months(started, TERM)
    earliest, until = max(today, term_end), term_end if today < term_end else None
    if customer.listing == Listing.CLOSED:
        return Leaving(False, f'{customer.name} is closed already.', earliest, until)
    if customer.listing == Listing.WAITING:
        return Leaving(False, 'The RFI is not back yet: abandon Connect instead.', earliest, until)
    for order in await under_way(customer, within=within):
        if order.kind == OrderKind.CANCELLATION:
            who = order.submitted_by or 'Somebody'
            why = f'{who} has submitted {order.number}, which takes effect on {said_day(order.effective_on)}.'
            return Leaving(False, why, earliest, until, order)
    if today < possible_on:
        why = (
            f'Possible from {said_day(possible_on)} on, after {AFTER} months: the contract began on '
            f'{said_day(started)}.'
        )
        if customer.contract_start is None:
            why = (
                f'Possible from {said_day(possible_on)} on: nobody has said when the contract began, so its {AFTER} '
                f'months count from {said_day(started)}, when the customer was added.'
            )
        return Leaving(False, why, earliest, until)
    return Leaving(True, '', earliest, until)


async def why_above_limit(customer: Customer, partner: Partner, by: 'PortalUser') -> str:
    """Why this person cannot submit a cancellation of this customer, as far as the limit of sales goes; empty where
    they can."""
    if not sales_limit.limit_of(by, partner):
        return ''
    order = Order(partner_id=partner.id, kind=OrderKind.CANCELLATION, currency=partner.currency)
    await _list_products(order, customer, partner)
    return sales_limit.why_above(order, partner, by)


def requires_export(order: Order) -> bool:
    """Whether the customer's data have to be exported: for a cancellation that is under way or has come about."""
    in_force = order.state in (OrderState.SUBMITTED, OrderState.APPLIED)
    return order.kind == OrderKind.CANCELLATION and in_force and bool((order.details or {}).get('data_export'))


def export_of(order: Order) -> dict[str, str] | None:
    """That the data were handed over: `at`, `by` and a `note`; None where nobody has said so."""
    found = (order.details or {}).get(EXPORTED)
    return found if isinstance(found, dict) else None


async def exported(order: Order, *, by: 'PortalUser', note: str = '') -> None:
    """Record that the data of the customer were handed over. Raises `Refused`, `Invalid`, and `Impossible` where they
    do not have to be, or somebody has recorded it."""
    rights.require(by, 'order.record')
    if by.partner_id != order.partner_id:
        raise rights.Refused('This is another MSP’s order.')
    note = checking.line('note', note, 254)
    async with transaction():
        fresh = await Order.filter(id=order.id).select_for_update(no_key=True).get()
        if (known := export_of(fresh)) is not None:
            raise Impossible(f'{known.get("by") or "Somebody"} has recorded already that the data were handed over.')
        if not requires_export(fresh):
            raise Impossible(f'{fresh.number} requires no export of the data.')
        done = {'at': datetime.now(UTC).isoformat(), 'by': by.name[:120], 'note': note}
        fresh.details, fresh.export_open = {**(fresh.details or {}), EXPORTED: done}, False
        await fresh.save(update_fields=['details', 'export_open'])
        customer = await Customer.get(id=fresh.customer_id or 0)
        said = f'The data of {fresh.number} were handed over{f" – {note}" if note else ""}'
        await tell(fresh, customer, 'cancellation.exported', said, by=by)
        events.CUSTOMER_TOUCHED.emit(fresh.partner_id, {customer.id: frozenset({'orders'})})


# -- submitting -------------------------------------------------------------------------------------------------------


def clean(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they would be stored: `type`, `data_export` (None where nobody said so), `because`, and
    `effective_on` (a date, or None). Raises `Invalid` with all that cannot be."""
    return checking.each(facts, _clean)


def _clean(field: str, value: Any) -> Any:
    if field == 'type':
        if value not in TYPES:
            raise Invalid(field, 'is empty; choose one' if not value else 'is none of those that can be chosen')
        return value
    if field == 'data_export':
        known = {'yes': True, 'no': False}
        if not isinstance(value, bool) and value not in known:
            raise Invalid(field, 'is empty; choose yes or no' if not value else 'must be yes or no')
        return value if isinstance(value, bool) else known[value]
    if field == 'because':
        return checking.line(field, value, 300)
    if field == 'effective_on':
        return day(field, value)
    raise Invalid(str(field)[:40], 'is not a field of the cancellation')


async def submit(customer: Customer, facts: Mapping[str, Any], *, is_authorised: bool, by: 'PortalUser') -> Order:
    """Submit a cancellation, with its PDF. Without `effective_on` it takes effect as early as it can.

    Raises `Invalid` with all that is wrong, `Refused`, and `Impossible` with the reason.
    """
    rights.require(by, 'order.submit')
    if by.partner_id != customer.partner_id:
        raise rights.Refused('This customer is another MSP’s.')
    fresh, partner = await Customer.get(id=customer.id), await Partner.get(id=customer.partner_id)
    can = await leaving(fresh, partner)
    if not can.is_possible:
        raise Impossible(can.why)
    problems, wished = checking.Problems(), {}
    with problems.noted():
        wished = clean({'type': '', 'data_export': '', 'because': '', 'effective_on': '', **facts})
    with problems.noted():
        _require_day(wished.get('effective_on'), can, calendar.today(partner))
    with problems.noted():
        require_ticks(is_authorised=is_authorised)
    problems.refuse()
    now = datetime.now(UTC)
    order = Order(
        partner_id=partner.id, customer_id=fresh.id, kind=OrderKind.CANCELLATION, version=0, seats=fresh.seats,
        was_seats=fresh.seats, currency=partner.currency, po_waived=True, is_authorised=True,
        details={name: wished[name] for name in ('type', 'data_export', 'because')}, export_open=wished['data_export'],
        effective_on=wished['effective_on'] or can.earliest, created_by_id=by.id, created_by=by.name[:120],
        submitted_by_id=by.id, submitted_by=by.name[:120], submitted_at=now, changed_at=now,
    )  # fmt: skip
    order.withdraw_until = order.effective_on
    await _list_products(order, fresh, partner)
    # It needs its number for the document: a draft that nobody sees (`Order.SHOWN`), and that goes again where nothing
    # comes of it.
    left = Order.filter(partner_id=partner.id, state=OrderState.DRAFT, kind=OrderKind.CANCELLATION)
    await left.filter(created_at__lt=now - timedelta(hours=1)).delete()  # of a portal that was killed meanwhile
    await order.save()
    try:
        pdf = await cancellation_pdf(
            order, customer_name=fresh.name, customer_lines=[fresh.domain] if fresh.domain else [],
            account_code=fresh.account_code, by=by.name, at=now, partner=partner,
        )  # fmt: skip

        async def within(connection: Any, now_there: Customer, stored: Partner) -> None:
            still = await leaving(now_there, stored, within=connection)
            if not still.is_possible:
                raise Impossible(still.why)
            _require_day(order.effective_on, still, calendar.today(stored))

        title = {CANCEL: 'The cancellation', PARTNER_CHANGE: 'The move to another partner'}[wished['type']]
        export = 'with an export of its data' if wished['data_export'] else 'without an export of its data'
        said = f'{title} {order.number} was submitted, {export}; it takes effect on {said_day(order.effective_on)}'
        if wished['because']:
            said += f' – {wished["because"]}'
        return await submitted(
            order, fresh, within=within, pdf=pdf, kind=AttachmentKind.CANCELLATION, name=f'Cancellation {order.number}',
            event='cancellation.requested', said=said, by=by,
        )  # fmt: skip
    except BaseException:
        await Order.filter(id=order.id, state=OrderState.DRAFT).delete()
        raise


def _require_day(wished: date | None, can: Leaving, today: date) -> None:
    if wished is None:
        return
    if wished < can.earliest:
        if can.until is not None:
            raise Invalid(
                'effective_on', f'cannot be before {said_day(can.until)}: the first {TERM} months run to their end'
            )
        raise Invalid('effective_on', 'must be today or later')
    if wished > max(calendar.add_months(today, FARTHEST), can.earliest):
        raise Invalid('effective_on', f'cannot be more than {FARTHEST} months from now')


async def _list_products(order: Order, customer: Customer, partner: Partner) -> None:
    """What ends, for the document: products with what they cost today, as far as they have a price."""
    catalogue, held = await for_partner(partner.id), await held_by(customer)
    prices = await prices_of(partner.id, catalogue)
    lines: list[Line] = []
    found: list[tuple[bool, str, dict[str, Any]]] = []
    for code, quantity in held.quantities.items():
        product, price = catalogue.get(code), prices.get(code)
        if product is None:
            continue
        place = (product.kind != ProductKind.PRIMARY, product.name)
        if price is not None and price.currency == partner.currency:
            lines.append(line(product, price, quantity, with_one_time_fee=False))
            found.append((*place, lines[-1].as_data()))
        else:
            found.append((*place, {
                'code': code, 'name': product.name, 'quantity': quantity, 'unit_price': '', 'term': '', 'one_time': '',
                'monthly': '', 'annual': '',
            }))  # fmt: skip
    order.products = list(held.quantities)
    order.lines = [data for *_, data in sorted(found, key=lambda each: each[:2])]
    sums = fees(lines, partner.currency).as_data()
    order.fees = {name: sums[name] for name in ('monthly', 'annual')} if len(lines) == len(found) else {}


# -- when the day has come --------------------------------------------------------------------------------------------


async def end(order: Order) -> bool:
    """Close the customer, for its submitted cancellation. Whoever is second does nothing (False)."""
    async with transaction() as connection:
        customer = await taken_up(order, connection)
        if customer is None:
            return False
        await lapse_all(customer, connection)
        details = order.details if isinstance(order.details, dict) else {}
        closing = _CLOSING.get(str(details.get('type')), Closing.CANCELLED)
        await tell(order, customer, 'cancellation.effective', f'{order.number} took effect')
        await customer.close(closing, str(details.get('because') or ''))
        events.CUSTOMER_TOUCHED.emit(order.partner_id, {customer.id: frozenset({'orders'})})
    return True


async def lapse_all(customer: Customer, connection: 'BaseDBAsyncClient') -> None:
    """Let all lapse that is under way of a customer that is being closed, within that transaction.

    Of one that is given up in Connect that is its first order, too: the vendor is not told of it any more, or has to be
    told that it is over. Of one that leaves later, the cancellation tells the vendor.
    """
    orders = await under_way(customer, within=connection)
    if customer.closing == Closing.ABANDONED:
        first = Order.filter(customer_id=customer.id, kind=OrderKind.NEW, state=OrderState.SUBMITTED)
        orders = sorted([*orders, *await first.using_db(connection)], key=lambda order: order.id)
    # All of them before the history: whoever tells the vendor holds an order and then writes.
    await Order.filter(id__in=[order.id for order in orders]).order_by('id').select_for_update(no_key=True)
    for order in orders:
        await lapse(order, customer)


async def lapse(order: Order, customer: Customer) -> bool:
    """An order of a customer that was closed before its day came: it is over, and its history says why."""
    async with transaction():
        fresh = await Order.filter(id=order.id, state=OrderState.SUBMITTED).select_for_update(no_key=True).first()
        if fresh is None:
            return False
        before = 'the vendor accepted it' if fresh.kind == OrderKind.NEW else 'its day came'
        said = f'{fresh.number} is over: the customer was closed before {before}'
        await take_back(fresh, customer, said, 'The customer was closed before.')
    return True
