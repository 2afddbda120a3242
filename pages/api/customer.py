"""What the page of a customer asks for and sends: its cards, its history, and every change that is made on it."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from components import cards, live
from components.export import defused
from models import Contact, Customer, CustomerTag, Infrastructure, Listing, Note, Partner, RfiState, history_reading
from models.checking import Invalid
from models.exporting import note_export
from models.rights import Refused, require
from pages.acting import Acting, acts, find
from pages.answers import NOT_FOUND, NotThere, answer, refusal
from pages.customer import for_viewer
from pages.guard import user_of
from pages.new_customers import BEGINNINGS

router = APIRouter(prefix='/api/ui', include_in_schema=False)

LONGEST_ADDRESS = 2000
PAGE = 50  # entries of the history at once
MOST_PRODUCTS = 100  # of one customer


@router.get('/customers/{customer_id}/parts')
async def parts(request: Request, customer_id: str, want: str = '') -> Response:
    """These parts of the page (`want`, by commas: `head`, `gist notes`, `notes` …), as they are now."""
    user = user_of(request)
    customer = await find(user, customer_id)
    if customer is None:
        return answer(NOT_FOUND, 404)
    wanted = want[:LONGEST_ADDRESS].split(',')
    audience = await live.hub.audience_of(user)
    found = await cards.read(customer, wanted, audience=audience.key)
    return answer(await for_viewer(found, customer, user))


# -- history ----------------------------------------------------------------------------------------------------------


def _filters(request: Request) -> dict[str, Any]:
    """What of the history is asked for; raises ValueError with a sentence."""
    asked = request.query_params
    person = asked.get('person', '')
    if person and not (person.isascii() and person.isdecimal() and len(person) <= 9):
        raise ValueError('There is no such person.')
    return {
        'group': asked.get('group', '')[:20], 'person': int(person) if person else None,
        'since': _moment(asked.get('since', '')), 'until': _moment(asked.get('until', '')),
    }  # fmt: skip


def _moment(text: str) -> datetime | None:
    """A moment with its offset; the browser says it, for it knows when a day of its viewer begins."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1970 <= found.year <= 9000:
        raise ValueError('A moment is written as 2026-11-22T00:00:00Z.')
    return found.astimezone(UTC)


@router.get('/customers/{customer_id}/history')
async def history(request: Request, customer_id: str, before: str = '') -> Response:
    """A page of the history, the newest entries first; `next` asks for the one after it."""
    customer = await find(user_of(request), customer_id)
    if customer is None:
        return answer(NOT_FOUND, 404)
    try:
        found, following = await history_reading.page(customer.id, **_filters(request), before=before[:200], limit=PAGE)
    except ValueError as error:
        return answer({'error': str(error)}, 422)
    return answer({'rows': found, 'next': following})


@router.get('/customers/{customer_id}/history.csv')
async def history_csv(request: Request, customer_id: str) -> Response:
    user = user_of(request)
    customer = await find(user, customer_id)
    if customer is None:
        return answer(NOT_FOUND, 404)
    try:
        require(user, 'history.export')
        filters = _filters(request)
        what = f'The history of {customer.name} ({customer.account_code}) was exported'
        await note_export('history.exported', what, by=user, filters=_said(filters), customer=customer.id)
    except Refused as error:
        return refusal(error)
    except ValueError as error:
        return answer({'error': str(error)}, 422)
    name = f'history-{"".join(c for c in customer.account_code if c.isascii() and c.isalnum())}'
    return _as_file(history_reading.Chain.of(customer.id), filters, name)


def _said(filters: dict[str, Any]) -> dict[str, Any]:
    """The filters as an entry tells them: moments in UTC, to the minute."""
    moments = {name: filters[name].strftime('%Y-%m-%d %H:%M UTC') for name in ('since', 'until') if filters[name]}
    return filters | moments


def _as_file(chain: history_reading.Chain, filters: dict[str, Any], name: str) -> Response:
    return StreamingResponse(
        _history_lines(chain, filters), media_type='text/csv; charset=utf-8',
        headers={
            'Content-Disposition': f'attachment; filename="{name}-{datetime.now(UTC):%Y-%m-%d}.csv"',
            'Cache-Control': 'no-store', 'Content-Encoding': 'identity',
        },
    )  # fmt: skip


async def _history_lines(chain: history_reading.Chain, filters: dict[str, Any]) -> AsyncIterator[bytes]:
    yield '\ufeff'.encode() + _line(['When (UTC)', 'Kind', 'Who', 'What', 'Entry'])
    async for entry in history_reading.each(chain, **filters):
        what = '(erased on request)' if entry['erased'] else entry['summary']
        number = '' if entry['flip'] else entry['id']
        yield _line([str(entry['at'])[:19].replace('T', ' '), entry['kind'], entry['actor'], what, number])


