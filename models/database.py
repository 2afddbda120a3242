"""Opening and reading the database (models/migrating.py brings it up to date).

SQLite: one connection that writes and a few that only read (a list must not wait for a transaction). PostgreSQL: one
pool. `rows` and its kin return plain dictionaries, for the places where a thousand instances would hold up the loop.
"""

import asyncio
import contextlib
import itertools
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.exceptions import (
    BaseORMException,
    DBConnectionError,
    IncompleteInstanceError,
    IntegrityError,
    NotExistOrMultiple,
    NoValuesFetched,
    ObjectDoesNotExistError,
    OperationalError,
)
from tortoise.models import Model
from tortoise.transactions import in_transaction

from models.sqlite import BUSY, patience
from settings import Settings, settings

log = logging.getLogger(__name__)

READERS = 3
LOOK = 2.0  # seconds between two looks at whether the database can be used
PATIENCE = 6.0  # seconds that one request, or one look, waits for the database, all in all
ROOM = 1 << 20  # bytes on its disk below which nothing more is stored
_turn = itertools.count()
_PRAGMAS = {
    'journal_mode': 'WAL', 'synchronous': 'NORMAL', 'busy_timeout': int(BUSY * 1000), 'journal_size_limit': 67108864,
    'cache_size': -65536, 'temp_store': 'MEMORY', 'mmap_size': 268435456,
}  # fmt: skip


class Unusable(Exception):
    """The database cannot be used; the message is one sentence for whoever starts the portal."""


# -- whether it can be used -------------------------------------------------------------------------------------------

# What a statement raises that could not be carried out, for whatever reason; Tortoise does not translate all of it.
FAILURES = (BaseORMException, OSError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError)
_AWAY = (
    DBConnectionError, ConnectionError, TimeoutError, sqlite3.OperationalError,
    asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError, asyncpg.InterfaceError,
)  # fmt: skip
# Tortoise calls these operational too; they tell of a fault in what was asked, not of a database that is away.
_NOT_AWAY = (
    IntegrityError, NoValuesFetched, NotExistOrMultiple, ObjectDoesNotExistError, IncompleteInstanceError,
)  # fmt: skip


def is_away(error: BaseException) -> bool:
    """Whether the error says that the database is locked, read-only, full, damaged or gone."""
    if isinstance(error, OperationalError):
        return not isinstance(error, _NOT_AWAY)
    if isinstance(error, OSError) and error.filename is None and not settings().is_sqlite:
        return True  # of the connection: no such host, no such socket; what is wrong with a file names it
    return isinstance(error, _AWAY) or type(error) is sqlite3.DatabaseError


def in_short(error: BaseException) -> str:
    return ' '.join(str(error).split()).rstrip('.')[:300] or type(error).__name__


class Condition:
    """Whether the database can be used, found out every few seconds: what /readyz, the pages and the log say."""

    trouble = ''  # why nothing can be stored now

    async def watch(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK)

    async def look(self) -> None:
        before, self.trouble = self.trouble, await self._trouble()
        if self.trouble and self.trouble != before:
            log.error('the database cannot be used: %s', self.trouble)
        elif before and not self.trouble:
            log.warning('the database can be used again')

    def tell(self, log: logging.Logger, what: str, error: BaseException) -> None:
        """Log in one line what could not be done; not again and again while it is known why."""
        log.log(logging.DEBUG if self.trouble else logging.WARNING, '%s: %s', what, in_short(error))

    @staticmethod
    async def _trouble() -> str:
        try:
            return await (_trouble_of_sqlite() if is_sqlite() else _trouble_of_postgres())
        except TimeoutError:
            return 'it does not answer'
        except FAILURES as error:
            return in_short(error)


async def _trouble_of_sqlite() -> str:
    """Begin to write, and take it back."""
    if shutil.disk_usage(settings().sqlite_path.parent).free < ROOM:
        return 'its disk is full'

    class TakenBack(Exception):
        pass

    with contextlib.suppress(TakenBack), patience(PATIENCE):
        async with in_transaction('default') as connection:
            # Of a file that cannot be written, SQLite makes BEGIN IMMEDIATE a reading transaction and says nothing.
            version = (await connection.execute_query_dict('PRAGMA user_version'))[0]['user_version']
            await connection.execute_query(f'PRAGMA user_version={version}')
            raise TakenBack
    return ''


async def _trouble_of_postgres() -> str:
    async with asyncio.timeout(PATIENCE):
        found = await get_connection('default').execute_query_dict('SHOW transaction_read_only')
    return 'it is read-only' if found[0]['transaction_read_only'] == 'on' else ''


condition = Condition()


# -- opening ----------------------------------------------------------------------------------------------------------


def config(given: Settings | None = None, *, migrating: bool = False) -> dict[str, Any]:
    """Tortoise's configuration for these settings."""
    given = given or settings()
    apps = {
        'models': {'models': ['models'], 'default_connection': 'default', 'migrations': 'models.migrations'},
    }
    if not given.is_sqlite:
        url = given.database_url + ('&' if '?' in given.database_url else '?') + 'minsize=1&maxsize=8'
        return {'connections': {'default': url}, 'apps': apps, 'use_tz': True, 'timezone': 'UTC'}

    def connection(**more: Any) -> dict[str, Any]:
        credentials = {'file_path': str(given.sqlite_path), **_PRAGMAS, **more}
        return {'engine': 'models.sqlite', 'credentials': credentials}

    # While a table is rebuilt it is away for a moment; without the legacy way, its renaming would stumble over the
    # triggers of other tables that name it.
    pragmas = {'foreign_keys': 'OFF', 'legacy_alter_table': 'ON'} if migrating else {'foreign_keys': 'ON'}
    connections = {'default': connection(**pragmas)}
    if not migrating:
        connections |= {f'reader_{n}': connection(query_only='ON') for n in range(READERS)}
    return {'connections': connections, 'apps': apps, 'use_tz': True, 'timezone': 'UTC'}


