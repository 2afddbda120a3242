"""The one way in which a page changes anything: a route that names the right it needs, so that all can be listed.

    @acts(router, 'POST', '/customers/{customer_id}/notes', right='note.add')
    async def add_note(acting: Acting) -> dict: …

The right is asked before, and again by the verb; a customer in the address is asked for anew through the one door
(unknown and not yours look the same); what cannot be is answered in a sentence, with the field that it is about.

`takes` is the same for what is no JSON: a form, an upload, a machine. `reads` is the same for what a page asks for:

    @reads(router, '/customers/{customer_id}/notes', right='customer.see')
    async def more_notes(asking: Asking) -> dict: …

A test over the syntax tree refuses routes that are registered otherwise, and handlers of the page framework.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
from pages.answers import REFUSALS, NotThere, answer, refusal
from pages.guard import session_of, user_of, viewer

MAX_BODY = 2_000_000  # bytes: the longest note, escaped, and room to spare
# In place of a right, for what no role decides on.
ANYBODY = 'anybody'  # who is not signed in: sign-in itself, an invitation
SESSION = 'session'  # whoever has a session: signing out
MACHINE = 'machine'  # an API token
SIGNED_IN = 'signed in'  # whoever is, to read what is about themselves, or what no role is without
ACTS: dict[tuple[str, str], str] = {}  # the right by method and path, of every route that changes something
READS: dict[tuple[str, str], str] = {}  # the same of every route that is asked for something by a page


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Somebody who asks for something: who, in which session, with which request, and about which customer, if any."""

    user: PortalUser
    session: Session
    request: Request
    about: Customer | None = None

    @property
    def customer(self) -> Customer:
        """The customer of the address; only where the address names one."""
        assert self.about is not None
        return self.about

    @property
    def path(self) -> dict[str, str]:
        return self.request.path_params

    @property
    def sent(self) -> Mapping[str, Any]:
        """What came with the request: here its query."""
        return self.request.query_params

    def text(self, name: str) -> str:
        """What was sent; empty where nothing was. Raises `Invalid`."""
        value = self.sent.get(name, '')
        if not isinstance(value, str):
            raise Invalid(name, 'is not a text')
        return value

    def search(self, name: str, most: int = 200) -> str:
        """Words to look for: no longer than this, one space between them; empty where there are none."""
        return ' '.join(self.text(name).replace('\x00', '').split())[:most]

    def number(self, name: str) -> int:
        """A number of the address or of what was sent; raises `NotThere`."""
        found = whole(self.path.get(name, self.sent.get(name)))
        if found is None:
            raise NotThere
        return found

    def moment(self, name: str) -> datetime | None:
        """A moment that was sent with its offset, in UTC; None where nothing was sent. Raises `Invalid`.

        The browser says the offset, for it knows when a day of its viewer begins.
        """
        text = self.text(name)
        if not text:
            return None
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None or not 1970 <= found.year <= 9000:
            raise Invalid(name, 'is not a moment such as 2026-11-22T00:00:00Z')
        return found.astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class Acting(Asking):
    """Somebody who changes something, with the JSON object that they sent."""

    body: dict[str, Any]

    @property
    def sent(self) -> Mapping[str, Any]:
        return self.body

    def facts(self, name: str = 'facts') -> dict[str, Any]:
        value = self.body.get(name)
        if not isinstance(value, dict):
            raise Invalid(name, 'is not a set of facts')
        return value

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
Read = Callable[[Asking], Awaitable[Any]]
Taking = Callable[..., Awaitable[Response]]
Hearing = Callable[..., Awaitable[None]]


def acts(router: APIRouter, method: str, path: str, *, right: str) -> Callable[[Act], Act]:
    """Register a route below the router's prefix that changes something, by the right it needs; it is sent JSON."""
    assert right in RIGHTS

    def register(act: Act) -> Act:
        async def route(request: Request) -> Response:
            try:
                user, about = await _admitted(request, right)
                body = await body_of(request)
                acting = Acting(user=user, session=session_of(request), request=request, about=about, body=body)
                return answer(await act(acting))
            except REFUSALS as error:
                return refusal(error)

        _add(router, method, path, right, route, act.__name__, ACTS)
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
                    await _admitted(request, right)
                return await taking(request, *args, **named)
            except REFUSALS as error:
                return refusal(error)

        _add(router, method, path, right, route, taking.__name__, ACTS)
        return taking

    return register


def reads(router: APIRouter, path: str, *, right: str) -> Callable[[Read], Read]:
    """Register a GET route for a page, by the right it needs or SIGNED_IN.

    What it gives is sent as JSON that nobody keeps; a response of its own, such as a file, goes out as it is.
    """
    assert right in RIGHTS or right == SIGNED_IN

    def register(read: Read) -> Read:
        async def route(request: Request) -> Response:
            try:
                user, about = await _admitted(request, right)
                found = await read(Asking(user=user, session=session_of(request), request=request, about=about))
                return found if isinstance(found, Response) else answer(found)
            except REFUSALS as error:
                return refusal(error)

        _add(router, 'GET', path, right, route, read.__name__, READS)
        return read

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


async def _admitted(request: Request, right: str) -> tuple[PortalUser, Customer | None]:
    """Who asks, and about which customer; raises `NotThere` where they cannot see that one, and `Refused`."""
    user, about = user_of(request), None
    if 'customer_id' in request.path_params:
        about = await find(user, request.path_params['customer_id'])
        if about is None:
            raise NotThere
    if right in RIGHTS:
        require(user, right)
    return user, about


def _add(
    router: APIRouter, method: str, path: str, right: str, route: Taking, name: str, known: dict[tuple[str, str], str],
) -> None:  # fmt: skip
    key = (method, router.prefix + path)
    assert key not in known, f'{key} is registered twice'
    known[key] = right
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
