"""What the portal's own pages ask for: rows, counts, details of an icon. A session is needed for all of it."""

import time
from typing import Any

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from components import live
from components.live_table import MAX_BLOCK, TABLES, Asked, LiveTable
from models import Customer, Monitor, MonitorKind, Prospect
from models.database import rows
from models.overview import trends
from models.rights import Refused, may
from pages.acting import SIGNED_IN, Acting, Asking, acts, reads
from pages.answers import NotThere

router = APIRouter(prefix='/api/ui', include_in_schema=False)


def asked_of(asking: Asking) -> tuple[LiveTable, Asked]:
    """The table of an address and what is asked of it; raises what is answered in a sentence."""
    table = TABLES.get(asking.path['key'])
    if table is None:
        raise NotThere
    if table.right and not may(asking.user, table.right):
        raise Refused('Your role in the portal does not include this list.')
    try:
        return table, Asked(table, dict(asking.sent))
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


@reads(router, '/tables/{key}/rows', right=SIGNED_IN)
async def table_rows(asking: Asking) -> dict[str, Any]:
    """A block of rows with the number of the last message that they include."""
    table, asked = asked_of(asking)
    user = asking.user
    audience = await live.hub.audience_of(user)
    number = live.hub.number(user.partner_id)
    if 'ids' in asking.sent:
        found: Any = await table.these(user, _ids(asking.text('ids')))
    else:
        found = await table.page(user, asked, audience=audience.key, number=number)
    return {'epoch': live.EPOCH, 'n': number, 'rows': found}


def _ids(text: str) -> list[int]:
    """The numbers of a list by commas; refuses what is none, and too many."""
    parts = text.split(',')
    if len(parts) > MAX_BLOCK or not all(part.isascii() and part.isdecimal() and len(part) <= 9 for part in parts):
        raise HTTPException(422, f'ids are up to {MAX_BLOCK} numbers, with commas between them.')
    return [int(part) for part in parts]


@reads(router, '/tables/{key}/counts', right=SIGNED_IN)
async def table_counts(asking: Asking) -> dict[str, Any]:
    table, asked = asked_of(asking)
    counts = await table.counts(asking.user, asked)
    return counts | ({'note': await table.note(asking.user)} if table.note else {})


@reads(router, '/customers/{customer_id}/monitors/{kind}', right='customer.see')
async def monitor_details(asking: Asking) -> dict[str, Any]:
    """What hovering over an icon tells: value, threshold, since, last read."""
    kind = asking.path['kind']
    if kind not in list(MonitorKind):
        raise NotThere
    found = await rows(
        Monitor.filter(customer_id=asking.customer.id, kind=kind).values(
            'state', 'value', 'threshold', 'reason', 'since', 'read_at', 'is_old', 'expected_every'
        )
    )
    details = found[0] if found else {'state': 'not_configured'}
    return details | {'title': MonitorKind(kind).title, 'now': time.time() * 1000}


@reads(router, '/overview', right=SIGNED_IN)
async def overview(asking: Asking) -> Response:
    """The dashboard's and the wall's numbers, for the first paint; after that they come over the socket."""
    text = await live.overview_text(await live.hub.audience_of(asking.user))
    return Response(text, media_type='application/json', headers={'Cache-Control': 'no-store'})


@reads(router, '/trends', right=SIGNED_IN)
async def overview_trends(asking: Asking) -> Any:
    audience = await live.hub.audience_of(asking.user)
    seen = Customer.visible_to(asking.user), Prospect.visible_to(asking.user)
    return await live.shared('trends', audience.key, 20.0, lambda: trends(*seen))


@reads(router, '/session', right=SIGNED_IN)
async def session(asking: Asking) -> dict[str, Any]:
    """Whether the session goes on: what a page asks when its socket is refused."""
    return {'user': asking.user.name}


@acts(router, 'POST', '/theme', right='account.prefer')
async def choose_theme(acting: Acting) -> dict[str, Any]:
    await acting.user.choose_theme(acting.text('theme'))
    return {}
