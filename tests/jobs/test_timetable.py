import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta

import pytest
from tortoise.exceptions import OperationalError

from jobs import Timetable
from models.demo import load_demo
from settings import settings

ALWAYS = {
    'aging', 'access_expiry', 'pruning', 'others', 'safe_pdfs', 'attachment_files', 'mailing',
    'rfi_reminders', 'step_mail', 'backups', 'order_delivery', 'connect_checks', 'holds',
    'effective_orders',
}  # fmt: skip


@pytest.fixture
async def timetable(sqlite_db):
    timetable = Timetable()
    yield timetable
    await timetable.stop()


async def test_every_job_runs_at_once(timetable, monkeypatch, until):
    monkeypatch.setenv('PORTAL_DEMO', '1')
    settings.cache_clear()
    await load_demo()
    assert timetable.last_run('aging') is None
    begun = datetime.now(UTC)
    await timetable.start()
    assert set(timetable.job_ids) == {'monitor_refresh', 'connect_progress', *ALWAYS}
    await until(lambda: all(timetable.last_run(job_id) for job_id in timetable.job_ids))
    assert all(timetable.last_run(job_id) >= begun for job_id in timetable.job_ids)


@pytest.mark.parametrize('given', [{}, {'PORTAL_DEMO': '1', 'PORTAL_DEMO_RATE': '0'}])
async def test_without_the_demo_nothing_is_simulated(timetable, monkeypatch, given):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    await timetable.start()
    assert set(timetable.job_ids) == ALWAYS


async def test_an_error_is_one_line_and_its_traceback_comes_once(timetable, caplog, until):
    runs = 0

    async def fails() -> None:
        nonlocal runs
        runs += 1
        raise OSError('the disk is full')

    timetable.add('failing', fails, seconds=0.01)
    timetable.scheduler.start()
    with caplog.at_level(logging.DEBUG):
        await until(lambda: runs >= 3)
        await timetable.stop()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert {record.getMessage() for record in errors} == {'job failing: OSError: the disk is full'}
    assert [bool(record.exc_info) for record in errors[:3]] == [True, False, False]
    assert timetable.last_run('failing') is None


@pytest.mark.parametrize('error', [OperationalError('database is locked'), ConnectionRefusedError('no PostgreSQL')])
async def test_a_database_that_is_away_is_no_traceback_of_every_job(timetable, caplog, error, until):
    async def fails() -> None:
        raise error

    for name in ('one', 'two'):
        timetable.add(name, fails, seconds=60)
    timetable.scheduler.start()
    await until(lambda: len(caplog.records) >= 2)
    await timetable.stop()
    said = {record.getMessage() for record in caplog.records}
    assert said == {f'job {name}: {type(error).__name__}: {error}' for name in ('one', 'two')}
    assert not any(record.exc_info for record in caplog.records)


async def test_a_clock_that_leaps_or_a_machine_that_slept_stops_no_job(timetable, until):
    runs = 0

    async def counts() -> None:
        nonlocal runs
        runs += 1

    timetable.add('counting', counts, seconds=0.01)
    timetable.scheduler.start()
    for away in (-timedelta(days=1), timedelta(hours=1)):
        job = timetable.scheduler.get_job('counting')
        job.modify(next_run_time=datetime.now(UTC) + away)
        before, began = runs, time.monotonic()
        await asyncio.sleep(0)
        timetable.catch_up()
        await until(lambda before=before: runs > before + 1)
        assert time.monotonic() - began < 5, 'turn by turn it takes far longer'


async def test_stopping_lets_a_job_come_to_its_end(timetable):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        await asyncio.sleep(0.02)
        ended.set()

    timetable.add('slow', slow, seconds=60)
    timetable.scheduler.start()
    await asyncio.wait_for(begun.wait(), 5)
    await timetable.stop()
    assert ended.is_set()
    assert not timetable.scheduler.running
    await timetable.stop()  # twice is no harm


async def test_a_slow_job_never_runs_twice_at_the_same_time(timetable, until):
    running = most = runs = 0

    async def slow() -> None:
        nonlocal running, most, runs
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.03)
        running -= 1
        runs += 1

    timetable.add('slow', slow, seconds=0.01)
    timetable.scheduler.start()
    await until(lambda: runs >= 2)
    assert most == 1
