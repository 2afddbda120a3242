"""Tell the vendor of what was submitted: by e-mail to its order desk where there is one, else a person has to.

Which way an order goes and what becomes of it is in models/order.py; each order is stored by itself, so that nothing is
sent twice, whoever else looks at the same moment, and a portal that was killed goes on where it was.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from models import Order, database
from models.checking import Impossible

log = logging.getLogger(__name__)

FIRST_PAUSE = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=10)


@dataclass
class _Pause:
    """An order that cannot be delivered because something is wrong in the portal: how long it is left alone."""

    length: timedelta
    until: datetime


class OrderDelivery:
    """Looks every few seconds for orders that wait, and for what has become of their mail."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._pauses: dict[int, _Pause] = {}

    async def work(self) -> None:
        now = self._clock()
        resting = [order_id for order_id, pause in self._pauses.items() if pause.until > now]
        for order in await Order.sending(but=resting):
            await self._try(order, order.settle)
        for order in await Order.waiting(but=resting):
            await self._try(order, order.deliver)

    async def _try(self, order: Order, act: Callable[[], Awaitable[bool]]) -> None:
        """One that fails is tried again after pauses that grow, and holds up no other."""
        try:
            await act()
        except Impossible:  # somebody else was quicker
            pass
        except Exception as error:
            if database.is_away(error):  # then none of them can be stored
                raise
            before = self._pauses.get(order.id)
            length = min(before.length * 2, LONGEST_PAUSE) if before else FIRST_PAUSE
            self._pauses[order.id] = _Pause(length, self._clock() + length)
            log.error('%s is not delivered: %s: %s', order.number, type(error).__name__, error, exc_info=before is None)
            return
        self._pauses.pop(order.id, None)
