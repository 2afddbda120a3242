"""How soon a list is seen: full page loads beside a bare page, and moves inside the page."""

import asyncio
import contextlib

from playwright.async_api import Browser

from tests.bench.browser import FIRST_ROW, WATCH_MOVE, browser, list_page, page_of
from tests.bench.harness import Data, Prepared, Row, Server, at_most, median, ms, portal

PAUSE = 0.4  # seconds in which the page before has its counts and its end, so that it is not paid for by the next
PATHS = {'portal': '/customers/complete', 'bare': '/bench/bare.html'}


async def first_row(chromium: Browser, url: str, session: str) -> float:
    """Seconds from the start of the navigation to the first row on the screen, with an empty cache."""
    async with page_of(chromium, url, session) as page:
        await page.add_init_script(FIRST_ROW)
        await page.goto(url, wait_until='commit')
        await page.wait_for_function('window.benchPainted', polling=50, timeout=60_000)
        found = await page.evaluate('window.benchPainted') / 1000
    await asyncio.sleep(PAUSE)
    return found


async def move(chromium: Browser, server: Server, prepared: Prepared, count: int) -> list[float]:
    """Seconds from a click in the menu to the first row of the other list, again and again."""
    found = []
    async with page_of(chromium, server.url, prepared.sessions[0]) as page:
        await list_page(page, server.url + '/customers/complete')
        for n in range(count):
            await asyncio.sleep(PAUSE)
            key = ('in-progress', 'complete')[n % 2]
            await page.click('#menu-button')
            await page.evaluate(WATCH_MOVE, key)
            await page.click(f'#menu a[href="/customers/{key}"]')
            found.append(await page.evaluate('window.benchMoved') / 1000)
    return found


async def measure(data: Data) -> list[Row]:
    sizes, repeats = data.scale.sizes, data.scale.repeats
    times: dict[tuple[str, int], list[float]] = {(kind, size): [] for size in sizes for kind in PATHS}
    async with contextlib.AsyncExitStack() as stack:
        servers = {size: await stack.enter_async_context(portal(data, size, bare=True)) for size in sizes}
        chromium = await stack.enter_async_context(browser())
        for n in range(repeats + 1):
            for kind, size in times:
                server, prepared = servers[size]
                took = await first_row(chromium, server.url + PATHS[kind], prepared.sessions[0])
                if n:  # the first round warms the servers and the browser
                    times[kind, size].append(took)
        moves = await move(chromium, *servers[sizes[-1]], repeats + 1)
    return [*_loads(times, sizes), _moves(moves, median(times['portal', sizes[-1]]))]


def _loads(times: dict[tuple[str, int], list[float]], sizes: tuple[int, ...]) -> list[Row]:
    found = []
    for size in sizes:
        ours, bare = median(times['portal', size]), median(times['bare', size])
        what = f'First row painted, {size:,} customers: portal ÷ bare page'
        found.append(at_most(what, ours / bare, 2.0, note=f'{ms(ours)} ÷ {ms(bare)}'))
    most, least = median(times['portal', sizes[-1]]), median(times['portal', sizes[0]])
    what = f'First row painted: {sizes[-1]:,} ÷ {sizes[0]:,} customers'
    return [*found, at_most(what, most / least, 1.2, note=f'{ms(most)} ÷ {ms(least)}')]


def _moves(moves: list[float], full: float) -> Row:
    what, took = 'Move between the lists inside the page ÷ full load', median(moves[1:])
    return at_most(what, took / full, 0.2, note=f'{ms(took)} ÷ {ms(full)}; the first one {ms(moves[0])}')
