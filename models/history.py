"""What happened: entries that nobody changes or deletes, chained by their hashes; their texts lie beside the chain.

There is one chain for each customer and one for each MSP. An entry's hash covers the hash of the entry before it and
that of its own text, so the text can be erased on request and everything else still proves what it proved before.
`models.history_reading` answers questions, `models.history_verifying` finds what was tampered with.
"""

import contextlib
import hashlib
import re
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from tortoise import Model, fields
from tortoise.backends.base.client import BaseDBAsyncClient, TransactionalDBClient
from tortoise.connection import get_connection

from models import events
from models.events import transaction

if TYPE_CHECKING:
    from models.user import PortalUser

ERASED = 'history.erased'
# What refuses to change or delete entries, by engine; made by the migration and looked for after every migration.
TRIGGERS: dict[str, tuple[str, ...]] = {
    'sqlite': (
        'history_event_no_update', 'history_event_no_delete', 'history_event_no_replace', 'history_text_no_update',
        'history_text_no_replace', 'customer_stays_real', 'customer_not_real_before',
    ),
    'postgres': (
        'history_event_no_update', 'history_event_no_delete', 'history_event_no_truncate', 'history_text_no_update',
        'history_text_no_truncate', 'customer_stays_real', 'customer_not_real_before',
    ),
}  # fmt: skip
TRIGGERS_THERE = {
    'sqlite': "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    'postgres': "SELECT tgname AS name FROM pg_trigger WHERE tgenabled IN ('O', 'A')",
}
_CHAINS = 1000  # in one statement: SQLite and PostgreSQL both take some 32,000 values


class Entry(NamedTuple):
    """Something that happened, as it is to be written."""

    partner_id: int
    customer_id: int | None
    kind: str
    at: datetime
    summary: str
    actor_id: int | None = None
    actor: str = ''
    data: Mapping[str, Any] | None = None


class HistoryEvent(Model):
    """One entry of a chain. Its text is a `HistoryText`, until it is erased."""

    id = fields.BigIntField(primary_key=True)
    # Plain numbers, not foreign keys: nothing that is deleted elsewhere may reach into the history.
    partner_id = fields.IntField()
    customer_id = fields.IntField(null=True)
    chain = fields.CharField(max_length=16, db_default='')
    sequence = fields.IntField(db_default=0)
    kind = fields.CharField(max_length=40)
    at = fields.DatetimeField()
    actor_id = fields.IntField(null=True)
    text_hash = fields.CharField(max_length=64, db_default='')
    previous = fields.CharField(max_length=64, db_default='')
    hash = fields.CharField(max_length=64, db_default='')

    class Meta:
        table = 'history_event'
        table_description = 'Something that happened, never changed and never deleted'
        # Not by customer_id, which is null for the MSP's own chain: then nothing would be unique.
        unique_together = (('chain', 'sequence'),)
        indexes = (('chain', 'at', 'id'),)

    class Unknown(LookupError):
        """There is no such entry, or it is another MSP's."""

    class NotErasable(ValueError):
        """The text of this entry cannot be erased."""

    @classmethod
    async def add(
        cls, partner_id: int, kind: str, summary: str, *, customer_id: int | None = None,
        by: 'PortalUser | None' = None, outsider: str = '', at: datetime | None = None, **data: Any,
    ) -> None:  # fmt: skip
        """Write one entry; called by a verb inside its transaction. `outsider` is who did it where it is nobody of the
        portal's: told by name, and found under no person."""
        entry = Entry(
            partner_id, customer_id, kind, at or datetime.now(UTC), summary, by.id if by else None,
            by.name if by else outsider, data,
        )  # fmt: skip
        async with _within_transaction() as connection:
            await append_many(connection, [entry])
            if customer_id is not None:
                events.CUSTOMER_TOUCHED.emit(partner_id, {customer_id: frozenset({'history'})})

    @classmethod
    async def erase(cls, event_id: int, *, partner_id: int, because: str, by: 'PortalUser') -> None:
        """Erase the text of an entry (who, summary, data) for good; that it was erased is an entry of its own.

        Raises `rights.Refused`, `HistoryEvent.Unknown` and `HistoryEvent.NotErasable`.
        """
        from models import rights

        rights.require(by, 'history.erase')
        if not because.strip():
            raise cls.NotErasable('To erase a text, say why.')
        async with transaction() as connection:
            event = await cls.get_or_none(id=event_id, partner_id=partner_id)
            if event is None or by.partner_id != partner_id:
                raise cls.Unknown(f'There is no entry {event_id} in the history.')
            if event.kind == ERASED:
                raise cls.NotErasable('This entry says that a text was erased; it cannot be erased itself.')
            if connection.capabilities.dialect == 'sqlite':
                # Otherwise the text would stay readable in the free pages of the file.
                await connection.execute_query('PRAGMA secure_delete=ON')
            if not await HistoryText.filter(event_id=event_id).delete():
                raise cls.NotErasable('The text of this entry was erased before.')
            await cls.add(
                partner_id, ERASED, f'The text of entry {event.sequence} was erased – {because.strip()}',
                customer_id=event.customer_id, by=by, chain=event.chain, sequence=event.sequence,
            )  # fmt: skip

    async def text(self) -> 'HistoryText | None':
        """What it says; None when that was erased."""
        return await HistoryText.get_or_none(event_id=self.id)


