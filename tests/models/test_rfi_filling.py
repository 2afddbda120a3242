import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from models import (
    Attachment,
    AttachmentKind,
    ConnectStep,
    Contact,
    Customer,
    HistoryEvent,
    Infrastructure,
    Listing,
    Order,
    OrderKind,
    OrderState,
    PortalRole,
    Rfi,
    RfiIcon,
    RfiLink,
    RfiState,
    StepState,
    events,
)
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.history_verifying import verify
from models.rights import Refused

RIGHT = {
    'emergency_first_name': 'Ida', 'emergency_last_name': 'Berg', 'emergency_email': 'ida@kunde.example',
    'emergency_mobile': '+44 7700 900123', 'mail_platform': 'on_premises', 'directory': 'none',
    'email_domains': ['kunde.example'], 'outbound_ips': ['8.8.8.8'], 'inbound_ips': ['8.8.4.4'],
    'recipient_validation_type': 'known', 'journal_protocol': 'smtp', 'journal_address': 'j@journal.kunde.example',
    'server_os': 'Debian 13', 'notes': 'Call first.\n=HYPERLINK("x")',
}  # fmt: skip


@pytest.fixture
async def customer(db, northwind) -> Customer:
    northwind.partner.outbound_ips, northwind.partner.smart_hosts = ['8.8.8.8'], ['relay.northwind.example']
    await northwind.partner.save()
    return await Customer.add(
        northwind.partner, name='Kunde', account_code='K', domain='kunde.example', rfi=RfiState.REQUESTED
    )


async def form_of(customer: Customer) -> Rfi:
    return await Rfi.get(customer_id=customer.id)


async def link_of(customer: Customer, recipient: str = 'lead@kunde.example') -> RfiLink:
    return (await RfiLink.issue(customer, by=None, at='https://portal.example', recipient=recipient)).link


async def said(kind: str) -> list[str]:
    return [(await entry.text()).summary for entry in await HistoryEvent.filter(kind=kind).order_by('id')]


async def test_the_form_begins_with_what_is_known(customer, northwind):
    await Infrastructure.change(customer, {'server_os': 'Debian 13'}, was=None, by=northwind.ana)
    await Contact.change(
        customer, 'technical', {'first_name': 'Ida', 'email': 'i@k.example'}, was=None, by=northwind.ana
    )
    form = await form_of(customer)
    assert await form.known(customer) == {
        'outbound_ips': ['8.8.8.8'], 'smart_hosts': ['relay.northwind.example'], 'email_domains': ['kunde.example'],
        'server_os': 'Debian 13', 'emergency_first_name': 'Ida', 'emergency_email': 'i@k.example',
    }  # fmt: skip
    # What was taken away is not put back.
    form = await form.fill({'smart_hosts': []}, was={'smart_hosts': ['relay.northwind.example']}, by=northwind.ana)
    assert form.answers['smart_hosts'] == []
    assert form.answers['outbound_ips'] == ['8.8.8.8'], 'copied, so that a later change of the settings changes nothing'


async def test_the_form_begins_with_what_the_order_says(customer, northwind):
    block = {
        'mail_server': 'hybrid_m365', 'archive_solution': 'Google Vault', 'security_onprem': 'Cisco',
        'citrix_terminal_server': True, 'something_else': 'x',
    }  # fmt: skip
    draft = {'partner': northwind.partner, 'customer': customer, 'kind': OrderKind.NEW}
    await Order.create(**draft, state=OrderState.SUBMITTED, details={'infrastructure': block})
    await Order.create(**draft, state=OrderState.DRAFT, details={'infrastructure': {'continuity': 'never ordered'}})
    known = await (await form_of(customer)).known(customer)
    assert known['mail_platform'] == 'hybrid_m365'
    assert known['archive_solution'] == 'Google Vault'
    assert known['security_onprem'] == 'Cisco'
    assert known['citrix_terminal_server'] is True
    assert not {'mail_server', 'continuity', 'something_else'} & known.keys()


async def test_what_the_settings_say_later_changes_nothing_about_a_form_that_was_sent(customer, northwind):
    await link_of(customer)
    northwind.partner.outbound_ips = ['9.9.9.9']
    await northwind.partner.save()
    form = await form_of(customer)
    assert (await form.known(customer))['outbound_ips'] == ['8.8.8.8']
    assert form.state == RfiState.REQUESTED


