"""Let Connect go on where it rested until a day, and that day has come."""

import logging

from models import Customer

log = logging.getLogger(__name__)


async def end_holds() -> int:
    """Return how many customers go on."""
    ended = await Customer.end_holds()
    if ended:
        log.info('Connect of %d customers goes on', ended)
    return ended
