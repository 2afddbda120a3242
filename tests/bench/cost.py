"""What a delivered message costs the server's processor, beside the least that it can cost."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from tests.bench.harness import (
    Data,
    Helper,
    Prepared,
    Row,
    Server,
    Unmeasured,
    at_most,
    cpu_seconds,
    ended,
    free_port,
    started,
)
from tests.bench.harness import portal as portal_with

EVERY = 0.12
SETTLE = 2.5


async def measure(data: Data) -> list[Row]:
    async with portal_with(data, 0, real=50, sessions=data.scale.clients) as (server, prepared):
        ours, count, recorded = await _portal(data, server, prepared)
        async with _raw_server(prepared.folder) as (pid, port):
            raw, raw_count = await _raw(data, pid, port, prepared, recorded)
    size = sum(len(text.encode()) for _, text in recorded) / max(1, len(recorded))
    note = f'{ours * 1e6:.1f} µs ÷ {raw * 1e6:.1f} µs; {count:,} and {raw_count:,} messages of {size:.0f} bytes'
    load = f'{data.scale.clients} clients, one change per {EVERY * 1000:.0f} ms'
    what = f'CPU per delivered message, {load}: portal ÷ raw uvicorn'
    return [at_most(what, ours / raw, 6, note=note)]


async def _portal(data: Data, server: Server, prepared: Prepared) -> tuple[float, int, list]:
    """CPU seconds per message, how many messages, and what one client heard and when."""
    given = {'url': server.url, 'token': prepared.token, 'codes': prepared.codes, 'groups': len(prepared.codes)}
    seconds = data.scale.cost_seconds
    async with Helper('posting', prepared.folder, every=EVERY, **given) as poster:
        await poster.ask(2.0)
        alone = await _cpu_of(server.pid, poster.ask(seconds))
        sockets = {'host': f'127.0.0.1:{server.port}', 'sessions': prepared.sessions}
        async with Helper('sockets', prepared.folder, **sockets) as crowd:
            await poster.ask(2.0)
            await asyncio.sleep(SETTLE)
            await crowd.ask('forget')
            together = await _cpu_of(server.pid, poster.ask(seconds))
            heard = await crowd.ask('heard')
            recorded = (await crowd.ask('recorded'))['recorded']
    if not heard['count']:
        raise Unmeasured('no message came')
    began = recorded[0][0]
    return (together - alone) / heard['count'], heard['count'], [[at - began, text] for at, text in recorded]


async def _cpu_of(pid: int, work) -> float:
    before = cpu_seconds(pid)
    await work
    return cpu_seconds(pid) - before


@contextlib.asynccontextmanager
async def _raw_server(folder: Path) -> AsyncIterator[tuple[int, int]]:
    port = free_port()
    process = await started('-m', 'tests.bench.raw_broadcast', str(port), data_dir=folder)
    try:
        async with aiohttp.ClientSession() as http:
            for _ in range(500):
                with contextlib.suppress(aiohttp.ClientError):
                    async with http.get(f'http://127.0.0.1:{port}/'):
                        break
                await asyncio.sleep(0.02)
            else:
                raise Unmeasured('the raw server did not start')
        yield process.pid, port
    finally:
        await ended(process)


async def _raw(data: Data, pid: int, port: int, prepared: Prepared, recorded: list) -> tuple[float, int]:
    """The same messages at the same times, sent by nothing but a loop."""
    timeout = aiohttp.ClientTimeout(data.scale.cost_seconds + 30)
    async with aiohttp.ClientSession(timeout=timeout) as http:

        async def play() -> None:
            async with http.post(f'http://127.0.0.1:{port}/play', json=recorded) as response:
                response.raise_for_status()

        alone = await _cpu_of(pid, play())
        sockets = {'host': f'127.0.0.1:{port}', 'sessions': prepared.sessions}
        async with Helper('sockets', prepared.folder, **sockets) as crowd:
            await asyncio.sleep(SETTLE)
            await crowd.ask('forget')
            together = await _cpu_of(pid, play())
            await asyncio.sleep(0.2)
            heard = await crowd.ask('heard')
    return (together - alone) / heard['count'], heard['count']