async def test_what_is_typed_is_kept_right_or_not_and_by_whom(customer, northwind):
    heard: list[events.Changed] = []
    touched: list[dict] = []
    events.RFI_MOVED.subscribe(heard.append)
    events.CUSTOMER_TOUCHED.subscribe(lambda _, parts: touched.append(parts))
    link = await link_of(customer)
    heard.clear()
    form = await (await form_of(customer)).fill({'outbound_ips': '10.0.0.1\n8.8.8.8', 'notes': 'a\x00b'}, link=link)
    assert form.answers['outbound_ips'] == ['10.0.0.1', '8.8.8.8']
    assert form.answers['notes'] == 'a b'
    assert (form.state, form.version) == (RfiState.DRAFT, 1)
    assert form.edits['outbound_ips']['by'] == 'lead@kunde.example'
    assert len(heard) == 1
    touched.clear()
    form = await form.fill({'notes': 'b'}, was={'notes': 'a b'}, by=northwind.ana)
    assert form.edits['notes']['by'] == 'Ana'
    assert len(heard) == 1, 'the icon is what it was'
    assert any('rfi' in parts.get(customer.id, ()) for parts in touched)
    assert await said('rfi.draft') == [
        'lead@kunde.example filled in some of the RFI form', 'Ana filled in some of the RFI form',
    ]  # fmt: skip


async def test_nobody_overwrites_what_somebody_else_has_saved(customer, northwind):
    form = await (await form_of(customer)).fill({'notes': 'one', 'server_os': 'x'}, by=northwind.ana)
    with pytest.raises(ChangedMeanwhile) as changed:
        await form.fill({'notes': 'two', 'server_os': 'y'}, was={'notes': '', 'server_os': 'x'}, by=northwind.ana)
    assert (changed.value.field, changed.value.now) == ('notes', 'one')
    assert (await form_of(customer)).answers['server_os'] == 'x'
    # The same answer twice is no conflict: a browser that heard nothing sends it again.
    again = await form.fill({'notes': 'one'}, was={'notes': ''}, by=northwind.ana)
    assert again.version == 1


async def test_two_who_fill_in_different_answers_at_once_lose_none(customer, northwind):
    form = await form_of(customer)
    fields = ['notes', 'server_os', 'continuity', 'archive_solution', 'security_msp', 'maintenance_window']
    await asyncio.gather(*(form.fill({field: field}, was={field: ''}, by=northwind.ana) for field in fields))
    form = await form_of(customer)
    assert form.version == len(fields)
    assert all(form.answers[field] == field for field in fields)


async def test_who_may_fill_it_in(customer, northwind):
    form = await form_of(customer)
    northwind.ana.role = PortalRole.SALES
    with pytest.raises(Refused):
        await form.fill({'notes': 'x'}, by=northwind.ana)
    with pytest.raises(Refused):
        await form.submit(declares=True, by=northwind.ana)
    link = await link_of(customer)
    await RfiLink.filter(id=link.id).update(revoked_at=datetime.now(UTC))
    with pytest.raises(RfiLink.Closed):
        await form.fill({'notes': 'x'}, link=link)
    with pytest.raises(Invalid):
        await form.fill({'no_such': 'x'}, by=northwind.ana)


async def test_sent_back_it_is_complete_and_the_portal_knows_what_it_says(customer, northwind):
    link = await link_of(customer)
    form = await (await form_of(customer)).fill(RIGHT, link=link)
    heard: list[events.Changed] = []
    events.RFI_MOVED.subscribe(heard.append)
    form, warnings = await form.submit(declares=True, link=link)
    assert (form.state, form.errors, warnings) == (RfiState.COMPLETE, [], [])
    assert form.returned_by == 'lead@kunde.example'
    assert form.answers['emergency_mobile'] == '+447700900123'
    stored = await Customer.get(id=customer.id)
    assert (stored.rfi, stored.listing, stored.rfi_returned) == (RfiIcon.COMPLETE, Listing.IN_PROGRESS, True)
    assert customer.id in heard[-1].joined
    step = await ConnectStep.get(customer_id=customer.id, key='rfi')
    assert step.state == StepState.COMPLETE
    known = await Infrastructure.get(customer_id=customer.id)
    assert (known.domains, known.inbound_ips, known.server_os) == (['kunde.example'], ['8.8.4.4'], 'Debian 13')
    for kind in ('emergency', 'technical'):
        assert (await Contact.get(customer_id=customer.id, kind=kind)).mobile == '+447700900123'
    copy = await Attachment.get(customer_id=customer.id, kind=AttachmentKind.RFI_COPY)
    assert copy.pdf.read_bytes().startswith(b'%PDF')
    assert await said('rfi.submitted') == ['RFI form sent back by lead@kunde.example']
    assert await said('rfi.complete') == ['RFI complete']
    facts = (await said('infrastructure.changed'))[-1]
    assert facts.startswith('From the RFI form: ')
    assert 'Mail platform: Not known yet → On-premises' in facts, 'choices by their titles'
    about = await said('contact.changed')
    assert {text.partition(' –')[0] for text in about} == {
        'From the RFI form: Emergency (technical) contact', 'From the RFI form: Technical contact',
    }  # fmt: skip
    assert all('Mobile: nothing → +44 7700 900123' in text for text in about)
    # Whoever did it by the link is named, and is nobody of the portal's.
    for kind in ('rfi.draft', 'rfi.submitted', 'infrastructure.changed', 'contact.changed'):
        entry = await HistoryEvent.filter(kind=kind).order_by('-id').first()
        assert entry is not None
        text = await entry.text()
        assert text is not None
        assert (entry.actor_id, text.actor) == (None, 'lead@kunde.example (by link)'), kind
    assert await verify() == []
    with pytest.raises(Impossible):
        await form.submit(declares=True, link=link)
    with pytest.raises(Impossible):
        await form.fill({'notes': 'x'}, by=northwind.ana)
    assert not await RfiLink.filter(revoked_at__isnull=True).exists()


