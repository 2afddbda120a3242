"""Opening, migrating and reading the database.

SQLite: one connection that writes and a few that only read (a list must not wait for a transaction). PostgreSQL: one
pool. `rows` and its kin return plain dictionaries, for the places where a thousand instances would hold up the loop.
"""

import asyncio
import contextlib
import fcntl
import itertools
import logging
import shutil
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tortoise import Tortoise
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.connection import get_connection
from tortoise.migrations.api.migrate import migrate as run_migrations
from tortoise.models import Model

from settings import Settings, settings

log = logging.getLogger(__name__)

READERS = 3
KEPT_BACKUPS = 5
_turn = itertools.count()
# What the advisory lock of a migration is named by, on PostgreSQL.
_LOCK = 0x6D7370

_PRAGMAS = {
    'journal_mode': 'WAL', 'synchronous': 'NORMAL', 'busy_timeout': 5000, 'journal_size_limit': 67108864,
    'cache_size': -65536, 'temp_store': 'MEMORY', 'mmap_size': 268435456,
}  # fmt: skip


class Unusable(Exception):
    """The database cannot be used; the message is one sentence for whoever starts the portal."""


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

    connections = {'default': connection(foreign_keys='OFF' if migrating else 'ON')}
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
    await migrated(given)
    await Tortoise.init(config=config(given), _enable_global_fallback=True)
    try:
        await get_connection('default').execute_query('SELECT 1')
        yield
    finally:
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
        return value.isoformat(' ') if sqlite and isinstance(value, datetime) else value

    await connection.execute_many(
        f'UPDATE "{model._meta.db_table}" SET {sets} WHERE "id"={marks[-1]}',
        [[*(stored(row[name]) for name in names), row['id']] for row in changed],
    )


async def commits_of_others() -> int:
    """A number that changes when another process has committed to the SQLite file (PRAGMA data_version).

    Asked on the writing connection: what this process commits there does not count.
    """
    found = await get_connection('default').execute_query_dict('PRAGMA data_version')
    return found[0]['data_version']


# -- migrations -------------------------------------------------------------------------------------------------------


async def migrated(given: Settings) -> None:
    """Bring the database up to date, one process at a time, and lose nothing; raises `Unusable`.

    Tortoise 1.1.9 rebuilds SQLite tables in a way that deletes the rows of child tables and drops indexes and triggers.
    So: foreign keys off while it works, a backup before, every index and trigger put back after, and the rows counted.
    Where anything is missing, the backup is put back and the portal does not start.
    """
    if not given.is_sqlite:
        await _migrate_postgres(given)
        return
    path = given.sqlite_path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (path.parent / f'.{path.name}.migrating').open('w') as lock:
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            await _migrate_sqlite(given, path)
    except PermissionError as error:
        raise Unusable(f'The database {path} cannot be written: {error.strerror}.') from error
    except OSError as error:
        raise Unusable(f'The database {path} cannot be opened: {error.strerror}.') from error
    except sqlite3.Error as error:
        raise Unusable(f'The database {path} cannot be used: {error}.') from error




async def _migrate_sqlite(given: Settings, path: Path) -> None:
    migrating = config(given, migrating=True)
    await asyncio.to_thread(_check_usable, path)
    existed = path.exists() and path.stat().st_size > 0
    if existed and await asyncio.to_thread(_applied, path) >= _newest(migrating):
        return
    backup = await asyncio.to_thread(_back_up, path) if existed else None
    before = await asyncio.to_thread(_inventory, path) if existed else {}
    try:
        await run_migrations(config=migrating)
        await Tortoise.close_connections()
        await asyncio.to_thread(_put_back, path, before)
        await asyncio.to_thread(_check_nothing_lost, path, before)
    except BaseException as error:
        with contextlib.suppress(Exception):
            await Tortoise.close_connections()
        if backup:
            await asyncio.to_thread(_restore, backup, path)
        elif not existed:
            for file in path.parent.glob(path.name + '*'):
                file.unlink(missing_ok=True)
        if isinstance(error, Unusable | sqlite3.Error | OSError) or not isinstance(error, Exception):
            raise
        raise Unusable(f'The database {path} could not be migrated ({error}); it is as it was before.') from error


def _newest(migrating: dict[str, Any]) -> set[str]:
    """The names of all migrations that this version has."""
    from importlib import import_module

    package = import_module(migrating['apps']['models']['migrations'])
    return {file.stem for folder in package.__path__ for file in Path(folder).glob('[0-9]*.py')}


