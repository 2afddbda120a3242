"""What a visitor sees when something cannot be done: a sentence and a way on, never a traceback."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from nicegui import app
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket, WebSocketDisconnect
from uvicorn.protocols.utils import ClientDisconnected

from models import database
from pages.guard import is_below
from pages.sign_in import page

log = logging.getLogger(__name__)
# Whoever holds a link has no dashboard, and no console to look at.
_OF_LINKS = ('/rfi/', '/invite/', '/reset/')
_AGAIN = 8  # seconds after which a page that could not be made is asked for once more


def _is_for_script(request: Request) -> bool:
    """Whether a script asks, which reads JSON; forms of pages come as forms."""
    if request.url.path.startswith('/api/') or request.method not in ('GET', 'HEAD', 'POST'):
        return True
    return request.headers.get('content-type', '').startswith('application/json')


def _answer(request: Request, status: int, title: str, text: str, **more: Any) -> Response:
    if _is_for_script(request):
        return JSONResponse({'error': text}, status, headers={'Cache-Control': 'no-store'})
    return page('error.html', status, title=title, text=text, **more)


async def database_failed(request: Request, error: Exception) -> Response:
    """The database is locked, read-only, full or gone: nothing was stored; that is what it says."""
    database.condition.tell(log, f'the database failed at {request.url.path}', error)
    reads, title = request.method in ('GET', 'HEAD'), 'The database does not answer'
    if _is_for_script(request):
        text = 'the database does not answer.' if reads else f'{title}. Nothing was stored: try again in a moment.'
        answer = _answer(request, 503, title, text)
    else:
        text = (
            'This page tries again by itself.' if reads else 'Nothing was stored. Go back, and try again in a moment.'
        )
        is_outside = is_below(request.url.path, _OF_LINKS)
        if not is_outside:
            text += ' If it stays like this, look at the console where the portal runs.'
        answer = _answer(request, 503, title, text, way=('', 'Try again') if reads else None, has_home=not is_outside)
        if reads:
            answer.headers['Refresh'] = str(_AGAIN)
    answer.headers['Retry-After'] = '5'
    return answer


async def perhaps_database(request: Request, error: Exception) -> Response:
    return await (database_failed if database.is_away(error) else unexpected)(request, error)


async def unexpected(request: Request, error: Exception) -> Response:
    log.error('%s failed', request.url.path, exc_info=error)
    return _answer(
        request, 500, 'This page could not be made',
        'The fault is ours and has been written to the log. Go back, or try again.',
    )  # fmt: skip


async def refused(request: Request, error: Exception) -> Response:
    """A route's own refusal, in its own words; a path that leads nowhere, in ours."""
    status = getattr(error, 'status_code', 404)
    text = getattr(error, 'detail', '')
    if status in (404, 405) and text in ('', 'Not Found', 'Method Not Allowed'):
        text = 'This address leads nowhere, or not for you.'
    return _answer(request, status, 'There is nothing here' if status == 404 else 'This cannot be done', text)


def _for_pages_only(handler: Callable[[Request, Exception], Awaitable[Response]]) -> Callable[..., Any]:
    """A socket cannot be given a page: it is closed, and comes back when it can be served."""

    async def handle(connection: Request | WebSocket, error: Exception) -> Response | None:
        if isinstance(connection, WebSocket):
            if not isinstance(error, ClientDisconnected | WebSocketDisconnect):  # it hung up, as it may
                database.condition.tell(log, f'a socket was closed: {type(error).__name__}', error)
            with suppress(RuntimeError):  # it is closed already
                await connection.close(1013)
            return None
        return await handler(connection, error)

    return handle


def register() -> None:
    """Put these in the place of the framework's own."""
    for failure in database.FAILURES:
        app.add_exception_handler(failure, _for_pages_only(perhaps_database))
    app.add_exception_handler(HTTPException, _for_pages_only(refused))
    app.add_exception_handler(404, _for_pages_only(refused))
    app.add_exception_handler(Exception, unexpected)
