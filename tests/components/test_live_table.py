from collections.abc import Iterator
from copy import copy
from enum import IntEnum, StrEnum
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from tortoise import fields
from tortoise.backends.base.executor import EXECUTOR_CACHE
from tortoise.connection import get_connection

from components import live, live_table
from components.live_table import TABLES, Asked, LiveTable, column, described
from models import Customer, Health, Partner, PortalUser, RfiIcon, events
from models.events import Changed


async def _rows(table: LiveTable, user: PortalUser, **asked: str) -> list[dict[str, Any]]:
    table._shared.clear()
    return await table.page(user, Asked(table, asked), audience='test', number=0)


# -- a new field ------------------------------------------------------------------------------------------------------


@pytest.fixture
def nickname(sqlite_db) -> Iterator[None]:
    """Customer with one field more: what a line in models/customer.py and its migration would give."""
    meta = Customer._meta
    before = {
        name: copy(getattr(meta, name))
        for name in type(meta).__slots__
        if isinstance(getattr(meta, name, None), dict | set | tuple)
    }
    meta.add_field('nickname', fields.CharField(max_length=40, default='', db_default='', description='Also known as'))
    meta._generate_db_fields()
    EXECUTOR_CACHE.clear()
    yield
    for name, value in before.items():
        setattr(meta, name, value)
    EXECUTOR_CACHE.clear()


async def test_a_field_and_its_name_in_a_list_is_all_it_takes_to_see_sort_and_update_it_live(
    sqlite_db, nickname, northwind, add, until
):
    await get_connection('default').execute_script('ALTER TABLE customer ADD nickname VARCHAR(40) NOT NULL DEFAULT ""')
    acme, best, cars = [await add(northwind.partner, name) for name in ('Acme', 'Best', 'Cars')]
    for customer, name in ((acme, 'b'), (best, 'C'), (cars, 'a')):
        await Customer.filter(id=customer.id).update(nickname=name)

    table = LiveTable('nicknames', Customer, ['name', 'nickname'], Customer.visible_to)

    shown = table.columns[1].described()
    assert (shown['heading'], shown['kind'], shown['sortable']) == ('Also known as', 'text', True)
    rows = await _rows(table, northwind.ana)
    assert [(row['name'], row['nickname']) for row in rows] == [('Acme', 'b'), ('Best', 'C'), ('Cars', 'a')]
    rows = await _rows(table, northwind.ana, sort='nickname')
    assert [row['nickname'] for row in rows] == ['a', 'b', 'C']
    rows = await _rows(table, northwind.ana, sort='nickname', dir='desc')
    assert [row['nickname'] for row in rows] == ['C', 'b', 'a']

    hub, heard = live.Hub(), []

    async def send(message: Any) -> None:
        heard.append(orjson.loads(message['text']))

    hub.start()
    try:
        async with hub.joined(send, northwind.ana, session_id=1):
            await Customer.filter(id=acme.id).update(nickname='the first')
            events.CUSTOMERS_CHANGED.emit(Changed(northwind.partner.id, {acme.id: frozenset({'nickname'})}))
            (message,) = await until(lambda: [each for each in heard if each['t'] == 'd'])
            assert message['rows'] == {str(acme.id): {'nickname': 'the first'}}
    finally:
        hub.stop()


# -- columns from fields ----------------------------------------------------------------------------------------------


def test_heading_and_kind_come_from_the_field():
    kinds = {
        'name': ('Customer', 'text'), 'seats': ('Licences', 'number'), 'account_type': ('Account type', 'enum'),
        'connect_since': ('In this step since', 'date'), 'rfi': ('RFI', 'rfi'),
        'inbound_queue': ('Inbound email queue', 'health'), 'is_simulated': ('Is simulated', 'enum'),
        'partner__name': ('MSP', 'text'),
    }  # fmt: skip
    for name, expected in kinds.items():
        shown = described(Customer, name)
        assert (shown.heading, shown.kind) == expected, name


class Colour(StrEnum):
    RED = 'red'


