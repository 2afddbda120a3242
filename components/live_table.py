"""A queryset in, a live table out: columns, sorting and search are taken from the Tortoise model.

    LiveTable('in-progress', Customer, ['name', 'seats', 'rfi'], lambda user: Customer.listed(user, ...))

A column is the name of a field (`seats`), a related field (`partner__name`) or a property with `@column`. Heading,
kind, alignment and order come from the field. What differs from viewer to viewer (their role, say) is a `ViewerColumn`:
it is filled in when the rows are asked for and never pushed. The browser's side is assets/table.js.
"""

import asyncio
import html
import json
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit

from tortoise import Model, fields
from tortoise.expressions import Function, Q
from tortoise.functions import Count, Lower
from tortoise.queryset import QuerySet

from components import theme
from components.island import Island
from models import Customer, Health, PortalUser, RfiIcon
from models.database import reader, rows
from models.rights import may
from models.text import fold

BLOCK = 100  # rows the browser asks for at once
MAX_BLOCK = 500
MAX_SEARCH = 200
LETTERS = 'abcdefghijklmnopqrstuvwxyz#'


def column(heading: str, *, needs: Sequence[str], sort: str = '', kind: str = 'text') -> Callable[[Callable], property]:
    """Describe a model property as a column: the fields it is made of, and the field it sorts by."""

    def describe(getter: Callable) -> property:
        getter.column = Column('', heading, kind, tuple(needs), sort)  # type: ignore[attr-defined]
        return property(getter)

    return describe


@dataclass(frozen=True)
class Column:
    """One column as the browser is told of it; `needs` are the fields that it is made of, `sort` what it goes by."""

    name: str
    heading: str
    kind: str
    needs: tuple[str, ...]
    sort: str | Function | None
    titles: dict[str, str] | None = None
    getter: Callable[[Any], Any] | None = None

    def cell(self, row: dict[str, Any]) -> Any:
        return self.getter(SimpleNamespace(**row)) if self.getter else row[self.name]

    def text(self, row: dict[str, Any]) -> Any:
        """The cell as an export writes it."""
        value = row[self.name]
        if self.titles is not None:
            return self.titles.get(str(value), value)
        if self.kind in ('date', 'day', 'calendar') and value is not None:
            # To the minute, in UTC, as spreadsheets read it.
            return str(value)[:16].replace('T', ' ')
        return value

    def described(self) -> dict[str, Any]:
        return {
            'name': self.name, 'heading': self.heading, 'kind': self.kind, 'titles': self.titles,
            'sortable': self.sort is not None, 'number': self.kind == 'number', 'needs': self.needs,
        }  # fmt: skip


class ViewerColumn(Protocol):
    """A column that differs from viewer to viewer."""

    name: str
    heading: str
    kind: str

    def order(self, user: PortalUser) -> Any | None:
        """What the column sorts by, or None."""

    async def fill(self, user: PortalUser, found: list[dict[str, Any]]) -> None:
        """Add `name` to each row."""

    def text(self, row: dict[str, Any]) -> Any:
        """The cell as an export writes it."""


class Choice(NamedTuple):
    """What narrows a list beside its search: by value a title and a condition, or what gives one that changes with
    time; '' is what it opens with."""

    heading: str
    options: dict[str, tuple[str, Q | Callable[[], Q]]]

    def condition(self, value: str) -> Q:
        found = self.options[value][1]
        return found if isinstance(found, Q) else found()


def _kind(field: fields.Field) -> tuple[str, dict[str, str] | None]:
    enum: type[Enum] | None = getattr(field, 'enum_type', None)
    if enum is not None:
        titles = {str(member.value): getattr(member, 'title', str(member.value)) for member in enum}
        if enum is Health:
            return 'health', titles
        if enum is RfiIcon:
            return 'rfi', titles
        return ('number' if issubclass(enum, IntEnum) and not hasattr(enum, 'title') else 'enum'), titles
    if isinstance(field, fields.BooleanField):
        return 'enum', {'True': 'Yes', 'False': 'No', '1': 'Yes', '0': 'No', 'true': 'Yes', 'false': 'No'}
    if isinstance(field, fields.DateField):  # a day of its own, the same wherever somebody is
        return 'calendar', None
    if isinstance(field, fields.DatetimeField):
        return 'date', None
    if isinstance(field, fields.IntField | fields.SmallIntField | fields.BigIntField | fields.FloatField):
        return 'number', None
    return ('number', None) if isinstance(field, fields.DecimalField) else ('text', None)


