"""Forget what nobody asks for any more: old flips, old sessions, and most of what the simulated vendor left behind."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from jobs.sources.population import Population
from models import Flip, Message, Session
from models.simulated import prune_simulated

log = logging.getLogger(__name__)

FLIPS_KEPT = timedelta(days=90)
SESSIONS_KEPT = timedelta(days=30)
MESSAGES_KEPT = timedelta(days=90)
# A simulated customer moves all day for months; a real one keeps its history for ever.
SIMULATED_FLIPS_KEPT = timedelta(days=7)
SIMULATED_EVENTS_KEPT = 100
_MOST_BATCHES = 20
_MOST_CUSTOMERS = 500


class Pruning:
    """Prunes in bounded batches; of the simulated customers some at each call, and all in turn."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._simulated = Population()
        self._cursor = 0

    async def prune(self) -> int:
        """Return how many rows went."""
        now = self._clock()
        flips = await _in_batches(lambda: Flip.prune(now - FLIPS_KEPT))
        sessions = await _in_batches(lambda: Session.prune(now - SESSIONS_KEPT))
        messages = await _in_batches(lambda: Message.prune(now - MESSAGES_KEPT))
        simulated = await self._prune_simulated(now)
        if flips or sessions or messages or simulated:
            log.info(
                'forgot %d flips, %d sessions, %d messages, %d simulated rows', flips, sessions, messages, simulated
            )
        return flips + sessions + messages + simulated

    async def _prune_simulated(self, now: datetime) -> int:
        await self._simulated.count(now)
        ids = await self._simulated.after(self._cursor, _MOST_CUSTOMERS)
        self._cursor = ids[-1] if ids else 0
        return await prune_simulated(
            ids, flips_before=now - SIMULATED_FLIPS_KEPT, events_kept=SIMULATED_EVENTS_KEPT
        )  # fmt: skip


async def _in_batches(prune: Callable[[], Awaitable[int]]) -> int:
    gone = 0
    for _ in range(_MOST_BATCHES):
        if not (batch := await prune()):
            break
        gone += batch
        await asyncio.sleep(0)  # between two batches others write
    return gone
