"""Putting a backup back onto a clean machine, or, when somebody insists, in the place of what is there.

Everything is read, unpacked beside its place, checked and brought up to date before anything that is there is touched;
what was there is moved aside and kept. A SQLite backup becomes a SQLite database, a PostgreSQL one a PostgreSQL
database. The restored portal does not go on with what belonged to the old place: nobody is signed in, links that open
something once no longer do (nobody knows which were used since), mails that were waiting are not sent, and the list of
backups begins anew.
"""

import asyncio
import contextlib
import fcntl
import os
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from tortoise import Tortoise

from models import backup_reading, calendar, database, migrations
from models.backing_up import PLAIN, columns_of, mark_of
from models.backup_archive import NotReadable, Reader
from models.backup_reading import Contents
from models.events import transaction
from models.history import TRIGGERS, TRIGGERS_THERE, HistoryEvent
from models.migrating_state import run_migrations
from models.sqlite import BUSY
from settings import Settings

ENDED = 'restored from a backup'
NOT_SENT = (
    'It was waiting when the portal was backed up, and was not sent after restoring. Send it again if it is needed.'
)


class NotRestored(Exception):
    """Nothing was changed; the message is a sentence that says why."""


@dataclass
class Restored:
    contents: Contents
    kept: list[str] = field(default_factory=list)  # where what was there is now
    secret: str = ''  # a sentence about the secret, where somebody has to do something


async def restore(
    path: Path, given: Settings, *, force: bool = False, told: Callable[[str], None] = lambda _: None
) -> Restored:
    """Restore this backup; raises `NotRestored` and `NotReadable`. The database is not open, and no portal runs on it.

    `told` hears what is being done. It takes as long as it takes, and holds the event loop up: it is for a command.
    """
    data = given.data_dir.absolute()
    with _translated():
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        place = given.sqlite_path.parent if given.is_sqlite else data
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _beside(data) as staging, _beside(place) as staging_database:
            await _check_target(given, force)
            told('Reading the backup …')
            contents = backup_reading.read(
                path, given.backup_key.get_secret_value(), database=staging_database / 'portal.sqlite3',
                files=staging / 'attachments',
            )  # fmt: skip
            _check_contents(contents, given)
            aside = f'before-restore-{datetime.now(UTC):%Y%m%d-%H%M%S}'
            moves = _files_to_move(staging, data, contents, given)
            restored = Restored(contents, secret=_about_secret(contents, given))
            if given.is_sqlite:
                told('Bringing it up to date …')
                ready = given.model_copy(update={'data_dir': staging_database, 'database_url': ''})
                await _settled(ready, contents)
                moves += [(ready.sqlite_path, given.sqlite_path), *_journals(given.sqlite_path)]
                with _nobody_uses(given.sqlite_path):
                    restored.kept = _moved(moves, data / aside)
            else:
                told('Loading the tables …')
                async with _loaded(path, contents, given, aside.replace('-', '_')) as kept:
                    restored.kept = _moved(moves, data / aside)
                restored.kept += kept
    return restored


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (NotRestored, NotReadable):
        raise
    except database.Unusable as error:
        raise NotRestored(str(error)) from error
    except database.FAILURES as error:
        if isinstance(error, OSError) and error.filename:
            raise NotRestored(f'{error.filename} cannot be used: {error.strerror}.') from error
        raise NotRestored(f'The backup could not be restored: {database.in_short(error)}.') from error


@contextlib.contextmanager
def _beside(folder: Path) -> Iterator[Path]:
    """A folder on the same disk, so that what is ready is moved into its place at once."""
    made = Path(tempfile.mkdtemp(prefix='.restoring-', dir=folder))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


# -- whether it may be ------------------------------------------------------------------------------------------------


async def _check_target(given: Settings, force: bool) -> None:
    """Before much is read."""
    if force:
        return
    there = await _rows_of_postgres(given) if not given.is_sqlite else _rows_of_sqlite(given.sqlite_path)
    if there:
        raise NotRestored(f'{there} Restore onto a clean machine, or say --force: what is there is kept beside it.')
    attachments = given.data_dir.absolute() / 'attachments'
    if _is_something(attachments):
        raise NotRestored(
            f'There are attachments in {attachments}. Restore onto a clean machine, or say --force: what is there is '
            'kept beside it.'
        )


