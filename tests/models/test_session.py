from datetime import UTC, datetime, timedelta

import pytest

from models import HistoryEvent, PortalUser, Session, SessionKind, events
from models.session import browser_in_words

HOUR = timedelta(hours=1)


async def _open(user: PortalUser, lasts: timedelta = HOUR) -> tuple[Session, str]:
    return await Session.open(user, lasts=lasts, address='127.0.0.1', agent='a browser')


async def test_an_open_session_is_live_and_brings_its_user(db, northwind):
    session, token = await _open(northwind.ana)
    found = await Session.live(token)
    assert found is not None
    assert found.id == session.id
    assert found.user.email == northwind.ana.email
    assert await Session.over({session.id}) == set()
    assert (await PortalUser.get(id=northwind.ana.id)).last_sign_in_at is not None
    assert await HistoryEvent.filter(kind='user.signed_in', actor_id=northwind.ana.id).exists()


async def test_the_token_is_stored_nowhere(db, northwind):
    session, token = await _open(northwind.ana)
    assert token not in str(dict(await Session.get(id=session.id)))


async def test_no_other_token_is_live(db, northwind):
    _, token = await _open(northwind.ana)
    for wrong in ('', token[:-1], token + 'x', 'x' * 43, 'x' * 100_000, 'é' * 43, '\x00' * 43):
        assert await Session.live(wrong) is None


async def test_an_ended_session_is_over_and_told_once(db, northwind):
    session, token = await _open(northwind.ana)
    heard: list[list[int]] = []
    events.SESSIONS_ENDED.subscribe(heard.append)
    await session.end(because='signed out')
    await session.end(because='signed out again')
    assert heard == [[session.id]]
    assert await Session.live(token) is None
    assert await Session.over({session.id}) == {session.id}
    assert (await Session.get(id=session.id)).ended_because == 'signed out'


async def test_an_expired_session_is_over(db, northwind):
    session, token = await _open(northwind.ana, timedelta(seconds=-1))
    assert await Session.live(token) is None
    assert await Session.over({session.id}) == {session.id}


async def test_a_session_that_never_was_is_over(db):
    assert await Session.over({1, 2}) == {1, 2}
    assert await Session.over(set()) == set()


async def test_ending_all_of_somebody_spares_one_and_everybody_else(db, northwind):
    (first, _), (kept, _) = await _open(northwind.ana), await _open(northwind.ana)
    others, _ = await _open(northwind.tom)
    heard: list[list[int]] = []
    events.SESSIONS_ENDED.subscribe(heard.append)
    await Session.end_all_of(northwind.ana, because='password changed', except_id=kept.id)
    assert heard == [[first.id]]
    assert await Session.over({first.id, kept.id, others.id}) == {first.id}
    await Session.end_all_of(northwind.ana, because='disabled')
    assert await Session.over({first.id, kept.id, others.id}) == {first.id, kept.id}


async def test_disabling_somebody_ends_the_sessions(db, northwind):
    session, token = await _open(northwind.tom)
    heard: list[list[int]] = []
    blinded: list[int] = []
    events.SESSIONS_ENDED.subscribe(heard.append)
    events.SIGHT_CHANGED.subscribe(blinded.append)
    await northwind.tom.disable(datetime.now(UTC))
    await northwind.tom.disable(datetime.now(UTC))
    assert heard == [[session.id]]
    assert blinded == [northwind.tom.id]
    assert await Session.live(token) is None


async def test_a_user_disabled_by_another_process_has_no_live_session(db, northwind):
    session, token = await _open(northwind.tom)
    await PortalUser.filter(id=northwind.tom.id).update(disabled_at=datetime.now(UTC))
    assert await Session.live(token) is None
    assert await Session.over({session.id}) == {session.id}


async def test_a_session_of_nobody_lives_until_it_expires(db):
    from models.session import token_hash

    token = 's' * 43
    session = await Session.create(
        token_hash=token_hash(token), kind=SessionKind.SET_UP, expires_at=datetime.now(UTC) + HOUR
    )
    assert await Session.live(token) is not None
    assert await Session.over({session.id}) == set()
    await Session.filter(id=session.id).update(expires_at=datetime.now(UTC) - HOUR)
    assert await Session.over({session.id}) == {session.id}


async def test_old_sessions_are_forgotten(db, northwind):
    old, _ = await _open(northwind.ana, -2 * HOUR)
    new, _ = await _open(northwind.ana)
    assert await Session.prune(datetime.now(UTC) - HOUR) == 1
    assert await Session.all().values_list('id', flat=True) == [new.id]
    assert await Session.prune(datetime.now(UTC) - HOUR) == 0
    assert old.id != new.id


@pytest.mark.parametrize(
    ('agent', 'words'),
    [
        ('Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0', 'Firefox on Windows'),
        ('Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/17 Safari/605', 'Safari on macOS'),
        ('Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/126.0 Safari/537.36 Edg/126.0', 'Edge on Windows'),
        ('Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36', 'Chrome on Android'),
        ('Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) CriOS/126 Mobile Safari/604', 'Chrome on iPhone'),
        ('curl/8.5.0', 'curl/8.5.0'),
        ('', 'Unknown'),
        ('<b>\x00' * 20, '<b>'),
    ],
)  # fmt: skip
def test_a_browser_is_said_in_words(agent, words):
    assert browser_in_words(agent) == words


async def test_the_running_sessions_of_somebody_are_theirs_and_go_on(db, northwind):
    first, second, ended = [(await _open(northwind.ana))[0] for _ in range(3)]
    await ended.end(because='signed out')
    await _open(northwind.ana, timedelta(seconds=-1))
    await _open(northwind.tom)
    assert list(await Session.running_of(northwind.ana.id)) == [second, first]
