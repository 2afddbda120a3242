"""Backups that were taken, or were to be.

What somebody asked for and what failed is in the audit of every MSP; that a daily one went well is not: the settings
page says when the last one was, and a year of good nights would hide what matters.
"""

import os
from datetime import UTC, datetime, time, timedelta
from typing import Any

from tortoise import Model, fields

from models import events
from models.events import transaction
from models.history import HistoryEvent

QUIET = time(2, 15, tzinfo=UTC)  # when a daily backup is made
OLD_AFTER = timedelta(hours=36)  # since the last good one, after which somebody should look
TRY_AGAIN = timedelta(hours=1)  # after one that failed
KEPT = 200  # rows
_AHEAD = timedelta(minutes=5)  # what is later than this was written by a clock that was wrong


class BackupRun(Model):
    id = fields.IntField(primary_key=True)
    started_at = fields.DatetimeField()
    finished_at = fields.DatetimeField(null=True)
    path = fields.CharField(max_length=500, default='', db_default='')
    size = fields.BigIntField(default=0, db_default=0)
    is_encrypted = fields.BooleanField(default=False, db_default=False)
    verified_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=300, default='', db_default='')

    class Meta:
        table = 'backup_run'
        table_description = 'A backup'
        indexes = (('started_at',),)

    # -- verbs (of whoever holds the claim in models/backing_up.py: one at a time) ------------------------------------

    @classmethod
    async def begin(cls) -> 'BackupRun':
        """Write down that one is begun; what was begun before and never came to an end was cut short."""
        now = datetime.now(UTC)
        async with transaction():
            if await cls.filter(finished_at=None).update(finished_at=now, error='It was cut short.'):
                await tell_audits('backup.failed', 'A backup was cut short')
            kept = await cls.all().order_by('-id').limit(KEPT).values_list('id', flat=True)
            if len(kept) == KEPT:
                await cls.filter(id__lte=kept[-1]).delete()
            run = await cls.create(started_at=now)
            await _tell()
        return run

    async def finish(self, path: str, size: int, *, is_encrypted: bool) -> None:
        """The file is in its place."""
        await self._write(finished_at=datetime.now(UTC), path=path[:500], size=size, is_encrypted=is_encrypted)

    async def verified(self, *, is_told: bool = False) -> None:
        """It was read back, and is whole; `is_told` writes that into the audits, where somebody asked for it."""
        async with transaction():
            await self._write(verified_at=datetime.now(UTC))
            if is_told:
                sealed = 'encrypted' if self.is_encrypted else 'not encrypted'
                name = os.path.basename(self.path)  # where the portal keeps them is no MSP's business
                await tell_audits('backup.made', f'A backup was made by a command: {name}, {sealed}')

    async def fail(self, error: str) -> None:
        """There is none, or it cannot be read back; the sentence says why, and the audits say it too."""
        async with transaction():
            await self._write(finished_at=datetime.now(UTC), error=error[:300])
            await tell_audits('backup.failed', f'A backup failed: {error}')

    async def withdraw(self) -> None:
        """Forget that it was begun: the portal went down, and nothing is wrong."""
        async with transaction():
            await BackupRun.filter(id=self.id).delete()
            await _tell()

    async def _write(self, **columns: Any) -> None:
        async with transaction():
            await BackupRun.filter(id=self.id).update(**columns)
            await _tell()
        self.update_from_dict(columns)

    # -- questions ----------------------------------------------------------------------------------------------------

    @classmethod
    async def last_good(cls, now: datetime | None = None) -> 'BackupRun | None':
        """The newest that was made and read back."""
        return await _until(now).filter(verified_at__isnull=False, error='').first()

    @classmethod
    async def next_at(cls, now: datetime | None = None) -> datetime:
        """When the next one is to be made; what is past is due at once.

        At the first quiet hour after the last good one, and not again soon after one that failed or was cut short.
        """
        now = now or datetime.now(UTC)
        good, last = await cls.last_good(now), await _until(now).first()
        due = _quiet_after(good.started_at) if good else now
        if last is not None and (good is None or last.id != good.id):
            due = max(due, last.started_at + TRY_AGAIN)
        return due

    @classmethod
    async def latest(cls) -> dict[str, Any]:
        """What the settings page shows of the last good backup (`at`, None if there is none; `name`, `size` in bytes,
        `encrypted`, `verified_at`), of the last attempt (`error`, or ''), and of the next (`next_at`, and `has_key`:
        whether it is encrypted).

        `old` says that somebody should look; `on` whether the portal makes them by itself; `running`, at this moment.
        Times are datetimes with their zone; `next_at` is None where it makes none.
        """
        from settings import settings

        now = datetime.now(UTC)
        good, last = await cls.last_good(now), await _until(now).first()
        is_on = settings().backup_days > 0
        return {
            'at': good and good.started_at, 'name': os.path.basename(good.path) if good else '',
            'size': good.size if good else 0, 'encrypted': good.is_encrypted if good else False,
            'verified_at': good and good.verified_at, 'error': last.error if last else '',
            'running': last is not None and last.finished_at is None and last.started_at > now - OLD_AFTER,
            'old': good is None or now - good.started_at > OLD_AFTER, 'on': is_on,
            'next_at': await cls.next_at(now) if is_on else None,
            'has_key': bool(settings().backup_key.get_secret_value()),
        }  # fmt: skip


def _until(now: datetime | None) -> Any:
    """The runs up to now, newest first."""
    return BackupRun.filter(started_at__lte=(now or datetime.now(UTC)) + _AHEAD).order_by('-started_at', '-id')


def _quiet_after(at: datetime) -> datetime:
    quiet = datetime.combine(at.astimezone(UTC).date(), QUIET)
    return quiet if quiet > at else quiet + timedelta(days=1)


async def tell_audits(kind: str, summary: str) -> None:
    """Write it into the audit of every MSP: a backup is one of them all."""
    async with transaction():
        for partner_id in await _partners():
            await HistoryEvent.add(partner_id, kind, summary)


async def _tell() -> None:
    """The settings pages show it."""
    for partner_id in await _partners():
        events.PARTNER_CHANGED.emit(partner_id)


async def _partners() -> list[int]:
    from models.partner import Partner

    return [row['id'] for row in await Partner.all().order_by('id').values('id')]