# What a database has in it that nobody has done anything with.
_OF_NOBODY = ('tortoise_migrations', 'backup_run', 'product', 'price', 'signing_key')


def _rows_of_sqlite(path: Path) -> str:
    if not path.exists() or not path.stat().st_size:
        return ''
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY)) as file:
            names = file.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")
            for (name,) in names.fetchall():
                if name not in _OF_NOBODY and file.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone():
                    return f'There is a database with something in it: {path}.'
    except sqlite3.Error as error:
        return f'There is a file that cannot be read as a database: {path} ({error}).'
    return ''


async def _rows_of_postgres(given: Settings) -> str:
    connection = await asyncpg.connect(database.plain_address(given.database_url))
    try:
        for name in (await columns_of(connection))[0]:
            if name not in _OF_NOBODY and await connection.fetchval(f'SELECT EXISTS (SELECT 1 FROM "{name}")'):
                return f'There is something in the database of PORTAL_DATABASE_URL already (in {name}).'
    finally:
        await connection.close()
    return ''


def _check_contents(contents: Contents, given: Settings) -> None:
    wanted = 'SQLite' if given.is_sqlite else 'PostgreSQL'
    if contents.engine != wanted:
        how = 'leave PORTAL_DATABASE_URL empty' if contents.engine == 'SQLite' else 'set PORTAL_DATABASE_URL'
        raise NotRestored(
            f'The backup is of a {contents.engine} database, and the settings name a {wanted} one; {how} to restore it.'
        )
    known = {file.stem for folder in migrations.__path__ for file in Path(folder).glob('[0-9]*.py')}
    if unknown := sorted(set(contents.about['schema']) - known):
        raise NotRestored(
            f'The backup was made by a newer portal ({contents.about["portal"]}, it has {unknown[0]}); '
            'restore it with that version or a later one.'
        )


def _about_secret(contents: Contents, given: Settings) -> str:
    """What somebody has to do, so that what is sealed in the database (passwords of mail servers …) can be opened."""
    mark, own = contents.about['secret_mark'], given.secret.get_secret_value()
    if contents.secret:
        if own and mark_of(own) != mark:
            return (
                'PORTAL_SECRET is set here to another secret than the portal had, and goes before the one that was '
                'restored: remove the setting.'
            )
        return ''
    if not mark:
        return ''
    kept = given.data_dir.absolute() / 'secret'
    here = own or (kept.read_text(errors='replace').strip() if kept.is_file() else '')
    if mark_of(here) == mark:
        return ''
    bring = (
        'set PORTAL_SECRET to what it was on the old machine'
        if contents.about['secret'] == 'setting'
        else f'bring the file “secret” along from the data folder of the old machine, into {kept.parent}'
    )
    return (
        f'The secret is not in the backup: {bring}, before the portal is started. Without it, second factors, the '
        'password of the mail server and what else is sealed have to be set up anew.'
    )


# -- putting it there -------------------------------------------------------------------------------------------------

Move = tuple[Path | None, Path]  # what is ready (None: nothing comes), and its place


def _files_to_move(staging: Path, data: Path, contents: Contents, given: Settings) -> list[Move]:
    attachments = staging / 'attachments'
    for folder in (attachments, attachments / 'original', attachments / 'pdf'):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
    moves: list[Move] = [(attachments, data / 'attachments')]
    kept = data / 'secret'
    if contents.secret and not (kept.is_file() and kept.read_text(errors='replace').strip() == contents.secret):
        (staging / 'secret').touch(mode=0o600)
        (staging / 'secret').write_text(contents.secret, encoding='utf-8')
        moves.append((staging / 'secret', kept))
    return moves


def _journals(path: Path) -> list[Move]:
    return [(None, path.with_name(path.name + ending)) for ending in ('-wal', '-shm', '-journal')]


