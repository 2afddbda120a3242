"""How long an export takes, and how long anybody else waits because of it."""

import asyncio
import time

import aiohttp

from tests.bench.harness import Data, Helper, Row, Unmeasured, ms, percentile, portal

IDLE = 4.0


async def measure(data: Data) -> list[Row]:
    size, found = data.scale.sizes[-1], []
    async with portal(data, size) as (server, prepared), Helper('polling', prepared.folder, url=server.url) as poll:
        await asyncio.sleep(2)
        for kind in ('csv', 'xlsx'):
            await poll.ask('forget')
            await asyncio.sleep(IDLE)
            idle = await _waits(poll)
            took, length = await _download(server.url, prepared.cookies, kind)
            waits = await _waits(poll)
            stall = max(0.0, max(waits) - max(idle))
            told = (
                f'longest stall {ms(stall)} (longest wait {ms(max(waits))}, idle {ms(max(idle))}, '
                f'p99 {ms(percentile(waits, 0.99))}); {took:.1f} s, {length / 1e6:.1f} MB'
            )
            found.append(Row(f'Export of {size:,} customers as {kind.upper()}', told, 'reported'))
    return found


async def _waits(poll: Helper) -> list[float]:
    answer = await poll.ask('waits')
    if not answer['going'] or not answer['waits']:
        raise Unmeasured('the server stopped answering')
    return answer['waits']


async def _download(url: str, cookies: dict[str, str], kind: str) -> tuple[float, int]:
    began, length = time.monotonic(), 0
    address = f'{url}/api/ui/tables/complete/export.{kind}'
    timeout = aiohttp.ClientTimeout(180)
    async with aiohttp.ClientSession(cookies=cookies, timeout=timeout) as http, http.get(address) as response:
        if response.status != 200:
            raise Unmeasured(f'the export as {kind} answered {response.status}')
        async for part in response.content.iter_chunked(65_536):
            length += len(part)
    return time.monotonic() - began, length
