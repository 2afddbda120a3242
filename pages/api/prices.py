"""What the page of the catalogue and the prices asks for and sends."""

from typing import Any

from fastapi import APIRouter

from models import Partner
from models.catalogue import add_product, change_product, for_partner
from pages.acting import Acting, Asking, acts, reads
from pages.answers import NotThere
from pages.prices import CHANGE, SEE, state_of

router = APIRouter(prefix='/api/ui/prices', include_in_schema=False)


@reads(router, '', right=SEE)
async def prices_now(asking: Asking) -> dict[str, Any]:
    """Everything that the page shows, as it is now."""
    return await state_of(asking.user)


@acts(router, 'POST', '', right=CHANGE)
async def add(acting: Acting) -> dict[str, Any]:
    """Add a product of the MSP's own."""
    partner = await Partner.get(id=acting.user.partner_id)
    product = await add_product(partner, acting.facts(), by=acting.user)
    return {'code': product.code, 'now': await state_of(acting.user)}


@acts(router, 'POST', '/change', right=CHANGE)
async def change(acting: Acting) -> dict[str, Any]:
    """Change the product with this `code`, by what was seen (`was`). Codes have characters that no address has."""
    partner, code = await Partner.get(id=acting.user.partner_id), acting.text('code')
    if code not in await for_partner(partner.id):
        raise NotThere
    was = acting.facts('was') if 'was' in acting.body else None
    changed = await change_product(partner, code, acting.facts(), was=was, by=acting.user)
    return {'changed': sorted(changed), 'now': await state_of(acting.user)}
