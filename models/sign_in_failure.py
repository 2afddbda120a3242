"""Failed sign-ins as the audit tells them: one entry when they begin and one when they are slowed down, in a quarter of
an hour, for each account and reason; never one for each attempt, or an attacker would write the history."""

import logging
import time
from collections import OrderedDict

from models.events import transaction
from models.history import HistoryEvent
from models.user import PortalUser

log = logging.getLogger(__name__)

QUIET = 900  # seconds
REMEMBERED = 10_000
KIND = 'user.sign_in_failed'
SLOWED = 'user.sign_in_slowed'

_told: OrderedDict[str, float] = OrderedDict()


async def tell(user: PortalUser | None, address: str, why: str, *, slowed: bool = False) -> None:
    """Write down that somebody could not sign in from this address; `why` ends the sentence.

    Nobody's account (None) is no MSP's: that is logged, once for each address.
    """
    if user is None:
        if _is_news(f'nobody {address}'):
            log.warning('somebody at %s could not sign in: %s', address or 'an unknown address', why)
        return
    place = f' from {address}' if address else ''
    said = []
    if _is_news(f'{user.id} {why}'):
        said.append((KIND, f'{user.email} could not sign in{place}: {why}'))
    if slowed and _is_news(f'{user.id} slowed'):
        said.append((SLOWED, f'Sign-in of {user.email} is slowed down after repeated failures{place}'))
    if said:
        async with transaction():
            for kind, summary in said:
                await HistoryEvent.add(user.partner_id, kind, summary[:400], user=user.id, address=address)


def _is_news(key: str) -> bool:
    now = time.monotonic()
    if now - _told.get(key, -QUIET) < QUIET:
        return False
    _told.pop(key, None)
    _told[key] = now
    while len(_told) > REMEMBERED:
        _told.popitem(last=False)
    return True


def forget() -> None:
    _told.clear()
