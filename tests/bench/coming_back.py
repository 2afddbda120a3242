"""How long it takes after a restart of the server until all open pages show the truth again."""

import asyncio
import time

from tests.bench.harness import Data, Helper, Row, Unmeasured, median, ms, portal

LONGEST = 60.0


async def measure(data: Data) -> list[Row]:
    count = data.scale.clients
    async with portal(data, 0, real=data.scale.real, sessions=count) as (server, prepared):
        given = {
            'host': f'127.0.0.1:{server.port}', 'sessions': prepared.sessions, 'comes_back': True,
            'rows_from': '/api/ui/tables/complete/rows?end=100',
        }  # fmt: skip
        async with Helper('sockets', prepared.folder, **given) as crowd:
            await asyncio.sleep(2)
            stopped = time.time()
            await server.stop()
            ready = await server.start()
            until = time.monotonic() + LONGEST
            heard = await crowd.ask('heard')
            while len(heard['rows_at']) < count and time.monotonic() < until:
                await asyncio.sleep(0.2)
                heard = await crowd.ask('heard')
            await crowd.ask('leave')
    if len(heard['rows_at']) < count:
        raise Unmeasured(f'{count - len(heard["rows_at"])} of {count} had no rows {LONGEST:.0f} s after the restart')
    after = sorted(at - ready for at in heard['rows_at'])
    last, half = ms(max(0.0, after[-1])), ms(max(0.0, median(after)))
    told = f'last after {last}, half after {half} (it was away for {ready - stopped:.1f} s)'
    return [Row(f'{count} pages come back after a restart: ready → rows', told, 'reported')]
