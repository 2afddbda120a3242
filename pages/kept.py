"""Files whose address changes with their content are answered from memory, compressed once and not for each browser.

A page loads two dozen of them; found, read in portions by threads and compressed each time, they took the server longer
than everything else in a page together.
"""

import asyncio
import gzip
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST = 400  # files
LARGEST = 4_000_000  # bytes; a larger one is answered as it always was
SMALLEST = 1000  # bytes from which compressing is worth it
_TEXT = (b'text/', b'application/javascript', b'application/json', b'image/svg')


@dataclass(frozen=True)
class _File:
    headers: list[tuple[bytes, bytes]]
    plain: bytes
    packed: bytes | None


class Kept:
    """In front of whatever serves the files; `is_kept` says which paths never change."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._files: dict[str, _File] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {name: value for name, value in scope['headers'] if name in _ASKED}
        if scope['method'] != 'GET' or scope['query_string'] or b'range' in asked or b'if-none-match' in asked:
            await self.app(scope, receive, send)
            return
        file = self._files.get(scope['path']) or await self._read(scope, receive, send)
        if file is not None:
            await _answer(file, b'gzip' in asked.get(b'accept-encoding', b''), send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> _File | None:
        """The file, kept from now on; None where it was not to be kept and has been answered as it came."""
        begun: Message = {}
        body, passed_on = bytearray(), False

        async def reading(message: Message) -> None:
            nonlocal begun, passed_on
            if message['type'] == 'http.response.start':
                begun = message
                length = dict(message['headers']).get(b'content-length', b'')
                passed_on = message['status'] != 200 or not length.isdigit() or int(length) > LARGEST
            elif not passed_on:
                body.extend(message.get('body', b''))
            if passed_on:
                await send(message)

        # Not compressed: that is done here, once.
        bare = {**scope, 'headers': [pair for pair in scope['headers'] if pair[0] != b'accept-encoding']}
        # A browser that leaves meanwhile would end the reading, and half a file would be kept for all the others.
        await self.app(bare, _never_gone, reading)
        if passed_on or not begun:
            return None
        plain = bytes(body)
        if len(plain) != int(dict(begun['headers'])[b'content-length']):
            raise RuntimeError(f'{scope["path"]} was not read whole')
        kind = dict(begun['headers']).get(b'content-type', b'')
        worth = len(plain) >= SMALLEST and kind.startswith(_TEXT)
        packed = await asyncio.to_thread(gzip.compress, plain, 9, mtime=0) if worth else None
        headers = [pair for pair in begun['headers'] if pair[0] not in (b'content-length', b'vary')]
        file = _File(headers, plain, packed)
        if len(self._files) < MOST:
            self._files[scope['path']] = file
        return file


async def _never_gone() -> Message:
    await asyncio.Event().wait()
    return {'type': 'http.disconnect'}


_ASKED = (b'accept-encoding', b'range', b'if-none-match')


async def _answer(file: _File, packs: bool, send: Send) -> None:
    packed = file.packed if packs else None
    body = file.plain if packed is None else packed
    headers = [
        *file.headers, (b'content-length', str(len(body)).encode()), (b'vary', b'accept-encoding'),
        # Said of the plain one as well, so that the compressing layer outside has nothing to do.
        (b'content-encoding', b'identity' if packed is None else b'gzip'),
    ]  # fmt: skip
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': body})
