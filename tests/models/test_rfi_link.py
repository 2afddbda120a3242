import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from models import Customer, HistoryEvent, Listing, Message, Rfi, RfiLink, RfiState, events
from models.checking import Impossible, Invalid
from models.rfi_link import MOST, next_reminder
from models.rights import Refused
from models.session import token_hash

AT = 'https://portal.example'


@pytest.fixture
async def customer(db, northwind) -> Customer:
    northwind.partner.smtp_host, northwind.partner.mail_from = 'smtp.example', 'portal@northwind.example'
    await northwind.partner.save()
    return await Customer.add(northwind.partner, name='Kunde <b>', account_code='K', rfi=RfiState.REQUESTED)


async def form_of(customer: Customer) -> Rfi:
    return await Rfi.get(customer_id=customer.id)


async def said(kind: str) -> list[str]:
    return [(await entry.text()).summary for entry in await HistoryEvent.filter(kind=kind).order_by('id')]


async def test_a_link_is_mailed_and_only_its_hash_is_kept(customer, northwind):
    heard: list[events.Changed] = []
    events.RFI_MOVED.subscribe(heard.append)
    issued = await RfiLink.issue(customer, by=northwind.ana, at=AT + '/', recipient='lead@kunde.example')
    assert issued.is_mailed
    assert issued.address == f'{AT}/rfi/{issued.token}'
    link = await RfiLink.get()
    assert link.token_hash == token_hash(issued.token)
    assert link.expires_at > datetime.now(UTC) + timedelta(days=59)
    message = await Message.get(id=link.message_id)
    text, html = message.opened()
    assert issued.address in text
    assert issued.address in html
    assert '<b>' not in html.replace('<b>Kunde &lt;b&gt;</b>', '').replace('<b style', ''), 'a name is a text'
    assert (message.recipient, message.customer_id) == ('lead@kunde.example', customer.id)
    form = await form_of(customer)
    assert (form.sent_to, form.reminders) == ('lead@kunde.example', 0)
    assert form.requested_at is not None
    assert form.remind_at is not None
    assert 'rfi_form__sent_to' in heard[-1].rows[customer.id]
    assert await said('rfi.requested') == ['RFI form sent to lead@kunde.example']
    await RfiLink.issue(customer, by=northwind.ana, at=AT, recipient='lead@kunde.example')
    assert await said('rfi.sent') == ['RFI form sent again to lead@kunde.example']
    assert all(issued.token not in str(row) for row in await HistoryEvent.all().values())


async def test_a_link_to_pass_on_is_mailed_to_nobody(customer, northwind):
    issued = await RfiLink.send(customer, by=northwind.ana, at=AT)
    assert not issued.is_mailed
    assert not await Message.exists()
    assert (await form_of(customer)).sent_to == ''
    for written in (issued.token, f'{issued.token}.', f' {issued.token}),'):
        assert (await RfiLink.open(written)).customer_id == customer.id


async def test_without_a_mail_server_the_link_is_there_and_for_whom(customer, northwind):
    northwind.partner.smtp_host = ''
    await northwind.partner.save()
    issued = await RfiLink.issue(customer, by=northwind.ana, at=AT, recipient='lead@kunde.example')
    assert not issued.is_mailed
    form = await form_of(customer)
    assert (form.sent_to, form.requested_at is not None) == ('lead@kunde.example', True)
    # Nobody was told the address: it is not sent.
    await RfiLink.issue(customer, by=northwind.ana, at=AT, recipient='lead@kunde.example', is_told=False)
    form = await form_of(customer)
    assert (form.sent_to, form.requested_at) == ('lead@kunde.example', None)
    assert await said('rfi.link_made') == [
        'The RFI form is to be sent to lead@kunde.example: no mail could be sent, so pass on a link'
    ]


async def test_who_may_send_and_revoke(customer, northwind):
    with pytest.raises(Refused):
        await RfiLink.send(customer, by=northwind.tom)
    issued = await RfiLink.send(customer, by=northwind.ana, at=AT)
    with pytest.raises(Refused):
        await issued.link.revoke(by=northwind.tom)
    with pytest.raises(Invalid):
        await RfiLink.send(customer, by=northwind.ana, recipient='nobody')
    with pytest.raises(RfiLink.Unknown):
        await RfiLink.open('x' * 43)


async def test_a_form_that_was_not_asked_for_is_asked_for_with_its_link(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='A', rfi=RfiState.NOT_REQUESTED)
    await RfiLink.issue(customer, by=None, at=AT, recipient='a@b.example')
    form = await form_of(customer)
    assert (form.state, form.requested_at is not None) == (RfiState.REQUESTED, True)


