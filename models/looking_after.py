"""Who looks after what: one of the MSP's people for a customer, and another for one of its steps where they differ.

Only who can sign in and sees the customer can be chosen. What belongs to somebody who no longer can is nobody's, and is
shown as such; nothing is taken away from them, for they may come back.
"""

from typing import TYPE_CHECKING

from tortoise.expressions import Q, Subquery
from tortoise.queryset import QuerySet

from models import rights
from models.access import CustomerAccess
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.connect_board import going_on, gone
from models.connect_step import CHECKED, DONE, ConnectStep
from models.customer import Customer, Listing
from models.events import transaction
from models.history import HistoryEvent
from models.tag import CustomerTag, UserTag
from models.user import PortalUser

if TYPE_CHECKING:
    from collections.abc import Sequence

NOBODY = 'Nobody'


async def who_can(customer: Customer) -> 'Sequence[PortalUser]':
    """The people who see this customer and can sign in, by name."""
    named = CustomerAccess.filter(customer_id=customer.id)
    tags = Subquery(CustomerTag.filter(customer_id=customer.id).values('tag'))
    all_but = Q(sees_all=True, id__not_in=Subquery(named.filter(allowed=False).values('user_id')))
    some = Q(sees_all=False) & (
        Q(id__in=Subquery(named.filter(allowed=True).values('user_id')))
        | Q(id__in=Subquery(UserTag.filter(tag__in=tags).values('user_id')))
    )
    active = PortalUser.filter(partner_id=customer.partner_id, can_sign_in=True, disabled_at__isnull=True)
    return await active.filter(all_but | some).order_by('name_key', 'id')


async def look_after(
    customer: Customer, person_id: int | None, *, by: PortalUser, was: int | None = None, is_seen: bool = False
) -> bool:
    """Let this person (or nobody) look after the customer; whether that is news.

    `was` is whom the page showed, where `is_seen`. Raises `Refused`, `Invalid` and `ChangedMeanwhile`.
    """
    rights.require(by, 'step.assign')
    async with transaction():
        fresh = await Customer.filter(id=customer.id).select_for_update(no_key=True).get()
        if fresh.responsible_id == person_id:
            return False
        before = await _called(fresh.responsible_id)
        if is_seen and fresh.responsible_id != was:
            raise ChangedMeanwhile('person', before)
        if fresh.listing == Listing.CLOSED:
            raise Impossible(f'{fresh.name} is closed.')
        person = await _chosen(fresh, person_id)
        fresh.responsible_id = person.id if person else None
        await fresh.save(update_fields=['responsible_id'])
        changed = await fresh.restate()
        await HistoryEvent.add(
            fresh.partner_id, 'customer.assigned', f'Looked after by: {before} → {person.name if person else NOBODY}',
            customer_id=fresh.id, by=by,
        )  # fmt: skip
        fresh._tell({*changed, 'responsible_id'})
    customer.responsible_id, customer.connect_person_id = fresh.responsible_id, fresh.connect_person_id
    return True


async def see_to(
    step: ConnectStep, person_id: int | None, *, by: PortalUser, was: int | None = None, is_seen: bool = False
) -> bool:
    """Let this person see to one step; without one it is whoever looks after the customer. Whether that is news.

    Raises as `look_after` does, and `ConnectStep.NotAllowed` for a step that is done.
    """
    rights.require(by, 'step.assign')
    async with transaction():
        customer = await Customer.filter(id=step.customer_id).select_for_update(no_key=True).get()
        fresh = await ConnectStep.get(id=step.id)
        if fresh.assignee_id == person_id:
            return False
        before = await _called(fresh.assignee_id)
        if is_seen and fresh.assignee_id != was:
            raise ChangedMeanwhile('person', before)
        if customer.listing == Listing.CLOSED:
            raise Impossible(f'{customer.name} is closed.')
        if fresh.state in DONE:
            raise ConnectStep.NotAllowed(f'{fresh.title} is {fresh.state.value} already.')
        person = await _chosen(customer, person_id)
        await ConnectStep.filter(id=fresh.id).update(assignee_id=person.id if person else None)
        changed = await customer.restate()
        await HistoryEvent.add(
            customer.partner_id, 'connect.step_assigned',
            f'{fresh.title}, seen to by: {before} → {person.name if person else NOBODY}', customer_id=customer.id,
            by=by, step=fresh.key,
        )  # fmt: skip
        customer._tell(changed)
    step.assignee_id = person.id if person else None
    return True


async def _chosen(customer: Customer, person_id: int | None) -> PortalUser | None:
    if person_id is None:
        return None
    for person in await who_can(customer):
        if person.id == person_id:
            return person
    raise Invalid('person', 'is nobody who sees this customer and can sign in')


async def _called(person_id: int | None) -> str:
    person = await PortalUser.get_or_none(id=person_id) if person_id is not None else None
    return person.name if person else NOBODY


# -- what is somebody's -----------------------------------------------------------------------------------------------


def steps_of(user: PortalUser) -> QuerySet[ConnectStep]:
    """The open steps that are this person's: given to them, or of a customer that they look after and nobody's.

    Only of customers that they see and that are in Connect and not on hold.
    """
    seen = Customer.visible_to(user).filter(going_on(), held_at__isnull=True)
    nobodys = Q(assignee_id__isnull=True) | Q(assignee_id__in=gone(user.partner_id))
    mine = Q(assignee_id=user.id) | (Q(customer__responsible_id=user.id) & nobodys)
    # Of a live customer, only what was bought later.
    counts = Q(is_later=True) | ~Q(customer__listing=Listing.COMPLETE)
    return ConnectStep.filter(mine, counts, state__in=list(CHECKED), customer_id__in=Subquery(seen.values('id')))
