import asyncio
import os
import time
from datetime import timedelta

import pypdfium2
import pytest

from jobs import Timetable
from jobs.safe_pdf.limits import Limits
from jobs.safe_pdf.process import Conversion, NotStarted
from jobs.safe_pdfs import GONE, GRACE, SafePdfs
from models import Attachment, AttachmentState, Customer, HistoryEvent, events
from models import attachment_files as files
from tests.jobs.safe_pdf import samples


@pytest.fixture
async def customer(db, northwind) -> Customer:
    return await Customer.add(northwind.partner, name='Acme', account_code='A1')


@pytest.fixture
def upload(customer, northwind):
    async def upload(data: bytes, name: str = 'a') -> Attachment:
        partial = files.Partial(files.originals())
        partial.write(data)
        partial.close()
        return await Attachment.add(
            customer, name=name, path=partial.path, size=partial.size, sha256=partial.sha256, by=northwind.ana
        )

    return upload


@pytest.fixture
async def job(clock):
    job = SafePdfs(clock=clock)
    yield job
    await job.stop()


async def _fresh(attachment: Attachment) -> Attachment:
    return await Attachment.get(id=attachment.id)


def _left_over() -> list[str]:
    """Files that are no attachment's."""
    return [path.name for path in [*files.originals().iterdir(), *files.pdfs().iterdir()] if '-' in path.name]


async def test_a_bad_file_between_two_good_ones_holds_nobody_up(upload, job):
    good = await upload(samples.with_javascript(), 'good.pdf')
    locked = await upload(samples.encrypted(b'secret'), 'locked.pdf')
    bad = await upload(samples.photograph('JPEG')[:400], 'bad.jpg')
    gone = await upload(b'gone')
    gone.original.unlink()
    text = await upload(b'The last one.', 'last.txt')
    assert await job.work() == 5
    good, locked, bad, gone, text = [await _fresh(each) for each in (good, locked, bad, gone, text)]
    assert [each.state.value for each in (good, locked, bad, gone, text)] == [
        'ready', 'failed', 'failed', 'failed', 'ready'
    ]  # fmt: skip
    assert (good.pages, good.pdf_size) == (1, good.pdf.stat().st_size)
    assert good.pdf.stat().st_mode & 0o777 == 0o600
    assert len(pypdfium2.PdfDocument(good.pdf)) == 1
    assert locked.reason == 'The file is protected by a password; upload it without one.'
    assert bad.reason == 'The file cannot be read: it is damaged or cut off.'
    assert gone.reason == GONE
    assert locked.original.exists()
    assert sorted(path.name for path in files.pdfs().iterdir()) == sorted([good.pdf.name, text.pdf.name])
    kinds = await HistoryEvent.filter(kind__startswith='attachment.').order_by('id').values_list('kind', flat=True)
    assert list(kinds)[5:] == [
        'attachment.converted', 'attachment.rejected', 'attachment.rejected', 'attachment.rejected',
        'attachment.converted',
    ]  # fmt: skip
    assert await job.work() == 0


async def test_an_upload_wakes_the_job_and_every_state_is_told(upload, job, customer, until):
    states: list[int] = []
    events.CUSTOMER_TOUCHED.subscribe(
        lambda _, parts: states.append(1) if 'attachments' in parts.get(customer.id, ()) else None
    )
    job.start()
    begun = time.monotonic()
    attachment = await upload(b'hello')

    async def is_ready() -> bool:
        return (await _fresh(attachment)).state == AttachmentState.READY

    await until(is_ready)
    assert time.monotonic() - begun < 3
    assert len(states) == 3


async def test_what_comes_while_the_job_works_is_made_in_the_same_run(upload, job, monkeypatch):
    await upload(b'first')
    finish = Attachment.finish

    async def finish_slowly(self, pages, size):
        if not await Attachment.filter(name='second').exists():
            await upload(b'second', 'second')
        assert await job.work() == 0  # never twice at the same time
        return await finish(self, pages, size)

    monkeypatch.setattr(Attachment, 'finish', finish_slowly)
    assert await job.work() == 2