def described(model: type[Model], name: str) -> Column:
    """The column of this field, related field or property; raises ValueError where there is none such."""
    getter = getattr(getattr(model, name, None), 'fget', None)
    if getter is not None:
        about = getattr(getter, 'column', None)
        if about is None:
            raise ValueError(f'{model.__name__}.{name} is a property without @column')
        return Column(name, about.heading, about.kind, about.needs, about.sort or None, getter=getter)
    owner, path = model, name.split('__')
    for step in path[:-1]:
        owner = owner._meta.fields_map[step].related_model  # type: ignore[attr-defined]
    field = owner._meta.fields_map.get(path[-1])
    if field is None:
        raise ValueError(f'{model.__name__} has no field {name}')
    kind, titles = _kind(field)
    by = getattr(owner, 'SORTED_BY', {}).get(path[-1])
    sort: Any = '__'.join([*path[:-1], by]) if by else name
    if by is None and kind == 'text':
        sort = Lower(name)
    heading = field.description or path[-1].replace('_', ' ').capitalize()
    return Column(name, heading, kind, (name,), sort, titles)


class Asked:
    """What a browser asked of a table, checked; raises ValueError with a sentence that names what is wrong."""

    def __init__(self, table: 'LiveTable', asked: dict[str, str]) -> None:
        self.search = ' '.join(asked.get('q', '').replace('\x00', '').split())[:MAX_SEARCH]
        self.letter = asked.get('letter', '').lower()
        if self.letter and (len(self.letter) != 1 or self.letter not in LETTERS):
            raise ValueError('There is no such letter: a to z, or #.')
        self.sort = asked.get('sort', '') or table.columns[0].name
        if table.order(self.sort) is None:
            raise ValueError('The table has no such column to sort by.')
        self.only = asked.get('only', '')
        if self.only and (table.choice is None or self.only not in table.choice.options):
            raise ValueError('The list cannot be narrowed to that.')
        if asked.get('dir', '') not in ('', 'asc', 'desc'):
            raise ValueError('The direction is asc or desc.')
        self.descending = asked.get('dir') == 'desc'
        try:
            self.start, self.end = int(asked.get('start') or 0), int(asked.get('end') or BLOCK)
        except ValueError:
            raise ValueError('start and end are whole numbers.') from None
        if not 0 <= self.start < self.end <= self.start + MAX_BLOCK or self.start > 10_000_000:
            raise ValueError(f'start and end name up to {MAX_BLOCK} rows.')

    @classmethod
    def forgiving(cls, table: 'LiveTable', asked: dict[str, str]) -> dict[str, str]:
        """What of an address a page can show: wrong parts are left out."""
        kept: dict[str, str] = {}
        for names in (('q',), ('letter',), ('only',), ('sort', 'dir')):
            part = {name: asked[name] for name in names if asked.get(name)}
            try:
                checked = cls(table, part)
                kept |= part | ({'letter': checked.letter} if checked.letter else {})
            except ValueError:
                continue
        return kept

    @property
    def key(self) -> tuple:
        return self.search, self.letter, self.only, self.sort, self.descending, self.start, self.end


