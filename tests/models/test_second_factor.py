import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyotp.totp import TOTP

from models import HistoryEvent, PortalUser, RecoveryCode, Session, TwoFactorRule, events, second_factor
from models.checking import Impossible, Invalid
from models.rights import Refused
from models.sealed import seal
from models.second_factor import CODES, STEP

KEY = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
NOON = 1_800_000_000 // STEP * STEP  # the beginning of a time step


class Clock:
    def __init__(self) -> None:
        self.now = float(NOON)

    def time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(second_factor, 'time', clock)
    return clock


def code_at(key: str, moment: float) -> str:
    return TOTP(key).at(int(moment))


async def switched_on(user: PortalUser, clock: Clock) -> tuple[str, list[str]]:
    """The key and the recovery codes of somebody who has just set it up; the next code is a minute ahead."""
    key = await second_factor.begin(user)
    codes = await second_factor.confirm(user, code_at(key, clock.now))
    clock.now += 2 * STEP
    return key, codes


async def session_of(user: PortalUser) -> Session:
    return (await Session.open(user, lasts=timedelta(hours=1), address='127.0.0.1', agent='test'))[0]


async def told(partner_id: int) -> list[str]:
    """The kinds of the MSP's own chain."""
    return [event.kind for event in await HistoryEvent.filter(partner_id=partner_id, customer_id=None).order_by('id')]


# -- to get one -------------------------------------------------------------------------------------------------------


async def test_a_key_that_was_begun_is_not_asked_for_until_a_code_of_it_was_typed(db, northwind, clock):
    key = await second_factor.begin(northwind.ana)
    ana = await PortalUser.get(id=northwind.ana.id)
    assert not second_factor.is_on(ana)
    assert await second_factor.begun(ana) == key
    assert not await second_factor.verify(ana, code_at(key, clock.now))
    with pytest.raises(Invalid):
        await second_factor.confirm(ana, '000000' if code_at(key, clock.now) != '000000' else '111111')
    assert not second_factor.is_on(await PortalUser.get(id=ana.id))
    codes = await second_factor.confirm(ana, code_at(key, clock.now))
    assert second_factor.is_on(await PortalUser.get(id=ana.id))
    assert len(set(codes)) == CODES
    assert await told(northwind.partner.id) == ['user.two_factor_on']


async def test_neither_the_key_nor_a_recovery_code_can_be_read_in_the_database(db, northwind, clock):
    key, codes = await switched_on(northwind.ana, clock)
    stored = str([dict(each) for each in [await PortalUser.get(id=northwind.ana.id), *await RecoveryCode.all()]])
    assert key not in stored
    for code in codes:
        assert code not in stored
        assert code.replace('-', '') not in stored


async def test_the_address_of_the_qr_code_names_the_portal_the_person_and_the_key(db, northwind):
    key = await second_factor.begin(northwind.ana)
    address = urlsplit(second_factor.address(northwind.ana, key))
    assert (address.scheme, address.netloc) == ('otpauth', 'totp')
    assert unquote(address.path) == '/MSP Portal:ana@northwind.example'
    assert parse_qs(address.query)['secret'] == [key]


async def test_beginning_again_makes_the_first_key_worthless_and_what_is_on_is_not_begun_anew(db, northwind, clock):
    first = await second_factor.begin(northwind.ana)
    second = await second_factor.begin(northwind.ana)
    with pytest.raises(Invalid):
        await second_factor.confirm(northwind.ana, code_at(first, clock.now))
    await second_factor.confirm(northwind.ana, code_at(second, clock.now))
    with pytest.raises(Impossible):
        await second_factor.begin(northwind.ana)
    with pytest.raises(Impossible):
        await second_factor.confirm(northwind.ana, code_at(second, clock.now + STEP))


async def test_of_two_who_confirm_at_once_one_gets_codes_that_work(db, northwind, clock):
    key = await second_factor.begin(northwind.ana)
    typed = code_at(key, clock.now)
    answers = await asyncio.gather(
        *(second_factor.confirm(northwind.ana, typed) for _ in range(2)), return_exceptions=True
    )
    got = [answer for answer in answers if isinstance(answer, list)]
    assert len(got) == 1
    assert await second_factor.codes_left(northwind.ana) == CODES
    assert await second_factor.verify(northwind.ana, got[0][0])


