"""Run by the bench in a data folder: give a customer a long past, so that its page has something to be slow about."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from models import Customer, Flip, MonitorKind, MonitorState, Note, PortalUser
from models.database import opened
from models.events import transaction
from models.history import Entry, append_many

ENTRIES, FLIPS, NOTES = 10_000, 5_000, 300


async def main(customer_id: int) -> None:
    async with opened():
        customer = await Customer.get(id=customer_id)
        ana = await PortalUser.get(email='ana@northwind.example')
        began = datetime.now(UTC) - timedelta(days=700)
        async with transaction() as connection:
            await append_many(connection, [
                Entry(
                    partner_id=customer.partner_id, customer_id=customer_id, kind='connect.step_started',
                    at=began + timedelta(hours=n), actor_id=ana.id, actor=ana.name, summary=f'Entry {n}',
                )
                for n in range(ENTRIES)
            ])  # fmt: skip
            await Flip.bulk_create([
                Flip(
                    customer_id=customer_id, kind=MonitorKind.INBOUND_QUEUE, at=began + timedelta(hours=3 * n),
                    old=MonitorState.GOOD, new=MonitorState.BAD, value=float(n),
                )
                for n in range(FLIPS)
            ])  # fmt: skip
        for n in range(NOTES):
            await Note.add(customer, f'Note {n}, of which there are many', by=ana)


if __name__ == '__main__':
    asyncio.run(main(int(sys.argv[1])))
