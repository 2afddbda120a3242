"""How soon the page of a customer is seen when its name in a list is pressed, beside a move between the lists."""

import asyncio

from playwright.async_api import Page

from tests.bench.browser import WATCH_MOVE, browser, list_page, page_of
from tests.bench.harness import Data, Row, at_most, median, ms, portal, run

PAUSE = 0.4

# Painted: the name, nine cards, and in the open ones what they show.
WATCH_OPENING = """(name) => {
  window.benchMoved = new Promise((done) => {
    let clicked = null;
    addEventListener('click', (event) => { clicked = event.timeStamp; }, { capture: true, once: true });
    const watch = new MutationObserver(() => {
      const open = [...document.querySelectorAll('.fold-head[aria-expanded=true]')];
      if (clicked === null || document.querySelector('.customer h1')?.textContent !== name) return;
      if (document.querySelectorAll('.fold').length < 9 || document.querySelector('.fold .skeleton')) return;
      if (!open.every((head) => head.closest('.fold').querySelector('.fold-body').childElementCount)) return;
      watch.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - clicked)));
    });
    watch.observe(document.body, { childList: true, subtree: true, characterData: true });
  });
}"""


async def _to_list(page: Page, key: str) -> float:
    await asyncio.sleep(PAUSE)
    await page.click('#menu-button')
    await page.evaluate(WATCH_MOVE, key)
    await page.click(f'#menu a[href="/customers/{key}"]')
    return await page.evaluate('window.benchMoved') / 1000


async def _to_customer(page: Page, customer_id: int, name: str) -> float:
    await asyncio.sleep(PAUSE)
    await page.evaluate(WATCH_OPENING, name)
    await page.click(f'.grid a[href="/customers/{customer_id}"]')
    return await page.evaluate('window.benchMoved') / 1000


async def measure(data: Data) -> list[Row]:
    async with portal(data, data.scale.sizes[-1], real=2) as (server, prepared), browser() as chromium:
        (short, _), (long, _) = prepared.customers
        await run('-m', 'tests.bench.long_history', str(long), data_dir=prepared.folder)
        moves: list[float] = []
        opened: dict[int, list[float]] = {short: [], long: []}
        async with page_of(chromium, server.url, prepared.sessions[0]) as page:
            await list_page(page, server.url + '/customers/complete')
            for n in range(data.scale.repeats + 1):
                for customer_id, name in ((short, '000 Bench 0000'), (long, '000 Bench 0001')):
                    took = await _to_customer(page, customer_id, name)
                    await _to_list(page, 'in-progress')
                    move = await _to_list(page, 'complete')
                    if n:  # the first round fetches the modules of the page
                        opened[customer_id].append(took)
                        moves.append(move)
    base = median(moves)
    return [
        at_most(
            f'Opening a customer inside the page ({what}) ÷ move between the lists', median(took) / base, 2.0,
            note=f'{ms(median(took))} ÷ {ms(base)}',
        )
        for what, took in (('new', opened[short]), ('10,000 entries, 5,000 flips, 300 notes', opened[long]))
    ]  # fmt: skip
