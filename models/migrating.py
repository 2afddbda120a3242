"""Bringing the database up to date, without losing anything.

Tortoise 1.1.9 rebuilds SQLite tables in a way that deletes the rows of child tables and drops indexes and triggers. So:
foreign keys off while it works, a backup before, every index and trigger put back after, and the rows counted.
"""

import asyncio
import contextlib
import fcntl
import logging
import re
import shutil
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg
from tortoise import Tortoise
from tortoise.connection import get_connection
from tortoise.migrations import Migration
from tortoise.migrations import operations as ops
from tortoise.migrations.executor import MigrationExecutor

from models import database
from models.history import TRIGGERS, TRIGGERS_THERE
from models.migrating_state import run_migrations
from settings import Settings

log = logging.getLogger(__name__)

KEPT_BACKUPS = 5
BUSY = 5.0  # seconds that the start waits for another program's lock on the file
CHECKING = 0.5  # seconds that the start spends on finding damage; a big file is checked in part
# What the advisory lock of a migration is named by, on PostgreSQL.
_LOCK = 0x6D7370


async def migrated(given: Settings) -> None:
    """Bring the database up to date, one process at a time, and lose nothing; raises `Unusable`.

    Tortoise 1.1.9 rebuilds SQLite tables in a way that deletes the rows of child tables and drops indexes, triggers and
    what was unique. So: foreign keys off while it works, a backup before, everything dropped put back after each
    migration, and the rows counted. Where anything is missing, the backup is put back and the portal does not start.
    """
    if not given.is_sqlite:
        await _migrate_postgres(given)
        return
    path = given.sqlite_path
    setting = 'PORTAL_DATABASE_URL' if given.database_url else 'PORTAL_DATA_DIR'
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (path.parent / f'.{path.name}.migrating').open('w') as lock:
            await _taken(lock.fileno())
            await _migrate_sqlite(given, path)
    except PermissionError as error:
        raise database.Unusable(f'The database {path} cannot be written: {error.strerror} (see {setting}).') from error
    except OSError as error:
        raise database.Unusable(f'The database {path} cannot be opened: {error.strerror} (see {setting}).') from error
    except sqlite3.Error as error:
        raise database.Unusable(f'The database {path} cannot be used: {database.in_short(error)}.') from error


async def is_current(given: Settings) -> bool:
    """Whether there is a database of exactly this version; nothing is made or changed."""
    newest = _newest(database.config(given, migrating=True))
    try:
        if given.is_sqlite:
            path = given.sqlite_path
            return await asyncio.to_thread(lambda: _is_filled(path) and _applied(path) == newest)
        connection = await asyncpg.connect(database.plain_address(given.database_url), timeout=int(BUSY))
        try:
            return await _applied_on_postgres(connection) == newest
        finally:
            await connection.close()
    except (OSError, sqlite3.Error, asyncpg.PostgresError, ValueError):
        return False


