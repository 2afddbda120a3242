from typing import Any

import pytest

from models import Customer, HistoryEvent, HistoryText, PortalRole, PortalUser, Prospect, ProspectState, events
from models.checking import ChangedMeanwhile, Impossible, Invalid
from models.dns_asking import Found
from models.prospect import MOVES
from models.rights import Refused

WHOLE: dict[str, Any] = {'name': 'Åkesson Fisk', 'domain': 'akesson.example', 'lead_email': 'eva@akesson.example'}


@pytest.fixture(autouse=True)
async def _opened(db):
    return db


@pytest.fixture
async def sam(northwind) -> PortalUser:
    """Sells, and sees some customers only."""
    return await PortalUser.create(
        partner=northwind.partner, name='Sam', email='sam@northwind.example', role=PortalRole.SALES, sees_all=False
    )


async def _told() -> list[tuple[str, str]]:
    found = await HistoryEvent.filter(customer_id__isnull=True, kind__startswith='prospect.').order_by('id')
    return [(event.kind, (await HistoryText.get(event_id=event.id)).summary) for event in found]


async def test_it_is_a_draft_until_an_order_has_what_it_needs(northwind):
    heard: list[int] = []
    undo = events.PROSPECTS_CHANGED.subscribe(heard.append)
    made = await Prospect.add(northwind.partner, by=northwind.ana, name='Åkesson Fisk')
    assert (made.state, made.missing) == (ProspectState.DRAFT, ['domain', 'lead_email'])
    assert (made.name_key, made.initial, made.created_by) == ('akesson fisk', 'a', 'Ana')
    with pytest.raises(Impossible, match='missing before it can be open: domain and e-mail'):
        await made.set_state('open', by=northwind.ana)
    await made.change({'domain': 'Akesson.Example', 'lead_email': 'eva@akesson.example'}, by=northwind.ana)
    assert made.state == ProspectState.OPEN
    assert 'akesson.example' in (await Prospect.get(id=made.id)).search_key
    await made.change({'domain': ''}, by=northwind.ana)
    assert made.state == ProspectState.DRAFT
    undo()
    assert heard == [northwind.partner.id] * 3
    assert await _told() == [
        ('prospect.created', 'Åkesson Fisk was added as a prospect'),
        (
            'prospect.updated',
            'Åkesson Fisk: Domain: nothing → akesson.example; E-mail of the implementation lead: nothing → '
            'eva@akesson.example; State: Draft → Open',
        ),
        ('prospect.updated', 'Åkesson Fisk: Domain: akesson.example → nothing; State: Open → Draft'),
    ]


async def test_everything_that_is_wrong_is_told_at_once(northwind):
    wrong: dict[str, Any] = {
        'name': ' ', 'domain': 'no domain', 'website': 'http://', 'phone': '123', 'seats': 'many', 'sector': 'piracy',
        'lead_email': 'nobody', 'remarks': 'x' * 5001, 'colour': 'blue',
    }  # fmt: skip
    with pytest.raises(Invalid) as refused:
        await Prospect.add(northwind.partner, by=northwind.ana, **wrong)
    assert set(refused.value.errors) == set(wrong)
    with pytest.raises(Invalid, match='is not in the catalogue'):
        await Prospect.add(northwind.partner, by=northwind.ana, name='A', products=['NONSENSE'])
    assert not await Prospect.exists()


async def test_facts_are_stored_as_they_should_be_written(northwind):
    made = await Prospect.add(
        northwind.partner, by=northwind.ana, name='  Bücher\tGmbH ', domain='BÜCHER.example',
        website='www.buecher.example', phone='+49 89 123456',
        seats=' 40 ', products=['SEC', 'DMARC', 'SEC'], remarks='one\r\ntwo\x00 ',
        company_type='private', address='A street 1\n\n80331 Munich',
    )  # fmt: skip
    stored = await Prospect.get(id=made.id)
    assert (stored.name, stored.domain, stored.website) == (
        'Bücher GmbH',
        'bücher.example',
        'https://www.buecher.example',
    )
    assert (stored.phone, stored.seats, stored.products) == ('+4989123456', 40, ['SEC', 'DMARC'])
    assert (stored.remarks, stored.company_type, stored.sector) == ('one\ntwo', 'private', '')


async def test_who_was_slower_is_told_the_field_and_nothing_is_stored(northwind):
    made = await Prospect.add(northwind.partner, by=northwind.ana, **WHOLE)
    slower = await Prospect.get(id=made.id)
    await made.change({'seats': 20}, by=northwind.ana, was={'seats': 0})
    with pytest.raises(ChangedMeanwhile) as told:
        await slower.change({'phone': '+441234567890', 'seats': 30}, by=northwind.ana, was={'seats': 0, 'phone': ''})
    assert (told.value.field, told.value.now) == ('seats', 20)
    assert (await Prospect.get(id=made.id)).phone == ''
    await slower.change({'seats': 20}, by=northwind.ana, was={'seats': 0})  # both wanted the same
    assert await made.set_state('lost', because='Too dear', by=northwind.ana, was='open')
    with pytest.raises(ChangedMeanwhile):
        await slower.set_state('lost', because='No answer', by=northwind.ana, was='open')


