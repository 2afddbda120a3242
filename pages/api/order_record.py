"""What is recorded on the card “Orders” of a customer: that the vendor was told, and what it said."""

from typing import Any

from fastapi import APIRouter

from models import Order
from pages.acting import Acting, acts
from pages.answers import NotThere

router = APIRouter(prefix='/api/ui/customers/{customer_id}/orders/{order_id}', include_in_schema=False)
RIGHT = 'order.record'


async def _of(acting: Acting) -> Order:
    """The order of the address, through the one door; raises `NotThere`."""
    seen = Order.visible_to(acting.user).filter(customer_id=acting.customer.id)
    found = await seen.get_or_none(id=acting.number('order_id'))
    if found is None:
        raise NotThere
    return found


def _told(order: Order) -> dict[str, Any]:
    return {'vendor': order.vendor.value, 'state': order.state.value}


@acts(router, 'POST', '/passed-on', right=RIGHT)
async def passed_on(acting: Acting) -> dict[str, Any]:
    """Somebody has told the vendor; `note` says whom or how."""
    order = await _of(acting)
    await order.passed_on(acting.user, acting.text('note'))
    return _told(order)


@acts(router, 'POST', '/accepted', right=RIGHT)
async def accepted(acting: Acting) -> dict[str, Any]:
    """The vendor has accepted it; with a first order `account_code` may come along."""
    order = await _of(acting)
    await order.accept(acting.user, acting.text('account_code'))
    return _told(order)


@acts(router, 'POST', '/rejected', right=RIGHT)
async def rejected(acting: Acting) -> dict[str, Any]:
    """The vendor has rejected it, and why (`because`)."""
    order = await _of(acting)
    await order.reject(acting.user, acting.text('because'))
    return _told(order)


@acts(router, 'POST', '/deliver-again', right=RIGHT)
async def deliver_again(acting: Acting) -> dict[str, Any]:
    """Deliver it once more; `note` says what was put right."""
    order = await _of(acting)
    await order.deliver_again(acting.user, acting.text('note'))
    return _told(order)


@acts(router, 'POST', '/account-code', right=RIGHT)
async def account_code(acting: Acting) -> dict[str, Any]:
    """The account code, which came after the acceptance."""
    order = await _of(acting)
    await order.name_account(acting.user, acting.text('account_code'))
    return _told(order)
