"""Let changes and cancellations come about on their day."""

import logging
import time
from collections.abc import Callable

from models import database, effective

log = logging.getLogger(__name__)
SAME_AFTER = 600.0  # seconds until it is logged again that an order cannot take effect


class EffectiveOrders:
    """One that fails is tried again the next time, and does not fill the log; the others go on."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[int, float] = {}  # when it last was, by order

    async def work(self) -> int:
        """Return how many have come about."""
        done, due = 0, await effective.due()
        self._logged = {order_id: at for order_id, at in self._logged.items() if order_id in due}
        for order_id in due:
            try:
                done += await effective.come_about(order_id)
            except Exception as error:
                if database.is_away(error):
                    raise  # then nothing else works either, and the timetable says so
                if self._clock() - self._logged.get(order_id, -SAME_AFTER) >= SAME_AFTER:
                    self._logged[order_id] = self._clock()
                    log.exception('order %d cannot take effect', order_id)
        if done:
            log.info('%d orders took effect', done)
        return done
