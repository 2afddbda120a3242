"""The documents of a customer: taking a file in, and giving its safe PDF out. What was uploaded is never given out."""

import asyncio
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Request
from starlette.requests import ClientDisconnect
from starlette.responses import FileResponse, Response

from models import Attachment, AttachmentKind, AttachmentState, Customer
from models import attachment_files as files
from models.attachment import AlreadyThere, NotNow, TooMany
from models.rights import Refused, require
from pages.acting import find, takes
from pages.answers import NOT_FOUND, answer
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
    customer = await _customer(request, customer_id)
    try:
        # Asked before a byte is taken in; the verb asks again.
        require(user, 'attachment.add')
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
    except Refused as error:
        return answer({'error': str(error)}, 403)
    except AlreadyThere as error:
        return answer({'error': str(error), 'attachment': _short(error.attachment)}, 409)
    except TooMany as error:
        return answer({'error': str(error)}, 409)
    except ClientDisconnect:
        return answer({'error': 'The upload was cut off; nothing was stored.'}, 400)
    return answer(_short(added), 201)


@router.get('/{customer_id}/attachments/{attachment_id}.pdf')
async def safe_pdf(request: Request, customer_id: str, attachment_id: str) -> Response:
    """The safe PDF, to be looked at, or kept with `?download=1`."""
    attachment = await _attachment(request, customer_id, attachment_id)
    if attachment.state != AttachmentState.READY:
        return answer({'error': 'The safe PDF of this is not made, or not yet.'}, 404)
    path = attachment.pdf
    if not await asyncio.to_thread(path.is_file):
        return answer({'error': 'The safe PDF is not in its place; ask whoever looks after the portal.'}, 404)
    way = 'attachment' if request.query_params.get('download') == '1' else 'inline'
    return FileResponse(
        path, media_type='application/pdf',
        headers={
            'Content-Disposition': disposition(way, attachment.pdf_name), 'X-Content-Type-Options': 'nosniff',
            'Cache-Control': 'no-store, private', 'Content-Security-Policy': POLICY, 'Content-Encoding': 'identity',
        },
    )  # fmt: skip


@takes(router, 'DELETE', '/{customer_id}/attachments/{attachment_id}/original', right='attachment.delete_original')
async def delete_original(request: Request, customer_id: str, attachment_id: str) -> Response:
    """Delete what was uploaded; the safe PDF stays."""
    attachment = await _attachment(request, customer_id, attachment_id)
    try:
        await attachment.delete_original(user_of(request))
    except Refused as error:
        return answer({'error': str(error)}, 403)
    except NotNow as error:
        return answer({'error': str(error)}, 409)
    return answer({'id': attachment.id, 'has_original': False})


def disposition(way: str, name: str) -> str:
    """Content-Disposition with the name twice (RFC 6266): for the old in plain letters, for the others as it is."""
    plain = ''.join(c if ' ' <= c <= '~' and c not in '"\\%/' else '_' for c in name)
    return f'{way}; filename="{plain}"; filename*=UTF-8\'\'{quote(name, safe="")}'


# -- who and what -----------------------------------------------------------------------------------------------------


async def _customer(request: Request, customer_id: str) -> Customer:
    customer = await find(user_of(request), customer_id)
    if customer is None:
        raise HTTPException(404, NOT_FOUND['error'])
    return customer


async def _attachment(request: Request, customer_id: str, attachment_id: str) -> Attachment:
    """The attachment of an address, through its customer; unknown and not yours look the same."""
    customer = await _customer(request, customer_id)
    known = attachment_id.isascii() and attachment_id.isdecimal() and len(attachment_id) <= 9
    found = await Attachment.get_or_none(id=int(attachment_id), customer_id=customer.id) if known else None
    if found is None:
        raise HTTPException(404, NOT_FOUND['error'])
    return found


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
