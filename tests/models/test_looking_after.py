"""Who looks after what, and the e-mail about it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from models import (
    ConnectStep,
    Customer,
    CustomerAccess,
    CustomerTag,
    HistoryEvent,
    Message,
    PortalRole,
    PortalUser,
    RfiState,
    StepState,
    UserTag,
    events,
    own_account,
    step_mail,
)
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.looking_after import look_after, see_to, steps_of, who_can
from models.rights import Refused

AT = 'https://portal.example'
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)  # a Monday


@pytest.fixture
async def world(db, northwind, fabrikam):
    """A customer at its second step, due at eight that morning; Northwind has a mail server, and its zone is UTC."""
    partner = northwind.partner
    partner.smtp_host, partner.mail_from, partner.time_zone = 'smtp.example', 'portal@northwind.example', 'UTC'
    await partner.save()
    customer = await Customer.add(
        partner, name='Émile’s Bakery', account_code='E1', domain='emile.example', rfi=RfiState.NOT_APPLICABLE
    )
    step = await ConnectStep.get(customer_id=customer.id, key='account_configuration')
    await ConnectStep.filter(id=step.id).update(due_at=NINE - timedelta(hours=1))
    await customer.restate()
    northwind.tom.role = PortalRole.IMPLEMENTATION
    await northwind.tom.save()
    return SimpleNamespace(
        partner=partner, ana=northwind.ana, tom=northwind.tom, eve=fabrikam.eve, customer=customer, step=step
    )


async def fresh(customer: Customer) -> Customer:
    return await Customer.get(id=customer.id)


async def told(kind: str) -> list[str]:
    return [(await entry.text()).summary for entry in await HistoryEvent.filter(kind=kind).order_by('id')]


async def test_only_who_sees_the_customer_and_can_sign_in_can_be_chosen(world):
    customer, ana, tom = world.customer, world.ana, world.tom

    async def can() -> set[str]:
        found = set()
        for person in await who_can(customer):
            assert await Customer.visible_to(person).filter(id=customer.id).exists()
            found.add(person.name)
        return found

    assert await can() == {ana.name}
    access = await CustomerAccess.create(user=tom, customer=customer, allowed=True)
    assert await can() == {ana.name, tom.name}
    await access.delete()
    await CustomerTag.create(customer=customer, tag='gold')
    await UserTag.create(user=tom, tag='gold')
    assert await can() == {ana.name, tom.name}
    await CustomerAccess.create(user=ana, customer=customer, allowed=False)
    assert await can() == {tom.name}
    await tom.disable(datetime.now(UTC), by=ana)
    assert await can() == set()
    for person in (tom, ana, world.eve):
        with pytest.raises(Invalid):
            await look_after(customer, person.id, by=ana)


async def test_somebody_looks_after_a_customer_and_another_sees_to_a_step(world):
    customer, step, ana, tom = world.customer, world.step, world.ana, world.tom
    await CustomerAccess.create(user=tom, customer=customer, allowed=True)
    heard: list[events.Changed] = []
    events.CONNECT_MOVED.subscribe(heard.append)
    assert await look_after(customer, ana.id, by=ana)
    assert not await look_after(customer, ana.id, by=ana), 'nothing new'
    assert heard[-1].rows == {customer.id: frozenset({'responsible_id', 'connect_person_id'})}
    assert (await fresh(customer)).connect_person_id == ana.id
    assert await see_to(step, tom.id, by=ana)
    assert (await fresh(customer)).connect_person_id == tom.id
    assert (await fresh(customer)).responsible_id == ana.id
    with pytest.raises(ChangedMeanwhile):
        await look_after(customer, tom.id, by=ana, was=None, is_seen=True)
    assert await look_after(customer, None, by=ana, was=ana.id, is_seen=True)
    assert await told('customer.assigned') == [
        f'Looked after by: Nobody → {ana.name}', f'Looked after by: {ana.name} → Nobody'
    ]  # fmt: skip
    assert await told('connect.step_assigned') == [f'Account configuration, seen to by: Nobody → {tom.name}']
    await step.move('complete', by=ana, because='They said so')
    with pytest.raises(ConnectStep.NotAllowed, match='complete already'):
        await see_to(step, ana.id, by=ana)
    assert (await fresh(customer)).connect_person_id is None, 'the next step is nobody’s'
    tom.role = PortalRole.TECHNICIAN
    with pytest.raises(Refused):
        await look_after(customer, tom.id, by=tom)
    await (await fresh(customer)).abandon('gone', by=ana)
    with pytest.raises(Impossible, match='closed'):
        await look_after(customer, ana.id, by=ana)


async def test_what_is_ones_own(world):
    customer, step, ana, tom = world.customer, world.step, world.ana, world.tom
    await CustomerAccess.create(user=tom, customer=customer, allowed=True)

    async def keys(person: PortalUser) -> set[str]:
        return {each.key for each in await steps_of(person)}

    assert await keys(ana) == set()
    await look_after(customer, ana.id, by=ana)
    assert await keys(ana) == {'account_configuration'}
    await see_to(step, tom.id, by=ana)
    assert (await keys(ana), await keys(tom)) == (set(), {'account_configuration'})
    await tom.disable(datetime.now(UTC), by=ana)
    assert await keys(ana) == {'account_configuration'}, 'what belongs to nobody is whose the customer is'
    await (await fresh(customer)).hold('holidays', by=ana)
    assert await keys(ana) == set(), 'nothing is asked for while it rests'
    await (await fresh(customer)).resume(by=ana)
    await CustomerAccess.create(user=ana, customer=customer, allowed=False)
    assert await keys(ana) == set(), 'of a customer that one does not see'


# -- the digest -------------------------------------------------------------------------------------------------------


async def wanting(world, **wanted: object) -> PortalUser:
    await look_after(world.customer, world.ana.id, by=world.ana)
    await PortalUser.filter(id=world.ana.id).update(**wanted)
    return world.ana


async def digests(now: datetime) -> int:
    return await step_mail.write_digests(now, at=AT)


async def test_a_digest_comes_once_a_day_at_seven_where_its_person_is(world):
    ana = await wanting(world, wants_digest=True, time_zone='America/New_York')
    seven = datetime(2026, 11, 23, 12, tzinfo=UTC)  # in New York
    assert await digests(seven - timedelta(minutes=1)) == 0
    assert await digests(seven) == 1
    assert await digests(seven + timedelta(hours=3)) == 0, 'after a restart, say'
    assert await digests(seven - timedelta(hours=30)) == 0, 'nor when the clock is set back'
    assert await digests(seven + timedelta(hours=13)) == 0, 'the next morning in London is the night there'
    assert await digests(seven + timedelta(days=1, hours=5)) == 1, 'late, where the portal was away at seven'
    (text, html), (next_text, _) = [message.opened() for message in await Message.all().order_by('id')]
    assert 'Émile’s Bakery: Account configuration, due 23 November 2026, late since today' in text
    assert 'due 23 November 2026, 1 day late' in next_text
    assert f'{AT}/customers/{world.customer.id}' in html
    await PortalUser.filter(id=ana.id).update(disabled_at=datetime.now(UTC))
    assert await digests(seven + timedelta(days=2)) == 0


async def test_a_digest_comes_only_when_there_is_something_to_tell_and_to_who_wants_it(world):
    await wanting(world)
    assert await digests(NINE) == 0, 'off until somebody wants it'
    await PortalUser.filter(id=world.ana.id).update(wants_digest=True)
    await ConnectStep.filter(id=world.step.id).update(due_at=NINE + timedelta(days=9))
    assert await digests(NINE) == 0, 'nothing is overdue or blocked'
    await world.step.move('block', by=world.ana, because='No <b>DNS</b>')
    tomorrow = NINE + timedelta(days=1)
    await PortalUser.filter(id=world.ana.id).update(digest_on=(NINE + timedelta(days=400)).date())
    assert await digests(tomorrow) == 1, 'a day that a wrong clock has remembered is in nobody’s way'
    text, html = (await Message.get()).opened()
    assert 'Blocked: No <b>DNS</b>' in text
    assert '<b>DNS</b>' not in html
    await CustomerAccess.create(user=world.ana, customer=world.customer, allowed=False)
    assert await digests(tomorrow + timedelta(days=1)) == 0, 'only of customers that they see'


async def test_who_switches_the_digest_on_has_the_first_one_the_next_morning(world):
    await look_after(world.customer, world.ana.id, by=world.ana)
    await own_account.choose_mail(world.ana, digest=True, reminders=True, now=NINE)
    assert await digests(NINE + timedelta(hours=1)) == 0
    assert await digests(NINE + timedelta(days=1)) == 1
    found = await PortalUser.get(id=world.ana.id)
    assert (found.wants_digest, found.wants_reminders) == (True, True)
    await own_account.choose_mail(world.ana, digest=False, reminders=False)
    assert await digests(NINE + timedelta(days=2)) == 0


# -- reminders --------------------------------------------------------------------------------------------------------


async def reminders(now: datetime) -> int:
    return await step_mail.write_reminders(now, at=AT)


async def test_one_whose_mail_cannot_be_written_keeps_nobody_else_from_theirs(world, monkeypatch, caplog):
    await wanting(world, wants_digest=True, wants_reminders=True)
    await PortalUser.filter(id=world.tom.id).update(wants_digest=True, wants_reminders=True)
    steps_as_they_are, active = step_mail.steps_of, step_mail.active

    def steps(person: PortalUser):
        if person.id == world.tom.id:
            raise ValueError('a time zone that nobody knows')
        return steps_as_they_are(person)

    monkeypatch.setattr(step_mail, 'steps_of', steps)
    monkeypatch.setattr(step_mail, 'active', lambda: active().order_by('-id'))
    assert (await digests(NINE), await reminders(NINE)) == (1, 1)
    for what in ('digest', 'reminders'):
        assert f'the {what} of user {world.tom.id} cannot be written' in caplog.text


async def test_a_reminder_comes_once_when_a_step_becomes_overdue_and_then_weekly(world):
    await wanting(world, wants_reminders=True)
    due = NINE - timedelta(hours=1)
    assert await reminders(due - timedelta(seconds=1)) == 0
    assert await reminders(due + timedelta(seconds=1)) == 1
    assert await reminders(due + timedelta(hours=20)) == 0, 'after a restart, say'
    assert await reminders(due + timedelta(days=6)) == 0
    assert await reminders(due + timedelta(days=7, hours=1)) == 1
    assert await reminders(due + timedelta(days=1)) == 0, 'the clock was set back'
    assert await reminders(due + timedelta(days=17)) == 0, 'too late: the portal was away, the next week has another'
    assert await reminders(due + timedelta(days=21, hours=30)) == 1
    first = await Message.all().order_by('id').first()
    assert (first.kind, first.customer_id, first.recipient) == ('step_reminder', world.customer.id, world.ana.email)
    assert 'Émile’s Bakery' in first.subject
    await ConnectStep.filter(id=world.step.id).update(due_at=due + timedelta(days=22))
    assert await reminders(due + timedelta(days=22, hours=1)) == 1, 'another date, another reminder'
    await world.step.move('complete', by=world.ana, because='They said so')
    await ConnectStep.exclude(id=world.step.id).update(due_at=None)
    assert await reminders(due + timedelta(days=29, hours=2)) == 0


async def test_a_reminder_that_another_process_has_written_is_not_written_again(world, monkeypatch):
    await wanting(world, wants_reminders=True)
    found = Message.filter
    assert await reminders(NINE) == 1
    monkeypatch.setattr(Message, 'filter', lambda **_: found(id=0))  # it was not there yet when this one looked
    assert await reminders(NINE) == 0
    monkeypatch.undo()
    assert await Message.all().count() == 1


async def test_no_reminder_where_nobody_could_send_one(world):
    await wanting(world, wants_reminders=True, wants_digest=True)
    world.partner.smtp_host = ''
    await world.partner.save()
    assert await reminders(NINE) + await digests(NINE) == 0
    assert (await PortalUser.get(id=world.ana.id)).digest_on is None, 'it comes as soon as mail can be sent'
    assert await ConnectStep.filter(id=world.step.id, state=StepState.TODO).exists()
