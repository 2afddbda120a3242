"""Whether the database can be used: real files that are locked, full, damaged, deleted or replaced."""

import asyncio
import contextlib
import logging
import os
import resource
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tortoise.connection import get_connection
from tortoise.exceptions import DoesNotExist, IntegrityError, OperationalError
from tortoise.transactions import in_transaction

from models import Partner, database
from models.database import Unusable, condition, opened
from models.sqlite import WaitingSqliteClient, patience
from settings import settings

NEVER = 20  # seconds after which something waits for ever


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another program that is writing."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute('BEGIN IMMEDIATE')
        yield


@contextlib.contextmanager
def no_room(largest: int) -> Iterator[None]:
    """No file grows beyond this, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def _add(name: str) -> None:
    async with in_transaction('default'):
        await Partner.create(name=name, slug=name.lower())


@pytest.fixture(autouse=True)
def _as_before():
    yield
    condition.trouble = ''


# -- opening ----------------------------------------------------------------------------------------------------------


async def test_a_connection_that_could_not_be_opened_is_opened_when_it_can_be(tmp_path):
    client = WaitingSqliteClient(str(tmp_path / 'missing' / 'x.sqlite3'), connection_name='default')
    try:
        for _ in range(2):
            with pytest.raises(OperationalError):
                await asyncio.wait_for(client.execute_query('SELECT 1'), NEVER)
        (tmp_path / 'missing').mkdir()
        await asyncio.wait_for(client.execute_query('SELECT 1'), NEVER)
    finally:
        await client.close()


async def test_a_connection_that_has_only_half_of_its_settings_is_not_used(tmp_path):
    file = tmp_path / 'x.sqlite3'
    file.write_bytes(b'garbage ' * 1000)
    client = WaitingSqliteClient(str(file), connection_name='default', query_only='ON')
    with pytest.raises(sqlite3.DatabaseError):
        await client.execute_query('SELECT 1')
    assert client._connection is None


async def test_a_start_without_room_ends_in_words(test_settings):
    test_settings.sqlite_path.parent.mkdir(parents=True)
    with no_room(0), pytest.raises(Unusable):
        async with asyncio.timeout(NEVER), opened(test_settings):
            pass


async def test_everything_is_in_the_one_file_when_the_database_is_closed(sqlite_file, test_settings):
    """Whoever copies the file after a command has all of it."""
    for number in range(5):
        async with opened(test_settings):
            await _add(f'Number {number}')
        assert [file.name for file in sqlite_file.parent.glob('*-wal')] == []


async def test_a_database_with_a_damaged_middle_is_not_opened(sqlite_file, test_settings):
    async with opened(test_settings):
        for number in range(200):
            await Partner.create(name='x' * 100, slug=f'slug-{number}')
    whole = sqlite_file.read_bytes()
    place = whole.rindex(b'slug-1') & ~4095  # a page of rows
    sqlite_file.write_bytes(whole[:place] + b'\xaa' * 4096 + whole[place + 4096 :])
    with pytest.raises(Unusable, match='is damaged'):
        async with opened(test_settings):
            pass


# -- writing ----------------------------------------------------------------------------------------------------------


async def test_a_commit_that_fails_stores_nothing_and_the_next_one_works(sqlite_db):
    await _add('Before')
    with no_room(os.stat(f'{sqlite_db.sqlite_path}-wal').st_size), pytest.raises(OperationalError):
        await _add('Lost')
    await _add('After')
    assert await Partner.all().order_by('id').values_list('name', flat=True) == ['Before', 'After']


async def test_a_commit_that_fails_leaves_no_transaction_open(sqlite_db, monkeypatch):
    """SQLite does not take everything back by itself when COMMIT fails."""

    async def fails() -> None:
        raise sqlite3.OperationalError('database or disk is full')

    with monkeypatch.context() as patched:
        patched.setattr(get_connection('default')._connection, 'commit', fails)
        with pytest.raises(OperationalError, match='disk is full'):
            await _add('Lost')
    await _add('After')
    assert await Partner.all().values_list('name', flat=True) == ['After']


async def test_what_one_request_waits_is_limited_however_often_it_waits(sqlite_db):
    begun = time.monotonic()
    with locked(sqlite_db.sqlite_path), patience(0.4):
        for number in range(8):
            with pytest.raises(OperationalError):
                await _add(f'Number {number}')
    assert time.monotonic() - begun < 2.5
    await _add('Four')


async def test_what_one_request_waits_behind_others_counts_as_well(sqlite_db):
    connection = get_connection('default')
    begun = time.monotonic()
    async with connection._lock:
        with patience(0.4):
            for _ in range(8):
                with pytest.raises(OperationalError):
                    await Partner.exists()
    assert time.monotonic() - begun < 2.5
    assert not await Partner.exists()


async def test_what_a_request_takes_without_waiting_does_not_count(sqlite_db):
    lock = get_connection('default')._lock
    with patience(0.5):
        await asyncio.sleep(0.6)  # its own work
        await lock.acquire()
        asyncio.get_running_loop().call_soon(lock.release)
        assert not await Partner.exists()


async def test_what_a_request_has_started_may_wait_for_longer(sqlite_db):
    connection = get_connection('default')
    async with connection._lock:
        with patience(0.01):
            started = asyncio.ensure_future(Partner.exists())
            with pytest.raises(OperationalError):
                await Partner.exists()
            await asyncio.sleep(0.02)
    assert await started is False


# -- deleted or replaced ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize('how', ['deleted', 'replaced'])
async def test_of_a_file_that_is_another_now_nothing_is_read_and_nothing_written(sqlite_db, how, tmp_path):
    await _add('Before')
    path = sqlite_db.sqlite_path
    if how == 'deleted':
        path.unlink()
    else:
        os.replace(shutil.copy(path, tmp_path / 'copy'), path)
    for attempt in (_add('Lost'), Partner.exists(), database.rows(Partner.all().values('id'))):
        with pytest.raises(OperationalError, match='deleted or replaced'):
            await attempt
    assert path.exists() == (how == 'replaced')  # and no empty one was made in its place


# -- what is known ----------------------------------------------------------------------------------------------------


async def test_nothing_is_wrong_with_a_database_that_can_be_used(db):
    await condition.look()
    assert condition.trouble == ''


async def test_trouble_is_said_once_when_it_begins_and_once_when_it_ends(sqlite_db, monkeypatch, caplog):
    monkeypatch.setattr(database, 'PATIENCE', 0.05)
    with locked(sqlite_db.sqlite_path):
        for _ in range(3):
            await condition.look()
        assert 'locked' in condition.trouble
    await condition.look()
    await condition.look()
    assert condition.trouble == ''
    said = [record.getMessage() for record in caplog.records if record.name == database.__name__]
    assert said == ['the database cannot be used: database is locked', 'the database can be used again']
    caplog.clear()


async def test_a_deleted_file_and_a_full_disk_are_noticed(sqlite_db, monkeypatch, caplog):
    monkeypatch.setattr(database, 'ROOM', 1 << 62)
    await condition.look()
    assert condition.trouble == 'its disk is full'
    monkeypatch.undo()
    sqlite_db.sqlite_path.unlink()
    await condition.look()
    assert 'deleted or replaced' in condition.trouble
    assert len(caplog.records) == 2
    caplog.clear()


async def test_looking_changes_nothing(sqlite_db):
    def version() -> int:
        return other.execute('PRAGMA data_version').fetchone()[0]

    with contextlib.closing(sqlite3.connect(sqlite_db.sqlite_path)) as other:
        before = version()
        await condition.look()
        assert version() == before
        await _add('Somebody')
        assert version() != before


def test_what_could_not_be_done_is_not_said_again_while_it_is_known_why(caplog, monkeypatch):
    log = logging.getLogger('test')
    with caplog.at_level(logging.INFO):
        condition.tell(log, 'first', OSError('a\nb'))
        monkeypatch.setattr(condition, 'trouble', 'locked')
        condition.tell(log, 'second', OSError('c'))
    assert [record.getMessage() for record in caplog.records] == ['first: a b']


@pytest.mark.parametrize(
    ('error', 'expected'),
    [
        (OperationalError('database is locked'), True),
        (sqlite3.OperationalError('disk I/O error'), True),
        (sqlite3.DatabaseError('database disk image is malformed'), True),
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (asyncpg.ConnectionDoesNotExistError(), True),
        (asyncpg.CannotConnectNowError(), True),
        (asyncpg.AdminShutdownError(), True),
        (asyncpg.DiskFullError(), True),
        (asyncpg.InterfaceError('connection is closed'), True),
        (IntegrityError('twice'), False),
        (sqlite3.IntegrityError('twice'), False),
        (sqlite3.ProgrammingError('closed'), False),
        (DoesNotExist(Partner), False),
        (asyncpg.UniqueViolationError(), False),
        (FileNotFoundError(), False),
    ],
)
def test_the_database_is_blamed_for_its_own_failures_only(error, expected):
    assert database.is_away(error) is expected


def test_a_postgresql_whose_address_leads_nowhere_is_away(monkeypatch):
    monkeypatch.setenv('PORTAL_DATABASE_URL', 'postgres://nobody@nowhere/none')
    settings.cache_clear()
    for error in (FileNotFoundError(2, 'no socket'), socket.gaierror(-2, 'no such host'), OSError(113, 'no route')):
        assert database.is_away(error)
    assert not database.is_away(FileNotFoundError(2, 'no file', '/srv/portal/attachment'))
