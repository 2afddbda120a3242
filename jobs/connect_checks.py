"""Run the automatic checks of Connect: those that somebody wants at once, and all others now and then."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from tortoise.expressions import Q

from jobs.sources import CheckSource
from models import ConnectStep, Customer, Listing, StepState, connect_checks, database, events
from models.connect_checks import Outcome, cannot
from models.connect_step import AUTOMATIC, RFI
from models.database import reader, rows

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=10)  # between the first two checks of a step; each pause is twice the one before
LONGEST = timedelta(hours=2)
PORTION = 500  # steps looked at together
MOST_AT_ONCE = 20  # checks that run at the same time
LOOKED = timedelta(seconds=10)  # between two looks at what is due
SIMULATED_AT_ONCE = 3  # of simulated customers in one look: there may be 100,000, and nobody waits for them
PATIENCE = 30.0  # seconds that a check may take altogether


class ConnectChecks:
    """Checks the open, unlocked steps of customers in Connect, each on its own: one that fails stops no other.

    `simulated` answers for simulated customers; without it nobody does.
    """

    def __init__(
        self, simulated: CheckSource | None = None, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._simulated = simulated
        self._clock = clock
        self._wanted: dict[int, str] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._cursor = 0
        self._looked_at: datetime | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._unsubscribe = events.CHECK_WANTED.subscribe(self._want)

    async def stop(self) -> None:
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def settled(self) -> None:
        """Wait for the checks that are running."""
        while self._running:
            await asyncio.wait(list(self._running.values()))
            await asyncio.sleep(0)

    async def work(self) -> int:
        """Begin the checks that are wanted or due; return how many."""
        begun = 0
        wanted, self._wanted = self._wanted, {}
        for step_id, who in wanted.items():
            begun += self._begin(step_id, who)
        now = self._clock()
        room = MOST_AT_ONCE - len(self._running)
        if room > 0 and (self._looked_at is None or now - self._looked_at >= LOOKED):
            self._looked_at = now
            for step_id in (await self._due(now))[:room]:
                begun += self._begin(step_id, AUTOMATIC)
        return begun

    def _want(self, step_id: int, who: str) -> None:
        self._wanted[step_id] = who

    def _begin(self, step_id: int, who: str) -> bool:
        if step_id in self._running:
            return False
        task = asyncio.get_running_loop().create_task(self._check(step_id, who))
        self._running[step_id] = task
        task.add_done_callback(lambda _: self._running.pop(step_id, None))
        return True

    async def _due(self, now: datetime) -> list[int]:
        """The next steps, in the order of their ids, whose pause is over; beginning anew at the end.

        A portion at a time, whether or not any of them is due: what waits long may not keep others from their turn.
        """
        query = ConnectStep.filter(
            Q(customer__listing__in=[Listing.WAITING, Listing.IN_PROGRESS])
            | Q(customer__listing=Listing.COMPLETE, is_later=True),
            id__gt=self._cursor, state__in=[StepState.TODO, StepState.IN_PROGRESS], customer__held_at__isnull=True,
        ).exclude(check_key='').exclude(key=RFI)  # fmt: skip # the form itself moves its step
        found = await rows(
            query.order_by('id').limit(PORTION).values(
                'id', 'checked_at', 'check_key', 'evidence', is_simulated='customer__is_simulated'
            )
        )  # fmt: skip
        self._cursor = found[-1]['id'] if len(found) == PORTION else 0
        due = [row for row in found if row['id'] not in self._running and _is_due(row, now)]
        ours = [
            row['id'] for row in due if not row['is_simulated'] and row['check_key'] not in connect_checks.OF_VENDOR
        ][:MOST_AT_ONCE]
        simulated = [row['id'] for row in due if row['is_simulated']] if self._simulated is not None else []
        # The one that was not checked for longest: of many simulated ones all have their turn.
        by_age = {row['id']: str(row['checked_at'] or '') for row in due}
        return ours + sorted(simulated, key=lambda id_: by_age[id_])[:SIMULATED_AT_ONCE]

    async def _check(self, step_id: int, who: str) -> None:
        try:
            step = await ConnectStep.get_or_none(id=step_id, using_db=reader())
            customer = await Customer.get_or_none(id=step.customer_id, using_db=reader()) if step else None
            if step is None or customer is None or not step.can_be_checked:
                return
            outcome = await self._ask(customer, step)
            if await step.found(outcome.as_evidence(who, self._clock())):
                log.info('customer %d: %s passed its check', customer.id, step.key)
        except Exception as error:  # one check is not worth the others
            if database.is_away(error):
                database.condition.tell(log, 'a check of Connect', error)
            else:
                log.exception('the check of step %d failed', step_id)

    async def _ask(self, customer: Customer, step: ConnectStep) -> Outcome:
        try:
            async with asyncio.timeout(PATIENCE):
                if not customer.is_simulated:
                    return await connect_checks.run(customer, step)
                if self._simulated is not None:
                    return await self._simulated.check(customer, step)
                return cannot(step.title, 'the simulated vendor is switched off.')
        except TimeoutError:
            return cannot(step.title, f'no answer within {PATIENCE:g} seconds.')
        except Exception as error:
            if database.is_away(error):
                raise
            log.exception('the check %s of customer %d failed', step.check_key, customer.id)
            return cannot(step.title, 'the check itself failed; the log of the portal says more.')


def _is_due(row: dict[str, Any], now: datetime) -> bool:
    if not row['checked_at']:
        return True
    at, kept = row['checked_at'], row['evidence']
    at = at if isinstance(at, datetime) else datetime.fromisoformat(at)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    kept = orjson.loads(kept) if isinstance(kept, str | bytes) else kept
    pause = min(EVERY * 2 ** max(0, len(kept or []) - 1), LONGEST)
    return now - at >= pause
