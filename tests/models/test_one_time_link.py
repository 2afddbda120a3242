import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from models import (
    HistoryEvent,
    LinkKind,
    Message,
    OneTimeLink,
    PortalRole,
    PortalUser,
    Session,
    Sight,
    UserState,
    events,
)
from models.checking import Impossible
from models.mailing import rendered

NEW = 'a long new password'


async def _invited(northwind, **more):
    return await PortalUser.invite(
        northwind.partner, name='Nina', email='nina@northwind.example', role=PortalRole.SALES, sight=Sight(),
        by=northwind.ana, at='https://portal.example', **more,
    )  # fmt: skip


async def _with_mail(northwind) -> None:
    northwind.partner.smtp_host, northwind.partner.mail_from = 'mail.example', 'portal@northwind.example'
    await northwind.partner.save()


async def test_an_invitation_is_taken_up_once(db, northwind):
    told: list[int] = []
    events.USERS_CHANGED.subscribe(told.append)
    user, issued = await _invited(northwind)
    assert user.state == UserState.INVITED
    assert await PortalUser.signing_in('nina@northwind.example', '') is None
    assert issued.address == f'https://portal.example/invite/{issued.token}'
    assert not issued.is_mailed
    assert (await OneTimeLink.open(LinkKind.INVITE, issued.token)).user.partner == northwind.partner
    joined = await OneTimeLink.use(LinkKind.INVITE, issued.token, NEW)
    assert joined == user
    assert (await PortalUser.get(id=user.id)).state == UserState.REGISTERED
    assert await PortalUser.signing_in('nina@northwind.example', NEW) == user
    assert told == [northwind.partner.id] * 2
    with pytest.raises(OneTimeLink.Closed, match='has been used'):
        await OneTimeLink.open(LinkKind.INVITE, issued.token)
    with pytest.raises(OneTimeLink.Closed, match='has been used'):
        await OneTimeLink.use(LinkKind.INVITE, issued.token, 'another long password')
    kinds = await HistoryEvent.filter(partner_id=northwind.partner.id, customer_id=None).values_list('kind', flat=True)
    assert {'user.invited', 'user.registered'} <= set(kinds)


async def test_of_two_who_use_a_link_at_the_same_moment_one_does(db, northwind):
    _, issued = await _invited(northwind)
    tries = [OneTimeLink.use(LinkKind.INVITE, issued.token, f'{NEW} {n}') for n in range(2)]
    done = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ['Closed', 'PortalUser']


async def test_a_weak_password_does_not_use_the_link_up(db, northwind):
    _, issued = await _invited(northwind)
    with pytest.raises(PortalUser.WeakPassword):
        await OneTimeLink.use(LinkKind.INVITE, issued.token, 'short')
    assert await OneTimeLink.use(LinkKind.INVITE, issued.token, NEW)


async def test_a_link_that_opens_nothing_says_why_to_whoever_holds_it(db, northwind):
    user, first = await _invited(northwind)
    second = await user.send_link(by=northwind.ana)
    with pytest.raises(OneTimeLink.Closed, match='withdrawn'):
        await OneTimeLink.open(LinkKind.INVITE, first.token)
    await OneTimeLink.filter(id=second.link.id).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(OneTimeLink.Closed, match='expired'):
        await OneTimeLink.use(LinkKind.INVITE, second.token, NEW)
    third = await user.send_link(by=northwind.ana)
    assert await OneTimeLink.waiting_for(user) == third.link
    await user.disable(datetime.now(UTC), by=northwind.ana)
    with pytest.raises(OneTimeLink.Closed, match='disabled'):
        await OneTimeLink.use(LinkKind.INVITE, third.token, NEW)
    await user.enable(by=northwind.ana)
    with pytest.raises(OneTimeLink.Closed, match='withdrawn'):  # disabling has taken it away for good
        await OneTimeLink.use(LinkKind.INVITE, third.token, NEW)
    fourth = await user.send_link(by=northwind.ana)
    await user.revoke_links(by=northwind.ana)
    with pytest.raises(OneTimeLink.Closed, match='withdrawn'):
        await OneTimeLink.open(LinkKind.INVITE, fourth.token)


@pytest.mark.parametrize('token', ['', 'x', 'x' * 43, 'x' * 500, '\x00' * 43, '\ud800' * 30, "' or 1=1 --" * 3])
async def test_what_is_no_token_is_no_link(db, northwind, token):
    with pytest.raises(OneTimeLink.Unknown):
        await OneTimeLink.open(LinkKind.INVITE, token)


