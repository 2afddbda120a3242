import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from jobs.backups import Backups
from models import BackupRun, backing_up
from models.backing_up import NotMade
from models.backup_run import TRY_AGAIN
from settings import settings


@pytest.fixture
def job(clock) -> Backups:
    return Backups(clock=clock, after_start=0)


def _folder() -> Path:
    return backing_up.folder_of(settings())


def _names() -> list[str]:
    return [path.name for _, path in backing_up.made_in(_folder())]


async def test_one_is_made_and_read_back_and_then_none_until_it_is_due(sqlite_db, job, clock):
    made = await job.work()
    assert made is not None
    assert made.exists()
    assert (await BackupRun.last_good()).path == str(made)  # type: ignore[union-attr]
    assert await job.work() is None
    clock.now = await BackupRun.next_at() - timedelta(seconds=1)
    assert await job.work() is None
    clock.advance(1)
    assert await job.work() is not None
    assert len(_names()) == 2


async def test_a_portal_that_has_just_started_is_left_alone(sqlite_db, clock):
    job = Backups(clock=clock)
    assert await job.work() is None
    assert await BackupRun.all().count() == 0
    job._from = time.monotonic()
    assert await job.work() is not None


async def test_a_restart_makes_none_before_its_time(sqlite_db, job, clock):
    await job.work()
    assert await Backups(clock=clock, after_start=0).work() is None
    await BackupRun.all().update(started_at=datetime.now(UTC) - timedelta(hours=25))
    assert await Backups(clock=clock, after_start=0).work() is not None


async def test_with_no_days_none_is_made(sqlite_db, job, monkeypatch):
    monkeypatch.setenv('PORTAL_BACKUP_DAYS', '0')
    settings.cache_clear()
    assert await job.work() is None
    assert not _folder().exists()


async def test_one_that_fails_is_one_line_and_tried_again_in_an_hour(sqlite_db, job, clock, monkeypatch, caplog):
    tries = 0

    def fails(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise NotMade('There is not enough room for a backup.')

    monkeypatch.setattr(backing_up, 'write', fails)
    with caplog.at_level(logging.ERROR):
        assert await job.work() is None
        assert await job.work() is None
    assert tries == 1
    (record,) = caplog.records
    assert record.getMessage() == (
        'no backup was made, and it is tried again in an hour: There is not enough room for a backup.'
    )
    assert record.exc_info is None
    assert (await BackupRun.latest())['error'] == 'There is not enough room for a backup.'
    monkeypatch.undo()
    clock.now = datetime.now(UTC) + TRY_AGAIN + timedelta(seconds=1)
    with monkeypatch.context() as patched:
        patched.setattr('models.backup_run._until', lambda _: BackupRun.all().order_by('-started_at', '-id'))
        assert await job.work() is not None


async def test_where_two_portals_have_one_database_one_of_them_makes_it(db, clock):
    made = await asyncio.gather(*(Backups(clock=clock, after_start=0).work() for _ in range(2)))
    assert [path for path in made if path] == [_folder() / name for name in _names()]
    assert len(_names()) == 1
    assert await BackupRun.all().count() == 1


async def test_old_ones_are_deleted_and_what_is_not_ours_stays(sqlite_db, job, clock):
    folder = _folder()
    folder.mkdir(parents=True)
    names = [f'portal-{clock.now - timedelta(days=days):%Y%m%d-%H%M%S}.backup' for days in range(1, 30)]
    other = 'portal-20200101T000000.000000-before-migration.sqlite3'
    for name in (*names, other):
        (folder / name).write_text('')
    made = await job.work()
    assert made is not None
    assert _names() == sorted([*names[:13], made.name]) or _names() == sorted([*names[:14], made.name])
    assert (folder / other).exists()


async def test_a_backup_that_could_not_be_made_deletes_none(sqlite_db, job, clock, monkeypatch):
    folder = _folder()
    folder.mkdir(parents=True)
    for days in range(20, 40):
        (folder / f'portal-{clock.now - timedelta(days=days):%Y%m%d-%H%M%S}.backup').write_text('')
    monkeypatch.setattr(backing_up, 'ROOM_KEPT', 1 << 60)
    assert await job.work() is None
    assert len(_names()) == 20


async def test_a_portal_that_stops_does_not_wait_for_it(sqlite_db, job, monkeypatch):
    began = asyncio.Event()
    loop = asyncio.get_running_loop()
    begin = backing_up._Writing.begin

    def begun(self: backing_up._Writing, *arguments: object) -> None:
        begin(self, *arguments)  # type: ignore[arg-type]
        loop.call_soon_threadsafe(began.set)
        while True:
            time.sleep(0.01)
            self.look()

    monkeypatch.setattr(backing_up._Writing, 'begin', begun)
    task = asyncio.create_task(job.work())
    async with asyncio.timeout(10):
        await began.wait()
        await job.stop()
        assert await task is None
    assert list(_folder().iterdir()) == []
    assert await BackupRun.all().count() == 0


async def test_the_event_loop_goes_on_meanwhile(sqlite_db, job, monkeypatch):
    """Writing takes half a second here, and nobody waits for it."""
    write = backing_up.write

    def slowly(*arguments: object) -> backing_up.Made:
        time.sleep(0.5)
        return write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(backing_up, 'write', slowly)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await job.work()
    ticking.cancel()
    assert ticks >= 10
