import asyncio

import pytest

from models import Contact, ContactKind, Customer, HistoryEvent, HistoryText, PortalRole, PortalUser, events
from models.checking import ChangedMeanwhile, Invalid
from models.rights import Refused

ADA = {'first_name': 'Ada', 'last_name': 'Byron', 'email': 'ada@a.example', 'phone': '+44 20 7946 0123', 'mobile': ''}
NOBODY = dict.fromkeys(Contact.FACTS, '')


async def _customer(partner) -> Customer:
    return await Customer.add(partner, name='A', account_code='A')


def _listen() -> list[tuple[int, dict]]:
    heard: list[tuple[int, dict]] = []
    events.CUSTOMER_TOUCHED.subscribe(lambda partner_id, parts: heard.append((partner_id, parts)))
    return heard


async def test_a_contact_is_added_changed_and_emptied_again(db, northwind):
    customer = await _customer(northwind.partner)
    heard = _listen()
    assert await Contact.change(customer, 'technical', ADA, was=NOBODY, by=northwind.ana) == set(ADA) - {'mobile'}
    assert (northwind.partner.id, {customer.id: frozenset({'contacts'})}) in heard
    assert await Contact.list_of(customer.id) == [{
        **ADA, 'phone': '+442079460123', 'kind': 'technical', 'title': 'Technical contact', 'name': 'Ada Byron',
        'phone_shown': '+44 20 7946 0123', 'mobile_shown': '',
    }]  # fmt: skip
    seen = {'last_name': 'Byron'}
    assert await Contact.change(
        customer, ContactKind.TECHNICAL, {'last_name': 'Lovelace'}, was=seen, by=northwind.ana
    ) == {'last_name'}
    assert await Contact.change(customer, 'technical', NOBODY, was=None, by=northwind.ana)
    assert await Contact.list_of(customer.id) == []
    assert not await Contact.exists()
    entries = await HistoryEvent.filter(kind='contact.changed').order_by('id')
    texts = [await HistoryText.get(event_id=entry.id) for entry in entries]
    assert texts[1].summary == 'Technical contact – Last name: Byron → Lovelace'
    assert texts[1].facts == {
        'contact': 'technical', 'before': {'last_name': 'Byron'}, 'after': {'last_name': 'Lovelace'},
    }  # fmt: skip
    assert 'First name: nothing → Ada' in texts[0].summary
    assert texts[2].facts['after'] == dict.fromkeys(set(ADA) - {'mobile'}, '')


async def test_contacts_are_listed_in_the_order_of_their_kinds(db, northwind):
    customer = await _customer(northwind.partner)
    for kind in reversed(ContactKind):
        await Contact.change(customer, kind, {'email': f'{kind.value}@a.example'}, was=None, by=northwind.ana)
    assert [row['kind'] for row in await Contact.list_of(customer.id)] == [kind.value for kind in ContactKind]


async def test_what_somebody_else_changed_meanwhile_is_told_and_kept(db, northwind):
    customer = await _customer(northwind.partner)
    await Contact.change(customer, 'main', ADA, was=NOBODY, by=northwind.ana)
    heard = _listen()
    with pytest.raises(ChangedMeanwhile) as told:
        await Contact.change(
            customer, 'main', {'first_name': 'Grace', 'mobile': '+447700900123'}, was=NOBODY, by=northwind.ana
        )
    assert (told.value.field, told.value.now) == ('first_name', 'Ada')
    assert (await Contact.get()).mobile == ''
    assert heard == []
    # Another field of the same contact is nobody's business, and the same wish needs no second storing.
    await Contact.change(customer, 'main', {**ADA, 'mobile': '+447700900123'}, was=NOBODY, by=northwind.ana)
    assert await Contact.change(customer, 'main', {'first_name': 'Ada'}, was=NOBODY, by=northwind.ana) == set()


async def test_of_two_who_add_the_same_contact_at_once_one_is_told(db, northwind):
    customer = await _customer(northwind.partner)

    async def add(name: str) -> bool:
        try:
            await Contact.change(customer, 'main', {'first_name': name}, was=NOBODY, by=northwind.ana)
        except ChangedMeanwhile:
            return False
        return True

    assert sum(await asyncio.gather(add('Ada'), add('Grace'), add('Edith'))) == 1
    assert await Contact.all().count() == 1


@pytest.mark.parametrize(
    ('kind', 'field', 'value'),
    [
        ('main', 'email', 'ada'), ('main', 'phone', '020 7946 0123'), ('main', 'first_name', 'x' * 81),
        ('main', 'salary', '1'), ('main', 'id', '7'), ('main', 'customer_id', '7'), ('best', 'kind', ''),
    ],
)  # fmt: skip
async def test_a_fact_that_cannot_be_is_refused_and_nothing_is_stored(db, northwind, kind, field, value):
    customer = await _customer(northwind.partner)
    facts = {'last_name': 'Byron'} if field == 'kind' else {'last_name': 'Byron', field: value}
    with pytest.raises(Invalid) as refused:
        await Contact.change(customer, kind, facts, was=None, by=northwind.ana)
    assert refused.value.field == field
    assert not await Contact.exists()


async def test_only_administrators_and_implementation_change_contacts(db, northwind):
    customer = await _customer(northwind.partner)
    for role in PortalRole:
        person = await PortalUser.create(
            partner=northwind.partner, name='U', email=f'{role.value}@northwind.example', role=role
        )
        facts = {'first_name': role.value}
        if role in (PortalRole.ADMINISTRATOR, PortalRole.IMPLEMENTATION):
            await Contact.change(customer, 'main', facts, was=None, by=person)
        else:
            with pytest.raises(Refused):
                await Contact.change(customer, 'main', facts, was=None, by=person)
    assert (await Contact.get()).first_name == 'implementation'
