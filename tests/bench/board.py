"""How soon the board of Connect is seen with a thousand customers on it, beside a list: full loads and moves."""

import asyncio
import contextlib
import json

from playwright.async_api import Browser, Page

from tests.bench.browser import FIRST_ROW, WATCH_MOVE, browser, list_page, page_of
from tests.bench.harness import Data, Row, Server, Unmeasured, at_most, median, ms, portal

CUSTOMERS = 5_600  # of the demonstration: a little more than a thousand of them are in Connect
WANTED = 1_000
PAUSE = 0.4
BOARD, LIST = '/connect', '/customers/in-progress'

# The first cards of every column that is in view are drawn together: one frame after the one that begins with them.
FIRST_CARD = FIRST_ROW.replace('.ag-row', '.board-card')
WATCH_BOARD = """() => {
  window.benchMoved = new Promise((done) => {
    let clicked = null;
    addEventListener('click', (event) => { clicked = event.timeStamp; }, { capture: true, once: true });
    const watch = new MutationObserver(() => {
      const cards = document.querySelectorAll('.board-card');
      if (clicked === null || ![...cards].some((card) => card.textContent.trim())) return;
      watch.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - clicked)));
    });
    watch.observe(document.body, { childList: true, subtree: true, characterData: true });
  });
}"""


async def _load(chromium: Browser, server: Server, session: str, path: str) -> float:
    """Seconds from the start of the navigation to the first card or row on the screen, with an empty cache."""
    async with page_of(chromium, server.url, session) as page:
        await page.add_init_script(FIRST_CARD if path == BOARD else FIRST_ROW)
        await page.goto(server.url + path, wait_until='commit')
        await page.wait_for_function('window.benchPainted', polling=50, timeout=60_000)
        found = await page.evaluate('window.benchPainted') / 1000
    await asyncio.sleep(PAUSE)
    return found


async def _move(page: Page, path: str) -> float:
    """Seconds from a click in the menu to the first card or row."""
    await asyncio.sleep(PAUSE)
    await page.click('#menu-button')
    if path == BOARD:
        await page.evaluate(WATCH_BOARD)
    else:
        await page.evaluate(WATCH_MOVE, path.rpartition('/')[2])
    await page.click(f'#menu a[href="{path}"]')
    return await page.evaluate('window.benchMoved') / 1000


async def _count(page: Page, server: Server) -> int:
    """How many are on the board."""
    answer = await page.request.get(server.url + '/api/ui/connect')
    return json.loads(await answer.text())['all']


async def measure(data: Data) -> list[Row]:
    loads: dict[str, list[float]] = {BOARD: [], LIST: []}
    first: dict[str, list[float]] = {BOARD: [], LIST: []}
    again: dict[str, list[float]] = {BOARD: [], LIST: []}
    count = 0
    async with contextlib.AsyncExitStack() as stack:
        server, prepared = await stack.enter_async_context(portal(data, CUSTOMERS))
        chromium = await stack.enter_async_context(browser())
        for n in range(data.scale.repeats + 1):
            for path in (LIST, BOARD):
                took = await _load(chromium, server, prepared.sessions[0], path)
                if n:  # the first round warms the server and the browser
                    loads[path].append(took)
            async with page_of(chromium, server.url, prepared.sessions[0]) as page:
                await list_page(page, server.url + '/customers/complete')
                count = await _count(page, server)
                took = {path: await _move(page, path) for path in (LIST, BOARD)}
                back = {path: await _move(page, path) for path in (LIST, BOARD)}
            if n:
                for path in (LIST, BOARD):
                    first[path].append(took[path])
                    again[path].append(back[path])
    if count < WANTED:
        raise Unmeasured(f'only {count:,} customers are in Connect')
    return [
        at_most(
            f'{how}, board of {count:,} customers in Connect ÷ list', median(times[BOARD]) / median(times[LIST]), 2.0,
            note=f'{ms(median(times[BOARD]))} ÷ {ms(median(times[LIST]))}',
        )
        for how, times in (('Full load', loads), ('First move there', first), ('Coming back', again))
    ]  # fmt: skip
