"""What the board of Connect goes by: whatever happens to a customer, each of its columns that changes is told."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from models import ConnectStep, Customer, Rfi, RfiState, events
from models.connect_board import NAMES
from models.customer_import import import_customers
from models.looking_after import look_after, see_to

HEADINGS = 'name,account_code,licences,account_type,domain,products,list,rfi\n'


class Told:
    """The columns of a customer that pages heard of, and whether those are all that changed."""

    def __init__(self, customer: Customer) -> None:
        self.customer, self.names = customer, set[str]()
        for event in events.ABOUT_CUSTOMERS:
            event.subscribe(lambda changed: self.names.update(changed.rows.get(customer.id, ())))

    async def row(self) -> dict[str, Any]:
        return (await Customer.filter(id=self.customer.id).values(*NAMES))[0]

    async def by(self, what: str, verb: Callable[[], Awaitable[Any]]) -> None:
        before = await self.row()
        self.names.clear()
        await verb()
        after = await self.row()
        changed = {name for name in NAMES if before[name] != after[name]}
        assert changed, f'{what} changes nothing that the board shows'
        assert changed <= self.names, f'{what} does not tell {sorted(changed - self.names)}'


async def test_whatever_happens_to_a_customer_every_column_of_the_board_that_changes_is_told(db, northwind):
    partner, ana = northwind.partner, northwind.ana
    customer = await Customer.add(
        partner, name='Ash', account_code='A1', domain='ash.example', products=['SEC'], rfi=RfiState.REQUESTED
    )
    told = Told(customer)
    form = await Rfi.get(customer_id=customer.id)

    def step(key: str, verb: str) -> Callable[[], Awaitable[None]]:
        async def move() -> None:
            await (await ConnectStep.get(customer_id=customer.id, key=key)).move(verb, because='why', by=ana)

        return move

    async def fresh() -> Customer:
        return await Customer.get(id=customer.id)

    async def sees_to() -> None:
        await see_to(await ConnectStep.get(customer_id=customer.id, key='account_configuration'), None, by=ana)

    async def skips_the_rest() -> None:
        left = ConnectStep.filter(customer_id=customer.id, state__not_in=['complete', 'skipped']).order_by('position')
        for each in await left:
            if each.key != 'rfi':
                await each.move('skip', because='not wanted', by=ana)

    async def imported(line: str) -> None:
        result = await import_customers(partner, HEADINGS + line)
        assert (result.updated, result.refused) == (1, []), result

    async def long_ago() -> None:  # so that days are seen to move
        week = timedelta(days=7)
        await Customer.filter(id=customer.id).update(held_at=datetime.now(UTC) - week)

    await told.by('sending the form back', lambda: form.move('submit', by=ana))
    await told.by('finding it complete', lambda: form.move('accept'))
    await told.by('reopening the form', lambda: form.move('reopen', by=ana))
    await form.move('submit')
    await form.move('accept')
    await told.by('blocking', step('account_configuration', 'block'))
    await told.by('looking after', lambda: look_after(customer, ana.id, by=ana))
    first = await ConnectStep.get(customer_id=customer.id, key='account_configuration')
    await told.by('letting nobody look after', lambda: look_after(customer, None, by=ana))
    await told.by('seeing to a step', lambda: see_to(first, ana.id, by=ana))
    await told.by('letting nobody see to it', sees_to)
    await told.by('completing', step('account_configuration', 'complete'))
    await told.by('reopening', step('account_configuration', 'reopen'))
    await told.by('holding', lambda: customer.hold('holidays', by=ana))
    await long_ago()
    await told.by('going on', lambda: customer.resume(by=ana))
    await told.by('a change of facts', lambda: customer.change(name='Ash & Sons', seats=99, domain='b.example', by=ana))
    await told.by('an import', lambda: imported('Ash Trees,A1,7,standard,c.example,SEC,in_progress,n/a\n'))
    await told.by('skipping', skips_the_rest)
    await told.by('completing Connect', lambda: customer.complete_connect(by=ana))
    await told.by('reopening Connect', lambda: customer.reopen_connect('handover', because='again', by=ana))
    await customer.hold('holidays', by=ana)
    await told.by('abandoning', lambda: customer.abandon('no longer wanted', by=ana))
