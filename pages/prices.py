"""What the MSP sells and what it costs: the catalogue with its prices, for who may see them."""

from typing import Any

from nicegui import ui

from components.frame import not_found
from components.island import Island
from models import BillingTerm, Partner, PortalUser, ProductKind
from models.catalogue import RULES, SERVICES, TITLES, price_list
from models.currency import minor_units
from models.database import reader
from models.rights import may
from pages.guard import viewer

SEE, CHANGE = 'price.see', 'price.change'


async def prices_page(user: PortalUser) -> None:
    who = await viewer(ui.context.client)
    if who is None or not may(who, SEE):
        not_found()
        return
    config = {
        'me': who.id, 'titles': TITLES, 'rules': RULES, 'services': list(SERVICES.items()),
        'kinds': [[kind.value, kind.title] for kind in ProductKind],
        'terms': [[term.value, term.title] for term in BillingTerm], **await state_of(who),
    }  # fmt: skip
    Island('prices.js', config).style('display: contents')


async def state_of(user: PortalUser) -> dict[str, Any]:
    """What the page shows, as it is now."""
    partner = await Partner.get(id=user.partner_id, using_db=reader())
    return {
        'rows': await price_list(partner), 'currency': partner.currency,
        'digits': min(2, minor_units(partner.currency)), 'may_change': may(user, CHANGE),
        'may_set': may(user, 'settings.change'),
    }  # fmt: skip