def _applied(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        table = database.execute("SELECT 1 FROM sqlite_master WHERE name='tortoise_migrations'").fetchone()
        return {row[0] for row in database.execute('SELECT name FROM tortoise_migrations')} if table else set()


def _check_usable(path: Path) -> None:
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path, timeout=5)) as database:
        try:
            database.execute('SELECT count(*) FROM sqlite_master').fetchone()
            database.execute('BEGIN IMMEDIATE')
            database.execute('ROLLBACK')
        except sqlite3.OperationalError as error:
            if 'readonly' in str(error):
                raise Unusable(f'The database {path} is read-only.') from error
            if 'locked' in str(error):
                raise Unusable(f'The database {path} is locked by another program.') from error
            raise Unusable(f'The database {path} cannot be used: {error}.') from error
        except sqlite3.DatabaseError as error:
            raise Unusable(f'The database {path} is not a database of the portal: {error}.') from error


def _back_up(path: Path) -> Path:
    folder = path.parent / 'backups'
    folder.mkdir(exist_ok=True)
    backup = folder / f'{path.stem}-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}-before-migration.sqlite3'
    with contextlib.closing(sqlite3.connect(path)) as source, contextlib.closing(sqlite3.connect(backup)) as target:
        source.backup(target)
    shutil.copymode(path, backup)
    for old in sorted(folder.glob(f'{path.stem}-*-before-migration.sqlite3'))[:-KEPT_BACKUPS]:
        old.unlink(missing_ok=True)
    log.info('backed up to %s before migrating', backup)
    return backup


def _restore(backup: Path, path: Path) -> None:
    with contextlib.closing(sqlite3.connect(backup)) as source, contextlib.closing(sqlite3.connect(path)) as target:
        source.backup(target)


def _inventory(path: Path) -> dict[str, Any]:
    """Every table with its number of rows, every index and trigger with its statement."""
    with contextlib.closing(sqlite3.connect(path)) as database:
        made = database.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        things = made.fetchall()
        return {
            'rows': {
                name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
                for kind, name, _, _ in things
                if kind == 'table'
            },
            'made': {
                name: (kind, table, sql) for kind, name, table, sql in things if kind in ('index', 'trigger') and sql
            },
        }


def _put_back(path: Path, before: dict[str, Any]) -> None:
    """Make again the indexes and triggers that the rebuild of a table dropped.

    One whose columns are gone is left out: it went with them.
    """
    if not before:
        return
    after = _inventory(path)
    with contextlib.closing(sqlite3.connect(path)) as database:
        for name, (_, table, sql) in before['made'].items():
            if name not in after['made'] and table in after['rows']:
                try:
                    database.execute(sql)
                except sqlite3.OperationalError as error:
                    if 'no such column' not in str(error) and 'has no column' not in str(error):
                        raise
                    log.warning('%s went with a column of %s', name, table)
        database.commit()


def _check_nothing_lost(path: Path, before: dict[str, Any]) -> None:
    after = _inventory(path)
    for table, count in (before.get('rows') or {}).items():
        if table in after['rows'] and after['rows'][table] < count and table != 'tortoise_migrations':
            raise Unusable(
                f'Migrating would have lost {count - after["rows"][table]} rows of {table}; the database is as before.'
            )
    with contextlib.closing(sqlite3.connect(path)) as database:
        dangling = database.execute('PRAGMA foreign_key_check').fetchall()
        if dangling:
            raise Unusable(f'Migrating would have left {len(dangling)} dangling rows; the database is as before.')


async def _migrate_postgres(given: Settings) -> None:
    import asyncpg

    try:
        lock = await asyncpg.connect(_plain(given.database_url))
    except (OSError, asyncpg.PostgresError, ValueError) as error:
        raise Unusable(f'PostgreSQL at PORTAL_DATABASE_URL does not answer: {error}') from error
    try:
        await lock.execute('SELECT pg_advisory_lock($1)', _LOCK)
        try:
            await run_migrations(config=config(given, migrating=True))
        finally:
            await Tortoise.close_connections()
    finally:
        await lock.close()


def _plain(url: str) -> str:
    """The address without what only Tortoise understands (minsize, maxsize …), for asyncpg itself."""
    parts = urlsplit(url)
    kept = [(k, v) for k, v in parse_qsl(parts.query) if k in ('host', 'port', 'user', 'password', 'sslmode', 'dbname')]
    return urlunsplit(parts._replace(query=urlencode(kept)))
