"""What the page of change orders asks for and sends, and how a customer leaves."""

from typing import Any

from fastapi import APIRouter

from models import OrderKind, Partner, cancelling, changing
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.database import reader
from pages.acting import Acting, Asking, acts, reads, whole
from pages.upgrade import CHANGE, SUBMIT, preview_of, review_of, state_of

router = APIRouter(prefix='/api/ui/customers/{customer_id}', include_in_schema=False)
_LISTS = ('primary', 'add_ons', 'drop')


def _version(acting: Acting) -> int:
    if (found := whole(acting.body.get('version'))) is None:
        raise Invalid('version', 'is not the number of a version')
    return found


# -- change orders ----------------------------------------------------------------------------------------------------


@reads(router, '/upgrade', right=CHANGE)
async def upgrade_now(asking: Asking) -> dict[str, Any]:
    """Everything that the page shows, as it is now."""
    return await state_of(asking.customer, asking.user)


@reads(router, '/upgrade/preview', right=CHANGE)
async def preview(asking: Asking) -> dict[str, Any]:
    """What would change with what is typed; lists are written with commas."""
    typed: dict[str, Any] = {
        name: asking.text(name)[:2000].split(',') if name in _LISTS else asking.text(name)
        for name in ('mode', 'seats', 'lead', 'effective_on', 'po_number', *_LISTS)
        if name in asking.sent
    }
    typed['po_waived'] = asking.text('po_waived') == 'true'
    return await preview_of(asking.customer, asking.user, typed)


@acts(router, 'POST', '/upgrade', right=CHANGE)
async def save(acting: Acting) -> dict[str, Any]:
    """Keep the form as a quote: a new one, or the one with the id `order` from the `version` that was seen."""
    order_id = None if acting.body.get('order') is None else acting.number('order')
    version = _version(acting) if order_id is not None else 0
    order = await changing.save(acting.customer, acting.facts(), order_id=order_id, version=version, by=acting.user)
    return {'order': order.id, 'version': order.version, 'now': await state_of(acting.customer, acting.user)}


@acts(router, 'POST', '/upgrade/{order_id}/discard', right=CHANGE)
async def discard(acting: Acting) -> dict[str, Any]:
    await changing.discard(acting.customer, acting.number('order_id'), version=_version(acting), by=acting.user)
    return {'now': await state_of(acting.customer, acting.user)}


@reads(router, '/upgrade/{order_id}/review', right=CHANGE)
async def review(asking: Asking) -> dict[str, Any]:
    """The quote that is saved, as it would be submitted; or everything that it lacks."""
    return await review_of(asking.customer, asking.user, asking.number('order_id'))


@acts(router, 'POST', '/upgrade/{order_id}/submit', right=SUBMIT)
async def submit(acting: Acting) -> dict[str, Any]:
    """Submit what was reviewed: `version`, `fees` as they were shown, and both ticks."""
    try:
        order = await changing.submit(
            acting.customer, acting.number('order_id'), version=_version(acting), fees=acting.facts('fees'),
            accepts_agreement=acting.body.get('accepts_agreement') is True,
            is_authorised=acting.body.get('is_authorised') is True, by=acting.user,
        )  # fmt: skip
    except ChangedMeanwhile:
        raise Impossible('Somebody else has changed this quote meanwhile. Go back to it and look.') from None
    return {'order': order.id, 'number': order.number}


# -- taking back, and leaving -----------------------------------------------------------------------------------------


@acts(router, 'POST', '/orders/{order_id}/withdraw', right=SUBMIT)
async def withdraw(acting: Acting) -> dict[str, Any]:
    """Take back a change order or a cancellation before its deadline."""
    order = await changing.withdraw(
        acting.customer, acting.number('order_id'), by=acting.user, because=acting.text('because')
    )
    return {'order': order.id}


@reads(router, '/cancellation', right=SUBMIT)
async def leaving(asking: Asking) -> dict[str, Any]:
    """Whether the customer can be cancelled, and what the form of it begins with."""
    partner = await Partner.get(id=asking.customer.partner_id, using_db=reader())
    can = await cancelling.leaving(asking.customer, partner)
    changes = [order for order in await changing.under_way(asking.customer) if order.kind == OrderKind.CHANGE]
    return {
        'changes': [{'number': each.number, 'on': changing.said_day(each.effective_on)} for each in changes],
        'possible': can.is_possible, 'why': can.why, 'earliest': can.earliest,
        'until': changing.said_day(can.until) if can.until else '', 'types': list(cancelling.TYPES.items()),
        'above': await cancelling.why_above_limit(asking.customer, partner, asking.user),
    }  # fmt: skip


@acts(router, 'POST', '/cancellation', right=SUBMIT)
async def cancel(acting: Acting) -> dict[str, Any]:
    """Submit a cancellation: `type`, `data_export`, `effective_on`, `because`, and the tick `is_authorised`."""
    order = await cancelling.submit(
        acting.customer, acting.facts(), is_authorised=acting.body.get('is_authorised') is True, by=acting.user
    )
    return {'order': order.id, 'number': order.number, 'effective_on': changing.said_day(order.effective_on)}
