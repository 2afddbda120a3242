import pytest

from models import Customer, CustomerTag, HistoryEvent, RfiState, Sight, events
from models.checking import ChangedMeanwhile, Invalid
from models.rights import Refused
from models.tag import LONGEST, MOST, tags


@pytest.fixture
async def birch(db, northwind) -> Customer:
    return await Customer.add(northwind.partner, name='Birch', account_code='B1', rfi=RfiState.NOT_APPLICABLE)


@pytest.mark.parametrize(
    ('typed', 'kept'),
    [
        ('', []),
        (' Gold ,  silver;GOLD\nÉté\tclub ', ['ete club', 'gold', 'silver']),
        (['b', 'A', ' ', 'a'], ['a', 'b']),
        (['x' * LONGEST], ['x' * LONGEST]),
    ],
)
def test_tags_are_folded_and_kept_once(typed, kept):
    assert tags('tags', typed) == kept


@pytest.mark.parametrize('typed', [None, 3, {}, [3], [None], ['x' * (LONGEST + 1)], [str(n) for n in range(MOST + 1)]])
def test_what_are_no_tags_is_refused(typed):
    with pytest.raises(Invalid) as refused:
        tags('tags', typed)
    assert refused.value.field == 'tags'


async def test_tags_are_changed_and_told(birch, northwind):
    await northwind.tom.change_sight(Sight(False, frozenset(), frozenset({'gold'})), by=northwind.ana)
    told: list[int] = []
    changed = []
    events.SIGHT_CHANGED.subscribe(told.append)
    events.CUSTOMERS_CHANGED.subscribe(changed.append)
    assert await CustomerTag.change(birch, 'Gold, old', by=northwind.ana)
    assert not await CustomerTag.change(birch, ['old', 'GOLD'], by=northwind.ana)
    assert await CustomerTag.of(birch.id) == ['gold', 'old']
    assert [customer.id for customer in await Customer.visible_to(northwind.tom)] == [birch.id]
    assert await CustomerTag.change(birch, ['gold'], by=northwind.ana)  # none that Tom goes by
    assert told == [northwind.tom.id]
    assert await CustomerTag.change(birch, [], by=northwind.ana)
    assert told == [northwind.tom.id] * 2
    assert not await Customer.visible_to(northwind.tom)
    assert [each.rows for each in changed] == [{birch.id: frozenset({'tags'})}] * 3
    written = await HistoryEvent.filter(kind='customer.changed', customer_id=birch.id).order_by('id')
    words = [text.summary for each in written if (text := await each.text())]
    assert words == ['Tags: nothing → gold, old', 'Tags: gold, old → gold', 'Tags: gold → nothing']


async def test_whoever_may_not_change_customers_tags_none(birch, northwind):
    with pytest.raises(Refused):
        await CustomerTag.change(birch, ['x'], by=northwind.tom)
    assert await CustomerTag.of(birch.id) == []


async def test_an_editor_who_saw_other_tags_is_told(birch, northwind):
    await CustomerTag.change(birch, ['gold'], by=northwind.ana)
    with pytest.raises(ChangedMeanwhile) as refused:
        await CustomerTag.change(birch, ['silver'], was=[], by=northwind.ana)
    assert refused.value.now == ['gold']
    assert await CustomerTag.change(birch, ['silver'], was=['gold'], by=northwind.ana)


async def test_tags_and_facts_are_stored_together_or_not_at_all(birch, northwind):
    with pytest.raises(Invalid):
        await CustomerTag.change_with_facts(birch, {'tags': 'gold', 'domain': 'no'}, was={}, by=northwind.ana)
    assert await CustomerTag.of(birch.id) == []
    changed = await CustomerTag.change_with_facts(birch, {'tags': 'gold', 'name': 'Beech'}, was={}, by=northwind.ana)
    assert changed == {'tags', 'name'}
    assert await CustomerTag.change_with_facts(birch, {'tags': 'gold'}, was={}, by=northwind.ana) == set()


async def test_the_tags_somebody_knows_are_those_of_customers_they_see(birch, northwind, fabrikam):
    await CustomerTag.change(birch, ['gold', 'b'], by=northwind.ana)
    assert await CustomerTag.known_to(northwind.ana) == ['b', 'gold']
    assert await CustomerTag.known_to(northwind.tom) == []
    assert await CustomerTag.known_to(fabrikam.eve) == []