class HistoryText(Model):
    """What an entry says about people and things, apart from the chain, which holds only its hash."""

    event_id = fields.BigIntField(primary_key=True, generated=False)
    # Without it, a short text could be guessed from the hash that stays.
    salt = fields.CharField(max_length=32)
    actor = fields.CharField(max_length=120)
    summary = fields.CharField(max_length=400)
    # JSON as it was hashed: a JSON column of PostgreSQL gives back other spellings of numbers.
    data = fields.TextField()

    class Meta:
        table = 'history_text'
        table_description = 'What an entry of the history says, until it is erased'

    @property
    def facts(self) -> dict[str, Any]:
        return orjson.loads(self.data)


class HistoryChain(Model):
    """How long a chain is and how it ends: without it, nobody could tell that its newest entries are missing."""

    chain = fields.CharField(max_length=16, primary_key=True)
    partner_id = fields.IntField()
    customer_id = fields.IntField(null=True)
    length = fields.IntField(default=0)
    head = fields.CharField(max_length=64, default='')
    # How many of the oldest entries of a simulated customer were forgotten.
    pruned = fields.IntField(default=0)

    class Meta:
        table = 'history_chain'
        table_description = 'How long a chain of the history is, and how it ends'
        indexes = (('partner_id',),)


# -- hashes (a change here makes every chain look tampered with) -------------------------------------------------------


def chain_of(partner_id: int, customer_id: int | None) -> str:
    return f'p:{partner_id}' if customer_id is None else f'c:{customer_id}'


