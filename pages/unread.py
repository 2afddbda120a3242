"""What is still on its way of a request's body comes in before the answer goes out.

Who is refused early – too large, signed out, not allowed – goes on sending meanwhile, and a proxy between may take an
answer that comes in the midst of that for a connection that broke: nginx, over HTTP/2 and with bodies that pass through
as they come (docs/nginx.conf), then ends the stream, and the browser says that the network failed instead of why.
"""

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST = 128 * 1024 * 1024  # bytes that are read for nothing; more than docs/nginx.conf lets through
PATIENCE = 30.0  # s after which whoever still sends is answered all the same


class ReadToEnd:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope['type'] != 'http' or not _announces_body(scope):
            return await self.app(scope, receive, send)
        body = _Body(scope, receive)

        async def after_the_rest(message: Message) -> None:
            if message['type'] == 'http.response.start':
                await body.read_on()
            await send(message)

        return await self.app(scope, body.receive, after_the_rest)


def _announces_body(scope: Scope) -> bool:
    return any(
        name == b'transfer-encoding' or (name == b'content-length' and value.strip() != b'0')
        for name, value in scope['headers']
    )


class _Body:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._is_over = False
        # Sends nothing before it is asked to: an answer in its stead spares it the whole body (RFC 9110, 10.1.1).
        self._is_awaited = not any(name == b'expect' for name, _ in scope['headers'])

    async def receive(self) -> Message:
        self._is_awaited = True
        message = await self._receive()
        self._is_over = message['type'] != 'http.request' or not message.get('more_body', False)
        return message

    async def read_on(self) -> None:
        left = MOST if self._is_awaited else 0
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while not self._is_over and left > 0:
                    left -= len((await self.receive()).get('body', b''))
