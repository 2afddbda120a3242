"""The other end of `harness.Helper`: one order a line, one answer a line."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop


def serve(begin: Callable[[dict], Awaitable[Any]], handle: Callable[[Any, Any], Awaitable[Any]]) -> None:
    """Make something of the first order with `begin`, then answer each with `handle`, until the input ends."""
    uvloop.run(_serve(begin, handle))


async def _serve(begin: Callable[[dict], Awaitable[Any]], handle: Callable[[Any, Any], Awaitable[Any]]) -> None:
    reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    made = None
    while line := await reader.readline():
        order = json.loads(line)
        try:
            if made is None:
                made = await begin(order)
                answer: Any = {}
            else:
                answer = await handle(made, order)
        except Exception as error:
            answer = {'error': f'{type(error).__name__}: {error}'[:300]}
        print(json.dumps(answer), flush=True)
