"""Questions and chores about the simulated customers as a whole; those of the MSPs' own customers are never touched."""

from datetime import datetime
from typing import Any

from tortoise.expressions import Subquery

from models.customer import Listing
from models.database import reader
from models.events import transaction
from models.history import HistoryChain, HistoryEvent, HistoryText
from models.monitor import Flip


async def count_simulated(block: int) -> list[dict[str, Any]]:
    """How many simulated customers there are in each block of so many ids: `number`, `total`, and of these `live`,
    `waiting` and `closed`.

    One statement on a reading connection; 65 ms for 100,000.
    """
    found = await reader().execute_query_dict(
        f'SELECT "id" / {int(block)} AS "number", COUNT(*) AS "total", '
        f"""SUM(CASE WHEN "listing" = '{Listing.COMPLETE.value}' THEN 1 ELSE 0 END) AS "live", """
        f"""SUM(CASE WHEN "listing" = '{Listing.WAITING.value}' THEN 1 ELSE 0 END) AS "waiting", """
        f"""SUM(CASE WHEN "listing" = '{Listing.CLOSED.value}' THEN 1 ELSE 0 END) AS "closed" """
        'FROM "customer" WHERE "is_simulated" GROUP BY 1 ORDER BY 1'
    )
    return [{name: int(value) for name, value in row.items()} for row in found]


async def prune_simulated(customer_ids: list[int], *, flips_before: datetime, events_kept: int) -> int:
    """Forget old flips of these simulated customers, and of each the oldest entries of its history.

    A simulated customer moves all day for months. Return how many rows went, some thousands at most.
    """
    if not customer_ids:
        return 0
    flips = await Flip.filter(
        customer_id__in=customer_ids, customer__is_simulated=True, at__lt=flips_before
    ).limit(5000).values_list('id', flat=True)  # fmt: skip
    gone = await Flip.filter(id__in=list(flips)).delete() if flips else 0
    within = ','.join(f"'c:{int(customer_id)}'" for customer_id in customer_ids)
    chains = await reader().execute_query_dict(
        'SELECT h."chain", h."length", h."pruned" FROM "history_chain" h '
        'JOIN "customer" c ON c."id" = h."customer_id" AND c."is_simulated" '
        f'WHERE h."chain" IN ({within}) AND h."length" - h."pruned" > {int(events_kept)} ORDER BY h."chain"'
    )
    most = 5000
    for chain in chains:
        last = min(chain['length'] - events_kept, chain['pruned'] + most)
        async with transaction():
            # The oldest of the chain; where it begins now is written down, or they would be missed.
            due = HistoryEvent.filter(chain=chain['chain'], sequence__lte=last)
            await HistoryText.filter(event_id__in=Subquery(due.values('id'))).delete()
            forgotten = await due.delete()
            await HistoryChain.filter(chain=chain['chain']).update(pruned=last)
        gone += forgotten
        most -= forgotten
        if most <= 0:
            break
    return gone
