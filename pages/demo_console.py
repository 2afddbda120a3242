"""The demo's Administration Console: it believes an assertion as a real console would, and then shows a small page.

It stands for somebody else's software. It knows the portal by its published keys only, has no session there, and is not
there at all without the demo.
"""

import time
from collections import OrderedDict
from typing import Any

import orjson
from fastapi import APIRouter, HTTPException, Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import Response

from models import Customer
from models.access import ConsoleRole
from models.admin_console import DEMO_ADDRESS, DEMO_AUDIENCE
from models.signing_key import ALGORITHM
from pages.acting import ANYBODY, takes
from pages.console import as_template, jwks
from pages.sign_in import form_of
from settings import settings

router = APIRouter(include_in_schema=False)

LEEWAY = 5  # seconds that the clocks of two machines may differ
LONGEST = 120  # seconds between `iat` and `exp`: an assertion that is good for longer is not what it says
REMEMBERED = 10_000
_NEEDED = ('iss', 'aud', 'sub', 'name', 'role', 'account', 'msp', 'iat', 'nbf', 'exp', 'jti')


class NotBelieved(Exception):
    """Why the console lets nobody in."""


class Seen:
    """Which assertions were used, until they would be refused anyway. Bounded: when it is full, nobody gets in."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def use(self, jti: str, until: float) -> None:
        """Note the first use; raises `NotBelieved` at the second."""
        now = time.time()
        for known in [known for known, over in self._until.items() if over < now]:
            del self._until[known]
        if jti in self._until:
            raise NotBelieved('It was used before: an assertion is good once.')
        if len(self._until) >= REMEMBERED:
            raise NotBelieved('Too many sign-ons at once. Try again in a minute.')
        self._until[jti] = until


seen = Seen()


async def believe(assertion: str, *, issuer: str) -> dict[str, Any]:
    """The claims of an assertion after everything was checked; raises `NotBelieved`."""
    if not assertion:
        raise NotBelieved('There is no assertion.')
    if len(assertion) > 8000:
        raise NotBelieved('It is too long to be an assertion.')
    keys = KeySet.import_key_set(orjson.loads(bytes((await jwks()).body)))
    try:
        # By an algorithm that was agreed on, whatever the assertion says of itself.
        token = jwt.decode(assertion, keys, algorithms=[ALGORITHM])
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise NotBelieved(f'Its signature is not the portal’s ({_in_short(error)}).') from None
    claims = token.claims
    rules: dict[str, Any] = {name: {'essential': True} for name in _NEEDED}
    rules |= {'aud': {'essential': True, 'value': DEMO_AUDIENCE}, 'iss': {'essential': True, 'value': issuer}}
    try:
        jwt.JWTClaimsRegistry(leeway=LEEWAY, **rules).validate(claims)
    except JoseError as error:
        raise NotBelieved(_WORDS.get(getattr(error, 'claim', ''), f'It is not right: {_in_short(error)}.')) from None
    if claims['exp'] - claims['iat'] > LONGEST:
        raise NotBelieved(f'It is good for more than {LONGEST} seconds, which this console does not take.')
    if claims['role'] != ConsoleRole.PARTNER_ADMINISTRATOR:
        raise NotBelieved('The role in it does not allow signing on.')
    seen.use(claims['jti'], claims['exp'] + LEEWAY)  # last: what is refused for something else is not used up
    return claims


_WORDS = {
    'aud': 'It was made for another console (audience).',
    'iss': 'It was made by another portal (issuer).',
    'exp': 'It has expired: an assertion is good for a minute.',
    'nbf': 'It is not valid yet; is a clock wrong?',
    'iat': 'It was made in the future; is a clock wrong?',
}


def _in_short(error: Exception) -> str:
    return str(error).strip(' .:')[:120] or type(error).__name__


def _in_demo() -> None:
    if not settings().demo:
        raise HTTPException(404)


@router.get(DEMO_ADDRESS)
async def about() -> Response:
    """What is at this address, for whoever types it."""
    _in_demo()
    return as_template('demo_console.html', claims=None, why='', audience=DEMO_AUDIENCE)


@takes(router, 'POST', DEMO_ADDRESS, right=ANYBODY)
async def come_in(request: Request) -> Response:
    """Where the portal posts an assertion."""
    _in_demo()
    form = await form_of(request)
    try:
        # Where there is no public address the portal is called what the visitor's browser calls it, as this console is.
        issuer = settings().public_url or str(request.base_url).rstrip('/')
        claims = await believe(form.get('assertion', ''), issuer=issuer)
    except NotBelieved as error:
        return as_template('demo_console.html', 403, claims=None, why=str(error), audience=DEMO_AUDIENCE)
    customer = await Customer.get_or_none(account_code=claims['account'], partner__slug=claims['msp'])
    if customer is None:
        why = f'This console has no account {claims["account"]}.'
        return as_template('demo_console.html', 403, claims=None, why=why, audience=DEMO_AUDIENCE)
    moments = {name: time.strftime('%H:%M:%S UTC', time.gmtime(claims[name])) for name in ('iat', 'exp')}
    return as_template('demo_console.html', claims=claims, customer=customer, moments=moments, why='')
