"""Readings from outside: `POST /api/v1/readings` with a bearer token.

The body is `{"readings": [...]}` or the list alone: at most 10,000 items of `{customer, monitor, value and/or state,
at}` and perhaps a `reason`. The answer is 200 as soon as the body could be read, even where every item was refused: it
says for each refused item its index, the field and what was wrong. A batch may be sent again.
"""

import asyncio
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from models import ApiToken, Customer, Listing, Monitor, MonitorKind, MonitorState, Reading, database
from models.database import rows
from models.monitor import FUTURE, PAST, Recorded
from models.text import printable
from pages.acting import MACHINE, takes

log = logging.getLogger(__name__)
router = APIRouter()

MAX_BYTES = 4 * 1024 * 1024
MAX_ITEMS = 10_000
MAX_VALUE = 1e12  # messages in a queue; more is a fault of whoever counted, and no screen has room for it
CODES_A_QUERY = 1000
ITEMS_A_TURN = 500  # parsed before others get their turn
_KINDS = {kind.value: kind for kind in MonitorKind}
_STATES = {state.value: state for state in MonitorState}


@dataclass(frozen=True)
class Posted:
    """An item that says nothing impossible; whose customer it names is still to be found out."""

    customer: str
    kind: MonitorKind
    at: datetime
    value: float | None
    state: MonitorState | None
    reason: str


@dataclass(frozen=True)
class Refused:
    field: str
    error: str


class Unanswerable(Exception):
    """The request as a whole cannot be taken."""

    def __init__(self, status: int, error: str, **headers: str) -> None:
        super().__init__(error)
        self.status = status
        self.headers = {name.replace('_', '-'): value for name, value in headers.items()}


@takes(router, 'POST', '/api/v1/readings', right=MACHINE)
async def post_readings(request: Request) -> Response:
    """Store a batch of readings of the customers of the token's MSP."""
    try:
        token = await _holder(request)
        items = _items(await _body(request))
        return _answer(200, await _store(token, items))
    except Unanswerable as error:
        return _answer(error.status, {'error': str(error)}, error.headers)
    except ClientDisconnect:
        return _answer(400, {'error': 'The request was cut off.'})
    except database.FAILURES as error:  # locked, gone, full: not the fault of who posts
        database.condition.tell(log, 'readings could not be stored', error)
        return _answer(503, {'error': 'The database cannot be used now; try again.'}, {'Retry-After': '5'})


@router.get('/api/v1/readings')
async def readings_are_posted() -> Response:
    return _answer(405, {'error': 'Readings are sent here with POST.'}, {'Allow': 'POST'})


def _answer(status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status_code=status, headers=headers, media_type='application/json')


async def _holder(request: Request) -> ApiToken:
    scheme, _, given = request.headers.get('authorization', '').partition(' ')
    token = await ApiToken.holder(given.strip()) if scheme.lower() == 'bearer' else None
    if token is None:
        raise Unanswerable(401, 'This needs a bearer token that is in force.', WWW_Authenticate='Bearer')
    return token


async def _body(request: Request) -> bytes:
    """The body, read no further than it may be long, whatever Content-Length says."""
    too_long = Unanswerable(413, f'The body is longer than {MAX_BYTES // 1024 // 1024} MB.')
    if request.headers.get('content-encoding', 'identity').lower() != 'identity':
        raise Unanswerable(415, 'The body is compressed; send it as it is.')
    announced = request.headers.get('content-length', '')
    if announced.isdecimal() and len(announced) < 20 and int(announced) > MAX_BYTES:
        raise too_long
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise too_long
    return bytes(body)


