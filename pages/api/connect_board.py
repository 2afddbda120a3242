"""What the board of Connect asks for, and who looks after what."""

import time
from typing import Any

import orjson
from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from components import live
from models import ConnectStep, connect_board, looking_after
from models.connect_board import NAMES
from pages.acting import Acting, Asking, acts, reads, whole
from pages.answers import NotThere

router = APIRouter(prefix='/api/ui', include_in_schema=False)
MOST_IDS = 200
NARROWING = ('q', 'owner', 'who', 'state')


@reads(router, '/connect', right='customer.see')
async def board(asking: Asking) -> Response:
    """The cards of everybody in Connect, or of these `ids`, with the number of the last message that they include.

    `rows` are values in the order of `names`. The browser narrows what it has; of more customers than are sent
    (`all`) it asks for those that are wanted.
    """
    user = asking.user
    audience = await live.hub.audience_of(user)
    number = live.hub.number(user.partner_id)
    customers = connect_board.in_connect(user)
    asked = {name: asking.search(name) for name in NARROWING}
    if 'ids' in asking.sent:
        customers = customers.filter(id__in=_ids(asking.text('ids')))
    elif any(asked.values()):
        customers = connect_board.narrowed(customers, user, asked)
    else:
        made = live.shared(f'board {number}', audience.key, 1.0, lambda: _text(user.partner_id, customers, number))
        return _sent(await made)
    return _sent(await _text(user.partner_id, customers, number))


async def _text(partner_id: int, customers: Any, number: int) -> bytes:
    found = await connect_board.cards(customers)
    people = await connect_board.people_of(found)
    count = len(found) if len(found) < connect_board.MOST else await customers.count()
    return orjson.dumps(
        {
            'epoch': live.EPOCH, 'n': number, 'now': time.time() * 1000, 'names': NAMES, 'rows': found, 'all': count,
            'people': people, 'order': await connect_board.order_of_steps(partner_id),
        },
        option=orjson.OPT_NON_STR_KEYS, default=str,
    )  # fmt: skip


def _sent(text: bytes) -> Response:
    return Response(text, media_type='application/json', headers={'Cache-Control': 'no-store'})


def _ids(text: str) -> list[int]:
    found = [whole(part) for part in text.split(',')]
    if len(found) > MOST_IDS or None in found:
        raise HTTPException(422, f'ids are up to {MOST_IDS} numbers, with commas between them.')
    return [each for each in found if each is not None]


# -- who looks after what ---------------------------------------------------------------------------------------------


@reads(router, '/customers/{customer_id}/looking-after', right='step.assign')
async def looked_after(asking: Asking) -> dict[str, Any]:
    """Who can be chosen (`people`, id and name), who looks after the customer and who sees to each open step."""
    customer = asking.customer
    people = await looking_after.who_can(customer)
    steps = await ConnectStep.filter(customer_id=customer.id).order_by('position').select_related('assignee')
    await customer.fetch_related('responsible')
    return {
        'people': [[person.id, person.name] for person in people], 'responsible': _person(customer.responsible),
        'steps': [
            {'key': step.key, 'title': step.title, 'assignee': _person(step.assignee)}
            for step in steps if step.state not in looking_after.DONE
        ],
    }  # fmt: skip


def _person(person: Any) -> list[Any] | None:
    """Id, name, and whether they can sign in."""
    return [person.id, person.name, person.is_active] if person is not None else None


@acts(router, 'POST', '/customers/{customer_id}/looking-after', right='step.assign')
async def look_after(acting: Acting) -> dict[str, Any]:
    """`person` (id, or null for nobody) looks after the customer; `was` is who did on the page."""
    given = _given(acting)
    await looking_after.look_after(acting.customer, given['person'], by=acting.user, **_seen(given))
    return {}


@acts(router, 'POST', '/customers/{customer_id}/steps/{step}/assignee', right='step.assign')
async def see_to(acting: Acting) -> dict[str, Any]:
    """The same for one step of its Connect."""
    step = await ConnectStep.get(customer_id=acting.customer.id, key=acting.path['step'][:30])
    given = _given(acting)
    await looking_after.see_to(step, given['person'], by=acting.user, **_seen(given))
    return {}


def _given(acting: Acting) -> dict[str, int | None]:
    """The people that were sent, by name of the field; raises `NotThere` for what is no number."""
    found: dict[str, int | None] = {}
    for name in ('person', 'was'):
        if name in acting.body or name == 'person':
            value = acting.body.get(name)
            found[name] = None if value in (None, '') else whole(value)
            if found[name] is None and value not in (None, ''):
                raise NotThere
    return found


def _seen(given: dict[str, int | None]) -> dict[str, Any]:
    return {'was': given['was'], 'is_seen': True} if 'was' in given else {}
