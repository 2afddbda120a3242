"""A backup every day, at a quiet hour; soon after the start where the last good one is older than that."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from models import BackupRun, backing_up
from settings import settings

log = logging.getLogger(__name__)

AFTER_START = 120.0  # seconds in which a portal that has just started is left alone


class Backups:
    """Makes the backups that are due, and deletes those that are older than PORTAL_BACKUP_DAYS."""

    def __init__(
        self, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC), after_start: float = AFTER_START
    ) -> None:
        self._clock = clock
        self._from = time.monotonic() + after_start
        self._stopping = threading.Event()

    async def work(self) -> Path | None:
        """Make one if it is due; return it. What goes wrong is logged in a line, and in the row of the run."""
        days = settings().backup_days
        if not days or time.monotonic() < self._from or await self._is_not_due():
            return None
        begun = time.monotonic()
        try:
            made = await backing_up.back_up(stopping=self._stopping, unless=self._is_not_due)
        except backing_up.Busy:
            return None
        except backing_up.Stopped:
            log.info('the backup is left to the next start')
            return None
        except backing_up.NotMade as error:
            log.error('no backup was made, and it is tried again in an hour: %s', error)
            return None
        if made is None:
            return None
        log.info('backed up to %s (%.1f MB) in %.0f s', made.path, made.size / 1e6, time.monotonic() - begun)
        await self._forget_old(days)
        return made.path

    async def stop(self) -> None:
        """Leave the one that is being made to the next start."""
        self._stopping.set()

    async def _is_not_due(self) -> bool:
        now = self._clock()
        return await BackupRun.next_at(now) > now

    async def _forget_old(self, days: int) -> None:
        good = await BackupRun.last_good()
        folder, before = backing_up.folder_of(settings()), self._clock() - timedelta(days=days)
        try:
            gone = await asyncio.to_thread(backing_up.forget_old, folder, before, {good.path} if good else set())
        except OSError as error:
            log.warning('old backups could not be deleted: %s', error)
            return
        if gone:
            log.info('deleted %d backups older than %d days', len(gone), days)
