"""What the order form of a prospect asks for and sends."""

from typing import Any

from fastapi import APIRouter

from models import Prospect, ordering
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.rights import may
from pages import prospects
from pages.acting import Acting, Asking, acts, reads
from pages.answers import NotThere
from pages.orders import CHANGE, SUBMIT, fees_of, review_of, state_of
from pages.proxies import base_url

router = APIRouter(prefix='/api/ui/prospects/{prospect_id}/order', include_in_schema=False)


async def _of(asking: Asking) -> Prospect:
    """The prospect of the address, through the one door; raises `NotThere`."""
    found = await prospects.find(asking.user, asking.path['prospect_id'])
    if found is None:
        raise NotThere
    return found


def _version(acting: Acting) -> int:
    found = acting.body.get('version')
    if not isinstance(found, int) or isinstance(found, bool) or not 0 <= found < 2**31:
        raise Invalid('version', 'is not the number of a version')
    return found


@reads(router, '', right=CHANGE)
async def order_now(asking: Asking) -> dict[str, Any]:
    """Everything that the page shows, as it is now."""
    return await state_of(await _of(asking), asking.user)


@reads(router, '/fees', right=CHANGE)
async def fees(asking: Asking) -> dict[str, Any]:
    """What would be paid for `seats` of `products` (by commas), of some other `quantities` (SEC:10, by commas)."""
    prospect = await _of(asking)
    pairs = [each.rpartition(':') for each in asking.text('quantities')[:2000].split(',') if each]
    typed = {
        'seats': asking.text('seats'), 'products': [each for each in asking.text('products')[:2000].split(',') if each],
        'quantities': {code: number for code, _, number in pairs},
    }  # fmt: skip
    return await fees_of(prospect, asking.user, typed)


@reads(router, '/review', right=CHANGE)
async def review(asking: Asking) -> dict[str, Any]:
    """The order that is saved, as it would be submitted; or everything that it lacks."""
    return await review_of(await _of(asking), asking.user)


@acts(router, 'POST', '', right=CHANGE)
async def save(acting: Acting) -> dict[str, Any]:
    """Keep the form as it was filled in, from the `version` that was seen."""
    prospect = await _of(acting)
    await ordering.save(prospect, acting.facts(), version=_version(acting), by=acting.user)
    return {'now': await state_of(await _of(acting), acting.user)}


@acts(router, 'POST', '/submit', right=SUBMIT)
async def submit(acting: Acting) -> dict[str, Any]:
    """Submit what was reviewed: `version`, `fees` as they were shown, and both ticks. `link` is there where nobody was
    mailed, for who may pass it on."""
    prospect = await _of(acting)
    try:
        done = await ordering.submit(
            prospect, version=_version(acting), fees=acting.facts('fees'), by=acting.user,
            accepts_agreement=acting.body.get('accepts_agreement') is True,
            is_authorised=acting.body.get('is_authorised') is True, at=base_url(acting.request),
        )  # fmt: skip
    except ChangedMeanwhile:
        raise Impossible('Somebody else has changed this order meanwhile. Go back to it and look.') from None
    hands_over = not done.rfi.is_mailed and may(acting.user, 'rfi.send')
    return {
        'customer': done.customer.id, 'number': done.order.number, 'mailed': done.rfi.is_mailed,
        'to': done.rfi.link.recipient, 'link': done.rfi.address if hands_over else '',
    }  # fmt: skip
