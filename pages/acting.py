"""The one way in which a page changes anything: a route that names the right it needs, so that all can be listed.

    @acts(router, 'POST', '/customers/{customer_id}/notes', right='note.add')
    async def add_note(acting: Acting) -> dict: …

The customer of the address is asked for anew through the one door (unknown and not yours look the same), the right is
asked before and again by the verb, and what cannot be is answered in a sentence, with the field that it is about.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from tortoise.exceptions import DoesNotExist

from models import Customer, Note, PortalUser
from models.checking import ChangedMeanwhile, Invalid
from models.rights import RIGHTS, Refused, require
from pages.api.ui import NOT_FOUND, answer
from pages.customers import find
from pages.guard import user_of

MAX_BODY = 2_000_000  # bytes: the longest note, escaped, and room to spare
ACTS: dict[tuple[str, str], str] = {}  # the right by method and path, of every route that changes something


class NotThere(Exception):
    """What is acted upon does not exist, or not for this person."""


@dataclass(frozen=True)
class Acting:
    """Somebody who changes something about a customer: who, which, and what they sent."""

    user: PortalUser
    customer: Customer
    body: dict[str, Any]
    path: dict[str, str]

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
        value = self.path.get(name, self.body.get(name))
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 9:
            return int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
            return value
        raise NotThere


Act = Callable[[Acting], Awaitable[dict[str, Any]]]


def acts(router: APIRouter, method: str, path: str, *, right: str) -> Callable[[Act], Act]:
    """Register a route below the router's prefix that changes something, by the right it needs."""
    assert right in RIGHTS
    ACTS[method, router.prefix + path] = right

    def register(act: Act) -> Act:
        async def route(request: Request) -> Response:
            user = user_of(request)
            customer = await find(user, request.path_params['customer_id'])
            if customer is None:
                return answer(NOT_FOUND, 404)
            try:
                require(user, right)
                done = await act(Acting(user, customer, await body_of(request), dict(request.path_params)))
            except (Refused, Invalid, ChangedMeanwhile, Note.EditedMeanwhile, NotThere, DoesNotExist) as error:
                return refusal(error)
            return answer(done)

        router.add_api_route(path, route, methods=[method], name=act.__name__)
        return act

    return register


def refusal(error: Exception) -> Response:
    """What a person is told, and in which field of the form."""
    if isinstance(error, Refused):
        return answer({'error': str(error)}, 403)
    if isinstance(error, Invalid):
        return answer({'error': error.message, 'field': error.field}, 422)
    if isinstance(error, ChangedMeanwhile):
        return answer({'error': str(error), 'field': error.field, 'now': error.now}, 409)
    if isinstance(error, Note.EditedMeanwhile):
        note = error.note
        now = {'body': note.body, 'version': note.version, 'by': note.edited_by or note.author, 'at': note.edited_at}
        return answer({'error': str(error), 'field': 'body', 'note': now}, 409)
    return answer(NOT_FOUND, 404)


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
