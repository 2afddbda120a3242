"""Customers of the demo MSPs that are none any more: cancelled, moved to another partner, given up in Connect."""

import random
from datetime import UTC, datetime, timedelta

from models import calendar
from models.access import CustomerAccess
from models.connect_step import StepState
from models.customer import Closing, Listing
from models.demo import use_demo_console
from models.demo_facts import addresses, admin_of, give_all_facts
from models.demo_history import Person
from models.demo_names import COUNTRIES
from models.demo_rows import Closed, Sketch, insert_customers
from models.events import transaction
from models.partner import Partner
from models.product import load_catalogue
from models.rfi import RfiState
from models.user import PortalUser

_SECURITY, _BOTH = ('SEC', 'TTP-URL'), ('SEC+ARC', 'TTP-URL', 'IMP')
NOTICE = timedelta(days=37, hours=15)  # from the order, by day, until the night in which it came about
_MONTH = timedelta(days=30)

# name, domain, account code, licences, products, how it ended and why, days ago; months it was live, or of those that
# never were the step of Connect (without one the form had not come back) and the days in it
_ENDED: dict[str, tuple[tuple[str, str, str, int, tuple[str, ...], Closing, str, int, float, str, float], ...]] = {
    'Northwind IT': (
        ('Abernathy & Vale Solicitors', 'abernathy-vale.example', 'NIB04C21', 64, _BOTH, Closing.CANCELLED,
         'Has merged, and uses what the other firm has', 19, 27, '', 0),
        ('Gossamer Textiles', 'gossamer-textiles.example', 'NIB17F60', 145, _SECURITY, Closing.MOVED,
         'A partner in their own town looks after them', 74, 31, '', 0),
        ('Hollis Garden Centres', 'hollis-gardens.example', 'NIB22K08', 38, _SECURITY, Closing.ABANDONED,
         'Stays with the filter of its mail platform', 33, 0, 'outbound_email', 24),
        ('Umbra Film Studios', 'umbra-film.example', 'NIB39M75', 27, _BOTH, Closing.ABANDONED,
         'The form never came back, and nobody answers', 6, 0, '', 58),
    ),
    'Fabrikam Managed Services': (
        ('Kaimana Surf Supplies', 'kaimana-surf.example', 'FMB11D42', 16, _SECURITY, Closing.CANCELLED,
         'Has closed its office', 48, 22, '', 0),
        ('Nørrebro Cykler', 'norrebro-cykler.example', 'FMB26H19', 31, _SECURITY, Closing.ABANDONED,
         'Bought something else meanwhile', 12, 0, 'domain_validation', 17),
    ),
}  # fmt: skip
_TOM_SEES = ('Hollis Garden Centres',)


async def load_closed() -> None:
    """Make these customers and what happened to them until they left; belongs in the transaction that made the MSPs."""
    catalogue, now = await load_catalogue(), datetime.now(UTC)
    for partner in await Partner.filter(name__in=list(_ENDED)).order_by('id'):
        signing_in = PortalUser.filter(partner=partner, can_sign_in=True).order_by('id')
        people = [Person(user.id, user.name) for user in await signing_in]
        facts = random.Random(f'closed {partner.name}')
        address = addresses(240 if partner.slug.startswith('n') else 300)
        sketches = [_sketch(partner, now, *row) for row in _ENDED[partner.name]]
        admin = await admin_of(partner.id)
        for sketch in sketches:
            give_all_facts(facts, sketch, COUNTRIES.get(sketch.name, 'GB'), address, admin)
        async with transaction() as connection:
            # Of two people one sees a few customers only: the other one does the work.
            ids = await insert_customers(connection, partner.id, sketches, catalogue, people[:1])
            await use_demo_console(partner, ids)
        tom = await PortalUser.get_or_none(partner=partner, email='tom@northwind.example')
        if tom is not None:
            await CustomerAccess.bulk_create([
                CustomerAccess(user=tom, customer_id=customer_id, allowed=True)
                for customer_id, sketch in zip(ids, sketches, strict=True)
                if sketch.name in _TOM_SEES
            ])  # fmt: skip


def _sketch(
    partner: Partner, now: datetime, name: str, domain: str, code: str, seats: int, products: tuple[str, ...],
    closing: Closing, because: str, days: int, months: float, step: str, in_it: float,
) -> Sketch:  # fmt: skip
    was_live = closing != Closing.ABANDONED
    # What was ordered comes about in the night; Connect is given up by a person, by day.
    at = calendar.at(partner, calendar.today(partner, now=now) - timedelta(days=days), 1 if was_live else 11)
    closed = Closed(closing, because, at - NOTICE if was_live else at, at)
    if was_live:
        completed = at - _MONTH * months + timedelta(hours=13)
        return Sketch(
            name, domain, seats, products, RfiState.COMPLETE, Listing.COMPLETE, completed - _MONTH, completed,
            account_code=code, completed_at=completed, closed=closed,
        )  # fmt: skip
    since = at - timedelta(days=in_it)
    if not step:
        return Sketch(
            name, domain, seats, products, RfiState.REQUESTED, Listing.WAITING, since, since, account_code=code,
            closed=closed,
        )  # fmt: skip
    return Sketch(
        name, domain, seats, products, RfiState.COMPLETE, Listing.IN_PROGRESS, since - timedelta(days=26), since,
        account_code=code, step=step, step_state=StepState.IN_PROGRESS, closed=closed,
    )  # fmt: skip