async def test_turning_it_on_ends_every_other_session_and_tells_open_pages(db, northwind, clock):
    mine, other = await session_of(northwind.ana), await session_of(northwind.ana)
    toms = await session_of(northwind.tom)
    ended: list[int] = []
    events.SESSIONS_ENDED.subscribe(ended.extend)
    key = await second_factor.begin(northwind.ana)
    await second_factor.confirm(northwind.ana, code_at(key, clock.now), keep_session=mine.id)
    assert ended == [other.id]
    assert await Session.over({mine.id, other.id, toms.id}) == {other.id}


# -- drift and replay -------------------------------------------------------------------------------------------------


@given(drift=st.integers(-20 * STEP, 20 * STEP), within=st.integers(0, STEP - 1))
def test_a_code_counts_one_step_to_either_side_of_now_and_no_further(drift, within):
    now = NOON + within
    there = (now + drift) // STEP
    second_factor.time.now = float(now)  # type: ignore[attr-defined]
    found = second_factor._step_of(KEY, code_at(KEY, now + drift), after=0)
    made_now = {code_at(KEY, NOON + n * STEP) for n in (-1, 0, 1)}
    if abs(there - NOON // STEP) <= 1:
        assert found == there
    elif code_at(KEY, now + drift) not in made_now:  # or two steps have the same six digits
        assert found is None


@given(moves=st.lists(st.tuples(st.integers(0, 3), st.integers(-3, 3)), min_size=1, max_size=12))
async def test_whatever_is_typed_in_whatever_order_only_later_codes_are_taken_and_each_once(
    sqlite_db, northwind, clock, moves
):
    northwind.ana.totp_step = int(clock.now) // STEP
    await PortalUser.filter(id=northwind.ana.id).update(
        totp_key=seal(KEY, f'totp {northwind.ana.id}'), totp_since=datetime.now(UTC), totp_step=northwind.ana.totp_step
    )
    taken = northwind.ana.totp_step
    for ahead, drift in moves:
        clock.now += ahead * STEP
        step = int(clock.now) // STEP + drift
        is_taken = await second_factor.verify(northwind.ana, code_at(KEY, step * STEP))
        assert is_taken == (abs(drift) <= 1 and step > taken), (drift, step, taken)
        taken = step if is_taken else taken
        assert (await PortalUser.get(id=northwind.ana.id)).totp_step == taken


async def test_a_code_is_taken_once_also_by_two_who_send_it_at_the_same_moment(db, northwind, clock):
    key, _ = await switched_on(northwind.ana, clock)
    typed = code_at(key, clock.now)
    assert sorted(await asyncio.gather(*(second_factor.verify(northwind.ana, typed) for _ in range(4)))) == [
        False, False, False, True,
    ]  # fmt: skip
    assert not await second_factor.verify(northwind.ana, typed)


async def test_an_older_code_is_refused_after_a_newer_one(db, northwind, clock):
    key, _ = await switched_on(northwind.ana, clock)
    assert await second_factor.verify(northwind.ana, code_at(key, clock.now))
    assert not await second_factor.verify(northwind.ana, code_at(key, clock.now - STEP))
    assert await second_factor.verify(northwind.ana, code_at(key, clock.now + STEP))


async def test_the_code_that_turned_it_on_does_not_sign_in(db, northwind, clock):
    key = await second_factor.begin(northwind.ana)
    typed = code_at(key, clock.now)
    await second_factor.confirm(northwind.ana, typed)
    assert not await second_factor.verify(northwind.ana, typed)


@pytest.mark.parametrize('typed', ['', '12345', '1234567', 'abcdef', '１２３４５６', '\x00' * 6, '9' * 10_000, '-----'])
async def test_what_is_no_code_is_refused_quietly(sqlite_db, northwind, clock, typed):
    await switched_on(northwind.ana, clock)
    assert not await second_factor.verify(northwind.ana, typed)


async def test_spaces_in_a_code_do_not_matter(db, northwind, clock):
    key, _ = await switched_on(northwind.ana, clock)
    typed = code_at(key, clock.now)
    assert await second_factor.verify(northwind.ana, f' {typed[:3]} {typed[3:]} ')


async def test_a_key_that_cannot_be_read_lets_nobody_in_but_recovery_codes_still_do(db, northwind, clock):
    key, codes = await switched_on(northwind.ana, clock)
    await PortalUser.filter(id=northwind.ana.id).update(totp_key='s1.' + 'A' * 80)
    assert not await second_factor.verify(northwind.ana, code_at(key, clock.now))
    assert await second_factor.verify(northwind.ana, codes[0])


async def test_a_key_sealed_for_somebody_else_is_worth_nothing(db, northwind, clock):
    key, _ = await switched_on(northwind.tom, clock)
    await switched_on(northwind.ana, clock)
    tom = await PortalUser.get(id=northwind.tom.id)
    await PortalUser.filter(id=northwind.ana.id).update(totp_key=tom.totp_key)
    assert not await second_factor.verify(northwind.ana, code_at(key, clock.now))


# -- recovery codes ---------------------------------------------------------------------------------------------------


async def test_a_recovery_code_is_good_once_in_any_spelling_and_written_down(db, northwind, clock):
    _, codes = await switched_on(northwind.ana, clock)
    assert await second_factor.verify(northwind.ana, codes[0].upper().replace('-', ' '))
    assert not await second_factor.verify(northwind.ana, codes[0])
    assert await second_factor.codes_left(northwind.ana) == CODES - 1
    assert (await told(northwind.partner.id))[-1] == 'user.recovery_code_used'


async def test_of_two_who_use_a_recovery_code_at_once_one_gets_in(db, northwind, clock):
    _, codes = await switched_on(northwind.ana, clock)
    answers = await asyncio.gather(*(second_factor.verify(northwind.ana, codes[0]) for _ in range(3)))
    assert sorted(answers) == [False, False, True]


async def test_somebody_elses_recovery_code_opens_nothing(db, northwind, clock):
    _, codes = await switched_on(northwind.ana, clock)
    await switched_on(northwind.tom, clock)
    assert not await second_factor.verify(northwind.tom, codes[0])
    assert await second_factor.codes_left(northwind.ana) == CODES


async def test_new_recovery_codes_make_the_old_ones_void(db, northwind, clock):
    key, old = await switched_on(northwind.ana, clock)
    with pytest.raises(Invalid):
        await second_factor.renew_codes(northwind.ana, 'wrong')
    assert await second_factor.codes_left(northwind.ana) == CODES
    new = await second_factor.renew_codes(northwind.ana, code_at(key, clock.now))
    assert not set(old) & set(new)
    assert not await second_factor.verify(northwind.ana, old[0])
    assert await second_factor.verify(northwind.ana, new[0])
    with pytest.raises(Impossible):
        await second_factor.renew_codes(northwind.tom, '123456')


# -- to be rid of it --------------------------------------------------------------------------------------------------


async def test_turning_it_off_takes_the_password_and_a_code(db, northwind, clock, password):
    key, codes = await switched_on(northwind.ana, clock)
    right = {'password': password, 'code': code_at(key, clock.now)}
    for wrong, field in (
        ({'password': 'wrong', 'code': codes[0]}, 'password'), ({'code': right['code']}, 'password'), ({}, 'password'),
        ({'password': password}, 'code'), ({'password': password, 'code': '12'}, 'code'),
    ):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            await second_factor.turn_off(northwind.ana, **wrong)
        assert refused.value.field == field
    assert await second_factor.codes_left(northwind.ana) == CODES  # a wrong password uses no recovery code up
    await second_factor.turn_off(northwind.ana, **right)
    ana = await PortalUser.get(id=northwind.ana.id)
    assert not second_factor.is_on(ana)
    assert ana.totp_key == ''
    assert not await RecoveryCode.exists()
    assert not await second_factor.verify(ana, code_at(key, clock.now))
    with pytest.raises(Impossible):
        await second_factor.turn_off(ana, **right)
    _, codes = await switched_on(ana, clock)
    await PortalUser.filter(id=ana.id).update(password_hash='')  # who signs in through an OIDC provider
    await second_factor.turn_off(ana, code=codes[0])
    assert not second_factor.is_on(await PortalUser.get(id=ana.id))


async def test_turning_it_off_keeps_the_own_session_unless_the_msp_wants_two_factor_of_everyone(
    db, northwind, clock, password
):
    _, codes = await switched_on(northwind.ana, clock)
    mine, other = await session_of(northwind.ana), await session_of(northwind.ana)
    await second_factor.turn_off(northwind.ana, password=password, code=codes[0], keep_session=mine.id)
    assert await Session.over({mine.id, other.id}) == {other.id}
    _, codes = await switched_on(northwind.tom, clock)
    northwind.partner.two_factor = TwoFactorRule.EVERYONE
    await northwind.partner.save()
    toms = await session_of(northwind.tom)
    await second_factor.turn_off(northwind.tom, password=password, code=codes[0], keep_session=toms.id)
    assert await Session.over({toms.id}) == {toms.id}


async def test_an_administrator_resets_it_for_who_has_lost_it(db, northwind, fabrikam, clock):
    await switched_on(northwind.tom, clock)
    toms = await session_of(northwind.tom)
    with pytest.raises(Refused):
        await second_factor.reset(northwind.tom, fabrikam.eve)
    with pytest.raises(Refused):
        await second_factor.reset(northwind.ana, northwind.tom)
    await second_factor.reset(northwind.tom, northwind.ana)
    assert not second_factor.is_on(await PortalUser.get(id=northwind.tom.id))
    assert await Session.over({toms.id}) == {toms.id}
    last = await HistoryEvent.filter(kind='user.two_factor_reset').get()
    assert (last.partner_id, last.actor_id) == (northwind.partner.id, northwind.ana.id)
    text = await last.text()
    assert text is not None
    assert text.summary == 'The two-factor of tom@northwind.example was reset'
    with pytest.raises(Impossible):
        await second_factor.reset(northwind.tom, northwind.ana)
    await switched_on(northwind.ana, clock)
    with pytest.raises(Impossible):
        await second_factor.reset(northwind.ana, northwind.ana)


# -- the rule of the MSP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('rule', 'without', 'with_it'), [('off', True, True), ('console', False, True), ('everyone', False, True)]
)
async def test_the_rule_says_whether_consoles_need_it(db, northwind, clock, rule, without, with_it):
    northwind.partner.two_factor = TwoFactorRule(rule)
    await northwind.partner.save()
    session = await session_of(northwind.ana)
    assert await second_factor.satisfied(northwind.ana, session) is without
    assert await second_factor.must_enrol(northwind.ana) is (rule == 'everyone')
    await switched_on(northwind.ana, clock)
    ana = await PortalUser.get(id=northwind.ana.id)
    assert await second_factor.satisfied(ana, session) is with_it
    assert not await second_factor.must_enrol(ana)


