import pytest

from models import HistoryEvent, Partner, PortalRole, PortalUser, Session
from models.user import MAX_PASSWORD, demo_password

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


@pytest.mark.parametrize('bad', ['', 'short', 'x' * (MAX_PASSWORD + 1)])
async def test_a_weak_password_is_refused(sqlite_db, northwind, bad):
    with pytest.raises(PortalUser.WeakPassword):
        await _register(northwind.partner, password=bad)
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
    await northwind.ana.set_password(NEW, keep_session=here.id)
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
    with pytest.raises(ValueError, match='is light, dark or system'):
        await northwind.ana.choose_theme('pink')


def test_the_demo_password_follows_from_the_secret():
    assert demo_password('a') == demo_password('a') != demo_password('b')
    assert len(demo_password('a')) >= 12
