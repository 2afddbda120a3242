import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tortoise.exceptions import DoesNotExist

from models import HistoryEvent, Partner, PortalRole, PortalUser, Session, Sight, UserState, events
from models.checking import Impossible, Invalid
from models.one_time_link import LinkKind, OneTimeLink
from models.password import MAX_PASSWORD
from models.rights import Refused

NEW = 'a long new password'


async def _register(partner: Partner, email: str = 'nina@northwind.example', password: str = NEW) -> PortalUser:
    return await PortalUser.register(partner, name='Nina', email=email, password=password, role=PortalRole.SALES)


async def test_somebody_who_is_registered_can_sign_in(db, northwind):
    user = await _register(northwind.partner, '  Nina@Northwind.Example ')
    assert user.email == 'nina@northwind.example'
    assert await PortalUser.signing_in('NINA@northwind.example ', NEW) == user
    assert await HistoryEvent.filter(kind='user.registered').exists()


async def test_a_wrong_password_and_an_unknown_user_are_the_same_nothing(db, northwind, password):
    assert await PortalUser.signing_in('ana@northwind.example', password) == northwind.ana
    assert await PortalUser.signing_in('ana@northwind.example', password + ' ') is None
    assert await PortalUser.signing_in('nobody@northwind.example', password) is None
    assert await PortalUser.signing_in('', '') is None


@pytest.mark.parametrize(
    'odd', ['a\x00b@x.example', '\ud800', '%', "' or 1=1 --", 'x' * 10_000, 'ana@northwind.example\n']
)
async def test_odd_addresses_and_passwords_sign_nobody_in(db, northwind, odd):
    assert await PortalUser.signing_in(odd, odd) is None
    assert await PortalUser.signing_in('ana@northwind.example', odd) is None


@pytest.mark.parametrize(
    'email', ['', 'nina', 'nina@', '@x.example', 'n@x', 'n i@x.example', 'n\x00@x.example', 'n' * 250 + '@x.example']
)
async def test_what_is_no_address_is_refused(sqlite_db, northwind, email):
    with pytest.raises(ValueError, match='not an e-mail address'):
        await _register(northwind.partner, email)
    assert await PortalUser.all().count() == 2


@pytest.mark.parametrize(
    'bad', ['', 'short', 'x' * (MAX_PASSWORD + 1), 'qazwsxedcrfv', 'northwind2026', 'my ana@northwind.example']
)
async def test_a_weak_password_is_refused(sqlite_db, northwind, bad):
    with pytest.raises(PortalUser.WeakPassword):
        await _register(northwind.partner, 'ana@northwind.example', password=bad)
    with pytest.raises(PortalUser.WeakPassword):
        await northwind.ana.set_password(bad)


async def test_an_address_belongs_to_one_person(db, northwind, fabrikam):
    with pytest.raises(PortalUser.EmailTaken):
        await _register(fabrikam.partner, 'ANA@northwind.example')


async def test_a_generic_account_cannot_sign_in(db, password):
    partner = await Partner.set_up('Contoso', domain='contoso.example')
    generic = await PortalUser.get(partner_id=partner.id)
    assert await PortalUser.signing_in(generic.email, '') is None
    await generic.set_password(NEW)  # whoever manages that gets nothing by it
    assert await PortalUser.signing_in(generic.email, NEW) is None


async def test_a_new_password_ends_the_other_sessions(db, northwind, password):
    from datetime import timedelta

    opened = [await Session.open(northwind.ana, lasts=timedelta(hours=1), address='', agent='') for _ in range(2)]
    (here, _), (there, _) = opened
    link = await OneTimeLink.issue(northwind.ana, LinkKind.RESET, by=None)
    await northwind.ana.set_password(NEW, keep_session=here.id)
    with pytest.raises(OneTimeLink.Closed):  # nor does a link open that somebody was sent before
        await OneTimeLink.open(LinkKind.RESET, link.token)
    assert await Session.over({here.id, there.id}) == {there.id}
    assert await PortalUser.signing_in(northwind.ana.email, password) is None
    assert await PortalUser.signing_in(northwind.ana.email, NEW) == northwind.ana


async def test_preferences_are_kept_side_by_side(db, northwind):
    other = await PortalUser.get(id=northwind.ana.id)
    await northwind.ana.prefer('columns', ['name'])
    await other.prefer('density', 'compact')
    assert (await PortalUser.get(id=northwind.ana.id)).preferences == {'columns': ['name'], 'density': 'compact'}


async def test_there_are_three_themes(db, northwind):
    await northwind.ana.choose_theme('dark')
    assert (await PortalUser.get(id=northwind.ana.id)).theme == 'dark'
    with pytest.raises(ValueError, match='must be light, dark or system'):
        await northwind.ana.choose_theme('pink')


# -- what administrators do -------------------------------------------------------------------------------------------