async def test_somebody_elses_session_satisfies_nothing(sqlite_db, northwind, clock):
    northwind.partner.two_factor = TwoFactorRule.CONSOLE
    await northwind.partner.save()
    await switched_on(northwind.ana, clock)
    assert not await second_factor.satisfied(northwind.ana, await session_of(northwind.tom))


async def test_insisting_ends_the_sessions_of_those_who_have_none(db, northwind, fabrikam, clock):
    await switched_on(northwind.ana, clock)
    anas, toms, eves = [await session_of(who) for who in (northwind.ana, northwind.tom, fabrikam.eve)]
    await second_factor.insist(northwind.partner)
    assert await Session.over({anas.id, toms.id, eves.id}) == {toms.id}


async def test_the_rule_for_everyone_reaches_who_is_signed_in_without_one(db, northwind, fabrikam):
    anas, toms, eves = [await session_of(who) for who in (northwind.ana, northwind.tom, fabrikam.eve)]
    await northwind.partner.change(northwind.ana, facts={'two_factor': 'console'})
    assert not await Session.over({anas.id, toms.id, eves.id})
    await northwind.partner.change(northwind.ana, facts={'two_factor': 'everyone'})
    assert await Session.over({anas.id, toms.id, eves.id}) == {toms.id}, 'who made the rule goes on'


async def test_the_moment_it_was_turned_on_is_kept(sqlite_db, northwind, clock):
    await switched_on(northwind.ana, clock)
    since = (await PortalUser.get(id=northwind.ana.id)).totp_since
    assert since is not None
    assert abs(since - datetime.now(UTC)) < timedelta(minutes=1)
