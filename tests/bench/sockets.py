"""Many open pages, as far as the server can tell: websockets that count what comes, each with a session of its own.

Frames are taken apart by hand: a library would cost more per message than the server that is measured.
"""

import asyncio
import base64
import os
import random
import struct
import time
from typing import Any

import aiohttp
import orjson

from tests.bench.harness import COOKIE
from tests.bench.helper import serve

LONGEST_PAUSE = 1.8  # as assets/live.js has it
ANSWERS_WITHIN = 3.0


class Wire(asyncio.Protocol):
    """One websocket: the handshake, then its text frames to `on_text`."""

    def __init__(self, page: 'Page') -> None:
        self.page, self.buffer, self.opened, self.code = page, b'', False, 1006

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(  # type: ignore[attr-defined]
            f'GET {self.page.path} HTTP/1.1\r\nHost: {self.page.host}\r\nOrigin: http://{self.page.host}\r\n'
            f'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n'
            f'Cookie: {COOKIE}={self.page.session}\r\n\r\n'.encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self.buffer + data if self.buffer else data
        if not self.opened:
            head, found, rest = data.partition(b'\r\n\r\n')
            if not found:
                self.buffer = data
                return
            if b' 101 ' not in head.split(b'\r\n', 1)[0]:
                self.transport.close()
                return
            self.opened, data = True, rest
            self.page.on_open()
        self.buffer = self._frames(data)

    def _frames(self, data: bytes) -> bytes:
        at = 0
        while len(data) - at >= 2:
            kind, length, start = data[at] & 0x0F, data[at + 1] & 0x7F, at + 2
            if length == 126:
                if len(data) - at < 4:
                    break
                length, start = struct.unpack_from('>H', data, at + 2)[0], at + 4
            elif length == 127:
                if len(data) - at < 10:
                    break
                length, start = struct.unpack_from('>Q', data, at + 2)[0], at + 10
            if len(data) < start + length:
                break
            self._frame(kind, data[start : start + length])
            at = start + length
        return data[at:]

    def _frame(self, kind: int, content: bytes) -> None:
        if kind == 1:
            self.page.on_text(content)
        elif kind == 8:
            self.code = int.from_bytes(content[:2], 'big') or 1005
            self.transport.close()
        elif kind == 9:  # ping; a mask of zeros leaves the content as it is
            self.transport.write(bytes([0x8A, 0x80 | len(content), 0, 0, 0, 0]) + content)

    def connection_lost(self, error: Exception | None) -> None:
        self.page.on_close(self.code, was_open=self.opened)


class Page:
    """An open page: its socket, opened again as live.js does, and what it heard."""

    def __init__(self, crowd: 'Crowd', session: str) -> None:
        self.crowd, self.session = crowd, session
        self.host, self.path = crowd.host, crowd.path
        self.epoch, self.attempts, self.is_open, self.over = None, 0, False, False
        self.wire: Wire | None = None

    async def connect(self) -> None:
        host, _, port = self.host.partition(':')
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                _, self.wire = await asyncio.get_running_loop().create_connection(lambda: Wire(self), host, int(port))
        except (OSError, TimeoutError):
            self.on_close(1006, was_open=False)

    def on_open(self) -> None:
        self.is_open = True

    def on_text(self, text: bytes) -> None:
        self.attempts = 0
        self.crowd.heard(self, text)

    def on_close(self, code: int, *, was_open: bool) -> None:
        self.is_open = False
        if self.over or not self.crowd.comes_back:
            return
        pause = min(LONGEST_PAUSE, 0.15 * 2**self.attempts) * (0.6 + 0.4 * random.random())
        self.attempts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(0.02 if code == 1012 and was_open else pause, lambda: self.crowd.begin(self.connect()))


class Crowd:
    """All open pages of this process."""

    def __init__(self, given: dict) -> None:
        self.host, self.path = given['host'], given.get('path', '/live')
        self.comes_back, self.rows_from = given.get('comes_back', False), given.get('rows_from', '')
        self.count = self.bytes = 0
        self.late: list[float] = []  # of heartbeats, seconds
        self.recorded: list[tuple[float, str]] = []
        self.rows_at: list[float] = []
        self.tasks: set[asyncio.Task] = set()
        self.http: aiohttp.ClientSession | None = None
        self.pages = [Page(self, session) for session in given['sessions']]

    def begin(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self) -> None:
        self.http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar())
        for start in range(0, len(self.pages), 25):
            await asyncio.gather(*(page.connect() for page in self.pages[start : start + 25]))
        for _ in range(500):
            if self.open == len(self.pages):
                return
            await asyncio.sleep(0.02)
        raise RuntimeError(f'{self.open} of {len(self.pages)} sockets were let in')

    @property
    def open(self) -> int:
        return sum(page.is_open for page in self.pages)

    def heard(self, page: Page, text: bytes) -> None:
        self.count += 1
        self.bytes += len(text)
        if page is self.pages[0]:
            self.recorded.append((time.time(), text.decode()))
        head = text[:12]
        if head.startswith(b'{"t":"h",'):
            self.late.append(time.time() - orjson.loads(text)['now'] / 1000)
        elif head.startswith(b'{"t":"hello"') and self.rows_from:
            epoch = text.partition(b'"epoch":"')[2][:8]
            if page.epoch not in (None, epoch):
                self.begin(self._fetch(page))
            page.epoch = epoch

    async def _fetch(self, page: Page) -> None:
        assert self.http is not None
        headers = {'Cookie': f'{COOKIE}={page.session}'}
        async with self.http.get(f'http://{self.host}{self.rows_from}', headers=headers) as response:
            rows = (await response.json())['rows']
            if rows:
                self.rows_at.append(time.time())

    async def answer(self, order: str) -> dict:
        if order == 'forget':
            self.count = self.bytes = 0
            self.late, self.recorded, self.rows_at = [], [], []
        elif order == 'leave':
            for page in self.pages:
                page.over = True
                if page.wire:
                    page.wire.transport.close()
        elif order == 'recorded':
            return {'recorded': self.recorded}
        return {
            'count': self.count, 'bytes': self.bytes, 'open': self.open, 'late': self.late, 'rows_at': self.rows_at,
            'many': sum(text.startswith('{"t":"many"') for _, text in self.recorded),
        }  # fmt: skip


async def begin(given: dict) -> Crowd:
    crowd = Crowd(given)
    await crowd.connect()
    return crowd


if __name__ == '__main__':
    serve(begin, lambda crowd, order: crowd.answer(order))