class Rank(IntEnum):
    FIRST = 1


@pytest.mark.parametrize(
    ('field', 'kind'),
    [
        (fields.IntField(), 'number'),
        (fields.SmallIntField(), 'number'),
        (fields.BigIntField(), 'number'),
        (fields.FloatField(), 'number'),
        (fields.DecimalField(max_digits=9, decimal_places=2), 'number'),
        (fields.DatetimeField(), 'date'),
        (fields.DateField(), 'calendar'),
        (fields.BooleanField(), 'enum'),
        (fields.CharField(max_length=9), 'text'),
        (fields.TextField(), 'text'),
        (fields.CharEnumField(Colour), 'enum'),
        (fields.IntEnumField(Rank), 'number'),
        (fields.IntEnumField(Health), 'health'),
        (fields.IntEnumField(RfiIcon), 'rfi'),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_type_of_field_has_its_kind(field, kind):
    assert live_table._kind(field)[0] == kind


def test_states_are_told_with_their_titles_and_yes_and_no_in_words():
    assert described(Customer, 'inbound_queue').titles == {str(int(health)): health.title for health in Health}
    assert described(Customer, 'account_type').text({'account_type': 'nfr'}) == 'Not for resale'
    truth = described(Customer, 'is_simulated')
    assert [truth.text({'is_simulated': value}) for value in (True, 0)] == ['Yes', 'No']


@pytest.mark.parametrize('name', ['nothing', 'partner__nothing', 'is_active', ''])
def test_a_name_that_is_no_field_is_refused_when_the_table_is_made(name):
    with pytest.raises((ValueError, KeyError)):
        LiveTable('wrong', Customer, ['name', name], Customer.visible_to)
    assert 'wrong' not in TABLES


async def test_a_related_field_is_a_column_that_sorts_and_is_searched(db, northwind, fabrikam, add):
    await add(northwind.partner, 'Acme')
    await add(fabrikam.partner, 'Best')
    table = LiveTable('by-msp', Customer, ['name', 'partner__name'], lambda user: Customer.all())
    rows = await _rows(table, northwind.ana, sort='partner__name')
    assert [(row['name'], row['partner__name']) for row in rows] == [('Best', 'Fabrikam'), ('Acme', 'Northwind IT')]
    rows = await _rows(table, northwind.ana, sort='partner__name', dir='desc')
    assert [row['name'] for row in rows] == ['Acme', 'Best']


async def test_a_described_property_is_a_column_made_of_its_fields(db, northwind, add, monkeypatch):
    @column('Size', needs=('seats', 'name'), sort='seats')
    def size(customer: Any) -> str:
        return f'{customer.name} has {customer.seats}'

    monkeypatch.setattr(Customer, 'size', size, raising=False)
    small, large = await add(northwind.partner, 'Small', seats=9), await add(northwind.partner, 'Large', seats=10)
    table = LiveTable('sizes', Customer, ['name', 'size'], Customer.visible_to)
    told = table.columns[1].described()
    assert (told['name'], told['heading'], told['kind'], told['sortable']) == ('size', 'Size', 'text', True)
    rows = await _rows(table, northwind.ana, sort='size')
    assert [row['size'] for row in rows] == ['Small has 9', 'Large has 10']
    cells = await live_table.changed_cells({small.id: {'seats'}, large.id: {'domain'}})
    assert cells[small.id]['size'] == 'Small has 9'
    assert 'size' not in cells[large.id]


def test_a_property_without_a_description_is_no_column(monkeypatch):
    monkeypatch.setattr(Customer, 'plain', property(lambda self: 1), raising=False)
    with pytest.raises(ValueError, match='without @column'):
        described(Customer, 'plain')


async def test_a_table_of_another_model_needs_nothing_but_its_name(db, northwind, fabrikam):
    """No folded search text, no letters: it searches its own text columns."""
    table = LiveTable('msps', Partner, ['name', 'slug', 'two_factor', 'lists_unsent_rfi'], lambda user: Partner.all())
    assert [row['name'] for row in await _rows(table, northwind.ana)] == ['Fabrikam', 'Northwind IT']
    assert [row['name'] for row in await _rows(table, northwind.ana, q='FABRIKAM')] == ['Fabrikam']
    assert [row['name'] for row in await _rows(table, northwind.ana, q='th-wind')] == []
    by_slug = await _rows(table, northwind.ana, sort='slug', dir='desc')
    assert [row['name'] for row in by_slug] == ['Northwind IT', 'Fabrikam']
    assert await _rows(table, northwind.ana, q='%') == []
    assert await table.counts(northwind.ana, Asked(table, {'q': 'northwind-it'})) == {
        'shown': 1, 'all': 2, 'letters': None,
    }  # fmt: skip


async def test_a_reading_of_people_is_never_one_of_before_a_change(sqlite_db, northwind):
    """They have no numbers, as customers have, by which a shared reading would be known to be old."""
    table = LiveTable(
        'people', PortalUser, ['name', 'role'], lambda user: PortalUser.filter(partner_id=user.partner_id)
    )
    asked = Asked(table, {})
    before = {row['role'] for row in await table.page(northwind.ana, asked, audience='a', number=0)}
    await northwind.tom.change_role('finance', by=northwind.ana)
    after = {row['role'] for row in await table.page(northwind.ana, asked, audience='a', number=0)}
    assert (before, after) == ({'administrator', 'technician'}, {'administrator', 'finance'})


async def test_equal_rows_keep_one_order(db, northwind, add):
    for _ in range(5):
        await add(northwind.partner, 'Same')
    table = LiveTable('same', Customer, ['name', 'seats'], Customer.visible_to)
    first = [row['id'] for row in await _rows(table, northwind.ana, sort='seats')]
    assert first == [row['id'] for row in await _rows(table, northwind.ana, sort='seats')] == sorted(first)


async def test_viewers_of_one_audience_share_one_reading(sqlite_db, northwind, add, monkeypatch):
    await add(northwind.partner, 'Acme')
    table = LiveTable('shared', Customer, ['name'], Customer.visible_to)
    reads = []
    read = table._read

    async def counted(*args: Any) -> Any:
        reads.append(args)
        return await read(*args)

    monkeypatch.setattr(table, '_read', counted)
    asked = Asked(table, {})
    one = await table.page(northwind.ana, asked, audience='a', number=1)
    two = await table.page(northwind.ana, asked, audience='a', number=1)
    assert (one, len(reads)) == (two, 1)
    one[0]['name'] = 'changed by who asked first'
    assert (await table.page(northwind.ana, asked, audience='a', number=1))[0]['name'] == 'Acme'
    await table.page(northwind.ana, asked, audience='a', number=2)
    await table.page(northwind.ana, asked, audience='b', number=1)
    assert len(reads) == 3


async def test_a_reading_that_failed_is_not_shared(sqlite_db, northwind, monkeypatch):
    table = LiveTable('failing', Customer, ['name'], Customer.visible_to)
    read, failures = table._read, []

    async def fails_once(*args: Any) -> Any:
        if not failures:
            failures.append(args)
            raise OSError('locked')
        return await read(*args)

    monkeypatch.setattr(table, '_read', fails_once)
    with pytest.raises(OSError, match='locked'):
        await table.page(northwind.ana, Asked(table, {}), audience='a', number=1)
    assert await table.page(northwind.ana, Asked(table, {}), audience='a', number=1) == []


def test_the_first_rows_are_asked_for_without_leaving_the_script():
    table = LiveTable('early', Customer, ['name'], Customer.visible_to)
    hostile = urlencode({'q': '</script><script>alert(1)</script>'})
    script = live_table.early(table, PortalUser(preferences={}), f'/customers/early?{hostile}')
    assert script.count('</script') == 1
    assert script.count('<script') == 1


def test_a_partner_is_named_by_its_own_description():
    assert described(Partner, 'lists_unsent_rfi').heading == 'List before the RFI is back'