# For Tortoise's own command line (`make migration`); nothing else reads it.
MIGRATION_CONFIG = {
    'connections': {'default': 'sqlite://:memory:'},
    'apps': {'models': {'models': ['models'], 'default_connection': 'default', 'migrations': 'models.migrations'}},
    'use_tz': True,
}


@contextlib.asynccontextmanager
async def opened(given: Settings | None = None) -> AsyncIterator[None]:
    """The database, migrated and open for this process; raises `Unusable`."""
    given = given or settings()
    from models.migrating import migrated

    await migrated(given)
    await Tortoise.init(config=config(given), _enable_global_fallback=True)
    condition.trouble = ''
    names = list(config(given)['connections'])
    try:
        try:
            for name in names:  # none later, when the file may be another or the disk full
                await get_connection(name).execute_query('SELECT 1')
        except FAILURES as error:
            raise Unusable(f'The database cannot be opened: {in_short(error)}.') from error
        yield
    finally:
        for name in reversed(names):  # the one that writes comes last, and leaves everything in the one file
            await get_connection(name).close()
        await Tortoise.close_connections()


def is_sqlite() -> bool:
    return get_connection('default').capabilities.dialect == 'sqlite'


def reader() -> BaseDBAsyncClient:
    """A connection for reading that no transaction of this process holds up."""
    if not is_sqlite():
        return get_connection('default')
    try:
        return get_connection(f'reader_{next(_turn) % READERS}')
    except Exception:  # a test that has one connection only
        return get_connection('default')


async def rows(query: Any) -> list[dict[str, Any]]:
    """What a `.values()` query finds, as the database gives it: no dates made, no enums."""
    return await rows_within(reader(), query)


async def rows_within(connection: BaseDBAsyncClient, query: Any, *, lock: bool = False) -> list[dict[str, Any]]:
    """The same on this connection; `lock` keeps the rows from other writers until its transaction ends."""
    query = query.using_db(connection) if hasattr(query, 'using_db') else query
    query._db = connection
    query._make_query()
    sql, values = query.query.get_parameterized_sql()
    if lock and connection.capabilities.support_for_update:
        sql += ' FOR UPDATE'
    return [dict(row) for row in await connection.execute_query_dict(sql, values)]


async def update_many(connection: BaseDBAsyncClient, model: type[Model], names: list[str], changed: list[dict]) -> None:
    """Write these columns of these rows (with their `id`) in one statement for many."""
    if not changed:
        return
    sqlite = connection.capabilities.dialect == 'sqlite'
    marks = ['?' if sqlite else f'${n}' for n in range(1, len(names) + 2)]
    sets = ', '.join(f'"{name}"={mark}' for name, mark in zip(names, marks, strict=False))

    def stored(value: Any) -> Any:
        if sqlite and isinstance(value, datetime):
            return value.isoformat(' ')
        return value.isoformat() if sqlite and isinstance(value, date) else value

    await connection.execute_many(
        f'UPDATE "{model._meta.db_table}" SET {sets} WHERE "id"={marks[-1]}',
        [[*(stored(row[name]) for name in names), row['id']] for row in changed],
    )


class CommitsOfOthers:
    """Notices what other processes commit: PRAGMA data_version on SQLite, LISTEN on PostgreSQL."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._listening: Any = None
        self._heard = False

    async def happened(self) -> bool:
        """Whether others have committed since this was asked the last time; nobody knows the first time: False."""
        return await self._counted() if is_sqlite() else await self._heard_of()

    async def _counted(self) -> bool:
        # On the writing connection: what this process commits there does not count.
        found = await get_connection('default').execute_query_dict('PRAGMA data_version')
        before, self._version = self._version, found[0]['data_version']
        return before is not None and before != self._version

    async def _heard_of(self) -> bool:
        if self._listening is None or self._listening.is_closed():
            from models.events import CHANNEL

            missed = self._listening is not None
            self._listening = await asyncpg.connect(plain_address(settings().database_url))
            await self._listening.add_listener(CHANNEL, self._listen)
            self._heard = missed  # nobody knows what was said while nobody listened
        heard, self._heard = self._heard, False
        return heard

    def _listen(self, _connection: Any, _pid: int, _channel: str, process: object) -> None:
        from models.events import PROCESS

        self._heard = self._heard or process != PROCESS

    async def close(self) -> None:
        if self._listening is not None and not self._listening.is_closed():
            await self._listening.close()


def plain_address(url: str) -> str:
    """The address without what only Tortoise understands (minsize, maxsize …), for asyncpg itself."""
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query) if k in ('host', 'port', 'user', 'password', 'sslmode', 'dbname')]
    return urlunsplit(parts._replace(query=urlencode(kept)))