async def test_a_file_without_an_end_ends_only_its_own_row(upload, clock):
    job = SafePdfs(Limits(cpu_seconds=1), clock)
    endless, good = await upload(samples.endless()), await upload(b'good')
    assert await job.work() == 2
    assert (await _fresh(endless)).reason == 'Drawing the file takes longer than one file may take.'
    assert (await _fresh(good)).state == AttachmentState.READY
    assert not _left_over()


async def test_what_a_crash_left_is_tried_again_after_the_longest_time(upload, job, clock):
    attachment = await upload(b'hello')
    await attachment.begin()
    assert await job.work() == 0
    clock.advance(Limits().wall_seconds + GRACE.total_seconds() + 5)
    assert await job.work() == 1
    stored = await _fresh(attachment)
    assert (stored.state, stored.reason) == (AttachmentState.READY, '')


async def test_going_down_ends_the_worker_and_the_file_waits_for_the_next_start(upload, clock, until):
    job, attachment = SafePdfs(clock=clock), await upload(samples.endless())
    working = asyncio.create_task(job.work())
    pid = await until(lambda: job._conversion and job._conversion.pid)
    await job.stop()
    assert await working == 0
    stored = await _fresh(attachment)
    assert (stored.state, stored.reason, stored.started_at) == (AttachmentState.WAITING, '', None)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not _left_over()


async def test_a_run_that_is_cancelled_leaves_neither_worker_nor_file(upload, job, until):
    attachment = await upload(samples.endless())
    working = asyncio.create_task(job.work())
    pid = await until(lambda: job._conversion and job._conversion.pid)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (await _fresh(attachment)).state == AttachmentState.WAITING
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not _left_over()


@pytest.mark.parametrize('error', [NotStarted('no Pillow'), OSError('the disk is full')])
async def test_what_is_not_the_files_fault_is_told_and_holds_up_no_other_file(upload, job, clock, monkeypatch, error):
    first, second = await upload(b'first'), await upload(b'second')
    run, failures = Conversion.run, [error]

    def fails_once(self):
        if failures:
            raise failures.pop()
        return run(self)

    monkeypatch.setattr(Conversion, 'run', fails_once)
    with pytest.raises(type(error)):
        await job.work()
    assert await job.work() == 1
    assert (await _fresh(first)).state == AttachmentState.WORKING
    assert (await _fresh(second)).state == AttachmentState.READY
    clock.advance(3600)
    assert await job.work() == 1
    assert (await _fresh(first)).state == AttachmentState.READY
    assert not _left_over()


async def test_a_customer_that_goes_meanwhile_fails_nothing(upload, job, customer, monkeypatch):
    await upload(b'first')
    finish = Attachment.finish

    async def finish_too_late(self, pages, size):
        await Attachment.all().delete()
        return await finish(self, pages, size)

    monkeypatch.setattr(Attachment, 'finish', finish_too_late)
    assert await job.work() == 0


async def test_files_that_belong_to_nothing_are_swept_when_they_are_old(upload, job):
    kept = await upload(b'kept')
    await job.work()
    stray = [files.originals() / ('a' * 32), files.pdfs() / ('a' * 32 + '.pdf'), files.originals() / 'partial-x']
    young = files.originals() / ('b' * 32)
    for path in (*stray, young):
        path.write_bytes(b'x')
    for path in (*stray, kept.original, kept.pdf):
        os.utime(path, (time.time() - timedelta(hours=2).total_seconds(),) * 2)
    assert await job.sweep() == 3
    assert not any(path.exists() for path in stray)
    assert all(path.exists() for path in (young, kept.original, kept.pdf))


async def test_the_timetable_makes_what_waits_and_stops_in_the_middle_of_a_file(upload, until):
    timetable, small = Timetable(), await upload(b'hello')
    await timetable.start()
    try:

        async def is_ready() -> bool:
            return (await _fresh(small)).state == AttachmentState.READY

        await until(is_ready)
        endless = await upload(samples.endless())

        async def is_begun() -> bool:
            return (await _fresh(endless)).state == AttachmentState.WORKING

        await until(is_begun)
    finally:
        begun = time.monotonic()
        await timetable.stop()
    assert time.monotonic() - begun < 5
    assert (await _fresh(endless)).state == AttachmentState.WAITING
