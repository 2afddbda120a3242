"""Backups: database and attachments in one file (models/backup_archive.py), taken while the portal is in use.

The database comes first, as it is at one moment: SQLite is copied within one reading transaction, PostgreSQL streams
every table within one REPEATABLE READ transaction; neither holds up who writes. Then come the files that its rows name.
`models.backup_reading` reads them, `models.restoring` puts them back, `jobs/backups.py` makes one every day.
"""

import asyncio
import contextlib
import errno
import fcntl
import json
import logging
import os
import re
import shutil
import sqlite3
import tempfile
import threading
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import asyncpg
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from models import attachment_files, backup_reading, database
from models.backup_archive import CHUNK, NotReadable, Writer
from models.backup_run import BackupRun, tell_audits
from models.migrating import is_current
from models.sqlite import BUSY
from settings import Settings, settings

log = logging.getLogger(__name__)

T = TypeVar('T')
NAME = re.compile(r'portal-(\d{8}-\d{6})\.backup')
ROOM_KEPT = 64 << 20  # bytes that a backup leaves on the disk: the portal has to go on storing
KEPT_AT_LEAST = 3  # of the newest backups, however old they are: a clock may be wrong
MOST_NAMED = 1000  # missing files that a backup lists one by one
_LOOK = 8 << 20  # bytes between two looks at the room on the disk
_PAGES = 1000  # of SQLite, copied at a time
_LOCK = 0x6D737062  # what the advisory lock of a backup is named by, on PostgreSQL


class NotMade(Exception):
    """There is no backup; the message is a sentence that says why."""


class Busy(NotMade):
    """Another process makes one at this moment."""


class Stopped(Exception):
    """The portal goes down; the backup is left to the next start."""


@dataclass(frozen=True)
class Made:
    path: Path
    size: int
    is_encrypted: bool
    missing: int  # files that rows name and that are not there


# -- the verb ---------------------------------------------------------------------------------------------------------


async def back_up(
    folder: Path | None = None, *, stopping: threading.Event | None = None, unless: Callable[[], Any] | None = None
) -> Made | None:
    """Make a backup in this folder (or the one of the settings), read it back and write down how it went.

    Raises `NotMade` with a sentence and `Stopped`; None where `unless` (async), asked once nobody else can begin one,
    says that none is needed. One without `unless` was asked for by somebody: the audits say that it was made. The event
    loop is never held up. Nothing half is left behind.
    """
    given = settings()
    folder = (folder or folder_of(given)).absolute()
    stopping = stopping or threading.Event()
    async with _claimed(given):
        if unless is not None and await unless():
            return None
        run = await BackupRun.begin()
        try:
            made = await in_thread(lambda: write(folder, given, stopping), stopping)
        except (Stopped, asyncio.CancelledError):
            await run.withdraw()
            raise
        except Exception as error:
            said = str(error) if isinstance(error, NotMade) else _sentence(error, folder)
            await run.fail(said)
            if isinstance(error, NotMade | OSError | sqlite3.Error | asyncpg.PostgresError | asyncpg.InterfaceError):
                raise NotMade(said) from error
            raise
        await run.finish(str(made.path), made.size, is_encrypted=made.is_encrypted)
        try:
            key = given.backup_key.get_secret_value()
            await in_thread(lambda: verify(made.path, key, given, stopping), stopping)
        except (Stopped, asyncio.CancelledError):
            raise
        except Exception as error:
            said = str(error) if isinstance(error, NotReadable | NotMade) else _sentence(error, folder)
            if isinstance(error, NotReadable):  # nobody shall rely on it, nor count it among the newest
                await asyncio.to_thread(made.path.unlink, missing_ok=True)
            await run.fail(f'It was made, and reading it back failed: {said}')
            raise NotMade(f'{made.path} was made, and reading it back failed: {said}') from error
        await run.verified(is_told=unless is None)
    return made


