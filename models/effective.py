"""What was submitted and whose day has come: changes and cancellations come about, in the time zone of their MSP.

What is due but was not passed on to the vendor waits, and says so once in the history. It goes by what is stored, so
that a late clock or a restart only makes it later.
"""

from datetime import UTC, datetime, timedelta

from models import calendar, cancelling, changing, events
from models.customer import Customer, Listing
from models.database import reader
from models.events import transaction
from models.history import HistoryEvent
from models.order import Order, OrderKind, OrderState
from models.partner import Partner

WAITS = 'waits'
_EAST = timedelta(hours=14)  # as far as clocks anywhere are ahead of UTC


async def due(*, now: datetime | None = None) -> list[int]:
    """The orders (ids) whose day has come and that have not come about, the oldest first."""
    now = now or datetime.now(UTC)
    zones: dict[int, Partner] = {}
    orders = Order.filter(
        state=OrderState.SUBMITTED, kind__in=[OrderKind.CHANGE, OrderKind.CANCELLATION],
        effective_on__lte=(now + _EAST).date(),
    ).order_by('effective_on', 'id').using_db(reader())  # fmt: skip
    found = []
    for order in await orders.select_related('partner'):
        partner = zones.setdefault(order.partner_id, order.partner)
        if order.effective_on is not None and order.effective_on <= calendar.today(partner, now=now):
            found.append(order.id)
    return found


async def come_about(order_id: int) -> bool:
    """Let an order whose day has come come about; False where it waits, or somebody was quicker."""
    order = await Order.get_or_none(id=order_id, state=OrderState.SUBMITTED)
    if order is None:
        return False
    customer = await Customer.get(id=order.customer_id or 0)
    if customer.listing == Listing.CLOSED:
        return await cancelling.lapse(order, customer)
    if order.vendor in changing.TOLD:
        return await (changing.apply(order) if order.kind == OrderKind.CHANGE else cancelling.end(order))
    await _say_that_it_waits(order, customer)
    return False


async def _say_that_it_waits(order: Order, customer: Customer) -> None:
    if (order.details or {}).get(WAITS):
        return
    async with transaction():
        fresh = await Order.filter(id=order.id, state=OrderState.SUBMITTED).select_for_update(no_key=True).first()
        if fresh is None or fresh.vendor in changing.TOLD or (fresh.details or {}).get(WAITS):
            return
        fresh.details = {**(fresh.details or {}), WAITS: True}
        await fresh.save(update_fields=['details'])
        said = f'{order.number} was to take effect now and waits: the vendor has not been told yet'
        kind = f'{changing.EVENTS[order.kind]}.waits'
        await HistoryEvent.add(order.partner_id, kind, said, customer_id=customer.id, order=order.id)
        events.CUSTOMER_TOUCHED.emit(order.partner_id, {customer.id: frozenset({'orders'})})
