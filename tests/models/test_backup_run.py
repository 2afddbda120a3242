from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from models import BackupRun, HistoryEvent, events
from models.backup_run import KEPT, OLD_AFTER, QUIET, TRY_AGAIN
from models.history_reading import Chain, page
from settings import settings

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def _good(at: datetime, **more: Any) -> BackupRun:
    return await BackupRun.create(
        **{'started_at': at, 'finished_at': at, 'verified_at': at, 'path': '/backups/a.backup', 'size': 7, **more}
    )


async def _failed(at: datetime) -> BackupRun:
    return await BackupRun.create(started_at=at, finished_at=at, error='The disk is full.')


async def test_the_first_one_is_due_at_once(sqlite_db):
    assert await BackupRun.next_at(NOON) == NOON


@pytest.mark.parametrize(
    ('last', 'next_at'),
    [
        (NOON, datetime.combine(NOON.date() + timedelta(days=1), QUIET)),
        (NOON.replace(hour=1), datetime.combine(NOON.date(), QUIET)),
        (datetime.combine(NOON.date(), QUIET), datetime.combine(NOON.date() + timedelta(days=1), QUIET)),
        (NOON - timedelta(days=3), datetime.combine(NOON.date() - timedelta(days=2), QUIET)),  # long due
    ],
)
async def test_the_next_one_is_due_at_the_first_quiet_hour(db, last, next_at):
    await _good(last)
    assert await BackupRun.next_at(NOON) == next_at
    assert next_at - last <= timedelta(days=1)


async def test_after_one_that_failed_it_is_not_tried_again_at_once(sqlite_db):
    await _good(NOON - timedelta(days=3))
    await _failed(NOON - timedelta(minutes=1))
    assert await BackupRun.next_at(NOON) == NOON - timedelta(minutes=1) + TRY_AGAIN
    await BackupRun.create(started_at=NOON)  # cut short: a portal that dies of it would die again and again
    assert await BackupRun.next_at(NOON) == NOON + TRY_AGAIN
    await _good(NOON)
    assert await BackupRun.next_at(NOON) > NOON + TRY_AGAIN


async def test_one_made_by_a_clock_that_was_ahead_does_not_count(sqlite_db):
    await _good(NOON + timedelta(days=1000))
    assert await BackupRun.next_at(NOON) == NOON
    await _failed(NOON + timedelta(days=1000))
    assert await BackupRun.next_at(NOON) == NOON


async def test_the_rows_are_bounded_and_what_was_cut_short_is_said_to_be(db):
    await BackupRun.bulk_create([BackupRun(started_at=NOON, finished_at=NOON) for _ in range(KEPT + 50)])
    open_one = await BackupRun.create(started_at=NOON)
    run = await BackupRun.begin()
    assert await BackupRun.all().count() == KEPT
    assert (await BackupRun.get(id=open_one.id)).error == 'It was cut short.'
    assert (await BackupRun.get(id=run.id)).finished_at is None
    await run.withdraw()
    assert not await BackupRun.exists(id=run.id)


async def test_every_verb_is_told_to_the_settings_pages(db, northwind, fabrikam):
    heard: list[int] = []
    events.PARTNER_CHANGED.subscribe(heard.append)
    run = await BackupRun.begin()
    await run.finish('/backups/a', 7, is_encrypted=True)
    await run.verified()
    await run.fail('x' * 500)
    both = sorted([northwind.partner.id, fabrikam.partner.id])
    assert [sorted(heard[n : n + 2]) for n in range(0, len(heard), 2)] == [both] * 4
    assert len((await BackupRun.get(id=run.id)).error) == 300


async def test_the_audits_say_what_failed_and_what_somebody_asked_for_and_no_good_night(db, northwind, fabrikam):
    async def audited(partner_id: int) -> list[tuple[str, str]]:
        entries = await HistoryEvent.filter(partner_id=partner_id, customer_id=None).order_by('id')
        return [(each.kind, text.summary) for each in entries if (text := await each.text())]

    night = await BackupRun.begin()
    await night.finish('/secret/place/night.backup', 7, is_encrypted=True)
    await night.verified()
    assert await audited(northwind.partner.id) == []
    asked_for = await BackupRun.begin()
    await asked_for.finish('/secret/place/portal-1.backup', 7, is_encrypted=False)
    await asked_for.verified(is_told=True)
    failed = await BackupRun.begin()
    await failed.fail('The disk is full.')
    await BackupRun.begin()
    await BackupRun.begin()  # the one before it never came to an end
    for partner in (northwind.partner, fabrikam.partner):
        assert await audited(partner.id) == [
            ('backup.made', 'A backup was made by a command: portal-1.backup, not encrypted'),
            ('backup.failed', 'A backup failed: The disk is full.'),
            ('backup.failed', 'A backup was cut short'),
        ]
    shown, _ = await page(Chain.of_partner(northwind.partner.id), group='backups')
    assert len(shown) == 3


async def test_what_the_settings_page_shows(sqlite_db, monkeypatch):
    now = datetime.now(UTC)
    nothing = await BackupRun.latest()
    assert (nothing['at'], nothing['old'], nothing['on'], nothing['error'], nothing['name']) == (
        None,
        True,
        True,
        '',
        '',
    )
    good = await _good(now - timedelta(hours=2), is_encrypted=True)
    found = await BackupRun.latest()
    assert found == {
        'at': good.started_at, 'name': 'a.backup', 'size': 7, 'encrypted': True, 'verified_at': good.verified_at,
        'error': '', 'running': False, 'old': False, 'on': True, 'next_at': await BackupRun.next_at(),
        'has_key': False,
    }  # fmt: skip
    await _failed(now - timedelta(hours=1))
    found = await BackupRun.latest()
    assert (found['at'], found['error'], found['old']) == (good.started_at, 'The disk is full.', False)
    await BackupRun.create(started_at=now)
    assert (await BackupRun.latest())['running'] is True
    await BackupRun.filter(id=good.id).update(started_at=now - OLD_AFTER - timedelta(minutes=1))
    assert (await BackupRun.latest())['old'] is True
    monkeypatch.setenv('PORTAL_BACKUP_DAYS', '0')
    settings.cache_clear()
    found = await BackupRun.latest()
    assert (found['on'], found['next_at']) == (False, None)
