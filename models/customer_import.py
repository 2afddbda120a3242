"""Customers from a CSV file: new ones by the hundred, known ones updated by their account code.

The file is UTF-8 (a BOM does no harm) with commas or semicolons and a first line of column names, in any case and with
spaces or underscores:

- `account_code`: needed; whose line it is. One that differs by capitals only from another customer's is refused
- `name`: needed for a new customer
- `licences`: a whole number
- `account_type`: standard, express, trial, nfr or internal
- `domain`
- `products`: codes of the catalogue with `;`, `|`, `,` or spaces between them (not `+`: SEC+ARC is one code), in quotes
  where that is also what separates the columns
- `list`: in_progress, complete or waiting; what does not follow from the RFI is refused
- `rfi`: not_requested, requested, draft, submitted, complete, error or not_applicable (n/a), which is what a new
  customer has if nothing is said, so that it is listed at once (requested, where the list is waiting)
- `console_url`: the address of the customer's Administration Console, beginning with https://
- `tags`: words that group customers, with `;` or `,` between them; they take the place of those it has
- `contract_since`: the day on which the contract began, as 2024-02-01; its products renew by it

A line `sep=;` before it, as Excel writes and reads it, says what separates the columns.

An empty cell says nothing: a new customer gets what is usual, a known one keeps what it has.

With a person (`by`), a line about a customer whom they do not see is refused, and what they add is theirs to see.
"""

import asyncio
import codecs
import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from types import SimpleNamespace
from typing import Any, NamedTuple

from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.fields.data import JSON_DUMPS
from tortoise.models import Model

from models import calendar, events, rights
from models.access import CustomerAccess
from models.checking import as_data, in_words, quoted
from models.connect_fitting import set_up_products
from models.connect_step import (
    NO_FORM,
    ConnectStep,
    StepOwner,
    StepState,
    Template,
    begin,
    plan,
    plan_open,
    states,
    unlock,
)
from models.connect_template import ConnectTemplate
from models.customer import (
    CONSOLE_HEADING,
    AccountType,
    Customer,
    Listing,
    current_of,
    follow_seats,
    hold_monitors,
    taken,
)
from models.database import reader, rows_within, update_many
from models.events import Changed, transaction
from models.history import Entry, HistoryEvent, append_many
from models.monitor import Health, Monitor, MonitorKind, MonitorState
from models.partner import Partner
from models.product import CustomerProduct, Product, as_day, follow_contracts, load_catalogue, renewal
from models.rfi import Rfi, RfiIcon, RfiState
from models.tag import CustomerTag, UserTag, tags
from models.text import printable
from models.user import PortalUser

MAX_BYTES = 50_000_000
MAX_LINES = 200_000
CHUNK = 250  # customers a transaction: writers in other processes wait no longer than that takes
MANY = 200  # changes that are worth naming one by one
PORTION = 1000  # account codes read at a time
TURN = 50  # lines read between two turns of other tasks
SAMPLES = 20  # customers of whom a preview shows what would become of them

COLUMNS = (
    'name', 'account_code', 'licences', 'account_type', 'domain', 'products', 'list', 'rfi', 'console_url', 'tags',
    'contract_since',
)  # fmt: skip
_ALSO = {
    'customer': 'name', 'licenses': 'licences', 'seats': 'licences', 'type': 'account_type', 'listing': 'list',
    'contract_start': 'contract_since',
}  # fmt: skip
_FACTS = {
    'name': 'name', 'account_code': 'account_code', 'licences': 'seats', 'account_type': 'account_type',
    'domain': 'domain', 'console_url': 'console_url', 'contract_since': 'contract_start',
}  # fmt: skip
_RFI_ALSO = {'n_a': 'not_applicable', 'na': 'not_applicable', 'none': 'not_applicable', 'incomplete': 'requested'}
_TYPES_ALSO = {'not_for_resale': 'nfr'}
# What an export puts before a cell that a spreadsheet would take for a formula (`components.export.defused`).
_DEFUSED = re.compile(r"((?:^|;)[\s\"]*)'(?=[\s\"]*[=+\-@＝＋－＠])")
_WITH_DOTS = re.compile(r'(\d\d?)\.(\d\d?)\.(\d{4})')  # 1.2.2024, which is never anything but the 1st of February
_REPORTED = ('line', 'reason')  # columns of the file of refused lines (`refused_lines`), of no meaning here
_NOT_RETURNED = (RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.DRAFT)

TEMPLATE_CSV = (
    'name,account_code,licences,account_type,domain,products,list,rfi,console_url,tags,contract_since\r\n'
    'Example Bakery,EXB001,45,standard,bakery.example,SEC; DMARC,in_progress,n/a,,retail,\r\n'
    '"Example, Sons & Co",ESC001,250,express,sons.example,SEC+ARC | IMP,complete,n/a,'
    'https://console.example/ESC001,north; retail,2024-02-01\r\n'
)


UNSEEN = 'is another customer’s, whom you do not see'


class Refusal(NamedTuple):
    """Why something of a line was not taken; `column` is empty where it is about the whole line."""

    line: int
    column: str
    why: str


class Outcome(StrEnum):
    """What becomes of a line."""

    ADDED = 'added'
    UPDATED = 'updated'
    UNCHANGED = 'unchanged'
    REFUSED = 'refused'


class Sample(NamedTuple):
    """What would become of one customer: the headings of what differs, with what is there before and after.

    A new customer has nothing before.
    """

    line: int
    name: str
    account_code: str
    changes: list[tuple[str, str, str]]