def as_utc(at: datetime | str) -> datetime:
    """The moment in UTC, however the database gave it back."""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def as_json(data: Any) -> str:
    """One spelling for the same data."""
    return orjson.dumps(data, default=str, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()


def hash_of_text(salt: str, actor: str, summary: str, data: str) -> str:
    return hashlib.sha256(orjson.dumps([salt, actor, summary, data])).hexdigest()


def hash_of_entry(row: Mapping[str, Any]) -> str:
    """Over everything in the row but its id."""
    return hashlib.sha256(orjson.dumps([
        row['chain'], row['partner_id'], row['customer_id'], row['sequence'], row['kind'],
        as_utc(row['at']).isoformat(timespec='microseconds'), row['actor_id'], row['text_hash'], row['previous'],
    ])).hexdigest()  # fmt: skip


# -- writing ----------------------------------------------------------------------------------------------------------

_EVENT = (
    'id', 'partner_id', 'customer_id', 'chain', 'sequence', 'kind', 'at', 'actor_id', 'text_hash', 'previous', 'hash',
)  # fmt: skip
_TEXT = ('event_id', 'salt', 'actor', 'summary', 'data')


async def append_many(connection: BaseDBAsyncClient, entries: Iterable[Entry]) -> None:
    """Write these entries at the ends of their chains, in this order. Belongs in a transaction."""
    entries = list(entries)
    if not entries:
        return
    ends = await _locked_ends(
        connection, {chain_of(e.partner_id, e.customer_id): (e.partner_id, e.customer_id) for e in entries}
    )
    sqlite = connection.capabilities.dialect == 'sqlite'
    written: list[list[Any]] = []
    texts: list[list[Any]] = []
    for event_id, entry in zip(await _next_ids(connection, len(entries)), entries, strict=True):
        chain = chain_of(entry.partner_id, entry.customer_id)
        length, previous = ends[chain]
        at = as_utc(entry.at)
        text = [secrets.token_hex(16), entry.actor[:120], entry.summary[:400], as_json(entry.data or {})]
        row: dict[str, Any] = {
            'id': event_id, 'partner_id': entry.partner_id, 'customer_id': entry.customer_id, 'chain': chain,
            'sequence': length + 1, 'kind': entry.kind, 'at': at, 'actor_id': entry.actor_id,
            'text_hash': hash_of_text(*text), 'previous': previous,
        }  # fmt: skip
        row['hash'] = hash_of_entry(row)
        ends[chain] = (length + 1, row['hash'])
        row['at'] = at.isoformat(' ') if sqlite else at
        written.append(list(row.values()))
        texts.append([event_id, *text])
    await insert_rows(connection, 'history_event', _EVENT, written)
    await insert_rows(connection, 'history_text', _TEXT, texts)
    await connection.execute_many(
        numbered(connection, 'UPDATE "history_chain" SET "length"=?1, "head"=?2 WHERE "chain"=?3'),
        [[length, head, chain] for chain, (length, head) in ends.items()],
    )


async def _locked_ends(
    connection: BaseDBAsyncClient, chains: dict[str, tuple[int, int | None]]
) -> dict[str, tuple[int, str]]:
    """Length and last hash of each chain; nobody else appends to them until the transaction ends.

    An upsert that changes nothing: it makes the chain that is not there yet, waits for whoever holds it, and reads.
    In the order of their names, so that two who append to the same chains do not wait for each other.
    """
    ends: dict[str, tuple[int, str]] = {}
    names = sorted(chains)
    for start in range(0, len(names), _CHAINS):
        some = names[start : start + _CHAINS]
        marks = ','.join(f"(?{n + 1},?{n + 2},?{n + 3},0,'',0)" for n in range(0, 3 * len(some), 3))
        found = await connection.execute_query_dict(
            numbered(
                connection,
                'INSERT INTO "history_chain" ("chain","partner_id","customer_id","length","head","pruned") '
                f'VALUES {marks} ON CONFLICT ("chain") DO UPDATE SET "length"="history_chain"."length" '
                'RETURNING "chain","length","head"',
            ),
            [value for name in some for value in (name, *chains[name])],
        )
        ends |= {row['chain']: (row['length'], row['head']) for row in found}
    return ends


async def _next_ids(connection: BaseDBAsyncClient, count: int) -> Sequence[int]:
    if connection.capabilities.dialect == 'sqlite':  # the transaction holds the write lock: nobody else takes these
        last = await connection.execute_query_dict("SELECT seq FROM sqlite_sequence WHERE name='history_event'")
        first = last[0]['seq'] + 1 if last else 1
        return range(first, first + count)
    taken = await connection.execute_query_dict(
        "SELECT nextval(pg_get_serial_sequence('history_event', 'id')) AS id FROM generate_series(1, $1::int)", [count]
    )
    return [row['id'] for row in taken]


async def insert_rows(connection: BaseDBAsyncClient, table: str, columns: Sequence[str], rows: list[list[Any]]) -> None:
    marks = ','.join(f'?{n}' for n in range(1, len(columns) + 1))
    names = ','.join(f'"{name}"' for name in columns)
    await connection.execute_many(numbered(connection, f'INSERT INTO "{table}" ({names}) VALUES ({marks})'), rows)


def numbered(connection: BaseDBAsyncClient, sql: str) -> str:
    """The statement with its marks (?1, ?2 …) as this engine writes them."""
    return sql if connection.capabilities.dialect == 'sqlite' else re.sub(r'\?(\d+)', r'$\1', sql)


@contextlib.asynccontextmanager
async def _within_transaction() -> AsyncIterator[BaseDBAsyncClient]:
    """The transaction of the verb that calls, without a savepoint of its own, or else a new one."""
    connection = get_connection('default')
    if isinstance(connection, TransactionalDBClient):
        yield connection
        return
    async with transaction() as opened:
        yield opened
