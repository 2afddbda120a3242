"""What is recorded on the card “Orders” of a customer: that the vendor was told, and what it said."""

from typing import Any

from fastapi import APIRouter

from models import Order, cancelling, correcting
from models.checking import Impossible, Invalid
from pages.acting import Acting, acts
from pages.answers import NotThere
from pages.proxies import base_url

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


@acts(router, 'POST', '/recalled', right=RIGHT)
async def recalled(acting: Acting) -> dict[str, Any]:
    """The vendor was told that it is withdrawn; `note` says whom, or how."""
    order = await _of(acting)
    await order.recalled(acting.user, acting.text('note'))
    return _told(order)


@acts(router, 'POST', '/exported', right=RIGHT)
async def exported(acting: Acting) -> dict[str, Any]:
    """The data of a customer that leaves were handed over; `note` says to whom, or how."""
    order = await _of(acting)
    await cancelling.exported(order, by=acting.user, note=acting.text('note'))
    return _told(order)


@acts(router, 'POST', '/deliver-again', right=RIGHT)
async def deliver_again(acting: Acting) -> dict[str, Any]:
    """Deliver it once more; `note` says what was put right."""
    order = await _of(acting)
    await order.deliver_again(acting.user, acting.text('note'))
    return _told(order)


@acts(router, 'POST', '/correct', right='order.submit')
async def correct(acting: Acting) -> dict[str, Any]:
    """Put right what it says, and tell the vendor from the beginning; `version` is the one that was seen. With
    `moves_rfi` another address of the lead is sent the RFI form, and the link of the wrong one is revoked."""
    order = await _of(acting)
    version = acting.body.get('version')
    if not isinstance(version, int) or isinstance(version, bool):
        raise Invalid('version', 'is not the number of a version')
    if order.version != version:
        raise Impossible(f'{order.number}: somebody else was quicker. Look at it again.')
    done = await correcting.correct(
        order, acting.facts(), note=acting.text('note'), by=acting.user,
        moves_rfi=acting.body.get('moves_rfi') is True, at=base_url(acting.request),
    )  # fmt: skip
    if not done:
        raise Impossible('Nothing was changed: the order says that already.')
    return _told(await _of(acting))


@acts(router, 'POST', '/account-code', right=RIGHT)
async def account_code(acting: Acting) -> dict[str, Any]:
    """The account code, which came after the acceptance."""
    order = await _of(acting)
    await order.name_account(acting.user, acting.text('account_code'))
    return _told(order)