@dataclass
class ImportResult:
    """What became of the lines of a file, or would become of them (`preview_import`)."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: list[Refusal] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    unreadable: str = ''  # why the file as a whole is no list of customers, in a sentence; it is in `refused` as well
    # By the number of the line; a line that is not there is refused or empty.
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    # The first of each, of a preview only.
    new: list[Sample] = field(default_factory=list)
    changed: list[Sample] = field(default_factory=list)

    @property
    def refused_lines(self) -> int:
        return len({refusal.line for refusal in self.refused})

    def outcome(self, line: int) -> Outcome:
        return self.outcomes.get(line, Outcome.REFUSED)

    def unlike(self, other: 'ImportResult', most: int = 50) -> list[tuple[int, Outcome, Outcome]]:
        """The first lines of which something else became than there: number, there, here."""
        lines = sorted(
            {line for line in {*self.outcomes, *other.outcomes} if self.outcome(line) != other.outcome(line)}
        )
        return [(line, other.outcome(line), self.outcome(line)) for line in lines[:most]]


@dataclass
class _Line:
    """A line that says nothing impossible; `facts` are fields of Customer, as they would be stored."""

    number: int
    facts: dict[str, Any]
    products: list[str] | None = None
    listing: Listing | None = None
    rfi: RfiState | None = None
    is_any_incomplete: bool = False  # of the RFI: any state that is shown as incomplete
    tags: list[str] | None = None


@dataclass
class _Judged:
    """What is to become of some lines; those that are known with their customer's row."""

    new: list[_Line] = field(default_factory=list)
    changed: list[tuple[_Line, dict[str, Any]]] = field(default_factory=list)
    unchanged: list[_Line] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


class _Refused(Exception):
    """Nothing is to be stored."""


class _Unreadable(Exception):
    """The file is no list of customers, and why."""

    def __init__(self, sentence: str, refused: list[Refusal]) -> None:
        super().__init__(sentence)
        self.refused = refused


async def import_customers(
    partner: Partner,
    text_or_bytes: str | bytes,
    *,
    all_or_nothing: bool = False,
    by: PortalUser | None = None,
    name: str = '',
    progress: Callable[[int, int], object] | None = None,
) -> ImportResult:
    """Store the customers of a CSV file; return the counts, and for each refused line its number, column and why.

    `progress` is told the lines done and the lines there are. With `all_or_nothing`, one refused line stores none, and
    all the others are judged all the same. `name` is the file's, for the MSP's history. Raises `Refused`.
    """
    _require(partner, by)
    result = ImportResult()
    try:
        await _import(partner, text_or_bytes, result, all_or_nothing, by, progress)
    finally:  # also of one that was cut off: what was stored before stays
        if result.added or result.updated:
            await _write_down(partner, name, text_or_bytes, result, by)
    return result


async def _import(
    partner: Partner, text_or_bytes: str | bytes, result: ImportResult, all_or_nothing: bool, by: PortalUser | None,
    progress: Callable[[int, int], object] | None,
) -> None:  # fmt: skip
    text = await _decoded(text_or_bytes, result)
    if text is None:
        return
    catalogue = await load_catalogue(partner.id)
    store = _Storing(partner, catalogue, by, result, await ConnectTemplate.current(partner))
    if all_or_nothing:
        async for _ in _chunks(text, catalogue, result):
            pass
        store.only_judges = bool(result.refused)
        result.refused.clear()
        result.warnings.clear()
    lines = text.count('\n') + 1

    async def all_chunks() -> None:
        async for chunk in _chunks(text, catalogue, result):
            await store.chunk(chunk)
            if progress:
                progress(min(chunk[-1].number, lines), lines)
            store.only_judges = all_or_nothing and bool(result.refused)

    if store.only_judges or not all_or_nothing:  # nothing to undo: nobody else need wait
        await all_chunks()
    else:
        try:
            async with transaction():
                await all_chunks()
                if result.refused:
                    raise _Refused
        except BaseException as error:
            _nothing_stored(result)
            if not isinstance(error, _Refused):
                raise
    if all_or_nothing and result.refused:
        _nothing_stored(result)
    # What the file alone tells and what only the database can tell are found at different times.
    result.refused.sort(key=lambda refusal: refusal.line)


