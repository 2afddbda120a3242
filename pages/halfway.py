"""Who has proven the first factor and not yet the second: no session, only a promise that ends after five minutes.

Kept in memory and bounded; the browser holds a random token of it, and nothing is in the address. After a restart
people begin with their password again.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import HTTPConnection
from starlette.responses import Response

from models import PortalUser
from pages.proxies import is_secure

COOKIE = 'portal_halfway'
LASTS = 300  # seconds
TRIES = 10  # codes that one may get wrong before the password is asked for anew
REMEMBERED = 2000
OF_ONE_PERSON = 5


@dataclass
class Halfway:
    """Somebody between two factors. `password` tells whether the password has changed meanwhile."""

    user_id: int
    target: str
    password: str
    until: float  # of time.monotonic()
    tries: int = 0
    sealed_key: str = ''  # what this browser was shown to enrol with


def _mark(user: PortalUser) -> str:
    """Changes when the password does."""
    return hashlib.sha256(user.password_hash.encode()).hexdigest()


class Waiting:
    """Those who are halfway, by the hash of their token."""

    def __init__(self) -> None:
        self._those: OrderedDict[str, Halfway] = OrderedDict()

    def begin(self, user: PortalUser, target: str) -> str:
        """Promise the second step to whoever holds the token that this gives."""
        now, token = time.monotonic(), secrets.token_urlsafe(32)
        theirs = [key for key, each in self._those.items() if each.user_id == user.id]
        for key in theirs[: max(0, len(theirs) - OF_ONE_PERSON + 1)]:
            del self._those[key]
        for key in [key for key, each in self._those.items() if each.until <= now]:
            del self._those[key]
        while len(self._those) >= REMEMBERED:
            self._those.popitem(last=False)
        self._those[_hash(token)] = Halfway(user.id, target, _mark(user), now + LASTS)
        return token

    async def find(self, token: str) -> tuple[Halfway, PortalUser] | None:
        """The promise of this token with who it was made to, while it holds: the person is active, the password is the
        one that was typed, and not too many codes were wrong."""
        half = self._those.get(_hash(token)) if 20 <= len(token) <= 100 else None
        if half is None:
            return None
        user = await PortalUser.get_or_none(id=half.user_id)
        holds = half.until > time.monotonic() and half.tries < TRIES
        if not holds or user is None or not user.is_active or _mark(user) != half.password:
            self.end(token)
            return None
        return half, user

    def end(self, token: str) -> bool:
        """It is over; says whether it was not before, so that of two requests with one token one goes on."""
        return self._those.pop(_hash(token), None) is not None

    def forget(self) -> None:
        self._those.clear()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()


waiting = Waiting()


# -- what the browser holds -------------------------------------------------------------------------------------------


def keep(response: Response, connection: HTTPConnection, name: str, value: str, seconds: int) -> None:
    """Have the browser hold this for a few minutes. Lax, not strict: a provider's answer comes from another site."""
    secure = is_secure(connection)
    response.set_cookie(_named(name, secure), value, max_age=seconds, httponly=True, samesite='lax', secure=secure)


def held(connection: HTTPConnection, name: str) -> str:
    return connection.cookies.get(_named(name, is_secure(connection)), '')


def let_go(response: Response, connection: HTTPConnection, name: str) -> None:
    secure = is_secure(connection)
    if held(connection, name):
        response.delete_cookie(_named(name, secure), httponly=True, samesite='lax', secure=secure)


def _named(name: str, secure: bool) -> str:
    return f'__Host-{name}' if secure else name
