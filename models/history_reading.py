"""Questions about the history of one customer, whom the caller has already found through `Customer.visible_to`, and
about the MSP's own, which is the audit.

Entries and the flips of a customer's monitors are merged here, newest first; flips are rows of their own and in no
chain. Both are read in the order of an index, a page at a time, so that the length of the history does not matter.
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson
from tortoise.backends.base.client import BaseDBAsyncClient

from models.checking import Invalid
from models.database import reader
from models.history import as_utc, chain_of, numbered
from models.monitor import MonitorKind, MonitorState

# Groups of kinds to filter by: title, and how the kinds begin.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    'connect': ('Connect', ('connect.',)),
    'rfi': ('RFI', ('rfi.',)),
    'notes': ('Notes', ('note.',)),
    'attachments': ('Attachments', ('attachment.',)),
    'facts': ('Facts and contacts', ('customer.', 'account.', 'contact.', 'infrastructure.', 'partner_change')),
    'products': (
        'Products', ('product.', 'seats.', 'price.', 'order.', 'change_order.', 'cancellation.', 'prospect.'),
    ),
    'access': ('Access', ('delegated_access.', 'access.', 'console.', 'user.', 'token.')),
    'monitor': ('Monitor changes', ('monitor.', 'alert.')),
}  # fmt: skip
# The same for the audit; the kinds of a group are not in the ones after it.
AUDITED: dict[str, tuple[str, tuple[str, ...]]] = {
    'sign_ins': ('Sign-ins', ('user.sign', 'session.')),
    'access': ('Roles and consoles', ('delegated_access.', 'access.', 'console.')),
    'people': ('People', ('user.', 'invitation.', 'link.')),
    'prospects': ('Prospects and orders', ('prospect.', 'order.', 'change_order.', 'cancellation.')),
    'settings': ('Settings', ('partner.', 'settings.', 'key.', 'mail.', 'price.')),
    'exports': ('Exports', ('list.exported', 'history.exported', 'audit.exported')),
    'imports': ('Imports', ('customers.',)),
    'tokens': ('API tokens', ('token.',)),
    'backups': ('Backups and restores', ('backup.', 'portal.')),
}  # fmt: skip
MILESTONES = frozenset({
    'customer.created', 'account.created', 'prospect.converted', 'order.submitted', 'order.accepted', 'order.rejected',
    'rfi.requested', 'rfi.sent', 'rfi.submitted', 'rfi.error', 'rfi.complete', 'rfi.completed', 'connect.completed',
    'change_order.submitted', 'change_order.applied', 'seats.changed', 'product.added', 'product.removed',
    'delegated_access.granted', 'delegated_access.revoked', 'delegated_access.lost', 'cancellation.requested',
    'cancellation.effective', 'cancellation.exported', 'partner_change', 'customer.closed', 'connect.abandoned',
    'connect.extended',
})  # fmt: skip
# Of these no entry is left out of what one sees first, whoever did it: what automatic checks completed, what the portal
# delivered. None of them comes more often than somebody, or the vendor, moves.
STORY = ('connect.', 'order.', 'change_order.', 'cancellation.')
EVERYTHING = 'all'
MOST = 1000
FLIP = 'monitor.health_changed'
_STATES = {
    MonitorState.GOOD: 'good', MonitorState.BAD: 'problem', MonitorState.UNKNOWN: 'unknown',
    MonitorState.NOT_CONFIGURED: 'not configured',
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILESTONES = ', '.join(f"'{kind}'" for kind in sorted(MILESTONES))


class Chain(NamedTuple):
    """What is read: the history of a customer or, without one, the MSP's own, and by which groups it is filtered."""

    name: str
    customer_id: int | None
    groups: dict[str, tuple[str, tuple[str, ...]]]

    @classmethod
    def of(cls, customer_id: int) -> 'Chain':
        return cls(f'c:{customer_id}', customer_id, KINDS)

    @classmethod
    def of_partner(cls, partner_id: int) -> 'Chain':
        return cls(chain_of(partner_id, None), None, AUDITED)

    def begins(self, group: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """How the kinds of a group begin, and those of them that are in a group before it."""
        begins = self.groups[group][1]
        earlier = list(self.groups)[: list(self.groups).index(group)]
        but = [each for other in earlier for each in self.groups[other][1] if each.startswith(begins)]
        return begins, tuple(but)

    def check(self, group: str) -> None:
        """Raise `Invalid` where there is no such group to filter by."""
        if group not in ('', EVERYTHING, *self.groups):
            raise Invalid('group', 'is no group of entries')


async def page(
    of: int | Chain, *, group: str = '', person: int | None = None, since: datetime | None = None,
    until: datetime | None = None, before: str = '', limit: int = 50,
) -> tuple[list[dict[str, Any]], str]:  # fmt: skip
    """The newest entries, and where to go on: give that as `before` ('' is the top, and that there are no more).

    `of` is a customer's id, or a chain. `group` '' are milestones, every move of Connect and of orders, and what people
    did; 'all' is everything, the others are `KINDS` (of the audit, '' is everything and the others are `AUDITED`).
    `since` is included and `until` is not. Raises `Invalid` for a group or a cursor that there is not.
    """
    chain = of if isinstance(of, Chain) else Chain.of(of)
    chain.check(group)
    limit = max(1, min(limit, MOST))
    place = _place(before)
    found = await _entries(chain, group, person, since, until, place, limit + 1)
    # Nobody does a flip.
    if chain.customer_id is not None and group in (EVERYTHING, 'monitor') and person is None:
        found += await _flips(chain.customer_id, since, until, place, limit + 1)
        # Of the same moment, entries come first.
        found.sort(key=lambda each: (each['at'], not each['flip'], each['id']), reverse=True)
    shown = found[:limit]
    return shown, _cursor(shown[-1]) if len(found) > limit else ''


async def recent(customer_id: int, limit: int = 10) -> list[dict[str, Any]]:
    """The newest of what `page` gives first."""
    return (await page(customer_id, limit=limit))[0]


async def of_prospect(
    partner_id: int, prospect_id: int, *, since: datetime | None = None, limit: int = 50
) -> list[dict[str, Any]]:
    """The newest of the MSP's own entries that are about this prospect; `since` is when it was made."""
    where = _Where(reader())
    where.add('e."chain" = ?', chain_of(partner_id, None))
    where.add('(e."kind" LIKE ? OR e."kind" LIKE ?)', 'prospect.%', 'order.%')
    # As it stands among the data, which nothing that somebody typed does: a quote inside a text is written as \\".
    where.add('(t."data" LIKE ? OR t."data" LIKE ?)', *(f'%"prospect":{prospect_id}{end}%' for end in ',}'))
    if since is not None:
        where.add('e."at" >= ?', since)
    found = await where.found(
        'SELECT e."id", e."kind", e."at", e."actor_id", t."event_id" AS "text_id", t."actor", t."summary", t."data" '
        'FROM "history_event" e JOIN "history_text" t ON t."event_id" = e."id" WHERE '
        f'ORDER BY e."at" DESC, e."id" DESC LIMIT {limit}'
    )
    return [_as_entry(row) for row in found]


async def each(of: int | Chain, **filters: Any) -> AsyncIterator[dict[str, Any]]:
    """Every entry that the filters of `page` let through, read in portions."""
    before = ''
    while True:
        found, before = await page(of, before=before, limit=500, **filters)
        for entry in found:
            yield entry
        if not before:
            return


async def people(of: int | Chain) -> list[tuple[int, str]]:
    """Who did something there, by name."""
    connection = reader()
    found = await connection.execute_query_dict(
        numbered(
            connection,
            'SELECT a."actor_id" AS "id", u."name", (SELECT t."actor" FROM "history_event" e '
            'JOIN "history_text" t ON t."event_id" = e."id" WHERE e."chain" = ?1 AND e."actor_id" = a."actor_id" '
            'ORDER BY e."at" DESC, e."id" DESC LIMIT 1) AS "called" FROM (SELECT DISTINCT "actor_id" '
            'FROM "history_event" WHERE "chain" = ?1 AND "actor_id" IS NOT NULL) a '
            'LEFT JOIN "portal_user" u ON u."id" = a."actor_id"',
        ),
        [(of if isinstance(of, Chain) else Chain.of(of)).name],
    )
    named = [(row['id'], row['name'] or row['called'] or f'Person {row["id"]}') for row in found]
    return sorted(named, key=lambda person: (person[1].casefold(), person[0]))


# -- the two tables ---------------------------------------------------------------------------------------------------


class _Where:
    """Conditions with their values, marked as the engine wants it."""

    def __init__(self, connection: BaseDBAsyncClient) -> None:
        self.connection = connection
        self.sqlite = connection.capabilities.dialect == 'sqlite'
        self.values: list[Any] = []
        self.conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        for value in values:
            moment = isinstance(value, datetime)
            self.values.append(as_utc(value).isoformat(' ') if moment and self.sqlite else value)
            condition = condition.replace('?', f'!{len(self.values)}', 1)
        self.conditions.append(condition.replace('!', '?'))

    def between(self, since: datetime | None, until: datetime | None) -> None:
        if since is not None:
            self.add('"at" >= ?', since)
        if until is not None:
            self.add('"at" < ?', until)

    async def found(self, sql: str) -> list[dict[str, Any]]:
        sql = sql.replace('WHERE', f'WHERE {" AND ".join(self.conditions)}')
        return await self.connection.execute_query_dict(numbered(self.connection, sql), self.values)


async def _entries(
    chain: Chain, group: str, person: int | None, since: datetime | None, until: datetime | None,
    place: tuple[datetime, bool, int] | None, limit: int,
) -> list[dict[str, Any]]:  # fmt: skip
    where = _Where(reader())
    where.add('"chain" = ?', chain.name)
    if not group and chain.customer_id is not None:
        story = ' OR '.join('"kind" LIKE ?' for _ in STORY)
        where.add(f'("actor_id" IS NOT NULL OR "kind" IN ({_MILESTONES}) OR {story})', *(f'{each}%' for each in STORY))
    elif group not in ('', EVERYTHING):
        begins, but = chain.begins(group)
        where.add('(' + ' OR '.join('"kind" LIKE ?' for _ in begins) + ')', *(f'{each}%' for each in begins))
        for each in but:
            where.add('"kind" NOT LIKE ?', f'{each}%')
    if person is not None:
        where.add('"actor_id" = ?', person)
    where.between(since, until)
    if place is not None:
        at, after_entries, last = place
        where.add('"at" < ?', at) if after_entries else where.add('"at" <= ? AND ("at" < ? OR "id" < ?)', at, at, last)
    # The texts of the page only, not of all that it is chosen from.
    found = await where.found(
        'SELECT e.*, t."event_id" AS "text_id", t."actor", t."summary", t."data" FROM ('
        'SELECT "id", "kind", "at", "actor_id" FROM "history_event" WHERE '
        f'ORDER BY "at" DESC, "id" DESC LIMIT {limit}) e LEFT JOIN "history_text" t ON t."event_id" = e."id" '
        'ORDER BY e."at" DESC, e."id" DESC'
    )
    return [_as_entry(row) for row in found]


def _as_entry(row: dict[str, Any]) -> dict[str, Any]:
    erased = row['text_id'] is None
    return {
        'id': row['id'], 'kind': row['kind'], 'at': _iso(row['at']), 'actor': row['actor'] or '',
        'actor_id': row['actor_id'], 'summary': 'This text was erased on request' if erased else row['summary'],
        'data': {} if erased else orjson.loads(row['data']), 'milestone': row['kind'] in MILESTONES, 'flip': False,
        'erased': erased,
    }  # fmt: skip


async def _flips(
    customer_id: int, since: datetime | None, until: datetime | None, place: tuple[datetime, bool, int] | None,
    limit: int,
) -> list[dict[str, Any]]:  # fmt: skip
    where = _Where(reader())
    where.add('"customer_id" = ?', customer_id)
    where.between(since, until)
    if place is not None:
        at, after_entries, last = place
        # After an entry, all flips of that moment are still to come.
        where.add('"at" <= ? AND ("at" < ? OR "id" < ?)', at, at, last) if after_entries else where.add('"at" <= ?', at)
    found = await where.found(
        'SELECT "id", "kind", "old", "new", "value", "reason", "at" FROM "flip" WHERE '
        f'ORDER BY "at" DESC, "id" DESC LIMIT {limit}'
    )
    return [_as_flip(row) for row in found]


def _as_flip(row: dict[str, Any]) -> dict[str, Any]:
    kind = MonitorKind(row['kind'])
    said = [row['reason']] if row['reason'] else []
    if kind.is_queue and row['value'] is not None:
        said.insert(0, f'{row["value"]:,.0f} waiting')
    summary = f'{kind.title}: {_STATES[MonitorState(row["new"])]}' + (f' ({", ".join(said)})' if said else '')
    return {
        'id': row['id'], 'kind': FLIP, 'at': _iso(row['at']), 'actor': '', 'actor_id': None, 'summary': summary,
        'data': {name: row[name] for name in ('old', 'new', 'value', 'reason')} | {'monitor': row['kind']},
        'milestone': False, 'flip': True, 'erased': False,
    }  # fmt: skip


def _iso(at: datetime | str) -> str:
    return as_utc(at).isoformat(timespec='microseconds')


# -- places -----------------------------------------------------------------------------------------------------------


def _cursor(entry: dict[str, Any]) -> str:
    micros = (datetime.fromisoformat(entry['at']) - _EPOCH) // timedelta(microseconds=1)
    return f'{micros}{"f" if entry["flip"] else "e"}{entry["id"]}'


def _place(cursor: str) -> tuple[datetime, bool, int] | None:
    """The moment of an entry, whether it is a flip, and its id."""
    if not cursor:
        return None
    read = re.fullmatch(r'(-?[0-9]{1,17})([ef])([0-9]{1,18})', cursor)
    if read is None:
        raise Invalid('before', 'is no place in the history')
    try:
        return _EPOCH + timedelta(microseconds=int(read[1])), read[2] == 'f', int(read[3])
    except OverflowError:
        raise Invalid('before', 'is no place in the history') from None
