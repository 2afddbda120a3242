"""The browser of the bench and the scripts that tell it what to note the time of."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, async_playwright

from tests.bench.harness import COOKIE
from tests.browser.portal import CHROMIUM_ARGUMENTS, chromium

SIZE = {'width': 1440, 'height': 900}

# A row counts as painted one frame after the one that begins with it in the document.
FIRST_ROW = """(() => {
  const watch = new MutationObserver(() => {
    if (![...document.querySelectorAll('.ag-row')].some((row) => row.textContent.trim())) return;
    watch.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => { window.benchPainted = performance.now(); }));
  });
  watch.observe(document, { childList: true, subtree: true, characterData: true });
})()"""

WATCH_MOVE = """(key) => {
  window.benchMoved = new Promise((done) => {
    let clicked = null;
    addEventListener('click', (event) => { clicked = event.timeStamp; }, { capture: true, once: true });
    const watch = new MutationObserver(() => {
      const rows = document.querySelectorAll(`.grid[data-table="${key}"] .ag-row`);
      if (clicked === null || ![...rows].some((row) => row.textContent.trim())) return;
      watch.disconnect();
      requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - clicked)));
    });
    watch.observe(document.body, { childList: true, subtree: true, characterData: true });
  });
}"""

# Every picture that the cells of one column have shown: when, and the state by customer.
WATCH_CELLS = """(monitor) => {
  const words = { 'Problem': 'bad', 'Good': 'good', 'Unknown': 'unknown', 'Not configured': 'not_configured' };
  window.benchShots = [];
  let last = '';
  const look = () => {
    const cells = {};
    for (const icon of document.querySelectorAll(`.grid [data-monitor="${monitor}"]`)) {
      const word = icon.getAttribute('aria-label').split(': ')[1].split(',')[0];
      cells[icon.dataset.customer] = words[word] || word;
    }
    const text = JSON.stringify(cells);
    if (text === last) return;
    last = text;
    window.benchShots.push([performance.timeOrigin + performance.now(), cells]);
  };
  new MutationObserver(look).observe(document.querySelector('.grid'), {
    subtree: true, childList: true, attributes: true, attributeFilter: ['aria-label', 'data-customer'],
  });
  look();
}"""

# How far the page's fine clock is from the machine's, ms; the machine's is cut to whole milliseconds.
SKEW = """() => {
  const found = [];
  for (let n = 0; n < 41; n++) {
    const until = performance.now() + 0.37;
    while (performance.now() < until);
    found.push(performance.timeOrigin + performance.now() - Date.now());
  }
  return found.sort((a, b) => a - b)[20] - 0.5;
}"""


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS))
        try:
            yield launched
        finally:
            await launched.close()


@contextlib.asynccontextmanager
async def page_of(chromium: Browser, url: str, session: str) -> AsyncIterator[Page]:
    """A page in a context of its own (an empty cache), signed in."""
    context = await chromium.new_context(viewport=SIZE, bypass_csp=True)  # whoever waits for a figure evaluates text
    try:
        cookie: Any = {'name': COOKIE, 'value': session, 'url': f'http://{urlsplit(url).netloc}'}
        await context.add_cookies([cookie])
        yield await context.new_page()
    finally:
        await context.close()


async def list_page(page: Page, address: str) -> None:
    """Open a list and wait until it has rows and is live."""
    await page.goto(address)
    await page.wait_for_function("[...document.querySelectorAll('.ag-row')].some((row) => row.textContent.trim())")
    await page.wait_for_function("document.documentElement.dataset.live === 'live'")