async def _administrator(northwind: Any, email: str = 'bob@northwind.example') -> PortalUser:
    return await PortalUser.register(
        northwind.partner, name='Bob', email=email, password=NEW, role=PortalRole.ADMINISTRATOR
    )


async def _invite(northwind: Any, **facts: Any) -> PortalUser:
    given = {'name': 'Nina', 'email': 'nina@northwind.example', 'role': 'sales', 'sight': Sight(), 'by': northwind.ana}
    user, _ = await PortalUser.invite(northwind.partner, **given | facts)
    return user


async def _words(kind: str) -> list[str]:
    events_ = await HistoryEvent.filter(kind=kind, customer_id=None).order_by('id')
    return [text.summary for each in events_ if (text := await each.text())]


@pytest.mark.parametrize(
    ('facts', 'field'),
    [
        ({'name': ' '}, 'name'),
        ({'name': 'x' * 121}, 'name'),
        ({'email': ''}, 'email'),
        ({'email': 'nina'}, 'email'),
        ({'email': 'ANA@northwind.example'}, 'email'),
        ({'email': 'eve@fabrikam.example'}, 'email'),
        ({'role': 'king'}, 'role'),
        ({'sight': Sight(False, frozenset({99}))}, 'sight'),
    ],
)
async def test_an_invitation_that_cannot_be_says_what_is_wrong(db, northwind, fabrikam, facts, field):
    with pytest.raises(Invalid) as refused:
        await _invite(northwind, **facts)
    assert list(refused.value.errors) == [field]
    assert await PortalUser.all().count() == 3


async def test_everything_that_is_wrong_with_an_invitation_is_said_at_once(sqlite_db, northwind):
    with pytest.raises(Invalid) as refused:
        await _invite(northwind, name=' ', email='nina', role='king')
    assert list(refused.value.errors) == ['name', 'email', 'role']


async def test_of_another_msp_only_that_an_address_is_taken_is_told(db, northwind, fabrikam):
    with pytest.raises(Invalid, match=r'^is in use already$'):
        await _invite(northwind, email='eve@fabrikam.example')
    with pytest.raises(Invalid, match='is Tom’s, who is here already'):
        await _invite(northwind, email='tom@northwind.example')


async def test_only_an_administrator_of_the_msp_changes_its_people(db, northwind, fabrikam):
    for by in (northwind.tom, fabrikam.eve):
        for act in (
            lambda by=by: northwind.ana.change_role('sales', by=by),
            lambda by=by: northwind.ana.change_sight(Sight(False), by=by),
            lambda by=by: northwind.ana.disable(datetime.now(UTC), by=by),
            lambda by=by: northwind.ana.enable(by=by),
            lambda by=by: northwind.ana.send_link(by=by),
            lambda by=by: northwind.ana.revoke_links(by=by),
            lambda by=by: northwind.ana.correct(name='A', email='a@northwind.example', by=by),
            lambda by=by: northwind.ana.unlink_provider(by=by),
            lambda by=by: northwind.ana.end_sessions(by=by),
            lambda by=by: _invite(northwind, by=by),
        ):
            with pytest.raises(Refused):
                await act()
    assert (await PortalUser.get(id=northwind.ana.id)).is_active


async def test_an_administrator_who_was_disabled_a_moment_ago_acts_no_more(db, northwind):
    bob = await _administrator(northwind)
    await (await PortalUser.get(id=bob.id)).disable(datetime.now(UTC), by=northwind.ana)
    with pytest.raises(Refused):
        await northwind.tom.change_role('sales', by=bob)


async def test_a_change_of_role_is_told_and_kept(db, northwind):
    told: list[int] = []
    events.SIGHT_CHANGED.subscribe(told.append)
    assert await northwind.tom.change_role('implementation', by=northwind.ana)
    assert not await northwind.tom.change_role('implementation', by=northwind.ana)
    assert (await PortalUser.get(id=northwind.tom.id)).role == PortalRole.IMPLEMENTATION
    assert told == [northwind.tom.id]
    assert await _words('user.role_changed') == ['tom@northwind.example: Technician → Implementation']


async def test_a_mistyped_name_or_address_is_put_right_and_the_link_to_the_old_one_is_worth_nothing(
    db, northwind, fabrikam
):
    nina = await _invite(northwind, name='Nian', email='nnia@northwind.example')
    link = await nina.send_link(by=northwind.ana)
    for taken in ('tom@northwind.example', 'eve@fabrikam.example'):
        with pytest.raises(Invalid) as refused:
            await nina.correct(name='Nina', email=taken, by=northwind.ana)
        assert refused.value.field == 'email'
    assert await nina.correct(name='Nina', email='Nina@northwind.example', by=northwind.ana)
    assert not await nina.correct(name='Nina', email='nina@northwind.example', by=northwind.ana)
    fresh = await PortalUser.get(id=nina.id)
    assert (fresh.name, fresh.email, fresh.search_key) == ('Nina', 'nina@northwind.example', nina.search_key)
    with pytest.raises(OneTimeLink.Closed):
        await OneTimeLink.open(LinkKind.INVITE, link.token)
    assert await _words('user.corrected') == [
        'nnia@northwind.example was corrected: Nian → Nina, nnia@northwind.example → nina@northwind.example'
    ]


