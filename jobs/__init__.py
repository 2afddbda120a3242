"""The timetable: what runs by itself, and when."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
    JobSubmissionEvent,
)
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from jobs.access_expiry import expire_access
from jobs.aging import age_readings
from jobs.backups import Backups
from jobs.connect_checks import ConnectChecks
from jobs.connect_progress import advance_connect
from jobs.effective_orders import EffectiveOrders
from jobs.holds import end_holds
from jobs.mailing import Mailing
from jobs.monitor_refresh import MonitorRefresh
from jobs.order_delivery import OrderDelivery
from jobs.others import Others
from jobs.pruning import Pruning
from jobs.rfi_reminders import remind_of_rfis
from jobs.safe_pdfs import SafePdfs
from jobs.sources.simulated import SimulatedVendor
from jobs.sources.simulated_connect import SimulatedConnect
from jobs.step_mail import write_step_mail
from models import database, events
from settings import settings

log = logging.getLogger(__name__)

Job = Callable[[], Awaitable[object]]
SAME_ERROR_AFTER = 600.0  # seconds until the same error is shown with its traceback again
CLOCK_LOOKED_AT = 15.0  # seconds between two looks whether it was set back


class Pace(IntervalTrigger):
    """Every so often. Turns that were missed while the machine slept are one: the library goes through each of them,
    and the loop would stand still for minutes after a month of seconds."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        following = super().get_next_fire_time(previous_fire_time, now)
        return following if following is None or following > now else now + self.interval


class Timetable:
    """The jobs of this process. `start` inside the running loop with the database open, `stop` before it is closed."""

    def __init__(self) -> None:
        self.scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={'coalesce': True, 'max_instances': 1, 'misfire_grace_time': None}
        )
        self.scheduler.add_listener(self._failed, EVENT_JOB_ERROR)
        self.scheduler.add_listener(self._skipped, EVENT_JOB_MAX_INSTANCES | EVENT_JOB_MISSED)
        # It would log every failure with a traceback, every second; `_failed` says it once.
        logging.getLogger('apscheduler').setLevel(logging.CRITICAL)
        self._refresh: MonitorRefresh | None = None
        self._others = Others()
        self._safe_pdfs = SafePdfs()
        self._backups = Backups()
        self._mailing = Mailing()
        self._checks = ConnectChecks()
        self._expecting: Callable[[], None] | None = None
        self._running: set[asyncio.Task] = set()
        self._watching: asyncio.Task[None] | None = None
        self._last_runs: dict[str, datetime] = {}
        self._told: dict[str, float] = {}

    async def start(self) -> None:
        """Begin with everything at once, then each job at its pace."""
        self.add('aging', age_readings, seconds=5)
        self.add('access_expiry', expire_access, seconds=3)
        self.add('pruning', Pruning().prune, seconds=600)
        self.add('others', self._others.look, seconds=1)
        self._safe_pdfs.start()
        self.add('safe_pdfs', self._safe_pdfs.work, seconds=1)
        self.add('attachment_files', self._safe_pdfs.sweep, seconds=600)
        self.add('backups', self._backups.work, seconds=60)
        self._mailing.start()
        self.add('mailing', self._mailing.work, seconds=3)
        self.add('order_delivery', OrderDelivery().work, seconds=2)
        self.add('rfi_reminders', remind_of_rfis, seconds=60)
        self.add('step_mail', write_step_mail, seconds=60)
        given = settings()
        if given.demo and given.demo_rate:  # customers that are not simulated have no source yet: nothing to read
            vendor = SimulatedVendor(given.demo_rate)
            connect = SimulatedConnect(vendor)
            self._refresh = MonitorRefresh(vendor, every=given.poll_seconds)
            self.add('monitor_refresh', self._refresh.refresh, seconds=1)
            self._expecting = events.MONITORS_FLIPPED.subscribe(vendor.expect)
            self._checks = ConnectChecks(connect)
            self.add('connect_progress', lambda: advance_connect(connect), seconds=1)
        self._checks.start()
        self.add('connect_checks', self._checks.work, seconds=1)
        self.add('holds', end_holds, seconds=120)
        self.add('effective_orders', EffectiveOrders().work, seconds=5)
        self.scheduler.start()
        self._watching = asyncio.create_task(self._watch_the_clock(), name='the clock of the timetable')

    async def stop(self) -> None:
        """Start nothing more, let what runs come to its end, and be gone."""
        if not self.scheduler.running:
            return
        self.scheduler.pause()
        if self._watching is not None:
            self._watching.cancel()
        await asyncio.sleep(0)  # what was just handed over begins, and is then waited for
        if self._expecting is not None:
            self._expecting()
            self._expecting = None
        await self._checks.stop()
        await self._mailing.stop()
        await self._backups.stop()
        await self._safe_pdfs.stop()  # a file may take a minute, and waits for the next start as well
        # Shutting down cancels what runs, in the middle of a transaction; so it comes last.
        if self._running:
            await asyncio.wait(self._running, timeout=20)
        if self._refresh is not None:
            await self._refresh.stop()
        await self._others.stop()
        self.scheduler.shutdown()
        await asyncio.sleep(0)

    def last_run(self, job_id: str) -> datetime | None:
        """When this job last came to its end without an error."""
        return self._last_runs.get(job_id)

    @property
    def job_ids(self) -> list[str]:
        return [job.id for job in self.scheduler.get_jobs()]

    def add(self, job_id: str, job: Job, *, seconds: float) -> None:
        """Run `job` now and then every so many seconds, never twice at the same time."""

        async def run() -> None:
            task = asyncio.current_task()
            assert task is not None
            self._running.add(task)
            try:
                await job()
                self._last_runs[job_id] = datetime.now(UTC)
            finally:
                self._running.discard(task)

        pace = Pace(seconds=seconds, timezone=UTC)  # type: ignore[arg-type] # parts of one as well
        self.scheduler.add_job(run, pace, id=job_id, replace_existing=True, next_run_time=datetime.now(UTC))

    def catch_up(self) -> None:
        """Let go on what waits for a time that the clock has shown before: it was set back."""
        now = datetime.now(UTC)
        for job in self.scheduler.get_jobs():
            if job.next_run_time is not None and job.next_run_time - now > 2 * job.trigger.interval:
                job.modify(next_run_time=now)

    async def _watch_the_clock(self) -> None:
        while True:
            await asyncio.sleep(CLOCK_LOOKED_AT)
            self.catch_up()

    def _failed(self, event: JobExecutionEvent) -> None:
        error = event.exception
        if error is not None and database.is_away(error):
            database.condition.tell(log, f'job {event.job_id}: {type(error).__name__}', error)
            return
        known = f'{event.job_id}: {type(error).__name__}: {error}'.replace('\n', ' ')[:300]
        self._told = {said: at for said, at in self._told.items() if time.monotonic() - at < SAME_ERROR_AFTER}
        first = known not in self._told
        self._told.setdefault(known, time.monotonic())
        log.error('job %s', known, exc_info=error if first else None)

    @staticmethod
    def _skipped(event: JobSubmissionEvent | JobExecutionEvent) -> None:
        log.debug('job %s was still running or came too late', event.job_id)
