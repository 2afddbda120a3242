"""The documents of a customer: taking a file in, and giving its safe PDF out. What was uploaded is never given out."""

import asyncio
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from models import Attachment, AttachmentKind, AttachmentState
from models import attachment_files as files
from models.attachment import AlreadyThere, NotNow, TooMany
from models.checking import Impossible
from models.ordering import documents_with_prices
from models.rights import Refused, may
from pages.acting import Acting, Asking, acts, find, reads, takes
from pages.answers import NotThere, answer
from pages.guard import user_of
from settings import settings

router = APIRouter(prefix='/api/ui/customers', include_in_schema=False)

PORTION = 1 << 20  # bytes that are gathered before a thread writes them
# The reader of a browser is a page of its own; this is for whatever else the bytes could be taken for.
POLICY = "default-src 'none'; sandbox"


class Unacceptable(Exception):
    """The upload cannot be taken, for a reason that its sender can understand."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


@takes(router, 'POST', '/{customer_id}/attachments', right='attachment.add')
async def upload(request: Request, customer_id: str) -> Response:
    """Take in the body of the request as a file called `name`; `kind` is one of AttachmentKind."""
    user = user_of(request)
    customer = await find(user, customer_id)
    if customer is None:
        raise NotThere
    try:
        kind = _kind(request.query_params.get('kind', AttachmentKind.OTHER))
        await Attachment.room(customer.id)
        partial = await _taken_in(request)
        try:
            await _check(partial)
            added = await Attachment.add(
                customer, name=request.query_params.get('name', ''), path=partial.path, size=partial.size,
                sha256=partial.sha256, by=user, kind=kind,
            )  # fmt: skip
        finally:
            await asyncio.to_thread(partial.drop)  # where it was taken, there is nothing any more to drop
    except Unacceptable as error:
        return answer({'error': str(error)}, error.status)
    except AlreadyThere as error:
        return answer({'error': str(error), 'attachment': _short(error.attachment)}, 409)
    except TooMany as error:
        return answer({'error': str(error)}, 409)
    except ClientDisconnect:
        return answer({'error': 'The upload was cut off; nothing was stored.'}, 400)
    return answer(_short(added), 201)


@reads(router, '/{customer_id}/attachments/{attachment_id}.pdf', right='customer.see')
async def safe_pdf(asking: Asking) -> Response:
    """The safe PDF, to be looked at, or kept with `?download=1`."""
    attachment = await _attachment(asking)
    if not may(asking.user, 'price.see') and attachment.id in await documents_with_prices(asking.customer.id):
        raise Refused('There are prices in this document, and your role in the portal does not include them.')
    if attachment.state != AttachmentState.READY:
        return answer({'error': 'The safe PDF of this is not made, or not yet.'}, 404)
    path = attachment.pdf
    if not await attachment.is_there():
        return answer({'error': 'The safe PDF is not in its place; ask whoever looks after the portal.'}, 404)
    way = 'attachment' if asking.text('download') == '1' else 'inline'
    return FileResponse(
        path, media_type='application/pdf',
        headers={
            'Content-Disposition': disposition(way, attachment.pdf_name), 'X-Content-Type-Options': 'nosniff',
            'Cache-Control': 'no-store, private', 'Content-Security-Policy': POLICY, 'Content-Encoding': 'identity',
        },
    )  # fmt: skip


@acts(router, 'DELETE', '/{customer_id}/attachments/{attachment_id}/original', right='attachment.delete_original')
async def delete_original(acting: Acting) -> dict[str, Any]:
    """Delete what was uploaded; the safe PDF stays."""
    attachment = await _attachment(acting)
    try:
        await attachment.delete_original(acting.user)
    except NotNow as error:
        raise Impossible(str(error)) from None
    return {'id': attachment.id, 'has_original': False}


def disposition(way: str, name: str) -> str:
    """Content-Disposition with the name twice (RFC 6266): for the old in plain letters, for the others as it is."""
    plain = ''.join(c if ' ' <= c <= '~' and c not in '"\\%/' else '_' for c in name)
    return f'{way}; filename="{plain}"; filename*=UTF-8\'\'{quote(name, safe="")}'


# -- who and what -----------------------------------------------------------------------------------------------------


async def _attachment(asking: Asking) -> Attachment:
    """The attachment of the address; raises `DoesNotExist` where it is none of this customer's."""
    return await Attachment.get(id=asking.number('attachment_id'), customer_id=asking.customer.id)


def _short(attachment: Attachment) -> dict[str, Any]:
    return {'id': attachment.id, 'name': attachment.name, 'state': attachment.state.value}


# -- the body ---------------------------------------------------------------------------------------------------------


def _kind(given: str) -> AttachmentKind:
    if given not in list(AttachmentKind):
        raise Unacceptable(422, f'The kind is one of {", ".join(AttachmentKind)}.')
    return AttachmentKind(given)


async def _taken_in(request: Request) -> files.Partial:
    """The body in a file beside the originals, read no further than it may be long; of a cut-off one nothing stays."""
    most = settings().upload_mb * 1024 * 1024
    too_large = Unacceptable(
        413, f'The file is larger than {settings().upload_mb} MB, which is the most that is taken.'
    )
    if request.headers.get('content-encoding', 'identity').lower() != 'identity':
        raise Unacceptable(415, 'The file is sent compressed; send it as it is.')
    announced = request.headers.get('content-length', '')
    expected = int(announced) if announced.isdecimal() and len(announced) < 20 else None
    if expected is not None and expected > most:
        raise too_large
    partial = await asyncio.to_thread(files.Partial, files.originals())
    try:
        gathered = bytearray()
        async for part in request.stream():
            gathered += part
            if partial.size + len(gathered) > most:
                raise too_large
            if len(gathered) >= PORTION:
                await asyncio.to_thread(partial.write, bytes(gathered))
                gathered.clear()
        await asyncio.to_thread(partial.write, bytes(gathered))
        if expected is not None and partial.size != expected:
            raise ClientDisconnect
        await asyncio.to_thread(partial.close)
    except BaseException:
        # Not to be cancelled as well: whoever hangs up leaves nothing behind.
        await asyncio.shield(asyncio.to_thread(partial.drop))
        raise
    return partial


async def _check(partial: files.Partial) -> None:
    if not partial.size:
        raise Unacceptable(422, 'The file is empty.')
    if await asyncio.to_thread(files.type_of, partial.path) is None:
        raise Unacceptable(415, f'This type of file is not accepted. Accepted are {files.ACCEPTED}.')
