"""What is done on the Connect card of a customer: steps are moved and checked, Connect rests, goes on, ends."""

from datetime import date
from typing import Any

from fastapi import APIRouter

from models import ConnectStep
from models.checking import Invalid
from pages.acting import Acting, acts

router = APIRouter(prefix='/api/ui/customers/{customer_id}', include_in_schema=False)


async def _step(acting: Acting) -> ConnectStep:
    """The step of the address; raises `DoesNotExist` where the customer has none with this key."""
    return await ConnectStep.get(customer_id=acting.customer.id, key=acting.path['step'][:30])


@acts(router, 'POST', '/steps/{step}/move', right='step.advance')
async def move_step(acting: Acting) -> dict[str, Any]:
    """`verb` is start, complete, block, skip or reopen, `seen` what the page showed of the step."""
    step = await _step(acting)
    seen = acting.text('seen') or None
    await step.move(acting.text('verb'), by=acting.user, because=acting.text('because'), seen=seen)
    return {'state': step.state.value}


@acts(router, 'POST', '/steps/{step}/check', right='step.check')
async def check_step(acting: Acting) -> dict[str, Any]:
    """Let the automatic check of this step run at once; what it finds comes to every open page."""
    await (await _step(acting)).want_check(by=acting.user)
    return {}


@acts(router, 'POST', '/connect/hold', right='connect.hold')
async def hold(acting: Acting) -> dict[str, Any]:
    await acting.customer.hold(acting.text('because'), _day(acting), by=acting.user)
    return {}


def _day(acting: Acting) -> date | None:
    """The day until which Connect rests; None where none was said."""
    if not (text := acting.text('until').strip()):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid('until', 'is not a day such as 2027-01-31') from None


@acts(router, 'POST', '/connect/resume', right='connect.hold')
async def resume(acting: Acting) -> dict[str, Any]:
    await acting.customer.resume(by=acting.user)
    return {}


@acts(router, 'POST', '/connect/complete', right='connect.complete')
async def complete(acting: Acting) -> dict[str, Any]:
    await acting.customer.complete_connect(by=acting.user)
    return {}


@acts(router, 'POST', '/connect/reopen', right='connect.complete')
async def reopen(acting: Acting) -> dict[str, Any]:
    """Back into Connect at the step with this key."""
    await acting.customer.reopen_connect(acting.text('step'), because=acting.text('because'), by=acting.user)
    return {}


@acts(router, 'POST', '/connect/abandon', right='connect.abandon')
async def abandon(acting: Acting) -> dict[str, Any]:
    await acting.customer.abandon(acting.text('because'), by=acting.user)
    return {}
