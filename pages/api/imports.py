"""Importing customers on a page: a file is taken in, judged without storing anything, and then stored as it was judged.

A file and what was found in it stay in this process until they are old, so that whoever leaves the page finds them
again. Judging and storing are tasks of their own: they go on when nobody looks.
"""

import asyncio
import csv
import hashlib
import io
import logging
import os
import secrets
import tempfile
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import IO, Any

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from components.export import defused
from models import Partner, PortalUser, database
from models.checking import Impossible, Invalid, line
from models.customer_import import ImportResult, import_customers, preview_import, refused_lines
from models.rights import Refused
from pages.acting import Acting, Asking, acts, reads, takes
from pages.answers import NotThere, answer
from pages.guard import user_of

log = logging.getLogger(__name__)
router = APIRouter(prefix='/api/ui', include_in_schema=False)

LARGEST = 20_000_000  # bytes of a file
PORTION = 1 << 18  # bytes that are gathered before a thread writes them
SHOWN = 200  # refused lines that a page is told; the others are in the file of all
OLDEST = 3600.0  # seconds that a file is kept when nothing happens with it
MOST_EACH, MOST = 3, 30  # files that are kept: of one person, of all
_BUSY = ('reading', 'waiting', 'importing')
# Two files are judged at a time and one is stored: more would only wait for each other.
_judging, _storing = asyncio.Semaphore(2), asyncio.Lock()