class LiveTable:
    def __init__(
        self, key: str, model: type[Model], columns: Sequence[str | ViewerColumn],
        queryset: Callable[[PortalUser], QuerySet], *, noun: str = 'customers', links: dict[str, str] | None = None,
        hidden: Sequence[str] = (), note: 'Callable[[PortalUser], Awaitable[Any]] | None' = None,
        narrow: Sequence[str] = (), yields: Sequence[str] = (), carries: Sequence[str] = (),
        spelled: dict[str, dict[str, str]] | None = None,
        beginning: dict[str, str] | None = None, tools: Sequence[dict[str, Any]] = (),
        told_to: 'Callable[[PortalUser], dict[str, Any]] | None' = None, right: str = '',
        searched: str = 'name, account code or domain', exported: Sequence[ViewerColumn] = (),
        choice: 'Choice | None' = None, told_by: str = 'users',
        flags: dict[str, dict[str, str]] | None = None,
    ) -> None:  # fmt: skip
        """A table with these columns over what `queryset` gives for a user.

        `links` maps a column to an address with {fields} in it; a browser fills them in from the row. `hidden` are off
        until somebody turns them on, `narrow` the ones beside the name on a phone, `yields` those that go, one after
        the other, before a text is cut short; `carries` fields that viewer columns need and take away again. `note`
        gives a sentence with a link for above the list, or nothing. `spelled` says what the codes in a column stand
        for, `beginning` (`text` and `href`) where somebody who has no rows yet learns how to get some. `tools` are
        links (`text`, `href`, `right`, `icon`; `main` the one that stands out) beside the list for those with the
        right; an empty list offers them as well. `told_to` gives what of all this is another thing for this person.
        `right` is needed for the table itself; `searched` says in what the search looks. `exported` are columns that
        only a file of the list has. `choice` narrows the list beside its search. `told_by` is which news of the MSP
        (`what` of live.py's `p`) makes a list that is not one of customers ask again. `flags` names for a column a
        field that, where it is true, puts a word beside the text (`by`, `word`, and `tip` about it).
        """
        self.key, self.model, self.queryset, self.noun = key, model, queryset, noun
        self.columns: list[Column | ViewerColumn] = [
            described(model, name) if isinstance(name, str) else name for name in columns
        ]
        self.links = links or {}
        self.hidden, self.note, self.narrow, self.yields = tuple(hidden), note, tuple(narrow), tuple(yields)
        self.spelled, self.beginning, self.tools = spelled or {}, beginning, tuple(tools)
        self.told_to, self.right, self.searched = told_to, right, searched
        self.choice, self.told_by, self.flags = choice, told_by, flags or {}
        self.exported: list[Column | ViewerColumn] = [*self.columns, *exported]
        shown = [c for c in self.columns if isinstance(c, Column)]
        linked = [part.split('}')[0] for link in self.links.values() for part in link.split('{')[1:]]
        linked += [flag['by'] for flag in self.flags.values()]
        self.fields = tuple(dict.fromkeys(['id', *(need for c in shown for need in c.needs), *linked, *carries]))
        self.pushed, self.linked = tuple(shown), frozenset(linked)
        self._shared: OrderedDict[tuple, asyncio.Future[list[dict]]] = OrderedDict()
        TABLES[key] = self

    # -- questions ----------------------------------------------------------------------------------------------------

    def order(self, name: str) -> Column | ViewerColumn | None:
        found = next((c for c in self.columns if c.name == name), None)
        return found if found is not None and (not isinstance(found, Column) or found.sort is not None) else None

    def chosen(self, user: PortalUser, asked: Asked) -> QuerySet:
        found = self.queryset(user)
        return found.filter(self.choice.condition(asked.only)) if self.choice else found

    def narrowed(self, user: PortalUser, asked: Asked) -> QuerySet:
        found = self.chosen(user, asked)
        if asked.letter and (filed := getattr(self.model, 'FILED_UNDER', None)):
            found = found.filter(**{filed: asked.letter})
        return self._searched(found, asked.search)

    def _searched(self, found: QuerySet, search: str) -> QuerySet:
        if not search:
            return found
        if search_in := getattr(self.model, 'search_in', None):
            return search_in(found, search)
        if searched := getattr(self.model, 'SEARCHED_IN', None):
            return found.filter(**{f'{searched}__contains': fold(search)})
        texts = [c.name for c in self.pushed if c.kind == 'text' and c.getter is None]
        return found.filter(Q(*(Q(**{f'{name}__icontains': search}) for name in texts), join_type='OR'))

    def sorted(self, user: PortalUser, asked: Asked) -> QuerySet:
        found, minus = self.narrowed(user, asked), '-' if asked.descending else ''
        chosen = self.order(asked.sort)
        assert chosen is not None  # Asked has seen to it
        sort: Any = chosen.sort if isinstance(chosen, Column) else chosen.order(user)
        first = getattr(self.columns[0], 'sort', None)
        ties = [first] if isinstance(first, str) and first != sort else []
        if isinstance(sort, str):
            return found.order_by(f'{minus}{sort}', *ties, 'id')
        return found.annotate(sorted_by=sort).order_by(f'{minus}sorted_by', *ties, 'id')

    async def page(self, user: PortalUser, asked: Asked, *, audience: str, number: int) -> list[dict[str, Any]]:
        """The rows asked for. Viewers of one audience who ask the same at the same moment share one reading."""
        chosen = self.order(asked.sort)
        # What is no customer has no numbers: nobody could tell a reading of before a change.
        if not isinstance(chosen, Column) or self.model is not Customer:
            found = await self._read(user, asked)
        else:
            key = (audience, number, *asked.key)
            reading = self._shared.get(key)
            if reading is None or (reading.done() and (reading.cancelled() or reading.exception())):
                reading = asyncio.ensure_future(self._read(user, asked))
                self._shared[key] = reading
                asyncio.get_running_loop().call_later(1.0, self._shared.pop, key, None)
                while len(self._shared) > 64:
                    self._shared.popitem(last=False)
            found = [dict(row) for row in await asyncio.shield(reading)]
        await self.fill(user, found)
        return found

    async def these(self, user: PortalUser, ids: Sequence[int]) -> list[dict[str, Any]]:
        """The rows of these ids that are in the table, in no order: for a page that renews what it holds."""
        query = self.queryset(user).filter(id__in=list(ids)).values(*self.fields)
        found = [self.cells(row) for row in await rows(query)]
        await self.fill(user, found)
        return found

    async def fill(
        self, user: PortalUser, found: list[dict[str, Any]], columns: 'Sequence[Column | ViewerColumn] | None' = None
    ) -> None:
        for viewer in self.columns if columns is None else columns:
            if not isinstance(viewer, Column):
                await viewer.fill(user, found)

    async def _read(self, user: PortalUser, asked: Asked) -> list[dict[str, Any]]:
        query = self.sorted(user, asked).offset(asked.start).limit(asked.end - asked.start)
        return [self.cells(row) for row in await rows(query.values(*self.fields))]

    def cells(self, row: dict[str, Any]) -> dict[str, Any]:
        for shown in self.pushed:
            if shown.getter is not None:
                row[shown.name] = shown.cell(row)
        return row

    async def counts(self, user: PortalUser, asked: Asked) -> dict[str, Any]:
        """How many are shown, how many there are, and which letters lead anywhere within the search."""
        everything = self.chosen(user, asked)
        searched = self._searched(everything, asked.search)
        total = await everything.using_db(reader()).count()
        filed = getattr(self.model, 'FILED_UNDER', None)
        if filed is None:
            shown = await self.narrowed(user, asked).using_db(reader()).count()
            return {'shown': shown, 'all': total, 'letters': None}
        letters = {row[filed]: row['n'] for row in await rows(_per_letter(searched, filed))}
        shown = letters.get(asked.letter, 0) if asked.letter else sum(letters.values())
        return {'shown': shown, 'all': total, 'letters': ''.join(sorted(letters))}

    # -- the element --------------------------------------------------------------------------------------------------

    def config(self, user: PortalUser, address: str) -> dict[str, Any]:
        """What the browser's side is told of the table."""
        return {
            'key': self.key, 'path': urlsplit(address).path, 'noun': self.noun, 'links': self.links,
            'columns': self.config_columns(),
            'block': BLOCK, 'narrow': self.narrow, 'yields': self.yields,
            'asked': Asked.forgiving(self, dict(parse_qsl(urlsplit(address).query))), 'hidden': self.hidden,
            'state': (user.preferences or {}).get(f'columns {self.key}'), 'searched': self.searched,
            'about': 'customers' if self.model is Customer else self.told_by,
            'choice': self.choice and {
                'heading': self.choice.heading,
                'options': [[value, title] for value, (title, _) in self.choice.options.items()],
            },
            'letters': hasattr(self.model, 'FILED_UNDER'), 'beginning': self.beginning,
            'exports': may(user, 'list.export'),
            'tools': [tool for tool in self.tools if may(user, tool['right'])],
            **(self.told_to(user) if self.told_to else {}),
        }  # fmt: skip

    def config_columns(self) -> list[dict[str, Any]]:
        return [_told(column) | self._spelled(column.name) | self._flag(column.name) for column in self.columns]

    def _flag(self, name: str) -> dict[str, Any]:
        return {'flag': self.flags[name]} if name in self.flags else {}

    def _spelled(self, name: str) -> dict[str, Any]:
        return {'spelled': self.spelled[name]} if name in self.spelled else {}

    def build(self, user: PortalUser, address: str, *, on_columns: Callable[[Any], Any]) -> 'Island':
        """The table as an element of a page; the query of `address` says with what search, letter and sort it opens."""
        island = Island('table.js', self.config(user, address))
        island.on('columns', lambda event: on_columns(event.args))
        return island.style('display: contents')