async def _taken(lock: int) -> None:
    """Wait for the lock without a thread: those who wait in threads could leave none to the one who holds it."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.05)
        else:
            return


async def _migrate_sqlite(given: Settings, path: Path) -> None:
    migrating = database.config(given, migrating=True)
    await asyncio.to_thread(_check_usable, path)
    existed = await asyncio.to_thread(_is_filled, path)
    applied = await asyncio.to_thread(_applied, path) if existed else set()
    if unknown := sorted(applied - _newest(migrating)):
        raise database.Unusable(f'The database {path} was made by a newer version of the portal (it has {unknown[0]}).')
    if applied == _newest(migrating):
        return
    backup = await asyncio.to_thread(_back_up, path) if existed else None
    try:
        pending, tables = await _pending(migrating)
        for migration in pending:
            before = await asyncio.to_thread(_inventory, path)
            await run_migrations(migrating, migration.name)
            await Tortoise.close_connections()
            await asyncio.to_thread(_put_back, path, before, migration, tables)
            await asyncio.to_thread(_check_nothing_lost, path, before)
        await asyncio.to_thread(_check_protected, path)
    except BaseException as error:
        with contextlib.suppress(Exception):
            await Tortoise.close_connections()
        if backup:
            await asyncio.to_thread(_restore, backup, path)
        else:
            for ending in ('', '-wal', '-shm', '-journal'):
                path.with_name(path.name + ending).unlink(missing_ok=True)
        if isinstance(error, database.Unusable) or not isinstance(error, Exception):
            raise
        raise database.Unusable(
            f'The database {path} could not be migrated ({database.in_short(error)}); it is as it was before.'
        ) from error


def _newest(migrating: dict[str, Any]) -> set[str]:
    """The names of all migrations that this version has."""
    package = import_module(migrating['apps']['models']['migrations'])
    return {file.stem for folder in package.__path__ for file in Path(folder).glob('[0-9]*.py')}


async def _pending(migrating: dict[str, Any]) -> tuple[list[Migration], dict[str, str]]:
    """The migrations that are still to be made, in order; and the tables by the names that migrations call them."""
    await Tortoise.init(config=migrating, init_connections=False)
    try:
        executor = MigrationExecutor(get_connection('default'), migrating['apps'])
        plan = await executor.plan()
    finally:
        await Tortoise.close_connections()
    made = [operation for migration in executor.loader.disk_migrations.values() for operation in migration.operations]
    tables = {
        model.name: str((model.options or {}).get('table')) for model in made if isinstance(model, ops.CreateModel)
    }
    return [step.migration for step in plan if not step.backward], tables


def _applied(path: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(path, timeout=BUSY)) as file:
        table = file.execute("SELECT 1 FROM sqlite_master WHERE name='tortoise_migrations'").fetchone()
        return {row[0] for row in file.execute('SELECT name FROM tortoise_migrations')} if table else set()


def _is_filled(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _check_usable(path: Path) -> None:
    if not path.exists():
        return
    with contextlib.closing(sqlite3.connect(path, timeout=BUSY)) as file:
        try:
            file.execute('SELECT count(*) FROM sqlite_master').fetchone()
            version = file.execute('PRAGMA user_version').fetchone()[0]
            file.execute('BEGIN IMMEDIATE')
            # Of a file that cannot be written, SQLite makes BEGIN IMMEDIATE a reading transaction and says nothing.
            file.execute(f'PRAGMA user_version={version}')
            file.execute('ROLLBACK')
            damage = _damage(file)
        except sqlite3.OperationalError as error:
            if 'readonly' in str(error):
                raise database.Unusable(f'The database {path} is read-only.') from error
            if 'locked' in str(error):
                raise database.Unusable(f'The database {path} is locked by another program.') from error
            raise database.Unusable(f'The database {path} cannot be used: {database.in_short(error)}.') from error
        except sqlite3.DatabaseError as error:
            raise database.Unusable(
                f'The database {path} is not a database of the portal: {database.in_short(error)}.'
            ) from error
    if damage:
        raise database.Unusable(
            f'The database {path} is damaged ({damage}); put a backup in its place ({path.parent / "backups"}).'
        )


def _damage(file: sqlite3.Connection) -> str:
    until = time.monotonic() + CHECKING
    file.set_progress_handler(lambda: time.monotonic() > until, 10_000)
    try:
        found = file.execute('PRAGMA quick_check(1)').fetchone()[0]
    except sqlite3.OperationalError as error:
        if 'interrupted' in str(error):  # nothing was found in the time that there is
            return ''
        raise
    except sqlite3.DatabaseError as error:
        return database.in_short(error)
    finally:
        file.set_progress_handler(None, 0)
    return '' if found == 'ok' else ' '.join(found.split())[:200]


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


@dataclass
class Inventory:
    """What is in a SQLite file and must still be there after a migration."""

    rows: dict[str, int] = field(default_factory=dict)  # by table
    columns: dict[str, set[str]] = field(default_factory=dict)  # by table
    made: dict[str, tuple[str, str]] = field(default_factory=dict)  # table and statement, by index or trigger
    covers: dict[str, tuple[str, ...]] = field(default_factory=dict)  # columns, by index
    unique: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)  # name, by table and columns


def _inventory(path: Path) -> Inventory:
    found = Inventory()
    with contextlib.closing(sqlite3.connect(path)) as file:
        made = file.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
        for kind, name, table, sql in made.fetchall():
            if kind in ('index', 'trigger'):
                found.made[name] = (table, sql)
            if kind != 'table':
                continue
            found.rows[name] = file.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            found.columns[name] = {row[1] for row in file.execute(f'PRAGMA table_info("{name}")')}
            for _, index, is_unique, *_ in file.execute(f'PRAGMA index_list("{name}")').fetchall():
                columns = [row[2] for row in file.execute(f'PRAGMA index_info("{index}")')]
                found.covers[index] = tuple(column for column in columns if column)
                if is_unique:
                    found.unique[name, found.covers[index]] = _constraint(sql, found.covers[index])
    return found


def _constraint(table: str, columns: tuple[str, ...]) -> str:
    """The name under which this statement of a table makes these columns unique, if it names it."""
    listed = ', '.join(f'"{column}"' for column in columns)
    named = re.search(rf'CONSTRAINT "(\w+)" UNIQUE \({re.escape(listed)}\)', table)
    return named[1] if named else ''


def _put_back(path: Path, before: Inventory, migration: Migration, tables: dict[str, str]) -> None:
    """Make again the indexes and triggers, and what was unique, that the rebuild of a table dropped.

    What the migration removes by name, and what covers a column that is gone, stays away.
    """
    after = _inventory(path)
    with contextlib.closing(sqlite3.connect(path)) as file:
        for name, (table, sql) in before.made.items():
            columns = before.covers.get(name, ())
            if name in after.made or table not in after.rows or not after.columns[table].issuperset(columns):
                continue
            if _removes(migration, tables, table, name, columns):
                continue
            try:
                file.execute(sql)
            except sqlite3.OperationalError as error:
                if 'no such column' not in str(error):
                    raise
                log.warning('%s went with a column of %s', name, table)
        for table, columns in sorted(before.unique.keys() - _inventory(path).unique.keys()):
            gone = table not in after.rows or not after.columns[table].issuperset(columns)
            if not gone and not _removes(migration, tables, table, '', columns):
                # By the name of the constraint, so that a later migration that removes it finds it.
                name = before.unique[table, columns] or f'uid_{table}_{"_".join(columns)}'
                listed = ', '.join(f'"{column}"' for column in columns)
                file.execute(f'CREATE UNIQUE INDEX "{name}" ON "{table}" ({listed})')
        file.commit()


def _removes(migration: Migration, tables: dict[str, str], table: str, name: str, columns: tuple[str, ...]) -> bool:
    """Whether the migration says that it removes this index or trigger, or that these columns are unique."""
    for made in migration.operations:
        if isinstance(made, ops.RunSQL) and name and re.search(rf'(?i)\bDROP\b.*\b{re.escape(name)}\b', str(made.sql)):
            return True
        if not isinstance(made, ops.RemoveIndex | ops.RemoveConstraint | ops.AlterField):
            continue
        if tables.get(made.model_name, table) != table:
            continue
        if isinstance(made, ops.AlterField):
            if columns in ((made.name,), (f'{made.name}_id',)) and not made.field.unique:  # type: ignore[union-attr]
                return True
        elif (made.name and made.name == name) or _same(made.fields, columns):
            return True
    return False


def _same(fields: Sequence[str] | None, columns: tuple[str, ...]) -> bool:
    """Whether these names of fields are these columns; that of a foreign key ends in `_id`."""
    if not fields or len(fields) != len(columns):
        return False
    return all(column in (name, f'{name}_id') for name, column in zip(fields, columns, strict=True))


def _check_nothing_lost(path: Path, before: Inventory) -> None:
    after = _inventory(path)
    for table, count in before.rows.items():
        if after.rows.get(table, count) < count and table != 'tortoise_migrations':
            lost = count - after.rows[table]
            raise database.Unusable(
                f'Migrating would have lost {lost} rows of {table}; the database {path} is as it was before.'
            )
    with contextlib.closing(sqlite3.connect(path)) as file:
        dangling = file.execute('PRAGMA foreign_key_check').fetchall()
    if dangling:
        raise database.Unusable(
            f'Migrating would have left {len(dangling)} dangling rows; the database {path} is as it was before.'
        )


def _check_protected(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as file:
        tables = {row[0] for row in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        triggers = {row[0] for row in file.execute(TRIGGERS_THERE['sqlite'])}
    _refuse_unprotected(tables, triggers, 'sqlite')


def _refuse_unprotected(tables: set[str], triggers: set[str], engine: str) -> None:
    """A history that could be changed is none: where there are chains, there must be what protects them."""
    missing = [name for name in TRIGGERS[engine] if name not in triggers]
    if missing and 'history_chain' in tables:
        raise database.Unusable(f'After migrating, nothing protects the history: the trigger {missing[0]} is missing.')


async def _migrate_postgres(given: Settings) -> None:
    try:
        lock = await asyncpg.connect(database.plain_address(given.database_url))
    except (OSError, asyncpg.PostgresError, ValueError) as error:
        raise database.Unusable(
            f'PostgreSQL at PORTAL_DATABASE_URL does not answer: {database.in_short(error)}.'
        ) from error
    try:
        await lock.execute('SELECT pg_advisory_lock($1)', _LOCK)
        try:
            applied = await _applied_on_postgres(lock)
            await run_migrations(database.config(given, migrating=True))
            if await _applied_on_postgres(lock) != applied:
                tables = {row['tablename'] for row in await lock.fetch('SELECT tablename FROM pg_tables')}
                triggers = {row['name'] for row in await lock.fetch(TRIGGERS_THERE['postgres'])}
                _refuse_unprotected(tables, triggers, 'postgres')
        except database.Unusable:
            raise
        except Exception as error:
            raise database.Unusable(f'The database could not be migrated: {database.in_short(error)}.') from error
        finally:
            await Tortoise.close_connections()
    finally:
        await lock.close()


async def _applied_on_postgres(connection: Any) -> set[str]:
    if not await connection.fetchval("SELECT to_regclass('tortoise_migrations')"):
        return set()
    return {row['name'] for row in await connection.fetch('SELECT name FROM tortoise_migrations')}
