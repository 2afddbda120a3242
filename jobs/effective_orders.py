"""Let changes and cancellations come about on their day."""

import logging

from models import database, effective

log = logging.getLogger(__name__)


async def apply_due_orders() -> int:
    """Return how many have come about. One that fails is logged and tried again the next time; the others go on."""
    done = 0
    for order_id in await effective.due():
        try:
            done += await effective.come_about(order_id)
        except Exception as error:
            if database.is_away(error):
                raise  # then nothing else works either, and the timetable says so
            log.exception('order %d cannot take effect', order_id)
    if done:
        log.info('%d orders took effect', done)
    return done
