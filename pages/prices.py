"""What the MSP sells and what it costs: the catalogue with its prices, for who may see them."""

from typing import Any

from nicegui import ui

from components.frame import not_found
from components.island import Island
from models import BillingTerm, Partner, PortalUser, Price, Product, ProductKind
from models.catalogue import EXAMPLES, RULES, SERVICES, TITLES, price_list
from models.currency import minor_units
from models.database import reader
from models.pricing import shown
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


def is_priced(price: Price | None, currency: str) -> bool:
    return price is not None and price.currency == currency


def told_of(product: Product, price: Price | None, currency: str, *, with_price: bool) -> dict[str, Any]:
    """A product as order forms offer it, with what it costs if it has a price in this currency (`is_priced`)."""
    found: dict[str, Any] = {
        'code': product.code, 'name': product.name, 'kind': product.kind.value, 'is_sample': product.is_sample,
        'is_priced': is_priced(price, currency), 'price': '', 'term': '', 'one_time': '',
    }  # fmt: skip
    if with_price and price is not None and is_priced(price, currency):
        once = shown(price.one_time_fee, currency) if price.one_time_fee else ''
        found |= {'price': shown(price.unit_price, currency), 'term': price.term.value, 'one_time': once}
    return found


async def state_of(user: PortalUser) -> dict[str, Any]:
    """What the page shows, as it is now."""
    partner = await Partner.get(id=user.partner_id, using_db=reader())
    return {
        'rows': await price_list(partner), 'currency': partner.currency,
        'example': EXAMPLES[minor_units(partner.currency)], 'may_change': may(user, CHANGE),
        'may_set': may(user, 'settings.change'),
    }  # fmt: skip
