"""The least that a broadcast can cost: uvicorn with the portal's websocket implementation and a loop of sends.

`POST /play` with a schedule of [offset in seconds, text] sends each text to everybody when it is due.
"""

import asyncio
import contextlib
import json
import sys
import time
from typing import Any

import uvicorn

connected: set[Any] = set()


async def application(scope: Any, receive: Any, send: Any) -> None:
    if scope['type'] == 'websocket':
        await stay(receive, send)
    elif scope['type'] == 'http':
        await respond(scope, receive, send)
    else:
        while True:
            message = await receive()
            await send({'type': message['type'] + '.complete'})
            if message['type'] == 'lifespan.shutdown':
                return


async def stay(receive: Any, send: Any) -> None:
    await receive()
    await send({'type': 'websocket.accept'})
    connected.add(send)
    while (await receive())['type'] != 'websocket.disconnect':
        pass
    connected.discard(send)


async def respond(scope: Any, receive: Any, send: Any) -> None:
    body, more = b'', True
    while more:
        message = await receive()
        body, more = body + message.get('body', b''), message.get('more_body', False)
    sent = await play(json.loads(body)) if scope['path'] == '/play' else 0
    await send({'type': 'http.response.start', 'status': 200, 'headers': []})
    await send({'type': 'http.response.body', 'body': json.dumps({'sent': sent, 'open': len(connected)}).encode()})


async def play(schedule: list[tuple[float, str]]) -> int:
    began, sent = time.monotonic(), 0
    for offset, text in schedule:
        await asyncio.sleep(max(0.0, began + offset - time.monotonic()))
        for each in tuple(connected):
            with contextlib.suppress(Exception):
                await each({'type': 'websocket.send', 'text': text})
                sent += 1
    return sent


if __name__ == '__main__':
    uvicorn.run(
        application, host='127.0.0.1', port=int(sys.argv[1]), ws='wsproto', ws_per_message_deflate=False,
        loop='uvloop', log_level='warning', access_log=False, server_header=False,
    )  # fmt: skip
