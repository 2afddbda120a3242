"""The page of the catalogue and the prices; tests/models/test_catalogue.py has the rules."""

from models import HistoryEvent, PortalRole, PortalUser, Product

ADDRESS = '/api/ui/prices'


async def _row(browser, code: str) -> dict:
    return next(row for row in (await browser.get(ADDRESS)).json()['rows'] if row['code'] == code)


async def test_prices_are_set_and_products_are_added_and_taken_out_of_sale(portal):
    ana = await portal.signed_in(portal.northwind.ana)
    changed = await ana.post(
        f'{ADDRESS}/change', json={'code': 'SEC+ARC', 'facts': {'price': '4.20'}, 'was': {'price': ''}}
    )
    assert changed.json()['changed'] == ['price']
    assert (await _row(ana, 'SEC+ARC'))['price'] == '4.20'
    late = await ana.post(f'{ADDRESS}/change', json={'code': 'SEC+ARC', 'facts': {'price': '4'}, 'was': {'price': ''}})
    assert (late.status_code, late.json()['field'], late.json()['now']) == (409, 'price', '4.20')
    added = await ana.post(ADDRESS, json={'facts': {'code': 'BAK', 'name': 'Backup <i>', 'price': '1'}})
    assert added.json()['code'] == 'BAK'
    await ana.post(f'{ADDRESS}/change', json={'code': 'BAK', 'facts': {'is_active': False}, 'was': {'is_active': True}})
    row = await _row(ana, 'BAK')
    assert (row['is_active'], row['is_sample'], row['price']) == (False, False, '1.00')
    wrong = await ana.post(ADDRESS, json={'facts': {'code': 'bak', 'name': '', 'price': '1,5'}})
    assert wrong.status_code == 422
    assert set(wrong.json()['errors']) == {'code', 'name', 'price'}
    assert (await ana.post(f'{ADDRESS}/change', json={'code': 'NO', 'facts': {}})).status_code == 404
    audited = await HistoryEvent.filter(chain=f'p:{portal.northwind.partner.id}', kind__startswith='price.').count()
    assert audited == 3
    eve = await portal.signed_in(portal.fabrikam.eve)
    assert 'BAK' not in {row['code'] for row in (await eve.get(ADDRESS)).json()['rows']}
    assert (await eve.post(f'{ADDRESS}/change', json={'code': 'BAK', 'facts': {}})).status_code == 404
    assert await Product.filter(code='BAK').count() == 1


async def test_the_page_is_for_those_who_see_prices(portal):
    for role, status, may_change in (
        (PortalRole.ADMINISTRATOR, 200, True), (PortalRole.FINANCE, 200, True), (PortalRole.SALES, 200, False),
        (PortalRole.IMPLEMENTATION, 404, None),
    ):  # fmt: skip
        user = await PortalUser.create(
            partner=portal.northwind.partner, name=role.title, email=f'{role}@northwind.example', role=role
        )
        await portal.sign_in(user)
        assert (await portal.http.get('/settings/prices')).status_code == status
        if may_change is not None:
            await portal.user.open('/settings/prices')
            await portal.should_see('Email Security')
            assert portal.config()['may_change'] is may_change
