"""The job of the automatic checks, with a real name server behind the ones that ask it."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from jobs import connect_checks as job
from jobs.connect_checks import ConnectChecks
from jobs.holds import end_holds
from jobs.sources.simulated import SimulatedVendor
from jobs.sources.simulated_connect import SimulatedConnect
from models import (
    ConnectStep,
    Customer,
    HistoryEvent,
    MonitorKind,
    MonitorState,
    Order,
    OrderKind,
    PortalRole,
    Rfi,
    RfiState,
    StepState,
    VendorState,
)
from models.connect_checks import CHECKS, Outcome
from models.connect_step import AUTOMATIC, EVIDENCE_KEPT
from models.demo import make_customers
from models.rights import Refused


@pytest.fixture
async def ash(db, northwind) -> Customer:
    """A customer whose outbound and inbound mail are being set up."""
    await northwind.partner.update_from_dict(
        {'mx_hosts': ['vendor.example'], 'spf_include': '_spf.vendor.example'}
    ).save()
    customer = await Customer.add(
        northwind.partner, name='Ash', account_code='A', domain='ash.example', rfi=RfiState.NOT_APPLICABLE,
        code_is_provisional=True,
    )  # fmt: skip
    await ConnectStep.filter(customer_id=customer.id).update(state=StepState.COMPLETE)
    await ConnectStep.filter(customer_id=customer.id, key__in=['outbound_email', 'inbound_email']).update(
        state=StepState.IN_PROGRESS
    )
    return customer


async def _step(customer: Customer, key: str) -> ConnectStep:
    return await ConnectStep.get(customer_id=customer.id, key=key)


async def _work(checks: ConnectChecks) -> int:
    begun = await checks.work()
    await checks.settled()
    return begun


async def test_a_check_that_passes_completes_its_step_and_leaves_evidence(server, ash, northwind):
    server.mail('ash.example', 'eu-1.vendor.example', 'eu-2.vendor.example', spf='v=spf1 mx -all')
    assert await _work(ConnectChecks()) == 2
    inbound, outbound = await _step(ash, 'inbound_email'), await _step(ash, 'outbound_email')
    assert (outbound.state, outbound.done_by) == (StepState.IN_PROGRESS, '')
    [found] = outbound.evidence
    assert found['passed'] is False
    assert found['asked'] == 'Does the SPF record of ash.example include _spf.vendor.example?'
    assert found['answer'] == 'ash.example: v=spf1 mx -all'
    assert found['by'] == AUTOMATIC
    assert datetime.now(UTC) - datetime.fromisoformat(found['at']) < timedelta(minutes=1)
    # It needs the step before it, and says that it has passed all the same.
    assert inbound.evidence[0]['passed'] is True
    assert inbound.evidence[0]['answer'] == 'ash.example: eu-1.vendor.example, eu-2.vendor.example'
    assert inbound.state == StepState.IN_PROGRESS
    server.mail('ash.example', 'eu-1.vendor.example', spf='v=spf1 include:_spf.vendor.example -all')
    later = ConnectChecks(clock=lambda: datetime.now(UTC) + timedelta(minutes=11))
    await _work(later)
    outbound = await _step(ash, 'outbound_email')
    assert (outbound.state, outbound.done_by) == (StepState.COMPLETE, AUTOMATIC)
    assert [each['passed'] for each in outbound.evidence] == [True, False]
    event = await HistoryEvent.filter(customer_id=ash.id, kind='connect.step_complete').order_by('id').first()
    text = await event.text()
    assert text.summary == 'Outbound email: completed by the automatic check'
    assert text.facts['evidence']['answer'] == 'ash.example: v=spf1 include:_spf.vendor.example -all'
    assert (await Customer.get(id=ash.id)).outbound_queue.title == 'Unknown', 'it is watched from now on'


async def test_what_has_passed_and_waited_is_complete_with_what_it_waited_for(server, ash, northwind):
    server.mail('ash.example', 'eu-1.vendor.example', spf='v=spf1 mx -all')
    checks = ConnectChecks()
    checks.start()
    await _work(checks)
    assert (await _step(ash, 'inbound_email')).evidence[0]['passed'] is True
    await (await _step(ash, 'outbound_email')).move('complete', by=northwind.tom)
    await _work(checks)  # long before its next turn
    inbound = await _step(ash, 'inbound_email')
    assert (inbound.state, inbound.done_by) == (StepState.COMPLETE, AUTOMATIC)
    await checks.stop()


async def test_what_somebody_reopened_is_not_completed_by_the_same_answer_once_more(server, ash, northwind):
    clock = [datetime.now(UTC)]
    checks = ConnectChecks(clock=lambda: clock[0])
    checks.start()

    async def later() -> ConnectStep:
        clock[0] += timedelta(hours=3)
        await _work(checks)
        return await _step(ash, 'outbound_email')

    good = 'v=spf1 include:_spf.vendor.example -all'
    server.mail('ash.example', 'eu-1.vendor.example', spf=good)
    assert (await later()).state == StepState.COMPLETE
    await (await _step(ash, 'outbound_email')).move('reopen', by=northwind.tom, because='no mail has left yet')
    for _ in range(2):
        step = await later()
        assert (step.state, step.evidence[0]['passed'], step.evidence[0]['overruled']) == (
            StepState.IN_PROGRESS, True, 'Tom',
        )  # fmt: skip
    # Another answer in between, or somebody who asks, and it counts.
    server.mail('ash.example', 'eu-1.vendor.example', spf='v=spf1 mx -all')
    assert 'overruled' not in (await later()).evidence[0]
    server.mail('ash.example', 'eu-1.vendor.example', spf=good)
    step = await later()
    assert step.state == StepState.COMPLETE
    await step.move('reopen', by=northwind.tom, because='again')
    await (await _step(ash, 'outbound_email')).want_check(by=northwind.tom)
    await _work(checks)
    assert (await _step(ash, 'outbound_email')).state == StepState.COMPLETE
    # The same of a live customer that is brought back.
    await ConnectStep.filter(customer_id=ash.id).update(state=StepState.COMPLETE)
    await ash.complete_connect()
    await ash.reopen_connect('outbound_email', because='another platform', by=northwind.ana)
    step = await later()
    assert (step.state, step.evidence[0]['overruled']) == (StepState.IN_PROGRESS, 'Ana')
    await checks.stop()


@pytest.mark.parametrize(
    ('hosts', 'passed', 'said'),
    [
        (['a.vendor.example'], True, 'a.vendor.example'),
        (['a.vendor.example', 'old.ash.example'], False, 'a.vendor.example, old.ash.example – not old.ash.example'),
        (['vendor.example.evil.example'], False, 'not vendor.example.evil.example'),
        ([], False, 'no MX record'), (None, False, 'There is no domain ash.example.'),
        ('silent', None, 'Could not be checked: ash.example: No answer'),
    ],
)  # fmt: skip
async def test_where_mail_goes_and_what_could_not_be_asked(server, ash, monkeypatch, hosts, passed, said):
    from models import dns_asking

    monkeypatch.setattr(dns_asking, 'SECONDS', 0.2)
    server.silent = hosts == 'silent'
    if isinstance(hosts, list):
        server.mail('ash.example', *hosts)
    found = await CHECKS['dns_mx'].run(ash, await _step(ash, 'inbound_email'))
    assert found.passed is passed
    assert said in found.answer


async def test_every_domain_of_the_form_counts(server, ash):
    await Rfi.filter(customer_id=ash.id).update(answers={'email_domains': ['ash.example', 'ash2.example']})
    server.mail('ash.example', 'a.vendor.example')
    server.mail('ash2.example', 'mx.old.example')
    found = await CHECKS['dns_mx'].run(ash, await _step(ash, 'inbound_email'))
    assert (found.passed, found.answer.splitlines()) == (
        False, ['ash.example: a.vendor.example', 'ash2.example: mx.old.example – not mx.old.example'],
    )  # fmt: skip
    server.mail('ash2.example', 'b.vendor.example', spf='v=spf1 -all')
    assert (await CHECKS['dns_mx'].run(ash, await _step(ash, 'inbound_email'))).passed is True
    server.zones['ash2.example']['TXT'] = ['"v=spf1 include:_spf.vendor.example"', '"v=spf1 mx"']
    found = await CHECKS['dns_spf'].run(ash, await _step(ash, 'outbound_email'))
    assert found.passed is False
    assert '2 SPF records, and only one may be there' in found.answer


async def test_what_the_settings_do_not_say_cannot_be_checked(server, ash, northwind):
    await northwind.partner.update_from_dict({'mx_hosts': [], 'spf_include': ''}).save()
    for key in ('dns_mx', 'dns_spf'):
        found = await CHECKS[key].run(ash, await _step(ash, 'inbound_email'))
        assert found.passed is None
        assert found.answer.startswith('Could not be checked: the settings do not say')
    ash.domain = ''
    await northwind.partner.update_from_dict({'mx_hosts': ['vendor.example']}).save()
    found = await CHECKS['dns_mx'].run(ash, await _step(ash, 'inbound_email'))
    assert found.answer == 'Could not be checked: no domain of the customer is known.'
    assert not server.asked


async def test_readings_the_account_and_the_form_are_checked(db, ash):
    journaling = await _step(ash, 'journaling')
    assert (await CHECKS['monitors'].run(ash, journaling)).passed is None
    now = datetime.now(UTC)
    await ash.record_readings({MonitorKind.JOURNAL_QUEUE: 5, MonitorKind.JOURNAL_CONNECTOR: MonitorState.BAD}, at=now)
    assert (await CHECKS['monitors'].run(ash, journaling)).passed is False
    later = now + timedelta(seconds=1)
    await ash.record_readings({MonitorKind.JOURNAL_CONNECTOR: MonitorState.GOOD}, at=later)
    found = await CHECKS['monitors'].run(ash, journaling)
    assert found.passed is True
    assert found.answer.startswith('Journaling queue: good (5 waiting), read ')
    whole = await CHECKS['monitors'].run(ash, await _step(ash, 'monitoring'))
    assert whole.passed is False, 'of that step, every signal counts'
    assert 'Inbound email queue: never read' in whole.answer
    account = await _step(ash, 'account_configuration')
    assert (await CHECKS['account'].run(ash, account)).passed is False
    ash.code_is_provisional = False
    found = await CHECKS['account'].run(ash, account)
    assert (found.passed, 'not ordered in the portal' in found.answer) == (None, True)
    order = await Order.create(partner_id=ash.partner_id, customer=ash, kind=OrderKind.NEW)
    for state, passed in ((VendorState.DELIVERED, False), (VendorState.ACCEPTED, True), (VendorState.REJECTED, False)):
        await Order.filter(id=order.id).update(vendor=state)
        assert (await CHECKS['account'].run(ash, account)).passed is passed
    form = await _step(ash, 'rfi')
    for state, passed in ((RfiState.COMPLETE, True), (RfiState.DRAFT, False), (RfiState.NOT_APPLICABLE, True)):
        await Rfi.filter(customer_id=ash.id).update(state=state)
        assert (await CHECKS['rfi'].run(ash, form)).passed is passed


async def test_a_check_is_due_now_and_then_and_one_that_fails_stops_no_other(db, ash, monkeypatch):
    ran: list[str] = []

    async def run(customer: Customer, step: ConnectStep) -> Outcome:
        ran.append(step.key)
        if step.key == 'inbound_email':
            raise RuntimeError('out of order')
        return Outcome('asked', 'answer', False)

    monkeypatch.setattr(job.connect_checks, 'run', run)
    monkeypatch.setattr(job.log, 'exception', lambda *_: None)
    clock = [datetime.now(UTC)]
    checks = ConnectChecks(clock=lambda: clock[0])
    # Nobody but the vendor knows of this one, and there is no connection to it.
    await ConnectStep.filter(customer_id=ash.id, key='domain_validation').update(state=StepState.IN_PROGRESS)
    pauses = []
    for minutes in range(0, 300, 5):
        clock[0] = datetime.now(UTC) + timedelta(minutes=minutes)
        before = len(ran)
        await _work(checks)
        just_now = ConnectStep.filter(customer_id=ash.id, key__in=ran[before:])
        await just_now.update(checked_at=clock[0])
        if len(ran) > before:
            assert sorted(ran[before:]) == ['inbound_email', 'outbound_email']
            pauses.append(minutes)
    assert [later - earlier for earlier, later in pairwise(pauses)] == [10, 20, 40, 80, 120]
    stored = await _step(ash, 'inbound_email')
    assert stored.state == StepState.IN_PROGRESS
    assert stored.evidence[0]['passed'] is None
    assert 'the check itself failed' in stored.evidence[0]['answer']
    assert 'out of order' not in stored.evidence[0]['answer']


async def test_what_is_locked_done_resting_or_closed_is_not_checked(db, ash, northwind, monkeypatch):
    async def run(*_: object) -> Outcome:
        raise AssertionError

    monkeypatch.setattr(job.connect_checks, 'run', run)
    await ash.hold('waits', by=northwind.ana)
    assert await _work(ConnectChecks()) == 0
    await ash.resume(by=northwind.ana)
    await ConnectStep.filter(customer_id=ash.id, key='inbound_email').update(state=StepState.LOCKED)
    await ConnectStep.filter(customer_id=ash.id, key='outbound_email').update(state=StepState.BLOCKED)
    assert await _work(ConnectChecks()) == 0
    await ConnectStep.filter(customer_id=ash.id).update(state=StepState.TODO)
    await ash.abandon('gone', by=northwind.ana)
    assert await _work(ConnectChecks()) == 0


async def test_check_now_runs_at_once_for_who_may(server, ash, northwind):
    server.mail('ash.example', 'a.vendor.example', spf='v=spf1 include:_spf.vendor.example -all')
    checks = ConnectChecks()
    checks.start()
    # Both were checked, and the one that had passed before what it needs was done once more; nothing more is due.
    assert [await _work(checks) for _ in range(3)][-1] == 0
    await ConnectStep.filter(customer_id=ash.id, key='inbound_email').update(state=StepState.BLOCKED)
    assert await _work(checks) == 0
    await (await _step(ash, 'inbound_email')).want_check(by=northwind.tom)
    assert (await _step(ash, 'inbound_email')).checked_at is None
    assert await _work(checks) == 1
    step = await _step(ash, 'inbound_email')
    assert (step.state, step.done_by, step.evidence[0]['by']) == (StepState.COMPLETE, AUTOMATIC, 'Tom')
    for key, said in (
        ('inbound_email', 'is complete'),
        ('lockdown', 'has no automatic check'),
        ('recipient_validation', 'no connection to the vendor'),
    ):
        with pytest.raises(ConnectStep.NotAllowed, match=said):
            await (await _step(ash, key)).want_check(by=northwind.tom)
    northwind.tom.role = PortalRole.SALES
    with pytest.raises(Refused):
        await (await _step(ash, 'outbound_email')).want_check(by=northwind.tom)
    await checks.stop()


async def test_only_the_newest_evidence_is_kept(db, ash):
    step = await _step(ash, 'outbound_email')
    for n in range(EVIDENCE_KEPT + 3):
        await step.found(Outcome('asked', f'answer {n}', False).as_evidence('Ana'))
    kept = [each['answer'] for each in (await _step(ash, 'outbound_email')).evidence]
    assert kept == [f'answer {n}' for n in range(EVIDENCE_KEPT + 2, 2, -1)]


async def test_the_simulated_vendor_answers_for_simulated_customers_and_no_others(db, northwind, monkeypatch):
    asked: list[bool] = []

    async def run(customer: Customer, step: ConnectStep) -> Outcome:
        asked.append(customer.is_simulated)
        return Outcome('asked', 'answer', False)

    monkeypatch.setattr(job.connect_checks, 'run', run)
    await make_customers(northwind.partner, 40, seed=3)
    real = await Customer.add(northwind.partner, name='Real', account_code='R', rfi=RfiState.NOT_APPLICABLE)
    source = SimulatedConnect(SimulatedVendor(2.0))
    begun, clock = 0, [datetime.now(UTC)]
    checks = ConnectChecks(source, clock=lambda: clock[0])
    for _ in range(8):
        begun += await _work(checks)
        clock[0] += timedelta(seconds=11)
    assert begun > 2
    checked = await ConnectStep.exclude(checked_at=None).select_related('customer')
    assert {step.customer.is_simulated for step in checked} == {True, False}
    assert all(each in (True, False) for each in asked)
    dns = [step for step in checked if step.check_key in ('dns_mx', 'dns_spf') and step.customer.is_simulated]
    assert all('mail-protection.example' in step.evidence[0]['asked'] for step in dns)
    # Without the simulated vendor they are left alone, and a person is told.
    await ConnectStep.all().update(checked_at=None, evidence=[])
    assert await _work(ConnectChecks()) == await ConnectStep.filter(
        customer_id=real.id, state=StepState.TODO
    ).exclude(check_key='').count()  # fmt: skip


async def test_holds_end_by_the_job(db, northwind):
    customer = await Customer.add(northwind.partner, name='A', account_code='A')
    await customer.hold('waits', by=northwind.ana)
    await Customer.filter(id=customer.id).update(hold_until=datetime.now(UTC).date() - timedelta(days=1))
    assert await end_holds() == 1
    assert (await Customer.get(id=customer.id)).connect_key == 'rfi_requested'