def folder_of(given: Settings) -> Path:
    return Path(given.backup_dir).absolute() if given.backup_dir else given.data_dir.absolute() / 'backups'


def verify(path: Path, key: str, given: Settings, stopping: threading.Event | None = None) -> backup_reading.Contents:
    """Read all of a backup and look whether the database in it is whole; blocks.

    Raises `NotReadable`, `Stopped`, and `NotMade` where there is no room for unpacking the database.
    """
    look = looking(stopping)
    with workspace(given) as work:

        def look_twice() -> None:
            look()
            check_room(work, 0)

        return backup_reading.read(path, key, database=work / 'database.sqlite3', look=look_twice)


async def tell_unreadable(path: Path, why: str, given: Settings) -> None:
    """Write into the audits that this backup could not be verified, where the database of these settings is there.

    Nothing is made or migrated for it: backups are also verified where only copies are kept. Raises `Unusable`.
    """
    if not await is_current(given):
        return
    async with database.opened(given):
        await tell_audits('backup.unreadable', f'A backup could not be verified: {path.name}. {why}')


async def in_thread(work: Callable[[], T], stopping: threading.Event) -> T:
    """Run this in a thread of its own; where this is cancelled, the thread is told, and waited for."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stopping.set()
        await asyncio.gather(running, return_exceptions=True)
        raise


def looking(stopping: threading.Event | None) -> Callable[[], None]:
    """What raises `Stopped` as soon as the portal goes down, to be called again and again."""

    def look() -> None:
        if stopping is not None and stopping.is_set():
            raise Stopped

    return look


def _sentence(error: BaseException, folder: Path) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f'There is no room left for a backup (in {error.filename or folder}).'
    if isinstance(error, OSError) and error.filename:
        return f'{error.filename} cannot be used: {error.strerror}.'
    return f'The backup could not be made: {database.in_short(error)}.'


@contextlib.asynccontextmanager
async def _claimed(given: Settings) -> AsyncIterator[None]:
    """One backup of a database at a time, whichever process makes it; ends with the process. Raises `Busy`."""
    busy = Busy('Another backup is being made at this moment.')
    if given.is_sqlite:
        path = given.sqlite_path
        with (path.parent / f'.{path.name}.backing-up').open('w') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise busy from None
            yield
        return
    try:
        connection = await asyncpg.connect(database.plain_address(given.database_url))
    except (OSError, asyncpg.PostgresError) as error:
        raise NotMade(f'PostgreSQL does not answer: {database.in_short(error)}.') from error
    try:
        if not await connection.fetchval('SELECT pg_try_advisory_lock($1)', _LOCK):
            raise busy
        yield
    finally:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close()


# -- files that come and go -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def workspace(given: Settings) -> Iterator[Path]:
    """A folder for what is needed for a while only, beside the data and readable for the portal only.

    What a process left that was killed goes: nobody holds its lock any more.
    """
    data = given.data_dir.absolute()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in data.glob('.backup-work-*'):
        with contextlib.suppress(OSError), (left / 'lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix='.backup-work-', dir=data))
    try:
        with (folder / 'lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Output:
    """The file that is being written: whole in its place, or not there at all."""

    def __init__(self, folder: Path, look: Callable[[], None]) -> None:
        self.folder, self._look, self.size, self._looked = folder, look, 0, 0
        made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        if made:
            folder.chmod(0o700)
        self._drop_left()
        while True:
            self.place = folder / f'portal-{datetime.now(UTC):%Y%m%d-%H%M%S}.backup'
            self._path = folder / f'.{self.place.name}.partial'
            with contextlib.suppress(FileExistsError):
                if not self.place.exists():
                    handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
                    break
            time.sleep(0.1)  # another one of this very second is there
        self._file: BinaryIO = os.fdopen(handle, 'wb')
        with contextlib.suppress(OSError):  # some network disks have no locks; what is left there stays
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _drop_left(self) -> None:
        """What a process began that was killed: nobody holds it any more."""
        for left in self.folder.glob('.portal-*.backup.partial'):
            with contextlib.suppress(OSError), left.open('rb') as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()

    def write(self, data: bytes) -> None:
        self._look()
        self._file.write(data)
        self.size += len(data)
        if self.size - self._looked >= _LOOK:
            self._looked = self.size
            check_room(self.folder, 0)

    def keep(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._path.chmod(0o600)  # whatever the process's mask is
        self._path.rename(self.place)
        self._file.close()
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def drop(self) -> None:
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._file.close()


def check_room(folder: Path, wanted: int) -> None:
    """Raise `NotMade` unless so many bytes fit, and some are left for the portal itself."""
    free = shutil.disk_usage(folder).free
    if free < wanted + ROOM_KEPT:
        raise NotMade(
            f'There is not enough room for a backup in {folder}: {(wanted + ROOM_KEPT) >> 20:,} MB are needed, '
            f'and {free >> 20:,} MB are free.'
        )


def made_in(folder: Path) -> list[tuple[datetime, Path]]:
    """The backups in this folder and when they were made, oldest first; what is called otherwise is none of ours."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if (match := NAME.fullmatch(path.name)) and path.is_file():
            with contextlib.suppress(ValueError):  # there is no such day
                found.append((datetime.strptime(match[1] + '+0000', '%Y%m%d-%H%M%S%z'), path))
    return sorted(found)


