import pytest

from models import ConsoleRole, Customer, DelegatedAccess, HistoryEvent, Partner, PortalUser


async def test_setting_up_an_msp_makes_its_generic_account(db):
    partner = await Partner.set_up('Contoso Ünited', domain='contoso.example')
    assert partner.slug == 'contoso-united'
    generic = await PortalUser.get(partner_id=partner.id)
    assert generic.email == 'msp_client@contoso.example'
    assert not generic.is_active
    assert await HistoryEvent.filter(partner_id=partner.id, kind='partner.created').exists()


async def test_the_generic_account_is_partner_administrator_everywhere_now_and_later(db):
    partner = await Partner.set_up('Contoso', domain='contoso.example')
    generic = await PortalUser.get(partner_id=partner.id)
    later = await Customer.add(partner, name='Later', account_code='L1')
    roles = await DelegatedAccess.roles_of(generic, [later.id])
    assert roles == {later.id: ConsoleRole.PARTNER_ADMINISTRATOR}


async def test_two_msps_of_one_name_cannot_be(db):
    await Partner.set_up('Contoso', domain='contoso.example')
    with pytest.raises(Partner.Taken):
        await Partner.set_up('CONTOSO', domain='other.example')
    assert await Partner.all().count() == 1
    assert await PortalUser.all().count() == 1


async def test_a_second_msp_at_the_same_domain_is_refused_and_leaves_nothing(db):
    await Partner.set_up('Contoso', domain='contoso.example')
    with pytest.raises(Partner.Taken):
        await Partner.set_up('Another', domain='Contoso.Example')
    assert await Partner.all().count() == 1


async def test_a_name_without_letters_still_has_a_short_name(db):
    assert (await Partner.set_up('***', domain='stars.example')).slug == 'msp'