def _items(body: bytes) -> list[Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Unanswerable(400, f'The body is not JSON: {error}.') from None
    items = content.get('readings') if isinstance(content, dict) else content
    if not isinstance(items, list):
        raise Unanswerable(422, 'The body is neither a list of readings nor an object with a list "readings".')
    if len(items) > MAX_ITEMS:
        raise Unanswerable(413, f'There are more than {MAX_ITEMS:,} readings; send them in several batches.')
    return items


async def _store(token: ApiToken, items: list[Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    refused: dict[int, Refused] = {}
    posted: dict[int, Posted] = {}
    for index, item in enumerate(items):
        parsed = parse(item, now)
        if isinstance(parsed, Posted):
            posted[index] = parsed
        else:
            refused[index] = parsed
        if index % ITEMS_A_TURN == ITEMS_A_TURN - 1:
            await asyncio.sleep(0)
    customers = await _customers(token.partner_id, {each.customer for each in posted.values()})
    readings: list[Reading] = []
    for index, each in posted.items():
        customer_id, is_simulated, is_closed = customers.get(each.customer, (None, False, False))
        if customer_id is None:
            refused[index] = Refused('customer', f'There is no customer {each.customer!r}.')
        elif is_simulated:
            refused[index] = Refused('customer', f'{each.customer!r} is simulated and takes no readings.')
        elif is_closed:
            refused[index] = Refused('customer', f'{each.customer!r} is closed and takes no readings.')
        else:
            readings.append(Reading(customer_id, each.kind, each.at, each.value, each.state, each.reason))
    recorded = await Monitor.record(readings, now=now) if readings else Recorded()
    await token.used()
    return {
        'stored': recorded.stored, 'repeated': recorded.repeated, 'flips': recorded.flips,
        'refused': [{'index': i, 'field': r.field, 'error': r.error} for i, r in sorted(refused.items())],
    }  # fmt: skip


async def _customers(partner_id: int, codes: set[str]) -> dict[str, tuple[int, bool, bool]]:
    """Id, whether it is simulated, and whether it is closed, by account code; another MSP's customers are not found.

    A code that nobody has is looked for in any case, and found where only one customer can be meant.
    """
    found: dict[str, tuple[int, bool, bool]] = {}
    wanted = ('id', 'account_code', 'is_simulated', 'listing')
    for some in _portions(codes):
        named = Customer.filter(partner_id=partner_id, account_code__in=some)
        for row in await rows(named.values(*wanted)):
            found[row['account_code']] = _meant(row)
    meant: dict[str, list[tuple[int, bool, bool]]] = {}
    missing = codes - found.keys()
    for some in _portions({code for code in missing if code.lower() != code.upper()}):
        for row in await rows(Customer.with_codes(partner_id, some).values(*wanted)):
            meant.setdefault(row['account_code'].lower(), []).append(_meant(row))
    for code in missing:
        if len(alike := set(meant.get(code.lower(), ()))) == 1:
            found[code] = alike.pop()
    return found


def _meant(row: dict[str, Any]) -> tuple[int, bool, bool]:
    return row['id'], bool(row['is_simulated']), row['listing'] == Listing.CLOSED


def _portions(codes: set[str]) -> Iterator[list[str]]:
    ordered = sorted(codes)
    return (ordered[start : start + CODES_A_QUERY] for start in range(0, len(ordered), CODES_A_QUERY))


# -- one item ---------------------------------------------------------------------------------------------------------


def parse(item: Any, now: datetime) -> Posted | Refused:
    """What an item of the batch says, or the first thing that is wrong with it."""
    if not isinstance(item, dict):
        return Refused('', 'A reading is an object.')
    customer, monitor, reason = item.get('customer'), item.get('monitor'), item.get('reason')
    if not isinstance(customer, str) or not 0 < len(customer) <= 40 or not customer.isprintable():
        return Refused('customer', 'This is the account code of a customer, a text of 1 to 40 characters.')
    if not isinstance(monitor, str) or monitor not in _KINDS:
        return Refused('monitor', f'This is one of {", ".join(_KINDS)}.')
    at = _parse_at(item.get('at'), now)
    if isinstance(at, Refused):
        return at
    if reason is not None and not isinstance(reason, str):
        return Refused('reason', 'This is a text.')
    judged = _parse_finding(item.get('value'), item.get('state'))
    if isinstance(judged, Refused):
        return judged
    value, state = judged
    if state is None and not _KINDS[monitor].is_queue:
        return Refused('state', 'A value does not say whether a connector is good: tell its state.')
    return Posted(customer, _KINDS[monitor], at, value, state, printable(reason or '')[:200])


def _parse_at(at: Any, now: datetime) -> datetime | Refused:
    if not isinstance(at, str) or len(at) > 40:
        return Refused('at', 'This is a date and time such as 2026-01-31T13:45:00+01:00.')
    try:
        read_at = datetime.fromisoformat(at)
        if read_at.tzinfo is None:
            return Refused('at', 'This has no offset from UTC; end it with Z or with one such as +01:00.')
        read_at = read_at.astimezone(UTC)
    except (ValueError, OverflowError):
        return Refused('at', 'This is not a date and time such as 2026-01-31T13:45:00+01:00.')
    if read_at - now > FUTURE:
        return Refused('at', f'This is more than {FUTURE.seconds // 60} minutes ahead.')
    if now - read_at > PAST:
        return Refused('at', f'This is more than {PAST.days} days ago.')
    return read_at


def _parse_finding(value: Any, state: Any) -> tuple[float | None, MonitorState | None] | Refused:
    if value is None and state is None:
        return Refused('value', 'There is neither a value nor a state.')
    if state is not None and (not isinstance(state, str) or state not in _STATES):
        return Refused('state', f'This is one of {", ".join(_STATES)}.')
    if value is not None:
        # `True` is an int to Python, and no number of messages.
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            return Refused('value', 'This is a number that is not below 0.')
        if value > MAX_VALUE:
            return Refused('value', f'This is more than {MAX_VALUE:,.0f}, and no number of messages.')
        value = float(value)
    return value, _STATES[state] if state is not None else None