def _moved(moves: list[Move], aside: Path) -> list[str]:
    """Put everything into its place, and what was there aside; all of it or nothing. Return where that is."""
    os.sync()  # all that was unpacked is on the disk before anything takes the place of what was there
    done: list[tuple[Path, Path]] = []  # from, to
    try:
        for ready, place in moves:
            if _is_something(place):
                aside.mkdir(mode=0o700, exist_ok=True)
                shutil.move(place, aside / place.name)
                done.append((place, aside / place.name))
            elif place.is_dir():
                shutil.rmtree(place)  # empty folders
            if ready is not None:
                ready.replace(place)
                done.append((ready, place))
    except BaseException:
        for source, target in reversed(done):
            with contextlib.suppress(OSError):
                shutil.move(target, source)
        raise
    os.sync()
    return [str(aside)] if aside.exists() else []


def _is_something(place: Path) -> bool:
    return any(file.is_file() for file in place.rglob('*')) if place.is_dir() else place.exists()


@contextlib.contextmanager
def _nobody_uses(path: Path) -> Iterator[None]:
    """Raise where a portal has the database open; none can be started meanwhile."""
    with (path.parent / f'.{path.name}.migrating').open('w') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotRestored('The portal is being started on this database. Stop it first.') from None
        if path.exists() and path.stat().st_size:
            try:
                with contextlib.closing(sqlite3.connect(path, timeout=0.5)) as file:
                    # Only the last one that has it open may do this.
                    file.execute('PRAGMA journal_mode=DELETE').fetchone()
            except sqlite3.OperationalError as error:
                raise NotRestored(
                    f'A portal is running on {path}, or another program has it open ({error}). Stop it first.'
                ) from error
            except sqlite3.DatabaseError:
                pass  # it is no database; what it is, is moved aside as it is
        yield


async def _settled(given: Settings, contents: Contents) -> None:
    """Bring the restored database up to date, and take from it what belonged to the old place."""
    from models import BackupRun, Message, MessageState, OneTimeLink, Partner, Session

    async with database.opened(given):
        now = datetime.now(UTC)
        async with transaction():
            await Session.filter(ended_at=None).update(ended_at=now, ended_because=ENDED)
            await Message.filter(state=MessageState.WAITING).update(
                state=MessageState.FAILED, body='', error=NOT_SENT[:300]
            )
            await OneTimeLink.filter(used_at=None, revoked_at=None).update(revoked_at=now)
            await BackupRun.all().delete()
            for partner_id in await Partner.all().order_by('id').values_list('id', flat=True):
                await HistoryEvent.add(
                    partner_id,  # type: ignore[arg-type]
                    'portal.restored',
                    'The portal was restored from its backup of '
                    f'{calendar.said(contents.made_at)} {contents.made_at:%H:%M} UTC',
                )


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _loaded(path: Path, contents: Contents, given: Settings, aside: str) -> AsyncIterator[list[str]]:
    """The tables, loaded and up to date; what fails in the block, or before, puts back what was there.

    What was there is moved into a schema of its own, and dropped at the end if it was empty.
    """
    connection = await asyncpg.connect(
        database.plain_address(given.database_url), server_settings={**PLAIN, 'lock_timeout': '5s'}
    )
    try:
        await _check_nobody_connected(connection)
        was_empty = not await _rows_of_postgres(given)
        ours = await connection.fetchval('SELECT current_schema()')
        before = set((await columns_of(connection))[0])
        if before and 'tortoise_migrations' not in before:
            raise NotRestored('The database of PORTAL_DATABASE_URL is used by something else; give the portal its own.')
        async with connection.transaction():
            await _move_schema(connection, ours, aside, make=True)
        try:
            await _load(path, contents, given, connection)
            await _settled(given, contents)
            yield [] if was_empty else [f'the schema {aside} of the database']
        except BaseException:
            await Tortoise.close_connections()
            async with connection.transaction():
                await _drop_tables(connection, ours)
                await _move_schema(connection, aside, ours, make=False)
                await connection.execute(f'DROP SCHEMA "{aside}"')
            raise
        if was_empty:
            await connection.execute(f'DROP SCHEMA "{aside}" CASCADE')
    finally:
        await connection.close()


async def _check_nobody_connected(connection: Any) -> None:
    others = 0
    for _ in range(10):  # what was just closed is listed for a moment
        others = await connection.fetchval(
            'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() '
            "AND backend_type = 'client backend'"
        )
        if not others:
            return
        await asyncio.sleep(0.1)
    raise NotRestored(
        f'{others} other {"connection is" if others == 1 else "connections are"} open to the database: stop the '
        'portal, and what else uses it, first.'
    )