async def test_in_error_it_is_corrected_in_the_same_form(customer, northwind):
    link = await link_of(customer)
    form = await (await form_of(customer)).fill(RIGHT | {'outbound_ips': ['10.0.0.1'], 'directory': ''}, link=link)
    form, _ = await form.submit(declares=True, link=link)
    assert form.state == RfiState.ERROR
    assert [error['field'] for error in form.errors] == ['directory', 'outbound_ips']
    assert (await Customer.get(id=customer.id)).rfi == RfiIcon.ERROR
    assert await said('rfi.error') == ['RFI found in error: 2 fields to correct']
    assert not await Attachment.exists()
    form = await form.fill({'outbound_ips': ['8.8.8.8']}, was={'outbound_ips': ['10.0.0.1']}, link=link)
    assert [error['field'] for error in form.errors] == ['directory'], 'what is still wrong stays there to be read'
    assert (await Customer.get(id=customer.id)).rfi == RfiIcon.INCOMPLETE
    form = await form.fill({'directory': 'none'}, link=link)
    form, _ = await form.submit(declares=True, link=link)
    assert form.state == RfiState.COMPLETE
    assert len(await said('rfi.submitted')) == 2


async def test_without_the_declaration_nothing_is_sent_back(customer, northwind):
    with pytest.raises(Invalid) as refused:
        await (await form_of(customer)).submit(declares=False, by=northwind.ana)
    assert refused.value.field == 'declaration'
    assert (await form_of(customer)).state == RfiState.REQUESTED


async def test_of_two_who_send_it_back_at_once_one_wins(customer, northwind):
    form = await (await form_of(customer)).fill(RIGHT, by=northwind.ana)
    results = await asyncio.gather(
        *(form.submit(declares=True, by=northwind.ana) for _ in range(3)), return_exceptions=True
    )
    assert sum(not isinstance(result, Exception) for result in results) == 1
    assert all(isinstance(result, Impossible) for result in results if isinstance(result, Exception))
    assert await Attachment.all().count() == 1
    assert len(await said('rfi.complete')) == 1


async def test_of_one_who_completes_and_one_who_types_nothing_is_lost(customer, northwind):
    form = await (await form_of(customer)).fill(RIGHT, by=northwind.ana)
    sent, typed = await asyncio.gather(
        form.submit(declares=True, by=northwind.ana),
        form.fill({'continuity': 'Another one'}, by=northwind.ana),
        return_exceptions=True,
    )
    assert not isinstance(sent, Exception)
    stored = await form_of(customer)
    assert isinstance(typed, Impossible) or stored.answers['continuity'] == 'Another one'


async def test_reopened_with_a_reason_its_step_is_open_and_its_links_stay_closed(customer, northwind):
    link = await link_of(customer)
    form = await (await form_of(customer)).fill(RIGHT, link=link)
    form, _ = await form.submit(declares=True, link=link)
    with pytest.raises(Refused):
        await form.reopen('why', by=northwind.tom)
    with pytest.raises(Invalid):
        await form.reopen('  ', by=northwind.ana)
    form = await form.reopen('the firewall is new', by=northwind.ana)
    assert (form.state, form.reopened_because) == (RfiState.DRAFT, 'the firewall is new')
    states = {step.key: step.state for step in await ConnectStep.filter(customer_id=customer.id)}
    assert states['rfi'] == StepState.IN_PROGRESS
    assert states['account_configuration'] == StepState.LOCKED
    assert (await Customer.get(id=customer.id)).rfi == RfiIcon.INCOMPLETE
    assert await said('rfi.reopened') == ['RFI reopened – the firewall is new']
    with pytest.raises(RfiLink.Closed):
        await form.fill({'notes': 'x'}, link=link)
    with pytest.raises(Impossible):
        await form.reopen('again', by=northwind.ana)
    form, _ = await form.submit(declares=True, by=northwind.ana)
    assert form.state == RfiState.COMPLETE
    assert await Attachment.all().count() == 2