async def preview_import(
    partner: Partner, text_or_bytes: str | bytes, *, by: PortalUser | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> ImportResult:  # fmt: skip
    """What importing this file would do now, line by line, by the same judgement; nothing is stored or locked.

    Raises `Refused`.
    """
    _require(partner, by)
    result = ImportResult()
    text = await _decoded(text_or_bytes, result)
    if text is None:
        return result
    catalogue = await load_catalogue(partner.id)
    store = _Storing(partner, catalogue, by, result)
    lines = text.count('\n') + 1
    async for chunk in _chunks(text, catalogue, result):
        await store.preview(chunk)
        if progress:
            progress(min(chunk[-1].number, lines), lines)
    result.refused.sort(key=lambda refusal: refusal.line)
    return result


def _require(partner: Partner, by: PortalUser | None) -> None:
    if by is None:  # whoever runs the portal's server
        return
    rights.require(by, 'customer.import')
    if by.partner_id != partner.id:
        raise rights.Refused('These customers are another MSP’s.')


def _nothing_stored(result: ImportResult) -> None:
    result.added = result.updated = result.unchanged = 0
    result.outcomes.clear()


async def _write_down(
    partner: Partner, name: str, given: str | bytes, result: ImportResult, by: PortalUser | None
) -> None:
    """An entry in the MSP's own history: who brought in what."""
    counts: dict[str, Any] = {
        'added': result.added, 'updated': result.updated, 'unchanged': result.unchanged,
        'refused': result.refused_lines,
    }  # fmt: skip
    said = ', '.join(f'{count:,} {what}' for what, count in counts.items() if count)
    file = printable(name)[:120]
    digest = await asyncio.to_thread(
        hashlib.sha256, given.encode(errors='replace') if isinstance(given, str) else given
    )
    await HistoryEvent.add(
        partner.id, 'customers.imported', f'Customers were imported{f" from “{file}”" if file else ""}: {said}', by=by,
        file=file, sha256=digest.hexdigest(), **counts,
    )  # fmt: skip


def refused_lines(given: bytes, refused: Iterable[Refusal]) -> Iterator[list[str]]:
    """The refused lines of this file as they stand in it, below its headings, each with its number and what is wrong:
    they are corrected there and imported as they are. It takes a while: for a thread."""
    whys: dict[int, list[str]] = {}
    for refusal in refused:
        whys.setdefault(refusal.line, []).append(f'{refusal.column}: {refusal.why}' if refusal.column else refusal.why)
    records = _records(_text_of(given, ImportResult()) or '')
    _, header = next(records, (1, ''))
    yield [*(heading.capitalize() for heading in _REPORTED), *(header if isinstance(header, list) else ())]
    for number, cells in records:
        if number in whys:
            yield [str(number), '; '.join(whys[number]), *(cells if isinstance(cells, list) else ())]


# -- reading ----------------------------------------------------------------------------------------------------------


async def _decoded(given: str | bytes, result: ImportResult) -> str | None:
    """The text of the file with ordinary line ends, or None with the reason in `result`."""
    text = await asyncio.to_thread(_text_of, given, result)
    if text is not None and text.count('\n') > MAX_LINES:
        result.unreadable = f'The file has more than {MAX_LINES:,} lines; split it into several.'
        result.refused.append(Refusal(1, '', result.unreadable))
        return None
    return text


def _text_of(given: str | bytes, result: ImportResult) -> str | None:
    def unreadable(sentence: str, line: int = 1) -> None:
        result.unreadable = sentence
        result.refused.append(Refusal(line, '', sentence))

    if len(given) > MAX_BYTES:
        return unreadable(f'The file is larger than {MAX_BYTES // 1_000_000} MB.')
    if isinstance(given, bytes):
        if other := other_kind(given):
            return unreadable(f'The file is {other}. {EXPECTED}')
        try:
            given = given.decode('utf-8-sig')
        except UnicodeDecodeError as error:
            line = given.count(b'\n', 0, error.start) + 1
            return unreadable(f'The file is not UTF-8: line {line:,} has letters of another encoding. '
                              f'{EXPECTED}', line)  # fmt: skip
    return given.removeprefix('\ufeff').replace('\r\n', '\n').replace('\r', '\n')


def other_kind(content: bytes) -> str:
    """What the file is where it is no text in UTF-8 at all, to be read after 'The file is'; else nothing."""
    kind = next((kind for begins, kind in _KINDS.items() if content.startswith(begins)), '')
    if not kind:
        if b'\0' not in content:
            return ''
        head = content[:2000]
        halves = sorted((head[0::2].count(0), head[1::2].count(0)))
        return _UTF16 if halves[0] * 4 < halves[1] > len(head) // 8 else 'no text but binary data'
    if kind != _ZIP:
        return kind
    return next((title for part, title in _IN_ZIP.items() if part in content[:8000]), kind)


EXPECTED = 'What is expected is a CSV file in UTF-8; spreadsheets save one as “CSV UTF-8”.'
_UTF16, _ZIP = 'text in UTF-16 (“Unicode text”)', 'a ZIP archive'
_KINDS = {
    b'\x89PNG': 'a picture (PNG)', b'\xff\xd8\xff': 'a picture (JPEG)', b'GIF8': 'a picture (GIF)',
    b'RIFF': 'a picture, a sound or a film (RIFF)', b'%PDF': 'a PDF document', b'PK\x03\x04': _ZIP,
    b'\xd0\xcf\x11\xe0': 'a workbook or document of an old Office (.xls, .doc)', b'\x1f\x8b': 'compressed (gzip)',
    b'SQLite format 3': 'a database (SQLite)', b'{\\rtf': 'a text document (RTF)',
    codecs.BOM_UTF16_LE: _UTF16, codecs.BOM_UTF16_BE: _UTF16,
}  # fmt: skip
_IN_ZIP = {
    b'xl/': 'an Excel workbook (.xlsx)', b'word/': 'a Word document (.docx)',
    b'oasis.opendocument.spreadsheet': 'a spreadsheet (.ods)',
}  # fmt: skip


async def _chunks(text: str, catalogue: dict[str, Product], result: ImportResult):
    """The good lines, some hundred at a time; refusals go to `result`. Other tasks get their turn."""
    chunk: list[_Line] = []
    lines = enumerate(_read(text, catalogue, result.warnings))
    while True:
        try:
            n, found = next(lines, (0, None))
        except _Unreadable as error:
            result.unreadable = str(error)
            result.refused += error.refused
            return
        if found is None:
            break
        if isinstance(found, _Line):
            chunk.append(found)
        else:
            result.refused += found
        if n % TURN == TURN - 1:
            await asyncio.sleep(0)
        if len(chunk) >= CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _read(text: str, catalogue: dict[str, Product], warnings: list[str]) -> Iterator[_Line | list[Refusal]]:
    """Each line that is not empty: what it says, or why it is refused. Raises `_Unreadable`."""
    records = _records(text)
    start, header = next(records, (1, ''))
    if isinstance(header, str):
        why = f'The first line {header}.' if header else 'The file is empty.'
        raise _Unreadable(why, [Refusal(start, '', header or why)])
    columns = _columns(header, start, warnings)
    codes = {code.upper(): code for code in catalogue}
    first_lines: dict[str, tuple[int, str]] = {}
    for number, cells in records:
        if isinstance(cells, str):
            yield [Refusal(number, '', cells)]
            continue
        if len(cells) > len(columns) and any(cell.strip() for cell in cells[len(columns) :]):
            yield [Refusal(number, '', f'has {len(cells)} cells, and there are {len(columns)} columns')]
            continue
        found = _line(number, dict(zip(columns, cells, strict=False)), codes)
        if isinstance(found, _Line):
            code = found.facts['account_code']
            first, same = first_lines.setdefault(code.casefold(), (number, code))
            if first != number:
                but = '' if code == same else ', but for capitals'
                found = [Refusal(number, 'account_code', f'is the same as in line {first}{but}')]
        yield found


def _records(text: str) -> Iterator[tuple[int, list[str] | str]]:
    """The number of the first line of each record that is not empty, and its cells, or what is wrong with it."""
    lines = [line for line in text.split('\n', 50) if line.strip()]
    told = re.fullmatch(r'"?sep=([,;|\t])"?\1*', lines[0], re.IGNORECASE) if lines else None
    delimiter = told[1] if told else _delimiter(lines[0] if lines else '')
    reader = csv.reader(io.StringIO(text, newline=''), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, f'cannot be read: {error}'
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if told:  # the line for Excel; the next one names the columns
            told = None
            continue
        yield number, cells


def _delimiter(header: str) -> str:
    def known(delimiter: str) -> int:
        return sum(_named(cell.strip(' "')) in COLUMNS for cell in header.split(delimiter))

    return max(',;\t', key=lambda delimiter: (known(delimiter), delimiter == ','))


def _named(heading: str) -> str:
    name = re.sub(r'[\s_-]+', '_', heading.strip().lower())
    return _ALSO.get(name, name)


def _columns(header: list[str], line: int, warnings: list[str]) -> list[str]:
    """What each column holds. Raises `_Unreadable`."""
    columns = [_named(printable(heading)) for heading in header]
    known = [column for column in columns if column in COLUMNS]
    refused = [Refusal(line, column, 'is there twice') for column in COLUMNS if known.count(column) > 1]
    if 'account_code' not in known:
        refused.append(Refusal(line, 'account_code', 'There is no such column; the first line names the columns.'))
        raise _Unreadable('The file has no column “account_code”: its first line must name the columns.', refused)
    if refused:
        twice = ' and '.join(f'“{refusal.column}”' for refusal in refused)
        raise _Unreadable(f'The file has the column {twice} twice.', refused)
    for heading, column in zip(header, columns, strict=True):
        if column and column not in (*COLUMNS, *_REPORTED):
            warnings.append(f'The column {quoted(heading, 40)} is not known and was left out.')
    return columns


def _line(number: int, cells: dict[str, str], codes: dict[str, str]) -> _Line | list[Refusal]:
    line = _Line(number, {})
    refused: list[Refusal] = []
    if not printable(cells.get('account_code', '')):
        refused.append(Refusal(number, 'account_code', 'is empty'))
    for column in COLUMNS:
        cell = cells.get(column, '').strip()
        cell = _DEFUSED.sub(r'\1', cell)
        if not printable(cell):
            continue
        try:
            _take(line, column, cell, codes)
        except ValueError as error:
            refused.append(Refusal(number, column, str(error)))
    return refused or line


def _take(line: _Line, column: str, cell: str, codes: dict[str, str]) -> None:
    """Put what a cell says into `line`; raises ValueError."""
    if column in _FACTS:
        value = _TYPES_ALSO.get(_named(cell), _named(cell)) if column == 'account_type' else cell
        if column == 'contract_since' and (written := _WITH_DOTS.fullmatch(cell)):
            value = f'{written[3]}-{written[2]:0>2}-{written[1]:0>2}'
        line.facts |= Customer.check(**{_FACTS[column]: value})
    elif column == 'products':
        line.products = _products(cell, codes)
    elif column == 'list':
        line.listing = _one_of(Listing, _named(cell))
    elif column == 'rfi':
        name = re.sub(r'[\s/_-]+', '_', cell.lower()).removeprefix('rfi_')
        line.rfi = _one_of(RfiState, _RFI_ALSO.get(name, name))
        line.is_any_incomplete = name == 'incomplete'
    else:
        line.tags = tags('tags', cell)


def _products(cell: str, codes: dict[str, str]) -> list[str]:
    asked = [code for code in re.split(r'[;|,\s]+', cell.upper()) if code]
    for code in asked:
        if code not in codes:
            raise ValueError(f'{quoted(code, 40)} is not in the catalogue')
    return list(dict.fromkeys(codes[code] for code in asked))


def _one_of(kind: Any, name: str) -> Any:
    try:
        return kind(name)
    except ValueError:
        raise ValueError(f'{quoted(name, 40)} is none of {", ".join(kind)}') from None


# -- storing ----------------------------------------------------------------------------------------------------------


class _Storing:
    def __init__(
        self, partner: Partner, catalogue: dict[str, Product], by: PortalUser | None, result: ImportResult,
        template: ConnectTemplate | None = None,
    ) -> None:  # fmt: skip
        self.partner = partner
        self.catalogue = catalogue
        self.by = by
        self.actor = {'actor_id': by.id if by else None, 'actor': by.name if by else ''}
        self.result = result
        self.only_judges = False
        self._codes: dict[str, str] | None = None
        self._template = template  # only judging needs none
        self._beginnings: dict[tuple[str, RfiState], _Beginning] = {}

    async def chunk(self, lines: list[_Line]) -> None:
        """Store these lines in one transaction."""
        try:
            judged = await self._stored(lines)
        except IntegrityError:  # somebody else added one of them just now: it is known the next time
            self._codes = None
            judged = await self._stored(lines)
        self._count(judged)

    async def preview(self, lines: list[_Line]) -> None:
        """Judge these lines as `chunk` would."""
        judged = await self._judged(reader(), lines)
        self._count(judged)
        self.result.new += [_sample(line, None) for line in judged.new[: SAMPLES - len(self.result.new)]]
        self.result.changed += [
            _sample(line, row) for line, row in judged.changed[: SAMPLES - len(self.result.changed)]
        ]

    async def _stored(self, lines: list[_Line]) -> '_Judged':
        async with transaction() as connection:
            judged = await self._judged(connection, lines, lock=True)
            if not self.only_judges:
                added = await self._add(connection, judged.new)
                changed = await self._update(connection, judged.changed)
                self._tell(added, changed)
        return judged

    async def _judged(self, connection: BaseDBAsyncClient, lines: list[_Line], *, lock: bool = False) -> '_Judged':
        if self._codes is None:
            self._codes = await self._all_codes(connection)
        known = await self._known(connection, lines, lock)
        unseen = await self._unseen(connection, known)
        judged = _Judged()
        for line in lines:
            row = known.get(line.facts['account_code'])
            if row and line.is_any_incomplete and row['form'] and row['form'].icon == RfiIcon.INCOMPLETE:
                line.rfi = None
            if row is not None and row['id'] in unseen:
                judged.refused.append(Refusal(line.number, 'account_code', UNSEEN))
            elif refusal := self._alike(line, row) or _refusal(line, row):
                judged.refused.append(refusal)
            elif row is None:
                judged.new.append(line)
            elif _differences(line, row)[1] or _moves(line, row):
                judged.changed.append((line, row))
            else:
                judged.unchanged.append(line)
        return judged

    def _count(self, judged: '_Judged') -> None:
        result = self.result
        result.added += len(judged.new)
        result.updated += len(judged.changed)
        result.unchanged += len(judged.unchanged)
        result.refused += judged.refused
        result.outcomes |= dict.fromkeys([line.number for line in judged.new], Outcome.ADDED)
        result.outcomes |= dict.fromkeys([line.number for line, _ in judged.changed], Outcome.UPDATED)
        result.outcomes |= dict.fromkeys([line.number for line in judged.unchanged], Outcome.UNCHANGED)

    async def _all_codes(self, connection: BaseDBAsyncClient) -> dict[str, str]:
        """All account codes of the MSP, once for the whole file and in portions: there may be 100,000."""
        codes: dict[str, str] = {}
        last = 0
        while True:
            ours = Customer.filter(partner_id=self.partner.id, id__gt=last).order_by('id').limit(PORTION)
            found = await rows_within(connection, ours.values('id', 'account_code'))
            codes |= {row['account_code'].casefold(): row['account_code'] for row in found}
            if len(found) < PORTION:
                return codes
            last = found[-1]['id']

    async def _unseen(self, connection: BaseDBAsyncClient, known: dict[str, dict[str, Any]]) -> set[int]:
        """Which of these customers are not for this person."""
        if self.by is None or not known:
            return set()
        ids = {row['id'] for row in known.values()}
        seen = Customer.visible_to(self.by).filter(id__in=sorted(ids)).values('id')
        return ids - {row['id'] for row in await rows_within(connection, seen)}

    async def _known(self, connection: BaseDBAsyncClient, lines: list[_Line], lock: bool) -> dict[str, dict[str, Any]]:
        codes = [line.facts['account_code'] for line in lines]
        query = Customer.filter(partner_id=self.partner.id, account_code__in=codes).order_by('id')
        if lock:
            ids = [row['id'] for row in await rows_within(connection, query.values('id'))]
            await hold_monitors(connection, ids)
            # The forms before the customers, as whoever sends one back takes them.
            await rows_within(connection, Rfi.filter(customer_id__in=ids).order_by('id').values('id'), lock=True)
        found = await rows_within(connection, query.values(
            'id', 'name', 'account_code', 'domain', 'seats', 'account_type', 'console_url', 'products_in_short',
            'listing', 'rfi_returned', 'contract_start',
        ), lock=lock)  # fmt: skip
        forms = await rows_within(
            connection, Rfi.filter(customer_id__in=[row['id'] for row in found]).values('customer_id', 'state')
        )
        states = {form['customer_id']: RfiState(form['state']) for form in forms}
        tagged: dict[int, list[str]] = {row['id']: [] for row in found}
        if any(line.tags is not None for line in lines):
            carried = CustomerTag.filter(customer_id__in=list(tagged)).order_by('tag').values('customer_id', 'tag')
            for row in await rows_within(connection, carried):
                tagged[row['customer_id']].append(row['tag'])
        return {
            row['account_code']: row | {
                'form': states.get(row['id']), 'tags': sorted(tagged[row['id']]),
                'contract_start': as_day(row['contract_start']),
            }
            for row in found
        }  # fmt: skip

    def _alike(self, line: _Line, row: dict[str, Any] | None) -> Refusal | None:
        """Whether a new customer's code is another's in other capitals."""
        code: str = line.facts['account_code']
        codes: dict[str, str] = self._codes or {}
        other = codes.get(code.casefold(), code)
        if row is not None or other == code:
            return None
        return Refusal(line.number, 'account_code', taken(code, other))

    # -- new customers

    async def _add(self, connection: BaseDBAsyncClient, lines: list[_Line]) -> list[int]:
        if not lines:
            return []
        now = datetime.now(UTC)
        await _insert(connection, Customer, [self._customer(line, now) for line in lines])
        codes = [line.facts['account_code'] for line in lines]
        query = Customer.filter(partner_id=self.partner.id, account_code__in=codes).values('id', 'account_code')
        ids = {row['account_code']: row['id'] for row in await rows_within(connection, query)}
        await self._insert_parts(connection, [(ids[line.facts['account_code']], line) for line in lines], now)
        if self.by is not None and not self.by.sees_all:
            await _insert(connection, CustomerAccess, [
                {'user_id': self.by.id, 'customer_id': id_, 'allowed': True} for id_ in ids.values()
            ])  # fmt: skip
            events.SIGHT_CHANGED.emit(self.by.id)
        return list(ids.values())

    def _customer(self, line: _Line, now: datetime) -> dict[str, Any]:
        rfi = _rfi_of(line)
        live = line.listing == Listing.COMPLETE
        begins = self._begins(line)
        current = None if live else begins.current
        named = _searched(line.facts | {'domain': line.facts.get('domain', '')})
        return {
            'partner_id': self.partner.id, 'domain': '', 'seats': 0, 'account_type': AccountType.STANDARD,
            'console_url': '', 'contract_start': None, **line.facts, **named,
            'products_in_short': ', '.join(line.products or ())[:200], 'rfi': rfi.icon,
            'rfi_returned': rfi not in _NOT_RETURNED, 'connect_since': now, 'created_at': now,
            'template_id': None if live or self._template is None else self._template.id,
            'listing': Listing.COMPLETE if live else begins.listing,
            'connect_status': 'Complete' if live else begins.status,
            'connect_key': 'complete' if live else begins.key, 'completed_at': now if live else None,
            'connect_owner': '' if live else (current.owner if current else StepOwner.PARTNER).value,
            'connect_due': begins.due(self.partner, rfi, now)[current.key] if current else None,
            'steps_done': 0 if live else begins.done, 'steps_of': 0 if live else begins.done + begins.left,
            **{kind.value: Health.NOT_CONFIGURED for kind in MonitorKind}, 'worst': Health.NOT_CONFIGURED,
        }  # fmt: skip

    def _begins(self, line: _Line) -> '_Beginning':
        """How a customer with these products and this form begins Connect."""
        assert self._template is not None
        services = ''.join(sorted({s for code in line.products or () for s in self.catalogue[code].connect_services}))
        known = (services, _rfi_of(line))
        if known not in self._beginnings:
            self._beginnings[known] = _Beginning.of(self._template.applicable(services), known[1])
        return self._beginnings[known]

    async def _insert_parts(self, connection: BaseDBAsyncClient, added: list[tuple[int, _Line]], now: datetime) -> None:
        """What a new customer comes with: its RFI, products, steps and monitors, and a line of history."""
        await _insert(connection, Rfi, [
            {'customer_id': id_, 'state': _rfi_of(line), 'requested_at': now if _rfi_of(line) == 'requested' else None}
            for id_, line in added
        ])  # fmt: skip
        await self._insert_products(connection, [
            (id_, line, line.facts.get('contract_start') or now.date()) for id_, line in added
        ])  # fmt: skip
        await self._tag(connection, {id_: line.tags for id_, line in added if line.tags})
        await _insert(connection, ConnectStep, [
            {
                'customer_id': id_, **step, 'completed_at': now if step['state'] in _DONE else None,
                'due_at': due[step['key']],
            }
            for id_, line in added if line.listing != Listing.COMPLETE
            for begins in [self._begins(line)]
            for due in [begins.due(self.partner, _rfi_of(line), now)]
            for step in begins.rows
        ])  # fmt: skip
        await _insert(connection, Monitor, [
            {
                'customer_id': id_, 'kind': kind, 'state': MonitorState.NOT_CONFIGURED,
                'threshold': Monitor.default_threshold(kind, line.facts.get('seats', 0)),
            }
            for id_, line in added for kind in MonitorKind
        ])  # fmt: skip
        await self._write_down(connection, 'customer.created', [
            (id_, f'{line.facts["name"]} was added', {}) for id_, line in added
        ], now)  # fmt: skip

    async def _insert_products(self, connection: BaseDBAsyncClient, bought: Sequence[tuple[int, _Line, date]]) -> None:
        """For these customers (by id) what their lines say; the day is when they bought it."""
        await _insert(connection, CustomerProduct, [
            {
                'customer_id': id_, 'product_id': self.catalogue[code].id, 'quantity': line.facts.get('seats', 0),
                'since': since, 'renews_on': renewal(line.facts.get('contract_start'), since),
            }
            for id_, line, since in bought for code in line.products or ()
        ])  # fmt: skip

    async def _tag(self, connection: BaseDBAsyncClient, new: dict[int, list[str]]) -> None:
        """Give these customers (by id) further tags; who sees customers by them is told."""
        await _insert(connection, CustomerTag, [
            {'customer_id': id_, 'tag': tag} for id_, found in new.items() for tag in found
        ])  # fmt: skip
        await UserTag.tell_holders(self.partner.id, {tag for found in new.values() for tag in found})

    async def _write_down(
        self, connection: BaseDBAsyncClient, kind: str, entries: list[tuple[int, str, dict]], now: datetime
    ) -> None:
        await append_many(connection, [
            Entry(self.partner.id, id_, kind, now, summary, **self.actor, data=data) for id_, summary, data in entries
        ])  # fmt: skip
        if 0 < len(entries) <= MANY:
            events.CUSTOMER_TOUCHED.emit(self.partner.id, {id_: frozenset({'history'}) for id_, *_ in entries})

    # -- known customers

    async def _update(
        self, connection: BaseDBAsyncClient, found: list[tuple[_Line, dict[str, Any]]]
    ) -> dict[int, frozenset[str]]:
        now = datetime.now(UTC)
        written: list[dict[str, Any]] = []
        history: list[tuple[int, str, dict]] = []
        changed: dict[int, frozenset[str]] = {}
        seats: dict[int, tuple[int, int]] = {}
        begun: dict[int, date | None] = {}
        for line, row in found:
            before, after = _differences(line, row)
            changed[row['id']] = frozenset(after)
            said, told_before, told_after = _told(line, row)
            if after:
                written.append(row | after | _searched(row | after))
            if 'seats' in after:
                seats[row['id']] = (before['seats'], after['seats'])
            if 'contract_start' in after:
                begun[row['id']] = after['contract_start']
            has_other_services = False
            if 'products_in_short' in after:
                has_other_services = await self._exchange_products(connection, row | after, line, now.date())
            if 'tags' in after:
                await self._retag(connection, row['id'], before['tags'], after['tags'])
            if _moves(line, row):
                changed[row['id']] |= await self._move(row['id'], line)
            if has_other_services:
                await self._set_up(row['id'])
            history.append((row['id'], f'Import – {said}', {
                'before': as_data(told_before), 'after': as_data(told_after),
            }))  # fmt: skip
        names = [
            'name', 'name_key', 'initial', 'search_key', 'domain', 'seats', 'account_type', 'console_url',
            'products_in_short', 'contract_start',
        ]  # fmt: skip
        await update_many(connection, Customer, names, written)
        await follow_contracts(connection, begun)
        await follow_seats(connection, self.partner.id, seats)
        await self._write_down(connection, 'customer.changed', history, now)
        return changed

    async def _exchange_products(
        self, connection: BaseDBAsyncClient, row: dict[str, Any], line: _Line, since: date
    ) -> bool:
        """Those that the line does not name go, those that are new come; the others keep since when and how many.

        Whether other services are bought now, for which there may be other steps of Connect.
        """
        had = CustomerProduct.filter(customer_id=row['id']).values_list('product_id', 'product__connect_services')
        bought = {int(id_): str(services) for id_, services in await had}
        wanted = {self.catalogue[code].id: code for code in line.products or ()}
        gone = [product_id for product_id in bought if product_id not in wanted]
        if gone:
            await CustomerProduct.filter(customer_id=row['id'], product_id__in=gone).delete()
        new = [code for product_id, code in wanted.items() if product_id not in bought]
        facts = {name: row[name] for name in ('seats', 'contract_start')}
        await self._insert_products(connection, [(row['id'], _Line(0, facts, new), since)])
        return set(''.join(bought.values())) != {
            s for code in wanted.values() for s in self.catalogue[code].connect_services
        }

    @staticmethod
    async def _set_up(customer_id: int) -> None:
        """The steps of a customer in Connect follow what it has bought; of a live one a file says what is there."""
        customer = await Customer.get(id=customer_id)
        if customer.is_in_connect:
            await set_up_products(customer)

    async def _retag(
        self, connection: BaseDBAsyncClient, customer_id: int, before: list[str], after: list[str]
    ) -> None:
        if gone := set(before) - set(after):
            await CustomerTag.filter(customer_id=customer_id, tag__in=sorted(gone)).delete()
            await UserTag.tell_holders(self.partner.id, gone)
        await self._tag(connection, {customer_id: sorted(set(after) - set(before))})

    async def _move(self, customer_id: int, line: _Line) -> set[str]:
        """Give a known customer another RFI state or list, and return what changed; rare, and so one at a time."""
        now = datetime.now(UTC)
        customer = await Customer.get(id=customer_id)
        if line.rfi is not None:
            await Rfi.filter(customer_id=customer_id).update(state=line.rfi)
            customer.rfi = line.rfi.icon
            customer.rfi_returned = customer.rfi_returned or line.rfi not in _NOT_RETURNED
        if line.listing == Listing.COMPLETE and customer.listing != Listing.COMPLETE:
            customer.listing, customer.completed_at = Listing.COMPLETE, now
        elif line.listing not in (None, Listing.COMPLETE) and customer.listing == Listing.COMPLETE:
            customer.listing, customer.completed_at = Listing.IN_PROGRESS, None
            if not await ConnectStep.filter(customer_id=customer_id).exists():
                await self._begin_connect(customer, line, now)
        state = _STEP_OF_RFI.get(line.rfi) if line.rfi else None
        if state and customer.listing != Listing.COMPLETE:
            await ConnectStep.filter(customer_id=customer_id, key='rfi').update(state=state, completed_at=now)
            await unlock(customer_id)
        return {'listing', 'rfi', *await customer.restate()}

    async def _begin_connect(self, customer: Customer, line: _Line, now: datetime) -> None:
        bought = await CustomerProduct.filter(customer_id=customer.id).select_related('product')
        services = ''.join(each.product.connect_services for each in bought)
        form = await Rfi.get(customer_id=customer.id)
        assert self._template is not None
        customer.template_id = self._template.id
        await Customer.filter(id=customer.id).update(template_id=self._template.id)
        await begin(customer.id, self._template.applicable(services), form=form.state)
        await plan_open(customer.id, now, is_back=form.state not in _NOT_BACK)

    # -- news

    def _tell(self, added: list[int], changed: dict[int, frozenset[str]]) -> None:
        if len(added) + len(changed) > MANY:
            events.MANY_CHANGED.emit(self.partner.id)
            return
        if added:
            rows = dict.fromkeys(added, frozenset({'name'}))
            events.CUSTOMERS_ADDED.emit(Changed(self.partner.id, rows, frozenset(added)))
        if changed:
            moving = {'name', 'domain', 'listing'}
            joined = frozenset(id_ for id_, names in changed.items() if names & moving)
            events.CUSTOMERS_CHANGED.emit(Changed(self.partner.id, changed, joined))


_STEP_OF_RFI = {RfiState.COMPLETE: StepState.COMPLETE, RfiState.NOT_APPLICABLE: StepState.SKIPPED}
_DONE = tuple(_STEP_OF_RFI.values())


def _rfi_of(line: _Line) -> RfiState:
    """The RFI that a new customer begins with."""
    if line.rfi is not None:
        return line.rfi
    return RfiState.REQUESTED if line.listing == Listing.WAITING else RfiState.NOT_APPLICABLE


def _follows(rfi: RfiState, *, returned: bool) -> Listing:
    """Where a customer in Connect is listed (`Customer.restate`)."""
    listed = returned or rfi not in _NOT_RETURNED or rfi.icon == RfiIcon.NOT_APPLICABLE
    return Listing.IN_PROGRESS if listed else Listing.WAITING


def _refusal(line: _Line, row: dict[str, Any] | None) -> Refusal | None:
    """What is wrong with a line that only the database could tell."""
    if row is None and 'name' not in line.facts:
        return Refusal(line.number, 'name', 'is empty, and there is no customer with this account code yet')
    if row is not None and row['listing'] == Listing.CLOSED:
        return Refusal(line.number, 'account_code', 'is of a customer that is closed; its facts stay what they were')
    if line.listing == Listing.CLOSED:
        return Refusal(line.number, 'list', 'cannot be closed: a customer is closed by being cancelled or abandoned')
    rfi = _rfi_of(line) if row is None else line.rfi or row['form'] or RfiState.NOT_REQUESTED
    follows = _follows(rfi, returned=bool(row and row['rfi_returned']))
    if line.listing == Listing.COMPLETE:  # from elsewhere, but not before the form has come back
        fits = follows != Listing.WAITING or (row is not None and not _moves(line, row))
    else:
        fits = line.listing in (None, follows)
    if fits:
        return None
    said = rfi.value.replace('_', ' ')
    return Refusal(
        line.number, 'list', f'does not go with the RFI, which is {said}: such a customer is {follows.value}'
    )


def _differences(line: _Line, row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the line would change, before and after."""
    facts = dict(line.facts)
    if line.products is not None:
        facts['products_in_short'] = ', '.join(line.products)[:200]
    if line.tags is not None:
        facts['tags'] = line.tags
    after = {name: value for name, value in facts.items() if row[name] != value}
    return {name: row[name] for name in after}, after


def _moves(line: _Line, row: dict[str, Any]) -> bool:
    """Whether the line gives the customer another RFI state or another list."""
    live = row['listing'] == Listing.COMPLETE
    return (line.rfi is not None and line.rfi != row['form']) or (
        line.listing is not None and (line.listing == Listing.COMPLETE) != live
    )


_HEADINGS = {
    'name': 'Name', 'domain': 'Domain', 'seats': 'Licences', 'account_type': 'Account type',
    'console_url': CONSOLE_HEADING, 'contract_start': 'Contract since', 'products_in_short': 'Products', 'rfi': 'RFI',
    'listing': 'List', 'tags': 'Tags',
}  # fmt: skip


def _told(line: _Line, row: dict[str, Any]) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """What the line would change, in a sentence for the history, and what is there before and after."""
    before, after = _all_differences(line, row)
    words = [{name: _in_words(name, value) for name, value in each.items()} for each in (before, after)]
    return in_words(_HEADINGS, *words), before, after


def _all_differences(line: _Line, row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """`_differences`, with the RFI and the list."""
    before, after = _differences(line, row)
    if line.rfi is not None and line.rfi != row['form']:
        before['rfi'], after['rfi'] = row['form'] or RfiState.NOT_REQUESTED, line.rfi
    if line.listing is not None and (line.listing == Listing.COMPLETE) != (row['listing'] == Listing.COMPLETE):
        before['listing'], after['listing'] = row['listing'], line.listing
    return before, after


def _sample(line: _Line, row: dict[str, Any] | None) -> Sample:
    """What would become of this customer, to be read by a person."""
    if row is None:
        facts = line.facts | ({'products_in_short': ', '.join(line.products)} if line.products else {})
        facts |= {'rfi': _rfi_of(line)} | ({'listing': line.listing} if line.listing else {})
        facts |= {'tags': line.tags} if line.tags else {}
        before, after = {}, {name: value for name, value in facts.items() if name in _HEADINGS and name != 'name'}
    else:
        before, after = _all_differences(line, row)
    name = line.facts.get('name') or (row['name'] if row else '')
    changes = [(_HEADINGS[each], _in_words(each, before.get(each)), _in_words(each, after[each])) for each in after]
    return Sample(line.number, name, line.facts['account_code'], changes)


def _in_words(name: str, value: Any) -> str:
    if value is None:
        return ''
    if name == 'account_type':
        return AccountType(value).title
    if name == 'seats':
        return f'{value:,}'
    if name == 'tags':
        return ', '.join(value)
    if isinstance(value, date):
        return calendar.said(value)
    return str(value).replace('_', ' ').capitalize() if name in ('rfi', 'listing') else str(value)


def _searched(facts: dict[str, Any]) -> dict[str, str]:
    """What follows from a name and what else is searched."""
    blank = Customer(account_code=facts['account_code'], domain=facts['domain'])
    blank.set_name(facts['name'])
    return {'name_key': blank.name_key, 'initial': blank.initial, 'search_key': blank.search_key}


_NOT_BACK = (RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.DRAFT)


@dataclass(frozen=True)
class _Beginning:
    """How customers with the same products and form begin Connect, as `Customer.add` makes them: the columns of their
    steps, and what `Customer.restate` finds."""

    rows: list[dict[str, Any]]
    planned: list[Any]  # the steps that are not done
    listing: Listing
    status: str
    key: str
    current: Any
    done: int
    left: int

    @classmethod
    def of(cls, templates: Sequence[Template], rfi: RfiState) -> '_Beginning':
        form = _STEP_OF_RFI.get(rfi)
        steps = [
            SimpleNamespace(
                **ConnectStep.columns(template),
                position=position,
                state=state,
                reason=NO_FORM if state == StepState.SKIPPED else '',
            )
            for position, (template, state) in enumerate(zip(templates, states(templates, form), strict=True), 1)
        ]
        rows = [vars(step) | {'needs': JSON_DUMPS(step.needs)} for step in steps]
        open_ = [step for step in steps if step.state not in _DONE]
        done = sum(step.state == StepState.COMPLETE and not step.is_optional for step in steps)
        left = sum(not step.is_optional for step in open_)
        listing, current = _follows(rfi, returned=False), current_of(steps)
        if listing == Listing.WAITING:
            current = next((step for step in steps if step.key == 'rfi'), current)
            status, key = 'RFI requested', 'rfi_requested'
        elif current is None:
            status, key = 'Ready to complete', 'handover'
        elif current.key == 'rfi':
            status, key = 'RFI received', 'rfi_received'
        else:
            status, key = current.title, current.key
        return cls(rows, open_, listing, status, key, current, done, left)

    def due(self, partner: Partner, rfi: RfiState, now: datetime) -> dict[str, datetime | None]:
        planned = plan(self.planned, now, partner, is_back=rfi not in _NOT_BACK)
        return dict.fromkeys((step['key'] for step in self.rows), None) | planned


async def _insert(connection: BaseDBAsyncClient, model: type[Model], rows: list[dict[str, Any]]) -> None:
    """Insert these rows, all with the same columns, without making an instance of each."""
    if not rows:
        return
    sqlite = connection.capabilities.dialect == 'sqlite'
    names = list(rows[0])
    marks = ', '.join('?' if sqlite else f'${n}' for n in range(1, len(names) + 1))
    columns = ', '.join(f'"{name}"' for name in names)

    def stored(value: Any) -> Any:
        if sqlite and isinstance(value, datetime):
            return value.isoformat(' ')
        return value.isoformat() if sqlite and isinstance(value, date) else value

    await connection.execute_many(
        f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({marks})',
        [[stored(row[name]) for name in names] for row in rows],
    )
