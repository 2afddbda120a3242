"""How many readings per second are stored, through the model's verb and through the API."""

import json
import time
from datetime import UTC, datetime, timedelta

import aiohttp

from tests.bench.harness import Data, Prepared, Row, Unmeasured, median, portal, run

CUSTOMERS = 2_000
MONITORS = ('inbound_queue', 'outbound_queue', 'journal_queue', 'journal_connector', 'directory_connector')


async def measure(data: Data) -> list[Row]:
    prepared = await data.prepared(0, real=CUSTOMERS)
    try:
        found = json.loads(await run('-m', 'tests.bench.recording', str(data.scale.batches), data_dir=prepared.folder))
    finally:
        data.forget(prepared)
    async with portal(data, 0, real=CUSTOMERS) as (server, fresh):
        api = await _through_api(server.url, fresh, data.scale.batches)
    return [_row('Monitor.record', found), _row('POST /api/v1/readings', api)]


def _row(way: str, found: dict[str, list[float]]) -> Row:
    told = ', '.join(f'{what} {median(rates):,.0f}/s' for what, rates in found.items())
    return Row(f'Readings stored through {way}, 10,000 a batch over {CUSTOMERS:,} customers', told, 'reported')


async def _through_api(url: str, prepared: Prepared, batches: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {'unchanged': [], 'flipping': []}
    headers = {'Authorization': f'Bearer {prepared.token}'}
    at = datetime.now(UTC) - timedelta(minutes=20)
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(120)) as http:
        await _post(http, url, prepared, at, 'good')
        for n in range(1, batches + 1):
            found['unchanged'].append(await _post(http, url, prepared, at + timedelta(seconds=n), 'good'))
        for n in range(1, batches + 1):
            state = ('good', 'bad')[n % 2]
            found['flipping'].append(await _post(http, url, prepared, at + timedelta(minutes=1, seconds=n), state))
    return found


async def _post(http: aiohttp.ClientSession, url: str, prepared: Prepared, at: datetime, state: str) -> float:
    readings = [
        {'customer': code, 'monitor': monitor, 'state': state, 'value': at.second, 'at': at.isoformat()}
        for code in prepared.codes
        for monitor in MONITORS
    ]
    began = time.perf_counter()
    async with http.post(f'{url}/api/v1/readings', json=readings) as response:
        answer = await response.json()
    took = time.perf_counter() - began
    if response.status != 200 or answer['stored'] != len(readings):
        raise Unmeasured(f'readings were not taken: {response.status} {str(answer)[:120]}')
    return len(readings) / took
