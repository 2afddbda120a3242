"""Asks `/healthz` every 10 ms: what it waits longest for is how long the server's event loop stood still."""

import asyncio
import time

import aiohttp

from tests.bench.helper import serve

EVERY = 0.01


class Poll:
    def __init__(self, url: str) -> None:
        self.url, self.waits = url + '/healthz', []

    async def forever(self) -> None:
        async with aiohttp.ClientSession() as http:
            while True:
                began = time.monotonic()
                async with http.get(self.url) as response:
                    await response.read()
                took = time.monotonic() - began
                self.waits.append(took)
                await asyncio.sleep(max(0.0, EVERY - took))

    async def since(self, _order: object) -> dict:
        """The waits since the last time that somebody asked."""
        waits, self.waits = self.waits, []
        return {'waits': waits, 'going': not self.task.done()}


async def begin(given: dict) -> Poll:
    poll = Poll(given['url'])
    poll.task = asyncio.get_running_loop().create_task(poll.forever())
    return poll


if __name__ == '__main__':
    serve(begin, lambda poll, order: poll.since(order))
