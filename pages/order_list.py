"""Every order that somebody sees: what needs a person first, then what the vendor has not decided, then all of them."""

from typing import Any

from tortoise.expressions import Q, RawSQL

from components.live_table import Choice, LiveTable
from components.order_card import export_mark, state_mark, todo_of, vendor_mark
from models import Order, OrderState, Partner, PortalUser, VendorState, calendar
from models.database import reader
from models.rights import may

SEE = 'order.see'
EXPLAINED = (
    'Nothing waits for anybody. Orders are listed here when they have to be passed on by hand or their e-mail has not '
    'left for an hour, when the vendor has rejected them or has not answered for a week, when it has to be told of a '
    'withdrawal, while an account code is still to be typed, and while the data of a customer who leaves are to be '
    'handed over.'
)


class OrderColumn:
    """A column that is not a field as it is; what it sorts by is SQL over `customer_order`."""

    def __init__(self, name: str, heading: str, order: str, kind: str = 'text', **described: Any) -> None:
        self.name, self.heading, self.kind, self._order, self.described = name, heading, kind, order, described

    def order(self, user: PortalUser) -> Any:
        return RawSQL(self._order)

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        """The columns of a row are filled together, by the last of them."""

    def text(self, row: dict[str, Any]) -> Any:
        value = row[self.name]
        return f'{value:%Y-%m-%d %H:%M}' if self.kind == 'date' and value is not None else value


class SinceColumn(OrderColumn):
    """Since when the vendor's side is what it is, and with it what the other columns need."""

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        ids = [row['id'] for row in found]
        read = Order.filter(id__in=ids).using_db(reader()).select_related('customer', 'prospect')
        orders = {order.id: order for order in await read}
        today = calendar.today(await Partner.get(id=user.partner_id))
        for row in found:
            order = orders.get(row['id'])
            if order is None:  # thrown away meanwhile
                row.update(number='', customer='', kind='', state='', vendor='', since=None, place='', todo='')
                continue
            whose = order.customer or order.prospect
            row |= {
                'number': order.number, 'customer': whose.name if whose else '', 'kind': order.kind.title,
                'state': order.state.title, 'state_mark': state_mark(order), 'vendor': order.vendor_said,
                'vendor_mark': vendor_mark(order), 'since': order.since, 'place': _place(order, user),
                'todo': _todo(order), 'todo_mark': export_mark(order, today),
            }  # fmt: skip


def _todo(order: Order) -> str:
    """What a person has to do, in a few words; the card says it in a sentence."""
    found = []
    if order.customer is not None and todo_of(order, order.customer):
        found.append('Correct it' if order.state == OrderState.REJECTED else _TODO[order.vendor])
    if order.export_open and order.state in (OrderState.SUBMITTED, OrderState.APPLIED):
        found.append('Hand over the data')
    return ', '.join([*found[:1], *(text.lower() for text in found[1:])])


_TODO = {
    VendorState.BY_HAND: 'Pass it on', VendorState.SENDING: 'Pass it on by hand',
    VendorState.DELIVERED: 'Ask the vendor', VendorState.REJECTED: 'Agree with the vendor',
    VendorState.ACCEPTED: 'Type the account code', VendorState.RECALL: 'Tell of the withdrawal',
}  # fmt: skip


def _place(order: Order, user: PortalUser) -> str:
    """Where it is worked on: the customer's card, or the form of a prospect."""
    if order.customer_id is not None:
        return f'/customers/{order.customer_id}#orders'
    return f'/prospects/{order.prospect_id}{"/order" if may(user, "prospect.change") else ""}'


_WHOSE = (
    'COALESCE((SELECT c."name_key" FROM "customer" c WHERE c."id"="customer_order"."customer_id"), '
    '(SELECT p."name_key" FROM "prospect" p WHERE p."id"="customer_order"."prospect_id"))'
)
# What is to be done follows from the vendor's side; data that are to be handed over come together, before the others.
_TO_DO = (
    'CASE WHEN "customer_order"."export_open" AND "customer_order"."state" IN (\'submitted\', \'applied\') '
    'THEN \'\' ELSE "customer_order"."vendor" END'
)
_SINCE = ', '.join(f'"customer_order"."{name}"' for name in ('decided_at', 'vendor_at', 'submitted_at', 'changed_at'))
# What was quoted to a customer that has left is kept, and nothing can come of it.
_IS_OPEN = Q(customer_id__isnull=True) | Q(customer__listing__not='closed')
_OPEN = [VendorState.WAITING, VendorState.SENDING, VendorState.BY_HAND, VendorState.DELIVERED]

table = LiveTable(
    'orders', Order, [
        OrderColumn('customer', 'Customer', _WHOSE), OrderColumn('number', 'Order', '"customer_order"."id"'),
        OrderColumn('kind', 'Kind', '"customer_order"."kind"'), 'seats',
        OrderColumn('state', 'In the portal', '"customer_order"."state"', marks='state_mark'),
        OrderColumn('vendor', 'The vendor', '"customer_order"."vendor"', marks='vendor_mark'),
        OrderColumn('todo', 'To be done', _TO_DO, marks='todo_mark'),
        SinceColumn('since', 'Since', f'COALESCE({_SINCE})', 'date'),
    ],
    Order.visible_to, noun='orders', right=SEE, narrow=('vendor',), yields=('seats', 'kind', 'todo', 'state'),
    searched='number, PO number, name, account code or domain', told_by='orders',
    told_to=lambda user: {
        'explained': EXPLAINED, 'links': {'number': '{+place}', 'customer': '{+place}'},
    },
    choice=Choice('Show', {
        '': ('What needs a person', Order.needing_somebody),
        'open': ('Not decided by the vendor', Q(vendor__in=_OPEN) & ~Q(state=OrderState.WITHDRAWN)),
        'draft': ('Not submitted', Q(state=OrderState.DRAFT) & _IS_OPEN),
        'all': ('All orders', Q(id__gt=0)),
    }),
)  # fmt: skip
