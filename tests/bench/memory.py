"""What an open page costs the server in memory: its live socket, and its page of NiceGUI with that socket."""

import asyncio
import re

import aiohttp

from tests.bench.harness import Data, Helper, Prepared, Row, Server, Unmeasured, portal, resident_kib

SETTLE = 4.0


async def measure(data: Data) -> list[Row]:
    scale = data.scale
    async with portal(data, 0, real=50, sessions=scale.sockets) as (server, prepared):
        await _open_pages(server, prepared, 5, hold=1)  # what is loaded once is not the cost of a page
        before = resident_kib(server.pid)
        sockets = {'host': f'127.0.0.1:{server.port}', 'sessions': prepared.sessions}
        async with Helper('sockets', prepared.folder, **sockets):
            await asyncio.sleep(SETTLE)
            a_socket = (resident_kib(server.pid) - before) / scale.sockets
    async with portal(data, 0, real=50) as (server, prepared):
        await _open_pages(server, prepared, 5, hold=1)
        before = resident_kib(server.pid)
        after = await _open_pages(server, prepared, scale.pages, hold=SETTLE)
        a_page = (after - before) / scale.pages
    what = f'Memory per page of a list with its socket of the page framework ({scale.pages})'
    return [
        Row(f'Memory per live socket ({scale.sockets})', f'{a_socket:,.0f} KiB', 'reported'),
        Row(what, f'{a_page:,.0f} KiB', 'reported'),
    ]


async def _open_pages(server: Server, prepared: Prepared, count: int, *, hold: float) -> int:
    """Open this many pages as a browser does, without its live socket; return the server's memory with all of them."""
    headers = {'Origin': server.url}
    async with aiohttp.ClientSession(cookies=prepared.cookies, headers=headers) as http:
        open_pages = [await _open_page(http, server, n) for n in range(count)]
        answering = [asyncio.create_task(_answer_pings(socket)) for socket in open_pages]
        await asyncio.sleep(hold)
        gone = sum(socket.closed for socket in open_pages)
        found = resident_kib(server.pid)
        for task in answering:
            task.cancel()
        for socket in open_pages:
            await socket.close()
    if gone:
        raise Unmeasured(f'{gone} of {count} pages were cut off')
    return found


async def _open_page(http: aiohttp.ClientSession, server: Server, n: int) -> aiohttp.ClientWebSocketResponse:
    async with http.get(server.url + '/customers/complete') as response:
        html = await response.text()
    known = re.search(r'["\']client_id["\']: ?["\']([^"\']+)', html)
    if known is None:
        raise Unmeasured('the page does not name its client')
    following = re.search(r'["\']next_message_id["\']: ?(\d+)', html)
    query = {
        'client_id': known[1], 'next_message_id': following[1] if following else '0', 'implicit_handshake': 'true',
        'document_id': f'document-{n}', 'tab_id': f'tab-{n}', 'old_tab_id': '', 'EIO': '4', 'transport': 'websocket',
    }  # fmt: skip
    socket = await http.ws_connect(server.url + '/_nicegui_ws/socket.io/', params=query)
    opened = await socket.receive_str()
    await socket.send_str('40')
    accepted = await socket.receive_str()
    if not opened.startswith('0') or not accepted.startswith('40'):
        raise Unmeasured(f'the page’s socket was refused: {accepted[:80]}')
    return socket


async def _answer_pings(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for message in socket:
        if message.type == aiohttp.WSMsgType.TEXT and message.data == '2':
            await socket.send_str('3')
