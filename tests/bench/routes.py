"""How long the routes of a list take with the most customers, one question after the other over one connection."""

import time
from collections.abc import Callable
from typing import Any

import aiohttp

from tests.bench.harness import Data, Row, Unmeasured, ms, percentile, portal

TABLE = '/api/ui/tables/complete'
Question = Callable[[int], dict[str, Any]]


def _block(**asked: Any) -> Question:
    """Each question differs a little: viewers who ask the same within a second share one reading."""
    return lambda n: {'start': n, 'end': n + 100, **asked}


def questions(size: int, names: list[str]) -> dict[str, tuple[str, Question]]:
    """What is asked, by the name of the line."""
    words = [name.split()[0] for name in names]
    deep = size // 2
    return {
        'first block': ('rows', _block()),
        'deep block': ('rows', lambda n: {'start': deep + n, 'end': deep + n + 100}),
        'search with many hits': ('rows', lambda n: {'q': words[n % len(words)], 'start': n // len(words), 'end': 100}),
        'search with few hits': ('rows', lambda n: {'q': names[n % len(names)], 'end': 100 + n % 300}),
        'search without a hit': ('rows', lambda n: {'q': f'zqxj {n}'}),
        'letter': ('rows', lambda n: {'letter': 'abcdefghijklmnopqrstuvwxyz'[n % 26], 'start': n, 'end': n + 100}),
        'sorted by name, Z–A': ('rows', _block(dir='desc')),
        'sorted by licences': ('rows', _block(sort='seats')),
        'sorted by a state': ('rows', _block(sort='inbound_queue')),
        'sorted by the viewer’s role': ('rows', _block(sort='role')),
        'counts and letters': ('counts', lambda n: {}),
        'counts and letters of a search': ('counts', lambda n: {'q': words[n % len(words)]}),
    }


async def _ask(http: aiohttp.ClientSession, address: str, params: dict[str, Any]) -> dict:
    async with http.get(address, params=params) as response:
        if response.status != 200:
            raise Unmeasured(f'{address} answered {response.status}: {(await response.text())[:120]}')
        return await response.json()


async def _time(http: aiohttp.ClientSession, address: str, ask: Question, count: int, patience: float) -> list[float]:
    found: list[float] = []
    until = time.monotonic() + patience
    for n in range(count + 3):
        began = time.perf_counter()
        await _ask(http, address, ask(n))
        if n >= 3:  # the first ones warm the statement and the page cache
            found.append(time.perf_counter() - began)
        if time.monotonic() > until and len(found) >= 10:
            break
    return found


async def measure(data: Data) -> list[Row]:
    size, found = data.scale.sizes[-1], []
    async with portal(data, size) as (server, prepared):
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(cookies=prepared.cookies, connector=connector) as http:
            deep = await _ask(http, f'{server.url}{TABLE}/rows', {'start': size // 3, 'end': size // 3 + 20})
            names = [row['name'] for row in deep['rows']]
            for what, (route, ask) in questions(size, names).items():
                times = await _time(
                    http, f'{server.url}{TABLE}/{route}', ask, data.scale.requests, data.scale.seconds_a_route
                )
                found.append(Row(f'Route, {size:,} customers: {what}', _told(times), 'reported'))
    return found


def _told(times: list[float]) -> str:
    return f'p95 {ms(percentile(times, 0.95))}, p50 {ms(percentile(times, 0.5))} (n = {len(times)})'
