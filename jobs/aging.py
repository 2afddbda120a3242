"""Mark readings as old when nothing newer came in their time."""

import asyncio
import logging

from models import Monitor

log = logging.getLogger(__name__)

MOST_ROUNDS = 50  # so that a portal that stops does not wait for 100,000 customers; the rest is done next time


async def age_readings() -> int:
    """Mark what has become old; return how many icons changed."""
    aged = 0
    for _ in range(MOST_ROUNDS):
        if not (found := await Monitor.age()):
            break
        aged += found
        await asyncio.sleep(0)
    if aged:
        log.info('%d readings became old', aged)
    return aged