async def test_domains_and_addresses_of_other_customers_of_the_msp_are_noticed(customer, northwind, fabrikam):
    async def other(partner, code: str, **facts) -> None:
        made = await Customer.add(
            partner, name=code, account_code=code, domain=f'{code.lower()}.example', rfi=RfiState.NOT_APPLICABLE
        )
        await Infrastructure.keep(made, facts)
        if code.startswith('L'):  # it has left
            await Customer.filter(id=made.id).update(listing=Listing.CLOSED)

    await other(northwind.partner, 'N1', domains=['bücher.example', 'z.example'], outbound_ips=['9.9.9.0/24'])
    await other(northwind.partner, 'N2', inbound_ips=['1.1.1.1'], outbound_ips=['8.8.8.8', '2606:4700::1'])
    await other(northwind.partner, 'L1', domains=['her.example'], outbound_ips=['8.8.4.0/24'])
    await other(fabrikam.partner, 'F1', domains=['theirs.example'], outbound_ips=['8.8.4.4'])
    form = await (await form_of(customer)).fill(
        RIGHT | {'email_domains': ['kunde.example', 'BÜCHER.example']}, by=northwind.ana
    )
    form, _ = await form.submit(declares=True, by=northwind.ana)
    assert [(each['field'], each['code']) for each in form.errors] == [('email_domains', 'taken')]
    form = await form.fill({'email_domains': ['n2.example']}, by=northwind.ana)
    form, _ = await form.submit(declares=True, by=northwind.ana)
    assert [each['message'][:12] for each in form.errors] == ['“n2.example”']
    ips = ['8.8.8.8', '9.9.9.9', '1.1.0.0/16', '2606:4700::/32', '8.8.4.4']
    form = await form.fill(
        {
            'email_domains': ['kunde.example', 'theirs.example', 'f1.example', 'l1.example', 'her.example'],
            'outbound_ips': ips,
        },
        by=northwind.ana,
    )
    form, warnings = await form.submit(declares=True, by=northwind.ana)
    assert form.state == RfiState.COMPLETE
    # 8.8.8.8 is the MSP's own, which all its customers send by.
    assert [each['message'].split()[0] for each in warnings] == ['9.9.9.9', '1.1.0.0/16', '2606:4700::/32']
    assert 'N1' not in str(warnings)
    [text] = await said('rfi.complete')
    assert '9.9.9.9' in text
    assert text.endswith('And 2 more.')
    assert (await form_of(customer)).warnings == warnings
    assert (await form.reopen('Another look', by=northwind.ana)).warnings == []


async def test_a_form_that_came_back_elsewhere_is_checked_when_somebody_asks(customer, northwind):
    await Rfi.filter(customer_id=customer.id).update(state=RfiState.SUBMITTED)
    form = await form_of(customer)
    northwind.ana.role = PortalRole.SALES
    with pytest.raises(Refused):
        await form.check(by=northwind.ana)
    # Of its answers the portal knows next to nothing: the rest is to be filled in.
    form, _ = await form.check(by=northwind.tom)
    assert form.state == RfiState.ERROR
    assert 'emergency_mobile' in {each['field'] for each in form.errors}
    assert form.returned_at is None, 'when it came back, nobody knows'
    with pytest.raises(Impossible, match='in error'):
        await form.check(by=northwind.tom)
    await form.fill(RIGHT, by=northwind.tom)
    await Rfi.filter(customer_id=customer.id).update(state=RfiState.SUBMITTED)
    done = await asyncio.gather(*(form.check(by=northwind.tom) for _ in range(2)), return_exceptions=True)
    assert [type(each) for each in done].count(Impossible) == 1, done
    assert (await form_of(customer)).state == RfiState.COMPLETE
    assert await Attachment.filter(kind=AttachmentKind.RFI_COPY).count() == 1
    assert await said('rfi.checked') == ['RFI form checked'] * 2


async def test_a_closed_customer_is_asked_nothing(customer, northwind):
    await Customer.filter(id=customer.id).update(listing=Listing.CLOSED)
    form = await form_of(customer)
    for attempt in (form.fill({'notes': 'x'}, by=northwind.ana), form.submit(declares=True, by=northwind.ana)):
        with pytest.raises(Impossible, match='closed'):
            await attempt


async def test_the_history_says_once_an_hour_that_somebody_fills_it_in(customer, northwind):
    form = await (await form_of(customer)).fill({'notes': 'a'}, by=northwind.ana)
    await form.fill({'notes': 'b'}, by=northwind.ana)
    assert len(await said('rfi.draft')) == 1
    then = (datetime.now(UTC) - timedelta(minutes=61)).isoformat()
    await Rfi.filter(id=form.id).update(edits={'notes': {'at': then, 'by': 'Ana'}})
    await form.fill({'notes': 'c'}, by=northwind.ana)
    assert len(await said('rfi.draft')) == 2
