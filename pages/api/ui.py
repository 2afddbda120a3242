"""What the portal's own pages ask for: rows, counts, details of an icon. A session is needed for all of it."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from components import live
from components.live_table import MAX_BLOCK, TABLES, Asked, LiveTable
from models import Customer, Monitor, MonitorKind
from models.database import rows
from models.overview import trends
from models.rights import may
from pages.acting import Acting, acts, find
from pages.answers import NOT_FOUND, answer
from pages.guard import user_of

router = APIRouter(prefix='/api/ui', include_in_schema=False)


def asked_of(request: Request, key: str) -> tuple[LiveTable, Asked]:
    """The table of an address and what is asked of it; refuses in a sentence what cannot be."""
    table = TABLES.get(key)
    if table is None:
        raise HTTPException(404, NOT_FOUND['error'])
    if table.right and not may(user_of(request), table.right):
        raise HTTPException(403, 'Your role in the portal does not include this list.')
    try:
        return table, Asked(table, dict(request.query_params))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


Asking = Annotated[tuple[LiveTable, Asked], Depends(asked_of)]


@router.get('/tables/{key}/rows')
async def table_rows(request: Request, asking: Asking) -> Response:
    """A block of rows with the number of the last message that they include."""
    table, asked = asking
    user = user_of(request)
    audience = await live.hub.audience_of(user)
    number = live.hub.number(user.partner_id)
    if 'ids' in request.query_params:
        found = await table.these(user, _ids(request.query_params['ids']))
        return answer({'epoch': live.EPOCH, 'n': number, 'rows': found})
    page = await table.page(user, asked, audience=audience.key, number=number)
    return answer({'epoch': live.EPOCH, 'n': number, 'rows': page})


def _ids(text: str) -> list[int]:
    """The numbers of a list by commas; refuses what is none, and too many."""
    parts = text.split(',')
    if len(parts) > MAX_BLOCK or not all(part.isascii() and part.isdecimal() and len(part) <= 9 for part in parts):
        raise HTTPException(422, f'ids are up to {MAX_BLOCK} numbers, with commas between them.')
    return [int(part) for part in parts]


@router.get('/tables/{key}/counts')
async def table_counts(request: Request, asking: Asking) -> Response:
    table, asked = asking
    user = user_of(request)
    counts = await table.counts(user, asked)
    return answer(counts | ({'note': await table.note(user)} if table.note else {}))


@router.get('/customers/{customer_id}/monitors/{kind}')
async def monitor_details(request: Request, customer_id: str, kind: str) -> Response:
    """What hovering over an icon tells: value, threshold, since, last read."""
    customer = await find(user_of(request), customer_id)
    if customer is None or kind not in list(MonitorKind):
        return answer(NOT_FOUND, 404)
    found = await rows(
        Monitor.filter(customer_id=customer.id, kind=kind).values(
            'state', 'value', 'threshold', 'reason', 'since', 'read_at', 'is_old', 'expected_every'
        )
    )
    details = found[0] if found else {'state': 'not_configured'}
    return answer(details | {'title': MonitorKind(kind).title, 'now': time.time() * 1000})


@router.get('/overview')
async def overview(request: Request) -> Response:
    """The dashboard's and the wall's numbers, for the first paint; after that they come over the socket."""
    text = await live.overview_text(await live.hub.audience_of(user_of(request)))
    return Response(text, media_type='application/json', headers={'Cache-Control': 'no-store'})


@router.get('/trends')
async def overview_trends(request: Request) -> Response:
    user = user_of(request)
    audience = await live.hub.audience_of(user)
    return answer(await live.shared('trends', audience.key, 20.0, lambda: trends(Customer.visible_to(user))))


@router.get('/session')
async def session(request: Request) -> Response:
    """Whether the session goes on: what a page asks when its socket is refused."""
    return answer({'user': user_of(request).name})


@acts(router, 'POST', '/theme', right='account.prefer')
async def choose_theme(acting: Acting) -> dict[str, Any]:
    await acting.user.choose_theme(acting.text('theme'))
    return {}
