"""Taking the demo MSPs out of a database, for good; what is real stays as it is.

The history of a simulated customer can be deleted, and is, with the customer. Everything else that was written down
stays: the chains of the MSPs themselves, which end by saying that they were removed, and those of customers that
somebody added to them. So `verify-history` proves of what is left what it proved before, and the chain of an MSP that
is gone is what tells that this database is not a new one (`load_demo`).
"""

from collections.abc import Callable
from typing import NamedTuple

from tortoise.expressions import Subquery

from models import events
from models.customer import Customer
from models.demo import demo_partners
from models.events import transaction
from models.history import HistoryChain, HistoryEvent, HistoryText
from models.order import Order
from models.partner import Partner
from models.price import Price
from models.prospect import Prospect
from models.user import PortalUser

CHUNK = 200  # customers in one transaction: whoever else writes gets a turn
CAST = ('ana@northwind.example', 'tom@northwind.example', 'eve@fabrikam.example')


class Demo(NamedTuple):
    """What would be removed: MSPs, their customers, and of these and of the people what somebody added."""

    partners: list[Partner]
    customers: int
    added_customers: int
    added_people: int


async def what_is_there() -> Demo:
    partners = await demo_partners()
    ids = [partner.id for partner in partners]
    customers = Customer.filter(partner_id__in=ids)
    people = PortalUser.filter(partner_id__in=ids, can_sign_in=True).exclude(email__in=CAST)
    return Demo(
        partners, await customers.count(), await customers.filter(is_simulated=False).count(), await people.count()
    )


async def remove_demo(progress: Callable[[int], object] = lambda _done: None) -> None:
    """Remove the demo MSPs with everything of them. Cut short, the rest goes the next time.

    Files of attachments are swept away by a job of the portal.
    """
    done = 0
    for partner in await demo_partners():
        while customers := await Customer.filter(partner_id=partner.id).order_by('id').limit(CHUNK):
            async with transaction():
                await _forget([customer.id for customer in customers if customer.is_simulated])
                await Customer.filter(id__in=[customer.id for customer in customers]).delete()
            done += len(customers)
            progress(done)
        async with transaction():
            await HistoryEvent.add(
                partner.id, 'partner.removed', f'{partner.name} was removed: it was a demonstration'
            )  # fmt: skip
            await PortalUser.filter(partner_id=partner.id).delete()
            for model in (Order, Prospect, Price):
                await model.filter(partner_id=partner.id).delete()
            await Partner.filter(id=partner.id).delete()
            events.MANY_CHANGED.emit(None)


async def _forget(simulated: list[int]) -> None:
    """Delete the history of these simulated customers; while they are there, for else nothing of a history goes."""
    chains = [f'c:{customer_id}' for customer_id in simulated]
    entries = HistoryEvent.filter(chain__in=chains)
    await HistoryText.filter(event_id__in=Subquery(entries.values('id'))).delete()
    await entries.delete()
    await HistoryChain.filter(chain__in=chains).delete()
