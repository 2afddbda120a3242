from datetime import date

from jobs.effective_orders import EffectiveOrders
from models import Customer, Order, OrderKind, OrderState, RfiState, VendorState, effective

DAY = date(2026, 1, 31)


async def test_one_that_fails_does_not_stop_the_others_and_is_tried_again(db, northwind, monkeypatch, caplog):
    customers = [
        await Customer.add(
            northwind.partner, name=code, account_code=code, seats=9, products=['SEC'], rfi=RfiState.NOT_APPLICABLE
        )
        for code in ('A', 'B', 'C')
    ]  # fmt: skip
    orders = [
        await Order.create(
            partner=northwind.partner, customer=customer, kind=OrderKind.CHANGE, state=OrderState.SUBMITTED,
            vendor=VendorState.DELIVERED, seats=12, was_seats=9, effective_on=DAY, lines=[],
        )
        for customer in customers
    ]  # fmt: skip
    as_it_is = effective.come_about

    async def come_about(order_id: int) -> bool:
        if order_id == orders[0].id:
            raise ValueError('an order that nobody can read')
        return await as_it_is(order_id)

    now = 0
    job = EffectiveOrders(lambda: now)
    with monkeypatch.context() as patched:
        patched.setattr(effective, 'come_about', come_about)
        assert await job.work() == 2
        for moment in (599, 600):
            now = moment
            assert await job.work() == 0
    assert caplog.text.count(f'order {orders[0].id} cannot take effect') == 2, 'the log is not filled'
    assert await Customer.all().order_by('id').values_list('seats', flat=True) == [9, 12, 12]
    assert await job.work() == 1
    assert await job.work() == 0
    assert await Order.filter(state=OrderState.APPLIED).count() == 3
