"""How long a change takes from the request that brings it to the cell on a screen."""

import asyncio
from dataclasses import replace

from playwright.async_api import Page

from tests.bench.browser import SKEW, WATCH_CELLS, browser, list_page, page_of
from tests.bench.harness import Data, Helper, Prepared, Row, Server, Unmeasured, median, ms, percentile, portal
from tests.bench.matching import Delays, delays

MONITOR = 'inbound_queue'
PAUSE = 0.31  # seconds between two changes on an idle screen: longer than the server gathers them
EVERY = 0.1  # seconds between two batches under load
WARM_UP = 5.0


async def _watched(page: Page, posts: list[tuple[float, int, str]], prepared: Prepared, groups: int) -> tuple:
    """What was posted, by customer, and what the screen showed, in seconds of the machine's clock."""
    skew = await page.evaluate(SKEW)
    shots = [((at - skew) / 1000, cells) for at, cells in await page.evaluate('window.benchShots')]
    each = [
        (at, str(customer), state) for at, group, state in posts for customer, _ in prepared.customers[group::groups]
    ]
    return each, shots


async def idle(data: Data) -> list[Row]:
    """One screen, one change now and then."""
    async with (
        portal(data, data.scale.sizes[0], real=50) as (server, prepared),
        browser() as chromium,
        page_of(chromium, server.url, prepared.sessions[0]) as page,
    ):
        await list_page(page, server.url + '/customers/complete')
        await page.evaluate(WATCH_CELLS, MONITOR)
        on_screen = set(await page.evaluate('Object.keys(window.benchShots.at(-1)[1])'))
        chosen = replace(prepared, customers=[pair for pair in prepared.customers if str(pair[0]) in on_screen][:12])
        if len(chosen.customers) < 5:
            raise Unmeasured('the customers of the bench are not on the screen')
        count = len(chosen.customers)
        async with _poster(server, chosen, groups=count, every=PAUSE) as poster:
            await poster.ask(3.0)
            played = await poster.ask(PAUSE * data.scale.idle_changes)
            _check(played)
            await asyncio.sleep(1)
        posts, shots = await _watched(page, played['posts'], chosen, count)
    found = delays(posts, shots, since=0, until=float('inf'))
    if found.lost or not found.seconds:
        raise Unmeasured(f'{found.lost} of {found.lost + len(found.seconds)} changes were never shown')
    middle = percentile(found.seconds, 0.5)
    told = f'p50 {ms(middle)}, p99 {ms(percentile(found.seconds, 0.99))} (n = {len(found.seconds)})'
    return [Row('Change → cell in the DOM, one screen idle', told, 'p50 ≤ 50 ms', middle <= 0.05)]


def _poster(server: Server, prepared: Prepared, **given: float) -> Helper:
    return Helper('posting', prepared.folder, url=server.url, token=prepared.token, codes=prepared.codes, **given)


def _check(played: dict) -> None:
    if played['problems'] or played['refused']:
        raise Unmeasured(f'readings were not taken: {(played["problems"] or [played["refused"]])[0]}')


async def load(data: Data) -> list[Row]:
    """Many clients and a thousand changes a second; a screen sorted by name, and one sorted by a state."""
    found: list[Row] = []
    for order, query in (('name', ''), ('a state', f'?sort={MONITOR}')):
        async with portal(data, 0, real=data.scale.real, sessions=data.scale.clients + 1) as (server, prepared):
            found.append(await _under_load(data, server, prepared, order, query))
    return found


async def _under_load(data: Data, server: Server, prepared: Prepared, order: str, query: str) -> Row:
    scale = data.scale
    sockets = {'host': f'127.0.0.1:{server.port}', 'sessions': prepared.sessions[1:]}
    async with (
        browser() as chromium,
        page_of(chromium, server.url, prepared.sessions[0]) as page,
        Helper('sockets', prepared.folder, **sockets) as crowd,
        _poster(server, prepared, groups=10, every=EVERY) as poster,
    ):
        await poster.ask(3.0)
        await list_page(page, server.url + '/customers/complete' + query)
        await page.evaluate(WATCH_CELLS, MONITOR)
        await crowd.ask('forget')
        played = await poster.ask(WARM_UP + scale.load_seconds, timeout=240)
        await asyncio.sleep(3)
        heard = await crowd.ask('heard')
        _check(played)
        posts, shots = await _watched(page, played['posts'], prepared, 10)
    began = played['posts'][0][0]
    seen = delays(posts, shots, since=began + WARM_UP, until=began + WARM_UP + scale.load_seconds)
    return _load_row(seen, played, heard, order, scale.clients)


def _load_row(seen: Delays, played: dict, heard: dict, order: str, clients: int) -> Row:
    if not seen.seconds:
        raise Unmeasured(f'no change was shown (sorted by {order}, {seen.lost} lost)')
    worst = percentile(seen.seconds, 0.99)
    rate, late = played['flips'] / played['sent_in'], played['all_in'] - played['sent_in']
    kept_up = late < 1
    told = [
        f'p99 {ms(worst)}, p50 {ms(percentile(seen.seconds, 0.5))} (n = {len(seen.seconds)}, never shown: {seen.lost})',
        f'{rate:,.0f} changes/s' + ('' if kept_up else f' asked, stored {late:.1f} s late'),
        f'a batch took p50 {ms(median(played["durations"]))}',
        f'{heard["open"]} of {clients} clients heard {heard["count"] / clients / played["all_in"]:.1f} messages/s each '
        f'({heard["many"]} “many changed”)',
        f'heartbeats late by p99 {ms(percentile(heard["late"], 0.99))}' if heard['late'] else 'no heartbeats',
    ]
    met = worst <= 0.5 and kept_up and not seen.lost and heard['open'] == clients
    what = f'Change → cell in the DOM, 1,000 changes/s and {clients} clients, sorted by {order}'
    return Row(what, '; '.join(told), 'p99 ≤ 500 ms', met)