@dataclass
class Upload:
    """A file that somebody wants to import, and how far that is."""

    id: str
    user_id: int
    name: str
    file: IO[bytes]
    size: int
    sha256: str
    state: str = 'reading'  # reading → ready → waiting → importing → done, or failed; refused is no list of customers
    done: int = 0  # lines
    lines: int = 0
    error: str = ''
    preview: ImportResult | None = None
    result: ImportResult | None = None
    all_or_nothing: bool = False
    touched: float = field(default_factory=time.monotonic)
    task: asyncio.Task[None] | None = None

    @property
    def is_busy(self) -> bool:
        return self.state in _BUSY

    @property
    def is_of_use(self) -> bool:
        """Whether somebody who comes back is to find it: not where there is nothing in it to import."""
        if self.state == 'ready' and self.preview is not None:
            return bool(self.preview.added or self.preview.updated)
        return self.state != 'refused'

    def progress(self, done: int, lines: int) -> None:
        self.done, self.lines, self.touched = done, lines, time.monotonic()

    def become(self, state: str) -> None:
        self.state, self.touched = state, time.monotonic()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        self.task = asyncio.create_task(self._worked(work), name='importing customers')

    async def _worked(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except asyncio.CancelledError:
            self.error = 'The portal was stopped. What was stored before stays.'
            self.become('failed')
            raise
        except Refused as error:
            self.error = str(error)
            self.become('failed')
        except database.FAILURES as error:
            database.condition.tell(log, 'an import was cut off', error)
            self.error = 'The database did not answer. What was stored before stays; import the file again.'
            self.become('failed')
        except Exception:
            log.exception('an import failed')
            self.error = 'The fault is ours and has been written to the log. What was stored before stays.'
            self.become('failed')


_uploads: dict[str, Upload] = {}


async def stop() -> None:
    """End what is under way; what was stored stays. Called before the database is closed."""
    tasks = [upload.task for upload in _uploads.values() if upload.task is not None and not upload.task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for upload in _uploads.values():
        upload.file.close()
    _uploads.clear()


# -- taking a file in -------------------------------------------------------------------------------------------------


@takes(router, 'POST', '/imports', right='customer.import')
async def take(request: Request) -> Response:
    """Take in the body of the request as a file called `name`, and begin to judge it."""
    user = user_of(request)
    _forget_old(user)
    name = line('name', request.query_params.get('name', ''), 200)
    if len(_uploads) >= MOST:
        raise Impossible('Too many files are being imported just now. Try again in a few minutes.')
    file: IO[bytes] = await asyncio.to_thread(tempfile.TemporaryFile, prefix='portal-import-')
    try:
        size, digest = await _taken_in(request, file)
    except BaseException:
        file.close()
        raise
    upload = Upload(secrets.token_urlsafe(12), user.id, name, file, size, digest)
    _uploads[upload.id] = upload
    upload.begin(_judge(upload, user))
    return answer(_told(upload), 201)


async def _taken_in(request: Request, file: IO[bytes]) -> tuple[int, str]:
    """Write the body into the file; its length and its hash. Raises `Invalid`."""
    too_large = Invalid('file', f'The file is larger than {LARGEST // 1_000_000} MB, which is the most that is taken.')
    announced = request.headers.get('content-length', '')
    if announced.isdecimal() and int(announced[:20]) > LARGEST:
        raise too_large
    size, digest, gathered = 0, hashlib.sha256(), bytearray()

    async def write() -> None:
        part = bytes(gathered)
        gathered.clear()
        await asyncio.to_thread(lambda: (file.write(part), digest.update(part)))

    try:
        async for part in request.stream():
            gathered += part
            size += len(part)
            if size > LARGEST:
                raise too_large
            if len(gathered) >= PORTION:
                await write()
    except ClientDisconnect:
        raise Invalid('file', 'The file was cut off on its way; nothing was stored.') from None
    await write()
    if not size:
        raise Invalid('file', 'The file is empty.')
    return size, digest.hexdigest()


def _forget_old(user: PortalUser) -> None:
    """What nobody has asked for lately, and all but the newest of this person."""
    mine = sorted((each for each in _uploads.values() if each.user_id == user.id), key=lambda each: each.touched)
    if sum(each.is_busy for each in mine) >= MOST_EACH:
        raise Impossible(f'{MOST_EACH} of your files are still being imported. Wait until one is done.')
    spare = [each for each in mine if not each.is_busy]
    old = [each for each in _uploads.values() if not each.is_busy and time.monotonic() - each.touched > OLDEST]
    for each in {each.id: each for each in [*old, *spare[: max(0, len(mine) - MOST_EACH + 1)]]}.values():
        each.file.close()
        del _uploads[each.id]


async def _content(upload: Upload) -> bytes:
    def read() -> bytes:
        # Not by the file's own place in it: it may be read twice at once.
        upload.file.flush()
        return os.pread(upload.file.fileno(), upload.size, 0)

    content = await asyncio.to_thread(read)
    digest = await asyncio.to_thread(hashlib.sha256, content)
    assert digest.hexdigest() == upload.sha256  # exactly the file that was judged
    return content


# -- judging and storing ----------------------------------------------------------------------------------------------


async def _judge(upload: Upload, user: PortalUser) -> None:
    async with _judging:
        partner = await Partner.get(id=user.partner_id)
        found = await preview_import(partner, await _content(upload), by=user, progress=upload.progress)
    if found.unreadable:
        upload.error = found.unreadable
        upload.become('refused')
        return
    upload.preview = found
    upload.become('ready')


async def _store(upload: Upload, user: PortalUser) -> None:
    async with _storing:
        upload.become('importing')
        upload.progress(0, upload.lines)
        # Asked anew: whoever was waiting may not be what they were.
        by = await PortalUser.get(id=user.id)
        partner = await Partner.get(id=by.partner_id)
        if not by.is_active:
            raise Refused('You cannot sign in any more.')
        upload.result = await import_customers(
            partner, await _content(upload), all_or_nothing=upload.all_or_nothing, by=by, name=upload.name,
            progress=upload.progress,
        )  # fmt: skip
    upload.become('done')


@acts(router, 'POST', '/imports/{upload_id}/apply', right='customer.import')
async def apply(acting: Acting) -> dict[str, Any]:
    """Store what was judged: `sha256` names the file that was looked at, `all_or_nothing` what refused lines mean."""
    upload = _of(acting)
    if acting.text('sha256') != upload.sha256:
        raise Impossible('This is not the file that you looked at. Choose it again.')
    if upload.state != 'ready':
        raise Impossible('This file is being imported already, or was.')
    upload.all_or_nothing = acting.body.get('all_or_nothing') is True
    upload.become('waiting')
    upload.begin(_store(upload, acting.user))
    return _told(upload)


# -- what a page asks -------------------------------------------------------------------------------------------------


def _of(asking: Asking) -> Upload:
    """The file of the address; raises `NotThere` for somebody else's."""
    found = _uploads.get(asking.path['upload_id'])
    if found is None or found.user_id != asking.user.id:
        raise NotThere
    return found


@reads(router, '/imports', right='customer.import')
async def newest(asking: Asking) -> dict[str, Any]:
    """The file that this person took in last, for whoever comes back to the page; nothing where there is none, or
    nothing in it to import."""
    mine = [each for each in _uploads.values() if each.user_id == asking.user.id]
    found = max(mine, key=lambda each: each.touched, default=None)
    return {'upload': None if found is None or not found.is_of_use else _told(found)}


@reads(router, '/imports/{upload_id}', right='customer.import')
async def state(asking: Asking) -> dict[str, Any]:
    return _told(_of(asking))


@reads(router, '/imports/{upload_id}/refused.csv', right='customer.import')
async def refused(asking: Asking) -> Response:
    """All refused lines as a file to be corrected and imported, none of whose cells is a formula."""
    upload = _of(asking)
    result = upload.result or upload.preview
    if not result:
        raise NotThere
    content = await asyncio.to_thread(_as_csv, await _content(upload), result)
    return Response(
        content, media_type='text/csv; charset=utf-8',
        headers={'Content-Disposition': 'attachment; filename="refused-lines.csv"', 'Cache-Control': 'no-store'},
    )  # fmt: skip


def _as_csv(content: bytes, result: ImportResult) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(map(defused, line) for line in refused_lines(content, result.refused))
    return '\ufeff'.encode() + text.getvalue().encode(errors='replace')


def _told(upload: Upload) -> dict[str, Any]:
    told: dict[str, Any] = {
        'id': upload.id, 'name': upload.name, 'size': upload.size, 'sha256': upload.sha256, 'state': upload.state,
        'done': upload.done, 'lines': upload.lines, 'error': upload.error, 'all_or_nothing': upload.all_or_nothing,
    }  # fmt: skip
    if upload.preview is not None:
        told['preview'] = _counts(upload.preview) | {
            'new': [each._asdict() for each in upload.preview.new],
            'changed': [each._asdict() for each in upload.preview.changed],
        }
    if upload.result is not None:
        told['result'] = _counts(upload.result)
        if upload.preview is not None and not (upload.all_or_nothing and upload.result.refused):
            told['result']['unlike'] = upload.result.unlike(upload.preview)
    return told


def _counts(result: ImportResult) -> dict[str, Any]:
    return {
        'added': result.added, 'updated': result.updated, 'unchanged': result.unchanged,
        'refused': result.refused_lines, 'reasons': len(result.refused), 'warnings': result.warnings[:20],
        'refusals': [each._asdict() for each in result.refused[:SHOWN]],
    }  # fmt: skip