async def test_a_link_opens_only_what_it_was_made_for(db, northwind):
    _, issued = await _invited(northwind)
    with pytest.raises(OneTimeLink.Unknown):
        await OneTimeLink.open(LinkKind.RESET, issued.token)


async def test_the_token_is_stored_nowhere(db, northwind):
    _, issued = await _invited(northwind)
    stored = [str(dict(each)) for model in (OneTimeLink, PortalUser, HistoryEvent) for each in await model.all()]
    texts = [str(dict(text)) for event in await HistoryEvent.all() if (text := await event.text())]
    assert not [each for each in [*stored, *texts] if issued.token in each]


async def test_a_reset_ends_what_was_open_and_changes_the_password(db, northwind, password):
    session, _ = await Session.open(northwind.tom, lasts=timedelta(hours=1), address='', agent='')
    issued = await northwind.tom.send_link(by=northwind.ana)
    other = await northwind.tom.send_link(by=northwind.ana)
    assert issued.link.kind == LinkKind.RESET
    assert await Session.over({session.id}) == set()  # until it is used, nothing has happened
    await OneTimeLink.use(LinkKind.RESET, other.token, NEW)
    assert await Session.over({session.id}) == {session.id}
    assert await PortalUser.signing_in(northwind.tom.email, password) is None
    assert await PortalUser.signing_in(northwind.tom.email, NEW) == northwind.tom
    assert await HistoryEvent.filter(kind='user.password_reset').count() == 1


async def test_somebody_disabled_is_sent_no_link(db, northwind):
    await northwind.tom.disable(datetime.now(UTC))
    with pytest.raises(Impossible, match='is disabled'):
        await northwind.tom.send_link(by=northwind.ana)


async def test_where_there_is_a_mail_server_the_link_is_mailed(db, northwind):
    await _with_mail(northwind)
    _, issued = await _invited(northwind)
    assert issued.is_mailed
    message = await Message.get()
    assert (message.kind, message.recipient) == ('invite', 'nina@northwind.example')
    assert issued.token not in str(dict(message))  # sealed
    assert any(issued.address in part for part in message.opened())
    assert message.good_until == issued.link.expires_at
    _, unmailed = (None, await northwind.tom.send_link(by=northwind.ana, by_mail=False))
    assert not unmailed.is_mailed
    assert await Message.all().count() == 1
    told = [text.summary for each in await HistoryEvent.all().order_by('id') if (text := await each.text())]
    assert told == [  # whoever was shown a link could use it: the audit says how each went out
        'nina@northwind.example was invited as Sales, by e-mail; sees all customers',
        'tom@northwind.example may choose another password, by a link that Ana was shown',
    ]


async def test_whoever_forgot_the_password_is_sent_a_link_but_not_many(db, northwind):
    address = northwind.tom.email
    assert not await OneTimeLink.forgotten(address, at='https://portal.example')  # no mail server
    await _with_mail(northwind)
    sent = [await OneTimeLink.forgotten(f' {address.upper()} ', at='https://portal.example') for _ in range(5)]
    assert sent == [True, True, True, False, False]
    assert await Message.all().count() == await OneTimeLink.all().count() == 3
    link = await OneTimeLink.first()
    assert link is not None
    assert link.expires_at < datetime.now(UTC) + timedelta(hours=3)


async def test_nothing_is_sent_to_who_cannot_sign_in(db, northwind):
    await _with_mail(northwind)
    await _invited(northwind)
    await northwind.tom.disable(datetime.now(UTC))
    for address in ('nobody@northwind.example', 'nina@northwind.example', northwind.tom.email, '', '\x00', '\ud800'):
        assert not await OneTimeLink.forgotten(address, at='https://portal.example')
    assert await Message.filter(kind='reset').count() == 0


@pytest.mark.parametrize('template', ['invite', 'reset'])
@pytest.mark.parametrize('by', ['Ana <b>', ''])
def test_mails_say_who_what_and_how_long_and_no_name_becomes_markup(template, by):
    facts = {'msp': 'A & B', 'name': '<i>Nina</i>', 'link': 'https://p.example/x', 'hours': 72, 'by': by, 'at': ''}
    subject, text, html = rendered(template, facts)
    assert 'A & B' in subject
    assert '72 hours' in text
    assert 'https://p.example/x' in text
    assert 'href="https://p.example/x"' in html
    assert '<i>Nina' not in html
    assert '<b>' not in html
