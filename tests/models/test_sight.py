import pytest

from models import Customer, CustomerTag, HistoryEvent, PortalRole, PortalUser, RfiState, Sight, events
from models.checking import Impossible, Invalid
from models.sight import MOST, in_words, said, standing_of, standings


async def _customers(partner, *names):
    return [
        await Customer.add(partner, name=name, account_code=f'{name[:3]}{partner.id}', rfi=RfiState.NOT_APPLICABLE)
        for name in names
    ]  # fmt: skip


async def _seen(user) -> set[str]:
    fresh = await PortalUser.get(id=user.id)
    return {customer.name for customer in await Customer.visible_to(fresh)}


async def test_somebody_sees_all_all_but_some_or_what_is_named_or_tagged(db, northwind):
    birch, cedar, plum = await _customers(northwind.partner, 'Birch', 'Cedar', 'Plum')
    await CustomerTag.change(plum, ['Gold'], by=northwind.ana)
    tom, by = northwind.tom, northwind.ana
    told: list[int] = []
    events.SIGHT_CHANGED.subscribe(told.append)
    for sight, names in (
        (Sight(False), set()),
        (Sight(), {'Birch', 'Cedar', 'Plum'}),
        (Sight(True, frozenset({cedar.id})), {'Birch', 'Plum'}),
        (Sight(False, frozenset({cedar.id})), {'Cedar'}),
        (Sight(False, frozenset(), frozenset({'gold'})), {'Plum'}),
        (Sight(False, frozenset({birch.id}), frozenset({'gold'})), {'Birch', 'Plum'}),
    ):
        await tom.change_sight(sight, by=by)
        assert await _seen(tom) == names, sight
        assert await Sight.of(await PortalUser.get(id=tom.id)) == sight
    assert told == [tom.id] * 5  # the first was what he had
    assert not await tom.change_sight(Sight(False, frozenset({birch.id}), frozenset({'gold'})), by=by)
    words = [
        (await each.text()).summary for each in await HistoryEvent.filter(kind='user.sight_changed').order_by('id')
    ]  # type: ignore[union-attr]
    assert words[-1] == 'tom@northwind.example sees 1 customer and what is tagged gold; before: what is tagged gold'


async def test_a_customer_of_another_msp_is_none(db, northwind, fabrikam):
    (theirs,) = await _customers(fabrikam.partner, 'Theirs')
    for everything in (True, False):
        with pytest.raises(Invalid, match='a customer that there is not'):
            await northwind.tom.change_sight(Sight(everything, frozenset({theirs.id})), by=northwind.ana)
    with pytest.raises(Invalid, match='more than'):
        await northwind.tom.change_sight(Sight(False, frozenset(range(MOST + 1))), by=northwind.ana)


async def test_nobody_gives_a_wider_sight_than_their_own(db, northwind):
    birch, cedar, plum = await _customers(northwind.partner, 'Birch', 'Cedar', 'Plum')
    await CustomerTag.change(plum, ['gold'], by=northwind.ana)
    bob = await PortalUser.register(
        northwind.partner, name='Bob', email='bob@northwind.example', password='four words are plenty',
        role=PortalRole.ADMINISTRATOR,
    )  # fmt: skip
    await bob.change_sight(Sight(False, frozenset({birch.id})), by=northwind.ana)
    bob = await PortalUser.get(id=bob.id)
    for who in (northwind.tom, bob):  # one's own neither
        for sight, refusal in (
            (Sight(), Impossible),
            (Sight(True, frozenset({birch.id})), Impossible),
            (Sight(False, frozenset(), frozenset({'gold'})), Impossible),
            (Sight(False, frozenset({cedar.id})), Invalid),
        ):
            with pytest.raises(refusal):
                await who.change_sight(sight, by=bob)
    with pytest.raises(Impossible):
        await PortalUser.invite(
            northwind.partner, name='B', email='b2@northwind.example', role='administrator', sight=Sight(), by=bob
        )
    # Nor does anybody get in as somebody who sees more.
    ana, eve = northwind.ana, {'name': 'Eve', 'email': 'eve@northwind.example'}
    for gets_in in (ana.send_link(by=bob), ana.correct(**eve, by=bob)):
        with pytest.raises(Impossible, match='sees customers that you do not'):
            await gets_in
    assert await ana.correct(name='Ana B', email=ana.email, by=bob)
    assert (await northwind.tom.send_link(by=bob)).address
    # What Tom had and Bob cannot see stays.
    await northwind.tom.change_sight(Sight(False, frozenset({cedar.id}), frozenset({'gold'})), by=northwind.ana)
    await northwind.tom.change_sight(Sight(False, frozenset({birch.id}), frozenset({'gold'})), by=bob)
    assert await _seen(northwind.tom) == {'Birch', 'Cedar', 'Plum'}
    await northwind.tom.change_sight(Sight(False), by=bob)
    assert await _seen(northwind.tom) == {'Cedar'}


async def test_the_standing_of_somebody_changes_with_role_and_sight_and_with_nothing_else(db, northwind):
    birch, cedar = await _customers(northwind.partner, 'Birch', 'Cedar')
    tom, by = northwind.tom, northwind.ana
    seen = [await standing_of(tom)]
    for change in (
        lambda: tom.change_role('sales', by=by),
        lambda: tom.change_sight(Sight(False, frozenset({birch.id})), by=by),
        lambda: tom.change_sight(Sight(False, frozenset({cedar.id})), by=by),
        lambda: tom.change_sight(Sight(False, frozenset(), frozenset({'a'})), by=by),
        lambda: tom.change_sight(Sight(False, frozenset(), frozenset({'b'})), by=by),
        lambda: tom.change_sight(Sight(), by=by),
        lambda: tom.change_sight(Sight(True, frozenset({birch.id})), by=by),
    ):
        await change()
        fresh = await PortalUser.get(id=tom.id)
        seen.append(await standing_of(fresh))
        assert (await standings([tom.id, by.id]))[tom.id] == seen[-1]
    assert len(set(seen)) == len(seen)
    await fresh.choose_theme('dark')
    await fresh.prefer('columns', [])
    assert (await standings([tom.id]))[tom.id] == seen[-1]
    assert await standings([]) == {}


async def test_what_people_see_is_said_in_words(db, northwind):
    birch, cedar = await _customers(northwind.partner, 'Birch', 'Cedar')
    await northwind.tom.change_sight(
        Sight(False, frozenset({birch.id, cedar.id}), frozenset({'b', 'a'})), by=northwind.ana
    )
    ids = [(northwind.ana.id, True), (northwind.tom.id, False)]
    assert await said(ids) == {
        northwind.ana.id: 'All customers', northwind.tom.id: '2 customers and what is tagged a, b'
    }  # fmt: skip
    assert in_words(True, 1, []) == 'All but 1 customer'
    assert in_words(False, 0, []) == 'No customers'
    assert in_words(False, 0, ['gold']) == 'What is tagged gold'
    assert await said([]) == {}
