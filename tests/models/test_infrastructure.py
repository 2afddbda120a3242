import pytest

from models import Customer, HistoryEvent, HistoryText, Infrastructure, PortalRole, PortalUser, events
from models.checking import ChangedMeanwhile, Invalid
from models.rights import Refused


async def _customer(partner, **more) -> Customer:
    customer = await Customer.add(partner, name='A', account_code='A')
    if more:
        customer.update_from_dict(more)
        await customer.save()
    return customer


async def test_of_a_customer_without_a_row_nothing_is_known(db, northwind):
    customer = await _customer(northwind.partner)
    assert await Infrastructure.of(customer.id) == {
        'domains': [], 'mail_platform': '', 'mail_platform_title': 'Not known yet', 'mail_server': '',
        'server_os': '', 'directory': '', 'directory_title': 'Not known yet', 'outbound_ips': [], 'inbound_ips': [],
    }  # fmt: skip


async def test_a_change_is_stored_written_down_in_words_and_told(db, northwind):
    customer = await _customer(northwind.partner)
    heard: list[tuple[int, dict]] = []
    events.CUSTOMER_TOUCHED.subscribe(lambda partner_id, parts: heard.append((partner_id, parts)))
    seen = await Infrastructure.of(customer.id)
    facts = {'mail_platform': 'on_premises', 'outbound_ips': '9.9.9.9 8.8.8.0/24', 'domains': ['Bücher.example']}
    assert await Infrastructure.change(customer, facts, was=seen, by=northwind.tom) == set(facts)
    assert (northwind.partner.id, {customer.id: frozenset({'infrastructure'})}) in heard
    seen = await Infrastructure.of(customer.id)
    assert (seen['domains'], seen['outbound_ips']) == (['bücher.example'], ['9.9.9.9', '8.8.8.0/24'])
    facts = {'mail_platform': 'microsoft_365', 'outbound_ips': []}
    await Infrastructure.change(customer, facts, was=seen, by=northwind.tom)
    entry = await HistoryEvent.filter(kind='infrastructure.changed').order_by('-id').first()
    assert entry is not None
    text = await HistoryText.get(event_id=entry.id)
    assert text.summary == (
        'Mail platform: On-premises → Microsoft 365; Outbound IP addresses: 9.9.9.9, 8.8.8.0/24 → nothing'
    )
    assert text.facts == {
        'before': {'mail_platform': 'on_premises', 'outbound_ips': ['9.9.9.9', '8.8.8.0/24']},
        'after': {'mail_platform': 'microsoft_365', 'outbound_ips': []},
    }  # fmt: skip
    assert await Infrastructure.change(customer, facts, was=seen, by=northwind.tom) == set()


async def test_what_somebody_else_changed_meanwhile_is_told_and_kept(db, northwind):
    customer = await _customer(northwind.partner)
    seen = await Infrastructure.of(customer.id)
    await Infrastructure.change(customer, {'outbound_ips': ['9.9.9.9']}, was=seen, by=northwind.ana)
    with pytest.raises(ChangedMeanwhile) as told:
        await Infrastructure.change(
            customer, {'server_os': 'Debian 13', 'outbound_ips': ['8.8.8.8']}, was=seen, by=northwind.ana
        )
    assert (told.value.field, told.value.now) == ('outbound_ips', ['9.9.9.9'])
    assert (await Infrastructure.of(customer.id))['server_os'] == ''
    await Infrastructure.change(customer, {'server_os': 'Debian 13'}, was=seen, by=northwind.ana)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('outbound_ips', ['192.168.1.1']), ('inbound_ips', 'mail.a.example'), ('domains', 'a@b.example'),
        ('mail_platform', 'abacus'), ('directory', 'card_index'), ('mail_server', 'x' * 121), ('password', 'x'),
        ('outbound_ips', '192.0.2.1'), ('domains', 7),
    ],
)  # fmt: skip
async def test_a_fact_that_cannot_be_is_refused_and_nothing_is_stored(db, northwind, field, value):
    customer = await _customer(northwind.partner)
    with pytest.raises(Invalid) as refused:
        await Infrastructure.change(customer, {'server_os': 'Debian 13', field: value}, was=None, by=northwind.ana)
    assert refused.value.field == field
    assert not await Infrastructure.exists()


async def test_a_simulated_customer_may_have_the_addresses_that_are_nobodys(db, northwind):
    customer = await Customer.add(northwind.partner, name='B', account_code='B')
    customer.is_simulated = True
    await Infrastructure.change(customer, {'outbound_ips': '192.0.2.1'}, was=None, by=northwind.ana)
    assert (await Infrastructure.of(customer.id))['outbound_ips'] == ['192.0.2.1']


async def test_technicians_change_infrastructure_and_sales_do_not(db, northwind):
    customer = await _customer(northwind.partner)
    allowed = {PortalRole.ADMINISTRATOR, PortalRole.IMPLEMENTATION, PortalRole.TECHNICIAN}
    for role in PortalRole:
        person = await PortalUser.create(
            partner=northwind.partner, name='U', email=f'{role.value}@northwind.example', role=role
        )
        facts = {'mail_server': role.value}
        if role in allowed:
            await Infrastructure.change(customer, facts, was=None, by=person)
        else:
            with pytest.raises(Refused):
                await Infrastructure.change(customer, facts, was=None, by=person)
    assert (await Infrastructure.get()).mail_server == 'technician'