def forget_old(folder: Path, before: datetime, keep: set[str]) -> list[Path]:
    """Delete the backups made before this time, but for the newest ones and those in `keep`; return which."""
    gone = [path for at, path in made_in(folder)[:-KEPT_AT_LEAST] if at < before and str(path) not in keep]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


# -- writing ----------------------------------------------------------------------------------------------------------


def write(folder: Path, given: Settings, stopping: threading.Event) -> Made:
    """Write a backup; blocks. Raises `NotMade`, `Stopped`, and whatever disk and database raise."""
    key = given.backup_key.get_secret_value()
    look = looking(stopping)
    output = _Output(folder, look)
    try:
        check_room(folder, 0)
        writing = _Writing(Writer(output, key), given, look, is_encrypted=bool(key))
        if given.is_sqlite:
            _write_sqlite(writing)
        else:
            asyncio.run(_write_postgres(writing))
        writing.end()
        output.keep()
    except BaseException:
        output.drop()
        raise
    if writing.missing:
        log.warning('the backup %s lacks %d files that the database names', output.place, writing.missing)
    return Made(output.place, output.size, bool(key), writing.missing)


@dataclass
class _Writing:
    """What is common to both engines: how it begins, the files, and how it ends."""

    writer: Writer
    given: Settings
    look: Callable[[], None]
    is_encrypted: bool
    about: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)  # rows, by table
    sequences: dict[str, int] = field(default_factory=dict)  # of PostgreSQL, by table.column
    files: int = 0
    file_bytes: int = 0
    missing: int = 0
    differing: int = 0
    named: list[str] = field(default_factory=list)  # some of those that are missing or differ

    def begin(self, engine: str, schema: list[str], columns: dict[str, list[str]]) -> None:
        secret, where = _secret_of(self.given)
        inside = self.is_encrypted and where == 'file'
        self.about = {
            'portal': portal_version(), 'engine': engine, 'schema': schema, 'columns': columns,
            'made_at': datetime.now(UTC).isoformat(timespec='seconds'), 'secret': 'inside' if inside else where,
            'secret_mark': mark_of(secret),
        }  # fmt: skip
        self._json('about.json', self.about)
        if inside:
            with self.writer.member('secret') as member:
                member.write(secret.encode())

    def attachment(self, stored: str, sha256: str, state: str, started_at: Any, original_deleted_at: Any) -> None:
        """The files of this row, as many as it says there are."""
        if not attachment_files.is_drawn(sha256):  # of the demo: it is drawn when somebody asks for it
            return
        is_ready, was_uploaded = state == 'ready', state != 'ready' or started_at is not None
        if was_uploaded and original_deleted_at is None:
            self._file(f'attachments/original/{stored}', attachment_files.original_of(stored), sha256)
        if is_ready:
            place = attachment_files.pdf_of(stored)
            self._file(f'attachments/pdf/{place.name}', place, '' if was_uploaded else sha256)

    def _file(self, name: str, path: Path, sha256: str) -> None:
        self.look()
        try:
            file = path.open('rb')
        except FileNotFoundError:  # deleted since the database was read, or long ago
            self.missing += 1
            self._name(f'{name} is missing')
            return
        with file, self.writer.member(name) as member:
            while data := file.read(CHUNK):
                member.write(data)
        self.files += 1
        self.file_bytes += member.size
        if sha256 and member.digest.hex() != sha256:
            self.differing += 1
            self._name(f'{name} is not what was uploaded')

    def _name(self, what: str) -> None:
        if len(self.named) < MOST_NAMED:
            self.named.append(what)

    def end(self) -> None:
        told = {
            **self.about, 'tables': self.tables, 'sequences': self.sequences, 'files': self.files,
            'file_bytes': self.file_bytes, 'missing': self.missing, 'differing': self.differing, 'named': self.named,
            'members': self.writer.digest,
        }  # fmt: skip
        self._json('manifest.json', told)
        self.writer.finish()

    def _json(self, name: str, content: dict[str, Any]) -> None:
        with self.writer.member(name) as member:
            member.write(json.dumps(content, ensure_ascii=False).encode())


