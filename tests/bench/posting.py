"""Posts readings at a steady pace, whether or not the server keeps up, and remembers when it posted what."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp

from tests.bench.helper import serve

# Three, so that a screen which lags behind by a second is not taken for one that is ahead.
STATES = ('good', 'bad', 'unknown')


class Poster:
    def __init__(self, given: dict) -> None:
        self.url, self.codes, self.groups = given['url'] + '/api/v1/readings', given['codes'], given['groups']
        self.every, self.monitor = given['every'], given.get('monitor', 'inbound_queue')
        self.step = 0
        self.http = aiohttp.ClientSession(headers={'Authorization': f'Bearer {given["token"]}'})
        self.posts: list[tuple[float, int, str]] = []
        self.durations: list[float] = []
        self.flips = self.refused = 0
        self.problems: list[str] = []

    async def play(self, seconds: float) -> dict[str, Any]:
        """Post one batch every so often for so long: each time the next of `groups` of the customers flips."""
        self.posts, self.durations, self.problems, self.flips, self.refused = [], [], [], 0, 0
        began, under_way = time.monotonic(), []
        count = max(1, round(seconds / self.every))
        for n in range(count):
            await asyncio.sleep(max(0.0, began + n * self.every - time.monotonic()))
            under_way.append(asyncio.create_task(self._post()))
        sent_in = time.monotonic() - began
        await asyncio.gather(*under_way)
        return {
            'posts': self.posts, 'durations': self.durations, 'flips': self.flips, 'refused': self.refused,
            'problems': self.problems[:3], 'sent_in': max(sent_in, count * self.every),
            'all_in': time.monotonic() - began,
        }  # fmt: skip

    async def _post(self) -> None:
        group, state = self.step % self.groups, STATES[self.step // self.groups % len(STATES)]
        self.step += 1
        at = datetime.now(UTC).isoformat()
        readings = [
            {'customer': code, 'monitor': self.monitor, 'state': state, 'at': at}
            for code in self.codes[group :: self.groups]
        ]
        began = time.time()
        self.posts.append((began, group, state))
        try:
            async with self.http.post(self.url, json=readings) as response:
                answer = await response.json()
                if response.status != 200:
                    self.problems.append(f'{response.status}: {answer}'[:200])
                    return
        except aiohttp.ClientError as error:
            self.problems.append(repr(error)[:200])
            return
        self.durations.append(time.time() - began)
        self.flips += answer['flips']
        self.refused += len(answer['refused'])


async def begin(given: dict) -> Poster:
    return Poster(given)


if __name__ == '__main__':
    serve(begin, lambda poster, seconds: poster.play(seconds))