async def test_the_last_administrator_stays(db, northwind):
    invited = await _invite(northwind, role='administrator')  # has no password yet: nobody who could help
    ana = northwind.ana
    for act in (ana.change_role('sales', by=ana), ana.disable(datetime.now(UTC), by=ana)):
        with pytest.raises(Impossible, match='Ana is the last administrator who can sign in'):
            await act
    bob = await _administrator(northwind)
    await northwind.ana.change_role('sales', by=northwind.ana)  # one's own, while somebody remains
    with pytest.raises(Impossible, match='Bob is the last'):
        await bob.disable(datetime.now(UTC), by=bob)
    await invited.disable(datetime.now(UTC), by=bob)
    assert (await PortalUser.get(id=bob.id)).is_active


async def test_two_administrators_who_demote_each_other_leave_one(db, northwind):
    for _ in range(5):
        bob = await PortalUser.get_or_none(email='bob@northwind.example') or await _administrator(northwind)
        done = await asyncio.gather(
            northwind.ana.change_role('sales', by=bob), bob.change_role('sales', by=northwind.ana),
            return_exceptions=True,
        )  # fmt: skip
        assert sorted(map(repr, map(type, done))) == [repr(bool), repr(Refused)], done
        assert await PortalUser.filter(role=PortalRole.ADMINISTRATOR, partner_id=northwind.partner.id).count() == 1
        await PortalUser.filter(id__in=[bob.id, northwind.ana.id]).update(role=PortalRole.ADMINISTRATOR)


async def test_one_disables_the_other_while_that_one_demotes_them(db, northwind):
    bob = await _administrator(northwind)
    await asyncio.gather(
        northwind.ana.disable(datetime.now(UTC), by=bob), bob.change_role('sales', by=northwind.ana),
        return_exceptions=True,
    )  # fmt: skip
    left = PortalUser.filter(role=PortalRole.ADMINISTRATOR, disabled_at__isnull=True, partner_id=northwind.partner.id)
    assert await left.count() == 1


async def test_the_generic_account_stays_as_it_is(db, password):
    partner = await Partner.set_up('Contoso', domain='contoso.example')
    generic = await PortalUser.get(partner_id=partner.id)
    cia = await PortalUser.register(
        partner, name='Cia', email='cia@contoso.example', password=NEW, role=PortalRole.ADMINISTRATOR
    )
    assert generic.state == UserState.GENERIC
    for act in (
        generic.change_role('sales', by=cia), generic.change_sight(Sight(False), by=cia), generic.send_link(by=cia),
        generic.disable(datetime.now(UTC), by=cia), generic.enable(by=cia), generic.end_sessions(by=cia),
        generic.revoke_links(by=cia),
    ):  # fmt: skip
        with pytest.raises(Impossible, match='generic administration account'):
            await act
    with pytest.raises(Invalid, match='who is here already'):
        await PortalUser.invite(partner, name='x', email=generic.email, role='sales', sight=Sight(), by=cia)


async def test_disabling_ends_sessions_and_enabling_gives_them_not_back(db, northwind, password):
    session, _ = await Session.open(northwind.tom, lasts=timedelta(hours=1), address='', agent='')
    await northwind.tom.disable(datetime.now(UTC), by=northwind.ana)
    assert northwind.tom.state == UserState.DISABLED
    assert await PortalUser.signing_in(northwind.tom.email, password) is None
    await northwind.tom.enable(by=northwind.ana)
    assert await PortalUser.signing_in(northwind.tom.email, password) == northwind.tom
    assert await Session.over({session.id}) == {session.id}
    assert await _words('user.disabled') == ['tom@northwind.example was disabled']
    assert await _words('user.enabled') == ['tom@northwind.example was enabled again']


async def test_one_session_of_somebody_is_ended_or_all(db, northwind):
    opened = [
        (await Session.open(who, lasts=timedelta(hours=1), address='', agent=''))[0].id
        for who in (northwind.tom, northwind.tom, northwind.tom, northwind.ana)
    ]
    for count in (1, 0):
        assert await northwind.tom.end_sessions(by=northwind.ana, session_id=opened[0]) == count
    with pytest.raises(DoesNotExist):
        await northwind.tom.end_sessions(by=northwind.ana, session_id=opened[3])  # Ana's, not Tom's
    assert await Session.over(set(opened)) == {opened[0]}
    await northwind.tom.end_sessions(by=northwind.ana)
    assert await Session.over(set(opened)) == set(opened[:3])
    assert len(await _words('user.sessions_ended')) == 2