def _secret_of(given: Settings) -> tuple[str, str]:
    """The secret that opens what is sealed, and where it comes from: `setting`, `file` or `none` so far."""
    if secret := given.secret.get_secret_value():
        return secret, 'setting'
    with contextlib.suppress(FileNotFoundError):
        return (given.data_dir.absolute() / 'secret').read_text(encoding='ascii').strip(), 'file'
    return '', 'none'


def mark_of(secret: str) -> str:
    """By which a secret is known again without being told."""
    if not secret:
        return ''
    return HKDF(SHA256(), 8, salt=None, info=b'portal backup mark').derive(secret.encode()).hex()


def portal_version() -> str:
    try:
        with (Path(__file__).parent.parent / 'pyproject.toml').open('rb') as file:
            return str(tomllib.load(file)['project']['version'])
    except (OSError, KeyError, ValueError):
        return ''


# -- SQLite -----------------------------------------------------------------------------------------------------------

_ATTACHMENTS = 'SELECT stored, sha256, state, started_at, original_deleted_at FROM attachment ORDER BY id'


def _write_sqlite(writing: _Writing) -> None:
    given = writing.given
    with workspace(given) as work:
        copy = work / 'database.sqlite3'
        _copy(given.sqlite_path, copy, writing.look)
        with contextlib.closing(sqlite3.connect(f'file:{quote(str(copy))}?mode=ro', uri=True)) as file:
            names = file.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
            )
            columns = {
                name: [row[1] for row in file.execute(f'PRAGMA table_info("{name}")')] for (name,) in names.fetchall()
            }
            for name in columns:
                writing.look()
                writing.tables[name] = file.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            schema = [row[0] for row in file.execute('SELECT name FROM tortoise_migrations ORDER BY name')]
        writing.begin('sqlite', schema, columns)
        with copy.open('rb') as file, writing.writer.member('database.sqlite3') as member:
            while data := file.read(CHUNK):
                member.write(data)
        with contextlib.closing(sqlite3.connect(f'file:{quote(str(copy))}?mode=ro', uri=True)) as file:
            for row in file.execute(_ATTACHMENTS):
                writing.attachment(*row)


