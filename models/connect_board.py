"""The board of Connect: who is at which step, whose it is, and what is late, blocked or on hold.

It is read from plain columns of the customers, which `Customer.restate` keeps; the browser puts them into columns.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tortoise.expressions import Q, Subquery
from tortoise.functions import Count
from tortoise.queryset import QuerySet

from models.connect_step import StepOwner
from models.connect_template import ConnectTemplate
from models.customer import Customer, Listing
from models.database import rows
from models.text import fold
from models.user import PortalUser

MOST = 5000  # customers on one board; of more, those come that need attention first
IN_CONNECT = (Listing.WAITING, Listing.IN_PROGRESS)
# What a card is made of, in this order; each is a column of Customer.
NAMES = (
    'id', 'name', 'account_code', 'domain', 'seats', 'listing', 'connect_status', 'connect_key', 'connect_since',
    'blocked_because', 'connect_owner', 'connect_due', 'connect_person_id', 'responsible_id', 'steps_done', 'steps_of',
    'hold_because', 'hold_until', 'held_at',
)  # fmt: skip
# What narrows the board, and the values of each in its address.
WHO = ('mine', 'nobody')
STATES = ('overdue', 'blocked', 'held')


def overdue(now: datetime | None = None) -> Q:
    """Whose current step should be done by now. What is on hold is not due (`Customer.restate`)."""
    return Q(connect_due__lt=now or datetime.now(UTC))


BLOCKED = ~Q(blocked_because='')
HELD = Q(held_at__isnull=False)


def going_on() -> Q:
    """Those in Connect, and live ones for whom something that they bought later is to be set up: it is somebody's turn.

    One range of the index for each list, however many customers are live.
    """
    return Q(listing__in=[*IN_CONNECT, Listing.COMPLETE], connect_owner__gt='')


def in_connect(user: PortalUser) -> QuerySet[Customer]:
    """Every customer with steps to be done that this person sees, those waiting for their RFI too."""
    return Customer.visible_to(user).filter(going_on())


def narrowed(customers: QuerySet[Customer], user: PortalUser, asked: Mapping[str, str]) -> QuerySet[Customer]:
    """Those of an address: `q` words, `owner` of the step, `who` (mine, nobody), `state` (overdue, blocked, held).

    What is none of these narrows nothing.
    """
    if words := fold(asked.get('q', '')[:200]):
        customers = customers.filter(search_key__contains=words)
    if (owner := asked.get('owner', '')) in list(StepOwner):
        customers = customers.filter(connect_owner=owner)
    who = asked.get('who', '')
    if who == 'mine':
        customers = customers.filter(Q(connect_person_id=user.id) | Q(responsible_id=user.id))
    elif who == 'nobody':
        customers = customers.filter(Q(connect_person_id__isnull=True) | Q(connect_person_id__in=gone(user.partner_id)))
    state = asked.get('state', '')
    if state in STATES:
        customers = customers.filter({'overdue': overdue(), 'blocked': BLOCKED, 'held': HELD}[state])
    return customers


def gone(partner_id: int) -> Any:
    """People (ids, as a subquery) who cannot sign in any more: what is theirs is nobody's."""
    out = PortalUser.filter(Q(can_sign_in=False) | Q(disabled_at__isnull=False), partner_id=partner_id)
    return Subquery(out.values('id'))


async def cards(customers: QuerySet[Customer], *, most: int = MOST) -> list[list[Any]]:
    """What the board shows of each, in the order of `NAMES`: overdue first, then blocked, then the longest in the step.

    At most so many.
    """
    now = datetime.now(UTC)
    on_time = Q(connect_due__isnull=True) | Q(connect_due__gte=now)
    found: list[dict[str, Any]] = []
    for urgent in (overdue(now), on_time & BLOCKED, on_time & Q(blocked_because='')):
        if left := most - len(found):
            found += await rows(customers.filter(urgent).order_by('connect_since', 'id').limit(left).values(*NAMES))
    return [[row[name] for name in NAMES] for row in found]


async def places(customers: QuerySet[Customer]) -> list[list[Any]]:
    """How many are where: listing, key and title of the step, number; the title that most have comes first.

    So the board can be laid out before its cards are there.
    """
    names = ('listing', 'connect_key', 'connect_status')
    found = await rows(customers.annotate(n=Count('id')).group_by(*names).order_by('-n').values(*names, 'n'))
    return [[row[name] for name in (*names, 'n')] for row in found]


async def people_of(found: Iterable[list[Any]]) -> dict[int, list[Any]]:
    """Name, and whether they can sign in, of the people on these cards."""
    places = NAMES.index('connect_person_id'), NAMES.index('responsible_id')
    ids = {card[place] for card in found for place in places} - {None}
    if not ids:
        return {}
    known = await rows(PortalUser.filter(id__in=list(ids)).values('id', 'name', 'can_sign_in', 'disabled_at'))
    return {row['id']: [row['name'], bool(row['can_sign_in']) and row['disabled_at'] is None] for row in known}


async def order_of_steps(partner_id: int) -> list[tuple[str, str]]:
    """Key and title of all steps of the MSP's templates in one order: that of the default one, and what only others
    have after what it comes after there."""
    order: list[str] = []
    titles: dict[str, str] = {}
    for template in await ConnectTemplate.of(partner_id):
        before = -1
        for step in template.steps:
            titles.setdefault(step['key'], step['title'])
            if step['key'] in order:
                before = order.index(step['key'])
            else:
                before += 1
                order.insert(before, step['key'])
    return [(key, titles[key]) for key in order]