async def test_a_closed_link_says_why_and_nothing_of_the_customer(customer, northwind):
    async def why(token: str) -> str:
        with pytest.raises(RfiLink.Closed) as closed:
            await RfiLink.open(token)
        assert 'Kunde' not in str(closed.value)
        return str(closed.value)

    issued = await RfiLink.send(customer, by=northwind.ana, at=AT)
    await RfiLink.filter(id=issued.link.id).update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    assert 'expired' in await why(issued.token)
    issued = await RfiLink.send(customer, by=northwind.ana, at=AT)
    await issued.link.revoke(by=northwind.ana)
    assert 'withdrawn' in await why(issued.token)
    assert await said('rfi.link_revoked') == ['The link to the RFI form was revoked']
    await issued.link.revoke(by=northwind.ana)
    assert len(await said('rfi.link_revoked')) == 1
    issued = await RfiLink.send(customer, by=northwind.ana, at=AT)
    await Rfi.filter(customer_id=customer.id).update(state=RfiState.COMPLETE)
    assert 'complete' in await why(issued.token)
    with pytest.raises(Impossible):
        await RfiLink.send(customer, by=northwind.ana)
    await Rfi.filter(customer_id=customer.id).update(state=RfiState.DRAFT)
    await Customer.filter(id=customer.id).update(listing=Listing.CLOSED)
    assert 'not needed' in await why(issued.token)
    with pytest.raises(Impossible):
        await RfiLink.send(customer, by=northwind.ana)


async def test_of_too_many_links_the_oldest_that_nobody_uses_makes_room(customer, northwind):
    mailed = await RfiLink.send(customer, by=northwind.ana, at=AT, recipient='lead@kunde.example')
    used = await RfiLink.send(customer, by=northwind.ana, at=AT)
    await used.link.opened()
    others = [await RfiLink.send(customer, by=northwind.ana, at=AT) for _ in range(MOST)]
    for issued in (mailed, used, *others[2:]):
        await RfiLink.open(issued.token)
    for issued in others[:2]:
        with pytest.raises(RfiLink.Closed):
            await RfiLink.open(issued.token)
    # Somebody else is written to now: what the one before holds may be in use still.
    await RfiLink.send(customer, by=northwind.ana, at=AT, recipient='other@kunde.example')
    assert (await RfiLink.open(mailed.token)).recipient == 'lead@kunde.example'
    assert set(await said('rfi.link_revoked')) == {
        f'The oldest unused link to the RFI form was closed: {MOST} are open at most'
    }
    assert await RfiLink.revoke_all_of(customer, by=northwind.ana) == MOST
    assert (await said('rfi.link_revoked'))[-1] == f'{MOST} links to the RFI form were revoked'
    assert (await form_of(customer)).remind_at is None


async def test_opening_is_noted_once_and_shown_in_lists(customer, northwind):
    issued = await RfiLink.send(customer, by=northwind.ana, at=AT)
    heard: list[events.Changed] = []
    events.RFI_MOVED.subscribe(heard.append)
    for _ in range(2):
        await (await RfiLink.open(issued.token)).opened()
    assert (await form_of(customer)).opened_at is not None
    assert len(heard) == 1
    assert len(await said('rfi.opened')) == 1


# -- reminders --------------------------------------------------------------------------------------------------------


async def sent(customer: Customer, days_ago: float) -> Rfi:
    """As if the form had been sent so many days ago."""
    await RfiLink.issue(customer, by=None, at=AT, recipient='lead@kunde.example')
    at = datetime.now(UTC) - timedelta(days=days_ago)
    customer = await Customer.get(id=customer.id).select_related('partner')
    await Rfi.filter(customer_id=customer.id).update(requested_at=at, remind_at=next_reminder(customer.partner, at, at))
    await Message.all().delete()
    return await form_of(customer)


async def test_a_form_is_asked_for_again_on_schedule_once_however_late(customer, northwind):
    form = await sent(customer, 0)
    assert await RfiLink.remind_due(datetime.now(UTC), at=AT) == 0
    assert await RfiLink.remind_due(form.remind_at, at=AT) == 1
    assert await RfiLink.remind_due(form.remind_at, at=AT) == 0
    form = await form_of(customer)
    assert form.reminders == 1
    # Away for weeks: what was missed is not made up for.
    assert await RfiLink.remind_due(form.requested_at + timedelta(days=60), at=AT) == 1
    form = await form_of(customer)
    assert (form.reminders, form.remind_at) == (2, None)
    assert await RfiLink.remind_due(form.requested_at + timedelta(days=90), at=AT) == 0
    assert await Message.filter(kind='rfi_reminder').count() == 2
    assert await said('rfi.reminded') == ['lead@kunde.example was reminded of the RFI form'] * 2
    link = await RfiLink.filter(is_reminder=True).first()
    assert link.recipient == 'lead@kunde.example'