async def test_every_move_is_made_or_refused_as_the_table_says(northwind):
    customer = await Customer.add(northwind.partner, name='C', account_code='C1')

    async def at(state: ProspectState) -> Prospect:
        facts: dict[str, Any] = {'name': 'D'} if state == ProspectState.DRAFT else WHOLE
        made = await Prospect.add(northwind.partner, by=northwind.ana, **facts)
        if state == ProspectState.LOST:
            await made.set_state('lost', because='Why', by=northwind.ana)
        elif state == ProspectState.CONVERTED:  # as models/ordering.py does
            await Prospect.filter(id=made.id).update(state=state, customer_id=customer.id)
        return await Prospect.get(id=made.id)

    async def move(prospect: Prospect, wished: ProspectState) -> None:
        if wished == ProspectState.LOST:
            await prospect.set_state('lost', because='Why', by=northwind.ana)
        elif prospect.state in (ProspectState.LOST, ProspectState.CONVERTED):
            await Prospect.filter(id=prospect.id).update(domain='' if wished == ProspectState.DRAFT else 'a.example')
            await prospect.set_state('open', by=northwind.ana)
        else:
            facts = {'domain': '', 'lead_email': ''} if wished == ProspectState.DRAFT else WHOLE
            await prospect.change(facts, by=northwind.ana)

    for state in ProspectState:
        for wished in (ProspectState.DRAFT, ProspectState.OPEN, ProspectState.LOST):
            if wished == state:
                continue
            prospect = await at(state)
            assert prospect.state == state
            if wished in MOVES[state]:
                await move(prospect, wished)
                assert (await Prospect.get(id=prospect.id)).state == prospect.state == wished
            else:
                with pytest.raises(Impossible, match='is a customer now'):
                    await move(prospect, wished)
                assert (await Prospect.get(id=prospect.id)).state == state
            for nobodys in ('converted', 'draft'):
                with pytest.raises(Impossible, match='only lose a prospect'):
                    await prospect.set_state(nobodys, by=northwind.ana)
    with pytest.raises(Impossible, match='is a customer now'):
        await (await at(ProspectState.CONVERTED)).change({'seats': 2}, by=northwind.ana)


async def test_a_loss_has_a_reason_which_goes_when_it_is_opened_again(northwind):
    made = await Prospect.add(northwind.partner, by=northwind.ana, **WHOLE)
    with pytest.raises(Invalid, match='say why'):
        await made.set_state('lost', by=northwind.ana)
    await made.set_state('lost', because='Went to another', by=northwind.ana)
    with pytest.raises(Impossible, match='Open it again'):
        await made.change({'seats': 9}, by=northwind.ana)
    assert await made.set_state('lost', because='Again', by=northwind.ana) is False
    await made.set_state('open', by=northwind.ana)
    assert (made.state, made.lost_because) == (ProspectState.OPEN, '')
    assert [kind for kind, _ in await _told()] == ['prospect.created', 'prospect.lost', 'prospect.reopened']


async def test_who_may_not_or_is_of_another_msp_changes_nothing(northwind, fabrikam):
    made = await Prospect.add(northwind.partner, by=northwind.ana, **WHOLE)
    for by in (northwind.tom, fabrikam.eve):
        with pytest.raises(Refused):
            await Prospect.add(northwind.partner, by=by, name='X')
        with pytest.raises(Refused):
            await made.change({'name': 'X'}, by=by)
        with pytest.raises(Refused):
            await made.set_state('lost', because='X', by=by)
        with pytest.raises(Refused):
            await made.verified(Found(made.domain), by=by)


async def test_of_who_has_the_same_domain_only_those_are_named_that_one_sees(northwind, fabrikam, sam):
    await Customer.add(northwind.partner, name='Old friend', account_code='C1', domain='akesson.example')
    first = await Prospect.add(northwind.partner, by=northwind.ana, **WHOLE)
    mine = await Prospect.add(northwind.partner, by=sam, **{**WHOLE, 'name': 'Åkesson again'})
    named = [
        (each['kind'], each['name']) for each in await Prospect.alike('AKESSON.example', northwind.ana, but=first.id)
    ]
    assert named == [('prospect', 'Åkesson again'), ('customer', 'Old friend')]
    assert [each['id'] for each in await Prospect.alike('akesson.example', sam)] == [mine.id]
    assert await Prospect.alike('akesson.example', fabrikam.eve) == []
    assert await Prospect.alike('', northwind.ana) == []
    assert await Prospect.visible_to(sam).count() == 1
    assert await Prospect.pending(northwind.ana).count() == 2


FOUND = Found('akesson.example', ['akesson-example.mail.protection.outlook.com'], ['v=spf1 -all'])


async def test_what_dns_said_is_kept_until_the_domain_is_another(northwind):
    made = await Prospect.add(northwind.partner, by=northwind.ana, found=FOUND, **WHOLE)
    assert made.found == FOUND
    assert not await made.verified(Found('akesson.example', error='No answer.', exists=None), by=northwind.ana)
    assert not await made.verified(Found('other.example'), by=northwind.ana)
    assert (await Prospect.get(id=made.id)).found == FOUND
    gone = Found('akesson.example', error='There is no domain akesson.example.', exists=False)
    assert await made.verified(gone, by=northwind.ana)
    assert await made.verified(gone, by=northwind.ana)  # the same again is no news
    assert (await Prospect.get(id=made.id)).found == gone
    await made.change({'domain': 'fisk.example'}, by=northwind.ana)
    assert made.found is None
    assert [said for kind, said in await _told() if kind == 'prospect.verified'] == [
        'Åkesson Fisk: There is no domain akesson.example.'
    ]
