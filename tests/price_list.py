"""A price list for tests."""

from decimal import Decimal
from typing import Any

from models import Partner, Price, Product
from models.product import load_catalogue


async def priced(partner: Partner, prices: dict[str, str], **more: dict[str, Any]) -> dict[str, Product]:
    """Give products of the MSP's catalogue (by code) their prices in USD a month, and return the catalogue.

    `more` is what else there is to say of one of them: `SAT={'term': BillingTerm.YEAR}`; `TTP_URL` is TTP-URL.
    """
    catalogue = await load_catalogue(partner.id)
    also = {name.replace('_', '-'): facts for name, facts in more.items()}
    for code, price in prices.items():
        facts: dict[str, Any] = {'currency': 'USD', **also.get(code, {})}
        await Price.create(partner=partner, product=catalogue[code], unit_price=Decimal(price), **facts)
    return catalogue
