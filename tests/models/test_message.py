from datetime import UTC, datetime, timedelta

import pytest

from models import Message, MessageState
from models.mailing import post
from models.message import CLAIMED_FOR, GIVEN_UP_AFTER, LONGEST_PAUSE
from models.rights import Refused
from tests.smtp import use


@pytest.fixture
def write():
    async def write(partner, **more):
        await use(partner, 25)
        await post(partner, kind='test', recipient='ivo@x.example', template='test', facts={'name': 'Ana'}, **more)
        return await Message.filter(partner_id=partner.id).order_by('-id').first()

    return write


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


async def test_the_pauses_grow_up_to_six_hours_and_end_after_three_days(db, northwind, write):
    message = await write(northwind.partner)
    now, pauses = _soon(), []
    while (claimed := await Message.claim(northwind.partner.id, now)) is not None:
        await claimed.failed_for_now('not now', now)
        stored = await Message.get(id=message.id)
        if stored.state == MessageState.FAILED:
            break
        pauses.append(stored.due_at - now)
        now = stored.due_at
    assert pauses[:4] == [timedelta(minutes=n) for n in (1, 2, 4, 8)]
    assert max(pauses) == LONGEST_PAUSE
    assert pauses == sorted(pauses)
    assert now <= stored.created_at + GIVEN_UP_AFTER
    assert (stored.state, stored.body, stored.error) == (MessageState.FAILED, '', 'not now')


async def test_a_claim_holds_for_a_while(db, northwind, write):
    await write(northwind.partner)
    now = _soon()
    assert await Message.claim(northwind.partner.id, now)
    assert await Message.claim(northwind.partner.id, now + CLAIMED_FOR - timedelta(seconds=1)) is None
    assert (await Message.claim(northwind.partner.id, now + CLAIMED_FOR)).attempts == 2


async def test_a_claim_that_was_lost_to_another_changes_nothing_but_that_it_was_sent(db, northwind, write):
    message = await write(northwind.partner)
    now = _soon()
    first = await Message.claim(northwind.partner.id, now)
    second = await Message.claim(northwind.partner.id, now + CLAIMED_FOR)
    await first.failed_for_now('late', now)
    assert (await Message.get(id=message.id)).due_at == second.due_at
    await first.sent(now)
    await second.failed('afterwards')
    assert (await Message.get(id=message.id)).state == MessageState.SENT


async def test_what_is_being_sent_is_not_given_up(db, northwind, write):
    message = await write(northwind.partner, good_until=datetime.now(UTC) + timedelta(minutes=5))
    now = _soon()
    await Message.claim(northwind.partner.id, now)
    assert await Message.give_up(now + timedelta(minutes=6)) == 0
    assert await Message.give_up(now + CLAIMED_FOR) == 1
    stored = await Message.get(id=message.id)
    assert (stored.state, stored.body) == (MessageState.FAILED, '')
    assert stored.error


async def test_trying_again_leaves_alone_what_is_being_sent(db, northwind, write):
    await write(northwind.partner)
    now = _soon()
    waiting = await Message.claim(northwind.partner.id, now)
    await waiting.failed_for_now('not now', now)
    await write(northwind.partner)
    claimed = await Message.claim(northwind.partner.id, now)
    assert await Message.retry_now(northwind.partner, northwind.ana) == 1
    assert (await Message.get(id=waiting.id)).due_at <= datetime.now(UTC)
    assert (await Message.get(id=claimed.id)).due_at == claimed.due_at
    with pytest.raises(Refused):
        await Message.retry_now(northwind.partner, northwind.tom)


async def test_what_is_being_sent_does_not_rest_with_the_others(db, northwind, fabrikam, write):
    other = await write(fabrikam.partner)
    await write(northwind.partner)
    now = _soon()
    claimed = await Message.claim(northwind.partner.id, now)
    waiting = await write(northwind.partner)
    later = now + timedelta(hours=1)

    async def due() -> list[datetime]:
        return [(await Message.get(id=each.id)).due_at for each in (waiting, claimed, other)]

    before = await due()
    await Message.rest(northwind.partner.id, later)
    assert await due() == [later, *before[1:]]
    await Message.resume(northwind.partner.id, now)
    assert await due() == [now, *before[1:]]


async def test_how_the_mail_stands_is_told_for_one_msp_only(db, northwind, fabrikam, write):
    await write(fabrikam.partner)
    await write(northwind.partner)
    claimed = await Message.claim(northwind.partner.id, _soon())
    await claimed.failed_for_now('The mail server is away.', _soon())
    standing = await Message.standing(northwind.partner.id)
    assert standing == {
        'waiting': 1, 'failed': 0, 'sent_at': None, 'error': 'The mail server is away.', 'error_to': 'ivo@x.example',
    }  # fmt: skip
    assert (await Message.standing(fabrikam.partner.id))['error'] == ''


async def test_what_is_taken_back_before_it_leaves_is_no_failure(db, northwind, write):
    waits, leaving = await write(northwind.partner), await write(northwind.partner)
    claimed = await Message.claim(northwind.partner.id, _soon())
    assert claimed.id == waits.id
    assert not await Message.stop(claimed.id, 'It is being sent.')
    assert await Message.stop(leaving.id, 'The link was revoked.')
    stored = await Message.get(id=leaving.id)
    assert (stored.state.title, stored.body, stored.error) == ('Not sent', '', 'The link was revoked.')
    standing = await Message.standing(northwind.partner.id)
    assert (standing['failed'], standing['error']) == (0, '')


async def test_old_messages_are_forgotten_but_not_those_that_wait(db, northwind, write):
    old = datetime.now(UTC) - timedelta(days=100)
    waiting, sent = await write(northwind.partner), await write(northwind.partner)
    new = await write(northwind.partner)
    await sent.sent(datetime.now(UTC))
    await new.sent(datetime.now(UTC))
    await Message.filter(id__in=[waiting.id, sent.id]).update(created_at=old)
    assert await Message.prune(datetime.now(UTC) - timedelta(days=90)) == 1
    assert await Message.all().order_by('id').values_list('id', flat=True) == [waiting.id, new.id]
