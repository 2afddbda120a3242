from datetime import UTC, datetime, timedelta

import pytest

from models import ApiToken, HistoryEvent
from models.rights import Refused


async def test_a_token_opens_what_it_was_issued_for(db, northwind):
    token = await ApiToken.issue(northwind.partner, 'collector')
    held = await ApiToken.holder(token)
    assert held is not None
    assert held.partner_id == northwind.partner.id


async def test_the_token_itself_is_stored_nowhere(db, northwind):
    token = await ApiToken.issue(northwind.partner, 'collector')
    row = await ApiToken.get()
    assert token not in str(dict(row))


async def test_a_wrong_or_odd_token_opens_nothing(db, northwind):
    token = await ApiToken.issue(northwind.partner, 'collector')
    for wrong in ('', 'msp_', token[:-1], token + 'x', token.upper(), 'msp_' + 'x' * 1000, 'msp_é\x00', '%'):
        assert await ApiToken.holder(wrong) is None


async def test_a_revoked_token_opens_nothing(db, northwind):
    token = await ApiToken.issue(northwind.partner, 'collector')
    await ApiToken.all().update(revoked_at=datetime.now(UTC))
    assert await ApiToken.holder(token) is None


async def test_its_use_is_noted_at_most_once_a_minute(db, northwind):
    token = await ApiToken.issue(northwind.partner, '')
    held = await ApiToken.holder(token)
    assert held is not None
    assert held.name == 'token'
    await held.used()
    first = (await ApiToken.get()).last_used_at
    again = await ApiToken.get()
    await again.used()
    assert (await ApiToken.get()).last_used_at == first
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    await ApiToken.all().update(last_used_at=long_ago)
    await (await ApiToken.get()).used()
    assert (await ApiToken.get()).last_used_at > long_ago


async def test_a_person_who_makes_or_revokes_a_token_needs_the_right(db, northwind, fabrikam):
    with pytest.raises(Refused):
        await ApiToken.issue(northwind.partner, 'mine', by=northwind.tom)
    token = await ApiToken.issue(northwind.partner, 'collector', by=northwind.ana)
    row = await ApiToken.get()
    with pytest.raises(Refused):
        await row.revoke(northwind.tom)
    await row.revoke(fabrikam.eve)  # of another MSP: it is not there for her
    assert await ApiToken.holder(token) is not None
    await row.revoke(northwind.ana)
    assert await ApiToken.holder(token) is None
    assert await HistoryEvent.filter(partner_id=northwind.partner.id, kind='token.revoked').count() == 1


async def test_those_in_use_come_before_those_revoked(db, northwind):
    for name in ('one', 'two', 'three'):
        await ApiToken.issue(northwind.partner, name)
    await (await ApiToken.get(name='three')).revoke(northwind.ana)
    assert [token['name'] for token in await ApiToken.of(northwind.partner.id)] == ['two', 'one', 'three']