def _told(shown: Column | ViewerColumn) -> dict[str, Any]:
    if isinstance(shown, Column):
        return shown.described()
    own = getattr(shown, 'described', {})  # what else the browser is told of it
    return {'name': shown.name, 'heading': shown.heading, 'kind': shown.kind, 'sortable': True, 'needs': [], **own}


def _per_letter(found: QuerySet, filed: str) -> Any:
    return found.annotate(n=Count('id')).group_by(filed).values(filed, 'n')


TABLES: dict[str, LiveTable] = {}


ALSO_PUSHED: set[str] = set()  # columns of Customer that are told as they are, for what is no table


# -- pushing ----------------------------------------------------------------------------------------------------------


async def changed_cells(changed: dict[int, set[str]]) -> dict[int, dict[str, Any]]:
    """The changed cells of customers, as every table that shows them would show them: read once for all viewers."""
    shown = {c.name: c for table in TABLES.values() if table.model is Customer for c in table.pushed}
    linked = {name for table in TABLES.values() if table.model is Customer for name in table.linked} | ALSO_PUSHED
    names = {name for fields_ in changed.values() for name in fields_}
    wanted = {c.name: c for c in shown.values() if names & set(c.needs)}
    plain = {name for name in names & linked if name not in wanted}
    needs = tuple(dict.fromkeys(['id', *(need for c in wanted.values() for need in c.needs), *sorted(plain)]))
    found = await rows(Customer.filter(id__in=list(changed)).values(*needs)) if len(needs) > 1 else []
    cells: dict[int, dict[str, Any]] = {customer_id: {} for customer_id in changed}
    for row in found:
        mine = changed[row['id']]
        cells[row['id']] = {name: c.cell(row) for name, c in wanted.items() if mine & set(c.needs)}
        cells[row['id']].update({name: row[name] for name in plain & mine})
    return cells


