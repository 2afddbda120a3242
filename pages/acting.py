"""The one way in which a page changes anything: a route that names the right it needs, so that all can be listed.

    @acts(router, 'POST', '/customers/{customer_id}/notes', right='note.add')
    async def add_note(acting: Acting) -> dict: …

The right is asked before, and again by the verb; a customer in the address is asked for anew through the one door
(unknown and not yours look the same); what cannot be is answered in a sentence, with the field that it is about.

`takes` is the same for what is no JSON: a form, an upload, a machine. A test over the syntax tree refuses routes that
change something and are registered otherwise, and handlers of the page framework.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import orjson
from fastapi import APIRouter, Request
from nicegui import Client
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from models import Customer, PortalUser, Session
from models.checking import Invalid
from models.rights import RIGHTS, may, require
from pages.answers import NOT_FOUND, REFUSALS, NotThere, answer, refusal
from pages.guard import session_of, user_of, viewer

MAX_BODY = 2_000_000  # bytes: the longest note, escaped, and room to spare
# In place of a right, for what no role decides on.
ANYBODY = 'anybody'  # who is not signed in: sign-in itself, an invitation
SESSION = 'session'  # whoever has a session: signing out
MACHINE = 'machine'  # an API token
ACTS: dict[tuple[str, str], str] = {}  # the right by method and path, of every route that changes something


@dataclass(frozen=True)
class Acting:
    """Somebody who changes something: who, in which session, what they sent, and about which customer, if any."""

    user: PortalUser
    session: Session
    body: dict[str, Any]
    path: dict[str, str]
    about: Customer | None = None
    request: Request | None = None

    @property
    def customer(self) -> Customer:
        """The customer of the address; only where the address names one."""
        assert self.about is not None
        return self.about

    def text(self, name: str) -> str:
        value = self.body.get(name, '')
        if not isinstance(value, str):
            raise Invalid(name, 'is not a text')
        return value

    def facts(self, name: str = 'facts') -> dict[str, Any]:
        value = self.body.get(name)
        if not isinstance(value, dict):
            raise Invalid(name, 'is not a set of facts')
        return value

    def number(self, name: str) -> int:
        """A number of the address or of what was sent."""
        found = whole(self.path.get(name, self.body.get(name)))
        if found is None:
            raise NotThere
        return found

    def numbers(self, name: str, most: int = 1000) -> list[int]:
        """A list of numbers that were sent; raises `Invalid`."""
        value = self.body.get(name)
        found = [whole(each) for each in value] if isinstance(value, list) and len(value) <= most else [None]
        if any(each is None for each in found):
            raise Invalid(name, f'is not a list of at most {most:,} numbers')
        return [each for each in found if each is not None]


def whole(value: Any) -> int | None:
    """An id as an address or JSON gives it; None where it is none."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    return None


Act = Callable[[Acting], Awaitable[dict[str, Any]]]
Taking = Callable[..., Awaitable[Response]]
Hearing = Callable[..., Awaitable[None]]


def acts(router: APIRouter, method: str, path: str, *, right: str) -> Callable[[Act], Act]:
    """Register a route below the router's prefix that changes something, by the right it needs; it is sent JSON."""
    assert right in RIGHTS

    def register(act: Act) -> Act:
        async def route(request: Request) -> Response:
            user, about = user_of(request), None
            if 'customer_id' in request.path_params:
                about = await find(user, request.path_params['customer_id'])
                if about is None:
                    return answer(NOT_FOUND, 404)
            try:
                require(user, right)
                body = await body_of(request)
                return answer(await act(Acting(user, session_of(request), body, request.path_params, about, request)))
            except REFUSALS as error:
                return refusal(error)

        _add(router, method, path, right, route, act.__name__)
        return act

    return register


def takes(router: APIRouter, method: str, path: str, *, right: str) -> Callable[[Taking], Taking]:
    """Register a route that changes something and reads the request itself; the right is asked before."""
    assert right in RIGHTS or right in (ANYBODY, SESSION, MACHINE)

    def register(taking: Taking) -> Taking:
        @wraps(taking)
        async def route(request: Request, *args: Any, **named: Any) -> Response:
            try:
                if right in RIGHTS:
                    user = user_of(request)
                    if 'customer_id' in request.path_params and not await find(
                        user, request.path_params['customer_id']
                    ):
                        return answer(NOT_FOUND, 404)
                    require(user, right)
                return await taking(request, *args, **named)
            except REFUSALS as error:
                return refusal(error)

        _add(router, method, path, right, route, taking.__name__)
        return taking

    return register


def hears(event: str, *, right: str) -> Callable[[Hearing], Hearing]:
    """Register what a page of the framework does when an element of it tells of `event`.

    What it gets is who looks at the page, asked anew, and what was told; it is called with the page's client first.
    Nothing happens where the session is over or the role does not include it any more.
    """
    assert right in RIGHTS
    ACTS['EVENT', event] = right

    def register(hearing: Hearing) -> Hearing:
        @wraps(hearing)
        async def hear(client: Client, *detail: Any) -> None:
            who = await viewer(client)
            if who is not None and may(who, right):
                await hearing(who, *detail)

        return hear

    return register


async def find(user: PortalUser, typed: str) -> Customer | None:
    """The customer of an address, through the one door; None where there is none or it is not theirs."""
    number = whole(typed)
    return None if number is None else await Customer.visible_to(user).get_or_none(id=number)


def _add(router: APIRouter, method: str, path: str, right: str, route: Taking, name: str) -> None:
    key = (method, router.prefix + path)
    assert key not in ACTS, f'{key} is registered twice'
    ACTS[key] = right
    router.add_api_route(path, route, methods=[method], name=name)


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; raises `Invalid`."""
    body = b''
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                raise Invalid('body', 'is too long to be stored')
        found = orjson.loads(body) if body else {}
    except ClientDisconnect:
        raise Invalid('body', 'was cut off') from None
    except ValueError as error:
        raise error if isinstance(error, Invalid) else Invalid('body', 'is not JSON') from None
    if not isinstance(found, dict):
        raise Invalid('body', 'is not a JSON object')
    return found
