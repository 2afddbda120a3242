"""Make the safe PDF of what was uploaded, one file after the other; whatever a file does, only its own row shows it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from jobs.safe_pdf.limits import Limits, Unsafe, Why
from jobs.safe_pdf.process import Conversion, Made, Stopped
from models import Attachment, events
from models import attachment_files as files

log = logging.getLogger(__name__)

GONE = 'The uploaded file is not there any more; upload it again.'
GRACE = timedelta(seconds=30)  # beyond the longest time of a conversion, until a row counts as left behind


class SafePdfs:
    """Looks for what waits: every second, and at once when something was uploaded in this process."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._limits = limits or Limits()
        self._clock = clock
        self._busy = self._again = self._stopping = False
        self._conversion: Conversion | None = None
        self._woken: set[asyncio.Task] = set()
        self._silence: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Hear of uploads from now on."""
        self._silence = events.CUSTOMER_TOUCHED.subscribe(self._hear)

    async def stop(self) -> None:
        """End what runs; its row waits for the next start."""
        self._silence()
        self._stopping = True
        if self._conversion is not None:
            self._conversion.stop()
        if self._woken:
            await asyncio.wait(self._woken, timeout=10)

    async def work(self) -> int:
        """Make what waits until nothing does; return how many came to an end. Never twice at the same time."""
        if self._busy:
            self._again = True
            return 0
        self._busy = True
        try:
            await Attachment.take_back(self._clock() - timedelta(seconds=self._limits.wall_seconds) - GRACE)
            done = 0
            while not self._stopping:
                self._again = False
                attachment = await Attachment.next_waiting()
                if attachment is not None:
                    done += await self._make(attachment)
                elif not self._again:  # else something came while the database was asked
                    break
            return done
        finally:
            self._busy = False

    async def sweep(self) -> int:
        """Delete what crashes, rollbacks and deleted customers left in the folders; return how many files went."""
        found = await asyncio.to_thread(files.candidates)
        orphans = await Attachment.unknown([stored for stored in found if stored])
        gone = [path for stored, paths in found.items() if not stored or stored in orphans for path in paths]
        for path in gone:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        if gone:
            log.info('deleted %d files that belonged to no attachment', len(gone))
        return len(gone)

    async def _make(self, attachment: Attachment) -> bool:
        if not await attachment.begin():
            return False
        try:
            made = await self._converted(attachment)
        except Unsafe as found:
            return await attachment.fail(found.why.sentence(found.number, self._limits))
        except FileNotFoundError:
            return await attachment.fail(GONE)
        except Stopped:
            await attachment.put_back()
            return False
        except asyncio.CancelledError:
            await attachment.put_back()
            raise
        # Anything else (a full disk, say) is not the fault of the file. The row stays as if the portal had crashed: it
        # is tried again after a while, and the others are not held up.
        return await attachment.finish(made.pages, made.size)

    async def _converted(self, attachment: Attachment) -> Made:
        """The PDF in its place, made beside it; the thread ends before this does."""
        partial = await asyncio.to_thread(files.Partial, files.pdfs())
        try:
            kind = await asyncio.to_thread(files.type_of, attachment.original)
            if kind is None:
                raise Unsafe(Why.UNKNOWN_TYPE)
            conversion = self._conversion = Conversion(attachment.original, kind.value, partial.file, self._limits)
            if self._stopping:
                raise Stopped
            running = asyncio.ensure_future(asyncio.to_thread(conversion.run))
            try:
                made = await asyncio.shield(running)
            except asyncio.CancelledError:
                conversion.stop()
                await asyncio.gather(running, return_exceptions=True)
                raise
            await asyncio.to_thread(partial.keep, attachment.pdf)
            return made
        except BaseException:
            await asyncio.to_thread(partial.drop)
            raise
        finally:
            self._conversion = None

    def _hear(self, _partner_id: int, touched: dict[int, frozenset[str]]) -> None:
        if any('attachments' in parts for parts in touched.values()) and not self._stopping:
            if self._busy:
                self._again = True
                return
            task = asyncio.get_running_loop().create_task(self._work_at_once())
            self._woken.add(task)
            task.add_done_callback(self._woken.discard)

    async def _work_at_once(self) -> None:
        try:
            await self.work()
        except Exception as error:  # the timetable tries again within a second, and tells what is wrong
            log.debug('an uploaded file has to wait for the timetable: %s', error)