_TABLES = "SELECT c.relname FROM pg_class c WHERE c.relnamespace = $1::regnamespace AND c.relkind = 'r' ORDER BY 1"
_FUNCTIONS = """
    SELECT DISTINCT p.oid::regprocedure::text AS "function" FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
    JOIN pg_class c ON c.oid = t.tgrelid
    WHERE NOT t.tgisinternal AND c.relnamespace = $1::regnamespace AND p.pronamespace = $1::regnamespace
"""


async def _move_schema(connection: Any, source: str, target: str, *, make: bool) -> None:
    """Tables (with their indexes, triggers and sequences) and the functions of their triggers."""
    if make:
        await connection.execute(f'CREATE SCHEMA "{target}"')
    functions = [row['function'] for row in await connection.fetch(_FUNCTIONS, source)]
    for row in await connection.fetch(_TABLES, source):
        await connection.execute(f'ALTER TABLE "{source}"."{row["relname"]}" SET SCHEMA "{target}"')
    for function in functions:
        await connection.execute(f'ALTER FUNCTION {function} SET SCHEMA "{target}"')


async def _drop_tables(connection: Any, schema: str) -> None:
    functions = [row['function'] for row in await connection.fetch(_FUNCTIONS, schema)]
    for row in await connection.fetch(_TABLES, schema):
        await connection.execute(f'DROP TABLE "{schema}"."{row["relname"]}" CASCADE')
    for function in functions:
        await connection.execute(f'DROP FUNCTION {function}')


async def _load(path: Path, contents: Contents, given: Settings, connection: Any) -> None:
    """Make the tables as they were, and fill them in one transaction."""
    try:
        newest = max(contents.about['schema'])
        await run_migrations(database.config(given, migrating=True), newest)
    finally:
        await Tortoise.close_connections()
    there, _ = await columns_of(connection)
    for table, columns in contents.about['columns'].items():
        if missing := set(columns) - set(there.get(table, [])):
            raise NotRestored(f'The backup has something that the portal has no place for: {table}.{min(missing)}.')
    async with connection.transaction():
        for table in contents.about['columns']:
            await connection.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        listed = ', '.join(f'"{table}"' for table in contents.about['columns'])
        await connection.execute(f'TRUNCATE {listed}')  # migrations put a catalogue there
        with path.open('rb') as file:
            for name, portions in Reader(file, given.backup_key.get_secret_value()).members():
                if not name.startswith('tables/'):
                    continue
                table = name.removeprefix('tables/').removesuffix('.copy')
                await connection.copy_to_table(
                    table, source=_handed_over(portions), columns=contents.about['columns'][table], format='text'
                )
        for table in contents.about['columns']:
            await connection.execute(f'ALTER TABLE "{table}" ENABLE TRIGGER USER')
            count = await connection.fetchval(f'SELECT count(*) FROM "{table}"')
            if count != contents.rows(table):
                raise NotRestored(f'{contents.rows(table):,} rows of {table} should be there, and {count:,} are.')
        await _set_sequences(connection, contents.manifest['sequences'])
    triggers = {row['name'] for row in await connection.fetch(TRIGGERS_THERE['postgres'])}
    if 'history_chain' in there and (missing := [name for name in TRIGGERS['postgres'] if name not in triggers]):
        raise NotRestored(f'Nothing would protect the restored history: the trigger {missing[0]} is missing.')


async def _handed_over(portions: Iterator[bytes]) -> AsyncIterator[bytes]:
    for portion in portions:
        yield portion


async def _set_sequences(connection: Any, wanted: dict[str, int]) -> None:
    """After the last number that was ever given, not only after the last that is still there."""
    for place, sequence in (await columns_of(connection))[1].items():
        table, column = place.split('.')
        last = max(wanted.get(place, 0), await connection.fetchval(f'SELECT max("{column}") FROM "{table}"') or 0)
        await connection.execute('SELECT setval($1::regclass, $2, $3)', sequence, max(last, 1), last > 0)
