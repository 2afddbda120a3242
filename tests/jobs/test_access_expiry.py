from datetime import UTC, datetime, timedelta

from jobs import access_expiry
from models import ConsoleRole, Customer, DelegatedAccess, HistoryEvent, events


async def test_all_that_ended_is_written_down_however_many_and_pages_are_told(sqlite_db, northwind, monkeypatch):
    monkeypatch.setattr(access_expiry, 'AT_ONCE', 2)
    heard: list[int] = []
    events.ROLES_CHANGED.subscribe(heard.append)
    ended = datetime.now(UTC) - timedelta(seconds=1)
    for name in 'abcde':
        customer = await Customer.add(northwind.partner, name=name, account_code=name)
        await DelegatedAccess.create(
            partner=northwind.partner, user=northwind.tom, customer=customer, role=ConsoleRole.PARTNER_ADMINISTRATOR,
            expires_at=ended,
        )  # fmt: skip
    assert await access_expiry.expire_access() == 5
    lost = HistoryEvent.filter(kind='delegated_access.lost', customer_id__isnull=False)
    assert await lost.count() == 5
    assert set(heard) == {northwind.tom.id}
    assert await access_expiry.expire_access() == 0
    assert await lost.count() == 5


async def test_nothing_is_written_while_nothing_ends(sqlite_db, northwind):
    customer = await Customer.add(northwind.partner, name='a', account_code='a')
    await DelegatedAccess.create(
        partner=northwind.partner, user=northwind.tom, customer=customer, role='Reviewer',
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip
    assert await access_expiry.expire_access() == 0
    assert not await HistoryEvent.exists(kind='delegated_access.lost')
