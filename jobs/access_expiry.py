"""Write down which roles in consoles have come to their end, so that open pages notice."""

import asyncio
import logging

from models import DelegatedAccess

log = logging.getLogger(__name__)

AT_ONCE = 500
MOST_ROUNDS = 20  # so that a portal that stops does not wait for all of them; the rest is done next time


async def expire_access() -> int:
    """Return how many roles have ended since the last time."""
    ended = 0
    for _ in range(MOST_ROUNDS):
        found = await DelegatedAccess.expire(limit=AT_ONCE)
        ended += found
        if found < AT_ONCE:
            break
        await asyncio.sleep(0)
    if ended:
        log.info('%d roles in consoles ended', ended)
    return ended
