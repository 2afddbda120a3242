"""What the page of a customer asks for and sends: its cards, its history, and every change that is made on it."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from components import cards, live
from components.export import defused
from models import Contact, Customer, CustomerTag, Infrastructure, Listing, Note, Partner, RfiState, history_reading
from models.checking import Invalid
from models.exporting import note_export
from pages.acting import Acting, Asking, acts, reads, whole
from pages.customer import for_viewer
from pages.new_customers import BEGINNINGS

router = APIRouter(prefix='/api/ui', include_in_schema=False)

LONGEST_ADDRESS = 2000
PAGE = 50  # entries of the history at once
MOST_PRODUCTS = 100  # of one customer


@reads(router, '/customers/{customer_id}/parts', right='customer.see')
async def parts(asking: Asking) -> dict[str, Any]:
    """These parts of the page (`want`, by commas: `head`, `gist notes`, `notes` …), as they are now."""
    wanted = asking.text('want')[:LONGEST_ADDRESS].split(',')
    audience = await live.hub.audience_of(asking.user)
    found = await cards.read(asking.customer, wanted, audience=audience.key)
    return await for_viewer(found, asking.customer, asking.user)


# -- history ----------------------------------------------------------------------------------------------------------


def _filters(asking: Asking, chain: history_reading.Chain) -> dict[str, Any]:
    """What of the history is asked for; raises `Invalid`."""
    group, person = asking.text('group'), asking.text('person')
    chain.check(group)
    if person and whole(person) is None:
        raise Invalid('person', 'is nobody that there is')
    return {
        'group': group, 'person': whole(person), 'since': asking.moment('since'), 'until': asking.moment('until'),
    }  # fmt: skip


async def _page(asking: Asking, chain: history_reading.Chain) -> dict[str, Any]:
    """A page of the entries, the newest first; `next` asks for the one after it."""
    before = asking.text('before')[:200]
    found, following = await history_reading.page(chain, **_filters(asking, chain), before=before, limit=PAGE)
    return {'rows': found, 'next': following}


@reads(router, '/customers/{customer_id}/history', right='customer.see')
async def history(asking: Asking) -> dict[str, Any]:
    return await _page(asking, history_reading.Chain.of(asking.customer.id))


@reads(router, '/customers/{customer_id}/history.csv', right='history.export')
async def history_csv(asking: Asking) -> Response:
    customer, chain = asking.customer, history_reading.Chain.of(asking.customer.id)
    filters = _filters(asking, chain)
    what = f'The history of {customer.name} ({customer.account_code}) was exported'
    await note_export('history.exported', what, by=asking.user, filters=_said(filters), customer=customer.id)
    name = f'history-{"".join(c for c in customer.account_code if c.isascii() and c.isalnum())}'
    return _as_file(chain, filters, name)


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


@reads(router, '/audit', right='audit.see')
async def audit(asking: Asking) -> dict[str, Any]:
    """A page of the MSP's own history; on its first one also who did something there."""
    chain = history_reading.Chain.of_partner(asking.user.partner_id)
    found = await _page(asking, chain)
    if not asking.text('before'):
        found['people'] = [[id_, name] for id_, name in await history_reading.people(chain)]
    return found


@reads(router, '/audit.csv', right='audit.see')
async def audit_csv(asking: Asking) -> Response:
    chain = history_reading.Chain.of_partner(asking.user.partner_id)
    filters = _filters(asking, chain)
    await note_export('audit.exported', 'The audit was exported', by=asking.user, filters=_said(filters))
    return _as_file(chain, filters, 'audit')


# -- notes ------------------------------------------------------------------------------------------------------------


@reads(router, '/customers/{customer_id}/notes', right='customer.see')
async def more_notes(asking: Asking) -> dict[str, Any]:
    """Notes older than the one with the id `before`."""
    found = await Note.list_of(asking.customer.id, limit=cards.NOTES + 1, before_id=asking.number('before'))
    return {'notes': found[: cards.NOTES], 'more': len(found) > cards.NOTES}


@reads(router, '/customers/{customer_id}/notes/{note_id}/versions', right='customer.see')
async def note_versions(asking: Asking) -> dict[str, Any]:
    return {'versions': await Note.versions_of((await _note(asking)).id)}


async def _note(asking: Asking) -> Note:
    """The note of the address; raises `DoesNotExist` where it is none of this customer's."""
    return await Note.get(id=asking.number('note_id'), customer_id=asking.customer.id)


@acts(router, 'POST', '/customers/{customer_id}/notes', right='note.add')
async def add_note(acting: Acting) -> dict[str, Any]:
    note = await Note.add(acting.customer, acting.text('body'), by=acting.user)
    return {'id': note.id}


@acts(router, 'POST', '/customers/{customer_id}/notes/{note_id}', right='note.edit_own')
async def edit_note(acting: Acting) -> dict[str, Any]:
    note = await _note(acting)
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
    facts: dict[str, Any] = {
        name: acting.text(name)
        for name in ('name', 'account_code', 'domain', 'account_type', 'console_url', 'contract_start')
    }
    facts['seats'] = acting.text('seats').strip() or '0'
    partner = await Partner.get(id=acting.user.partner_id)
    live_already = begins == 'live'
    added = await Customer.add(
        partner, by=acting.user, rfi=RfiState.NOT_APPLICABLE if live_already else RfiState(begins),
        listing=Listing.COMPLETE if live_already else Listing.IN_PROGRESS, products=list(dict.fromkeys(products)),
        **facts,
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