async def lists_of(user: PortalUser, ids: set[int]) -> dict[str, list[int]]:
    """In which tables of customers these are now."""
    tables = [table for table in TABLES.values() if table.model is Customer]
    return {
        table.key: [row['id'] for row in await rows(table.queryset(user).filter(id__in=list(ids)).values('id'))]
        for table in tables
    }


def early(table: LiveTable, user: PortalUser, address: str) -> str:
    """For the head of a page that begins with this table: it is made, and its first rows are asked for, while the page
    framework is still starting. Its place is in `components.frame.early_frame`."""
    config = table.config(user, address)
    rows_at = f'/api/ui/tables/{table.key}/rows?{urlencode({**config["asked"], "end": BLOCK})}'
    modules = ('table.js', 'table_columns.js', 'table_menus.js', 'table_place.js',
               'live.js', 'icons.js', 'glyphs.js', 'tips.js')  # fmt: skip
    addresses = [Island.grid_url(), *map(theme.asset, modules)]
    return (
        # A preload does not wait for the style sheets, as a script in the head has to.
        f'<link rel="preload" as="fetch" crossorigin="anonymous" href="{html.escape(rows_at)}">'
        + ''.join(f'<link rel="modulepreload" href="{address}">' for address in addresses)
        + f'<script type="module" async>import {{ begin }} from {_script(theme.asset("table.js"))};'
        f'begin({_script(config)}, {_script(rows_at)})</script>'
    )


def _script(value: Any) -> str:
    """A value as a literal of a script inside a page: nothing in it can end the script."""
    return json.dumps(value).replace('<', '\\u003c')
