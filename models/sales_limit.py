"""How much somebody in sales may submit without an administrator (domain.md 4.3: sales submits orders, change orders
and cancellations up to a limit).

The limit is a setting of the MSP, an amount of its currency, and none at first. It holds for each order by itself, and
what counts is by how much that changes the fees of a month: what a first order adds, the difference that a change order
makes in either direction, what a cancellation takes away. Annual fees count as a twelfth, one-time fees do not.

Correcting an order is not limited, because it changes no amount; nor is withdrawing. Administrators have no limit.
"""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from models import rights
from models.documents.words import money
from models.order import Order, OrderKind
from models.pricing import rounded, shown
from models.user import PortalRole

if TYPE_CHECKING:
    from models.partner import Partner
    from models.user import PortalUser


def limit_of(user: 'PortalUser', partner: 'Partner') -> str:
    """What holds for this person, as data have amounts (`500.00`); empty where nothing does."""
    if user.role != PortalRole.SALES or partner.sales_limit is None:
        return ''
    return shown(partner.sales_limit, partner.currency)


def monthly_change(order: Order) -> Decimal | None:
    """How much more is paid a month once the order is in force, below 0 for less, rounded as its currency is; None
    where something has no price. `order` is one whose `fees` are those of now."""
    fees = order.fees if isinstance(order.fees, dict) else {}
    try:
        monthly, annual = Decimal(fees['monthly']), Decimal(fees['annual'])
    except (KeyError, TypeError, InvalidOperation):
        return None
    change = rounded(monthly + annual / 12, order.currency)
    return -change if order.kind == OrderKind.CANCELLATION else change


def why_above(order: Order, partner: 'Partner', by: 'PortalUser') -> str:
    """Why this person cannot submit the order, in sentences; empty where they can, as far as the limit goes."""
    if not (limit := limit_of(by, partner)):
        return ''
    change = monthly_change(order)
    if change is not None and abs(change) <= Decimal(limit):
        return ''
    is_leaving = order.kind == OrderKind.CANCELLATION
    name = 'this cancellation' if is_leaving else order.number
    if change is None:
        said = f'What {name} changes is not known, because something has no price.'
    else:
        amount = f'{_money(abs(change), partner.currency)} a month'
        said = f'{name[:1].upper()}{name[1:]} {f"adds {amount}" if change > 0 else f"takes {amount} away"}.'
    saved = '' if is_leaving else ' It is saved as it is.'
    most = _money(limit, partner.currency)
    return f'{said} Sales may submit up to {most}; an administrator can submit it.{saved}'


def _money(amount: object, currency: str) -> str:
    return money(amount, currency).replace(' ', '\u00a0')  # as pages write it: never at the end of a line


def require_within(order: Order, partner: 'Partner', by: 'PortalUser') -> None:
    """Raise `Refused` where the order is above what this person may submit. `partner` is as it is stored now."""
    if why := why_above(order, partner, by):
        raise rights.Refused(why)
