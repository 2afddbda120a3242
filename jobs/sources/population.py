"""Where the simulated customers are among all customers, so that a few can be found at a cost that stays the same."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from models import Customer, Listing
from models.database import reader, rows
from models.simulated import count_simulated

BLOCK = 64  # ids; a tick looks at one block
_COUNTED_EVERY = timedelta(minutes=5)
_EMPTY_COUNTED_EVERY = timedelta(seconds=15)
_FAR = 16  # blocks of other customers that a walk leaps over


@dataclass
class Block:
    number: int
    total: int
    live: int
    waiting: int
    closed: int


class Population:
    """How many simulated customers there are and in which blocks of ids.

    Counted every few minutes; between two counts it is corrected by what the simulated vendor itself does.
    """

    def __init__(self) -> None:
        self.blocks: dict[int, Block] = {}
        self._numbers: list[int] = []
        self._counted_at: datetime | None = None
        self.total = self.live = self.waiting = self.in_progress = 0

    async def count(self, now: datetime) -> None:
        """Count again if the last count is too old."""
        every = _COUNTED_EVERY if self.blocks else _EMPTY_COUNTED_EVERY
        if self._counted_at is not None and now - self._counted_at < every:
            return
        self._counted_at = now
        self.blocks = {row['number']: Block(**row) for row in await count_simulated(BLOCK)}
        self._numbers = list(self.blocks)
        self._add_up()

    def moved(self, customer_id: int, *, waiting: int = 0, live: int = 0) -> None:
        """A customer came to (1) or left (-1) these lists."""
        if block := self.blocks.get(customer_id // BLOCK):
            block.waiting += waiting
            block.live += live
            self._add_up()

    def _add_up(self) -> None:
        self.total = sum(block.total - block.closed for block in self.blocks.values())  # nothing moves of the rest
        self.live = sum(block.live for block in self.blocks.values())
        self.waiting = sum(block.waiting for block in self.blocks.values())
        self.in_progress = self.total - self.live - self.waiting

    def any_block(self, chance: Random) -> Block | None:
        """A block by chance."""
        return self.blocks[chance.choice(self._numbers)] if self._numbers else None

    async def members(self, block: Block, *listings: Listing) -> list[Customer]:
        """The simulated customers of a block that are in one of these lists."""
        return await (
            Customer.filter(id__gte=block.number * BLOCK, id__lt=(block.number + 1) * BLOCK, is_simulated=True)
            .filter(listing__in=list(listings))
            .order_by('id')
            .only('id', 'listing', 'worst', 'connect_since')
            .using_db(reader())
        )

    async def after(self, customer_id: int, most: int) -> list[int]:
        """The next ids in their order, up to `most`; none at the end."""
        at = bisect_left(self._numbers, customer_id // BLOCK)
        while at < len(self._numbers):
            first = last = at
            found = self.blocks[self._numbers[at]].total
            while last + 1 < len(self._numbers) and found < most + BLOCK:
                if self._numbers[last + 1] - self._numbers[last] > _FAR:
                    break
                last += 1
                found += self.blocks[self._numbers[last]].total
            begin, end = max(customer_id + 1, self._numbers[first] * BLOCK), (self._numbers[last] + 1) * BLOCK
            query = Customer.filter(id__gte=begin, id__lt=end, is_simulated=True).order_by('id').limit(most)
            if ids := [row['id'] for row in await rows(query.values('id'))]:
                return ids
            at = last + 1
        return []