def _line(cells: list[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow([defused(cell) for cell in cells])
    return text.getvalue().encode()


# -- the audit: the MSP's own history ----------------------------------------------------------------------------------


@router.get('/audit')
async def audit(request: Request, before: str = '') -> Response:
    """A page of the MSP's own history; on its first one also who did something there."""
    user = user_of(request)
    chain = history_reading.Chain.of_partner(user.partner_id)
    try:
        require(user, 'audit.see')
        found, following = await history_reading.page(chain, **_filters(request), before=before[:200], limit=PAGE)
    except Refused as error:
        return refusal(error)
    except ValueError as error:
        return answer({'error': str(error)}, 422)
    people = {} if before else {'people': [[id_, name] for id_, name in await history_reading.people(chain)]}
    return answer({'rows': found, 'next': following} | people)


@router.get('/audit.csv')
async def audit_csv(request: Request) -> Response:
    user = user_of(request)
    try:
        require(user, 'audit.see')
        filters = _filters(request)
        await note_export('audit.exported', 'The audit was exported', by=user, filters=_said(filters))
    except Refused as error:
        return refusal(error)
    except ValueError as error:
        return answer({'error': str(error)}, 422)
    return _as_file(history_reading.Chain.of_partner(user.partner_id), filters, 'audit')


# -- notes ------------------------------------------------------------------------------------------------------------


@router.get('/customers/{customer_id}/notes')
async def more_notes(request: Request, customer_id: str, before: str = '') -> Response:
    """Notes older than the one with this id."""
    customer = await find(user_of(request), customer_id)
    if customer is None or not (before.isascii() and before.isdecimal() and len(before) <= 9):
        return answer(NOT_FOUND, 404)
    found = await Note.list_of(customer.id, limit=cards.NOTES + 1, before_id=int(before))
    return answer({'notes': found[: cards.NOTES], 'more': len(found) > cards.NOTES})


@router.get('/customers/{customer_id}/notes/{note_id}/versions')
async def note_versions(request: Request, customer_id: str, note_id: str) -> Response:
    customer = await find(user_of(request), customer_id)
    if customer is None or not (note_id.isascii() and note_id.isdecimal() and len(note_id) <= 9):
        return answer(NOT_FOUND, 404)
    note = await Note.get_or_none(id=int(note_id), customer_id=customer.id)
    return answer(NOT_FOUND, 404) if note is None else answer({'versions': await Note.versions_of(note.id)})


@acts(router, 'POST', '/customers/{customer_id}/notes', right='note.add')
async def add_note(acting: Acting) -> dict[str, Any]:
    note = await Note.add(acting.customer, acting.text('body'), by=acting.user)
    return {'id': note.id}


@acts(router, 'POST', '/customers/{customer_id}/notes/{note_id}', right='note.edit_own')
async def edit_note(acting: Acting) -> dict[str, Any]:
    note = await Note.get_or_none(id=acting.number('note_id'), customer_id=acting.customer.id)
    if note is None:
        raise NotThere
    await note.edit(acting.text('body'), by=acting.user, seen=acting.number('seen'))
    return {'id': note.id, 'version': note.version}


# -- facts ------------------------------------------------------------------------------------------------------------


@acts(router, 'POST', '/customers', right='customer.create')
async def add_customer(acting: Acting) -> dict[str, Any]:
    """Add a customer; `begins` is one of BEGINNINGS, `products` a list of codes of the catalogue."""
    begins, products = acting.text('begins'), acting.body.get('products')
    if begins not in BEGINNINGS:
        raise Invalid('begins', 'is none of those that can be chosen')
    if not isinstance(products, list) or len(products) > MOST_PRODUCTS or not all(isinstance(p, str) for p in products):
        raise Invalid('products', 'is not a list of products')
    facts = {name: acting.text(name) for name in ('name', 'account_code', 'domain', 'account_type')}
    partner = await Partner.get(id=acting.user.partner_id)
    live_already = begins == 'live'
    added = await Customer.add(
        partner, by=acting.user, rfi=RfiState.NOT_APPLICABLE if live_already else RfiState(begins),
        listing=Listing.COMPLETE if live_already else Listing.IN_PROGRESS, products=list(dict.fromkeys(products)),
        seats=acting.text('seats').strip() or '0', **facts,
    )  # fmt: skip
    return {'id': added.id, 'name': added.name}


@acts(router, 'POST', '/customers/{customer_id}/facts', right='customer.change')
async def change_facts(acting: Acting) -> dict[str, Any]:
    facts = acting.facts()
    known = {name: facts[name] for name in (*cards.FACTS, 'tags') if name in facts}
    changed = await CustomerTag.change_with_facts(acting.customer, known, was=acting.facts('was'), by=acting.user)
    return {'changed': sorted(changed)}


@acts(router, 'POST', '/customers/{customer_id}/contacts/{kind}', right='contact.change')
async def change_contact(acting: Acting) -> dict[str, Any]:
    changed = await Contact.change(
        acting.customer, acting.path['kind'], acting.facts(), was=acting.facts('was'), by=acting.user
    )
    return {'changed': sorted(changed)}


@acts(router, 'POST', '/customers/{customer_id}/infrastructure', right='infrastructure.change')
async def change_infrastructure(acting: Acting) -> dict[str, Any]:
    changed = await Infrastructure.change(acting.customer, acting.facts(), was=acting.facts('was'), by=acting.user)
    return {'changed': sorted(changed)}


# -- which cards are open ---------------------------------------------------------------------------------------------


@acts(router, 'POST', '/open-cards', right='account.prefer')
async def keep_open_cards(acting: Acting) -> dict[str, Any]:
    """Remember which cards this person has open; every customer's page begins so."""
    wanted = acting.body.get('open')
    if not isinstance(wanted, list):
        raise Invalid('open', 'is not a list of cards')
    chosen = [key for key in cards.CARDS if key in wanted]
    await acting.user.prefer('open cards', chosen)
    return {'open': chosen}