@pytest.mark.parametrize('why', ['complete', 'revoked', 'closed', 'on hold', 'no mail server', 'no address'])
async def test_nobody_is_reminded_of_what_is_not_wanted(customer, northwind, why):
    form = await sent(customer, 10)
    if why == 'complete':
        await Rfi.filter(id=form.id).update(state=RfiState.COMPLETE)
    elif why == 'revoked':
        await (await RfiLink.get()).revoke(by=northwind.ana)
    elif why == 'closed':
        await Customer.filter(id=customer.id).update(listing=Listing.CLOSED)
    elif why == 'on hold':
        await Customer.filter(id=customer.id).update(held_at=datetime.now(UTC))
    elif why == 'no mail server':
        await type(northwind.partner).all().update(smtp_host='')
    assert await RfiLink.remind_due(datetime.now(UTC), at='' if why == 'no address' else AT) == 0
    assert not await Message.exists()


async def test_two_portals_on_one_database_remind_once(customer, northwind):
    await sent(customer, 5)
    counts = await asyncio.gather(*(RfiLink.remind_due(datetime.now(UTC), at=AT) for _ in range(3)))
    assert sum(counts) == 1
    assert await Message.all().count() == 1


async def test_one_that_cannot_be_reminded_keeps_no_other_from_it(customer, northwind, monkeypatch, caplog):
    other = await Customer.add(northwind.partner, name='Zweite', account_code='Z', rfi=RfiState.REQUESTED)
    await sent(customer, 10)
    form = await sent(other, 5)
    await Rfi.filter(customer_id=customer.id).update(sent_to='no address at all')
    assert await RfiLink.remind_due(datetime.now(UTC), at=AT) == 1
    assert (await form_of(customer)).remind_at is None
    assert await Message.all().values_list('recipient', flat=True) == [form.sent_to]
    # Nor one whose reminder fails for a reason that nobody thought of; it is tried again.
    due = datetime.now(UTC) - timedelta(minutes=1)
    await Rfi.all().update(remind_at=due, sent_to='lead@kunde.example')
    as_it_is = RfiLink.issue

    async def issue(whose: Customer, **more) -> object:
        if whose.id == customer.id:
            raise ValueError('a template that nobody can read')
        return await as_it_is(whose, **more)

    monkeypatch.setattr(RfiLink, 'issue', issue)
    assert await RfiLink.remind_due(datetime.now(UTC), at=AT) == 1
    assert f'of customer {customer.id} cannot be written' in caplog.text
    assert (await form_of(customer)).remind_at == due


async def test_the_msp_sets_how_long_links_are_good_and_when_is_reminded(customer, northwind):
    wrong = {'rfi_link_days': '0', 'rfi_reminder_days': ['3', 'soon']}
    with pytest.raises(Invalid) as refused:
        await northwind.partner.change(northwind.ana, facts=wrong)
    assert set(refused.value.errors) == set(wrong)
    facts = {'rfi_link_days': '5', 'rfi_reminder_days': '9, 2\n2'}
    assert await northwind.partner.change(northwind.ana, facts=facts) == set(facts)
    issued = await RfiLink.issue(customer, by=None, at=AT, recipient='lead@kunde.example')
    assert timedelta(days=4) < issued.link.expires_at - datetime.now(UTC) <= timedelta(days=5)
    in_days = (await form_of(customer)).remind_at - datetime.now(UTC)
    assert timedelta(days=1) < in_days < timedelta(days=3)
    # Forms that are out follow it too: nobody is reminded by a schedule that is no more.
    await northwind.partner.change(northwind.ana, facts={'rfi_reminder_days': ''})
    assert (await form_of(customer)).remind_at is None
    await RfiLink.issue(customer, by=None, at=AT, recipient='lead@kunde.example')
    assert (await form_of(customer)).remind_at is None
    await northwind.partner.change(northwind.ana, facts={'rfi_reminder_days': '4'})
    in_days = (await form_of(customer)).remind_at - datetime.now(UTC)
    assert timedelta(days=3) < in_days < timedelta(days=5)
    await RfiLink.revoke_all_of(customer, by=northwind.ana)
    await northwind.partner.change(northwind.ana, facts={'rfi_reminder_days': '5'})
    assert (await form_of(customer)).remind_at is None


async def test_a_reminder_comes_in_the_morning_where_the_msp_is_also_over_a_change_of_clocks(db, northwind):
    northwind.partner.time_zone, northwind.partner.rfi_reminder_days = 'Europe/London', [3, 7]
    begun = datetime(2026, 10, 23, 22, 30, tzinfo=UTC)  # the clocks are set back on the 25th
    first = next_reminder(northwind.partner, begun, begun)
    assert first == datetime(2026, 10, 26, 9, tzinfo=UTC)
    assert next_reminder(northwind.partner, begun, first) == datetime(2026, 10, 30, 9, tzinfo=UTC)
    assert next_reminder(northwind.partner, begun, begun + timedelta(days=8)) is None