def _copy(path: Path, place: Path, look: Callable[[], None]) -> None:
    """Copy the database as it is now. Within one reading transaction nobody's writing begins the copy anew."""
    address = f'file:{quote(str(path))}?mode=rw'  # not created where it is missing
    with (
        contextlib.closing(sqlite3.connect(address, uri=True, timeout=BUSY, isolation_level=None)) as source,
        contextlib.closing(sqlite3.connect(place, isolation_level=None)) as copy,
    ):
        place.chmod(0o600)
        source.execute('BEGIN')
        pages = source.execute('SELECT * FROM pragma_page_count').fetchone()[0]
        source.execute('SELECT count(*) FROM sqlite_master').fetchone()  # the moment as of which it is read
        check_room(place.parent, pages * source.execute('PRAGMA page_size').fetchone()[0])
        copy.execute('PRAGMA synchronous=OFF')  # it is needed for a minute
        source.backup(copy, pages=_PAGES, progress=lambda *_: look(), sleep=0)
        source.execute('ROLLBACK')
        copy.execute('PRAGMA journal_mode=DELETE')  # one file, without a journal beside it


# -- PostgreSQL -------------------------------------------------------------------------------------------------------

# So that text means the same wherever it is read again.
PLAIN = {'TimeZone': 'UTC', 'DateStyle': 'ISO, YMD', 'client_encoding': 'UTF8', 'extra_float_digits': '3'}
_COLUMNS = """
    SELECT c.relname AS "table", a.attname AS "column",
        pg_get_serial_sequence(quote_ident(c.relname), a.attname) AS "sequence"
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attgenerated = ''
    ORDER BY c.relname, a.attnum
"""
_REFERENCES = """
    SELECT f.relname AS "from", t.relname AS "to" FROM pg_constraint
    JOIN pg_class f ON f.oid = conrelid JOIN pg_class t ON t.oid = confrelid
    WHERE contype = 'f' AND f.relnamespace = current_schema()::regnamespace AND f.oid <> t.oid
"""


async def _write_postgres(writing: _Writing) -> None:
    connection = await asyncpg.connect(
        database.plain_address(writing.given.database_url), server_settings=PLAIN, command_timeout=None
    )
    try:
        async with connection.transaction(isolation='repeatable_read', readonly=True):
            columns, sequences = await columns_of(connection)
            schema = [
                row['name'] for row in await connection.fetch('SELECT name FROM tortoise_migrations ORDER BY name')
            ]
            columns.pop('tortoise_migrations')
            writing.begin('postgres', schema, columns)
            for table in await _in_order(connection, columns):
                with writing.writer.member(f'tables/{table}.copy') as member:

                    async def add(data: bytes, write: Callable[[bytes], None] = member.write) -> None:
                        write(data)

                    said = await connection.copy_from_table(table, columns=columns[table], output=add, format='text')
                writing.tables[table] = int(said.split()[-1])
            async for row in connection.cursor(_ATTACHMENTS):
                writing.attachment(*row.values())
        # Sequences belong to no transaction: read afterwards, they are past everything that was copied.
        for place, sequence in sequences.items():
            found = await connection.fetchrow(f'SELECT last_value, is_called FROM {sequence}')
            writing.sequences[place] = found['last_value'] if found['is_called'] else 0
    finally:
        await connection.close()


async def columns_of(connection: Any) -> tuple[dict[str, list[str]], dict[str, str]]:
    """The columns of every table of a PostgreSQL database, and the sequences by `table.column`."""
    columns: dict[str, list[str]] = {}
    sequences: dict[str, str] = {}
    for row in await connection.fetch(_COLUMNS):
        columns.setdefault(row['table'], []).append(row['column'])
        if row['sequence']:
            sequences[f'{row["table"]}.{row["column"]}'] = row['sequence']
    return columns, sequences


async def _in_order(connection: Any, tables: dict[str, list[str]]) -> list[str]:
    """So that no row names one that comes later."""
    order = TopologicalSorter({table: set() for table in sorted(tables)})
    for row in await connection.fetch(_REFERENCES):
        order.add(row['from'], row['to'])
    return [table for table in order.static_order() if table in tables]
