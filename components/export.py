"""A live table as a file: the rows as they are filtered and sorted, in small portions, so that nobody else waits."""

import asyncio
import csv
import io
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from components.live_table import Asked, LiveTable
from models import PortalUser
from models.database import reader, rows

PORTION = 200  # rows read, and written, between two turns of the event loop
AT_ONCE = asyncio.Semaphore(2)  # exports that work at a time; a third waits
_FORMULA = ('=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n')
_AFTER = re.compile(r'(;[\s"]*)(?=[=+\-@＝＋－＠])')


class Failed(Exception):
    """The file could not be made."""


def defused(value: Any) -> Any:
    """The value, unable to be a formula where a spreadsheet opens the CSV (OWASP, CSV injection).

    Where a spreadsheet takes semicolons for what parts cells, another cell begins after each. A cell of an Excel file
    says itself that it is a text, and stays as it is.
    """
    if not isinstance(value, str):
        return value
    return _AFTER.sub(r"\1'", "'" + value if value.lstrip(' ').startswith(_FORMULA) else value)


async def portions(table: LiveTable, user: PortalUser, asked: Asked) -> AsyncIterator[list[list[Any]]]:
    """All rows that are listed, in their order, some hundreds at a time: first the order, then the rows."""
    connection = reader()
    query = table.sorted(user, asked).using_db(connection).values('id')
    query._db = connection
    query._make_query()
    _, found = await connection.execute_query(*query.query.get_parameterized_sql())
    for start in range(0, len(found), PORTION):
        ids = [row['id'] for row in found[start : start + PORTION]]
        # Asked again through the same door: a right that was taken away meanwhile counts.
        read = await rows(table.queryset(user).filter(id__in=ids).values(*table.fields))
        by_id = {row['id']: table.cells(row) for row in read}
        portion = [by_id[i] for i in ids if i in by_id]
        await table.fill(user, portion, table.exported)
        yield [[column.text(row) for column in table.exported] for row in portion]
        await asyncio.sleep(0)


def _lines(portion: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(portion)
    return text.getvalue().encode()


async def as_csv(table: LiveTable, user: PortalUser, asked: Asked) -> AsyncIterator[bytes]:
    """The lines of a CSV file: UTF-8 with a mark at the beginning, by which Excel knows it."""
    yield '\ufeff'.encode() + _lines([[column.heading for column in table.exported]])
    portion = portions(table, user, asked)
    while True:
        async with AT_ONCE:  # not while a part is on its way: a download that stands still must hold up nobody
            part = await anext(portion, None)
        if part is None:
            return
        yield _lines([[defused(cell) for cell in line] for line in part])


async def as_xlsx(table: LiveTable, user: PortalUser, asked: Asked) -> Path:
    """An Excel file, alone in a folder that the caller forgets; made in a process of its own: it is seconds of work."""
    async with AT_ONCE:
        folder = Path(tempfile.mkdtemp(prefix='portal-export-'))
        source, target = folder / 'rows.csv', folder / 'rows.xlsx'
        try:
            with source.open('wb') as file:
                file.write(_lines([[column.heading for column in table.exported]]))
                file.write(_lines([['number' if column.kind == 'number' else 'text' for column in table.exported]]))
                async for portion in portions(table, user, asked):
                    file.write(_lines(portion))
            process = await asyncio.create_subprocess_exec(
                sys.executable, '-m', 'components.xlsx', str(source), str(target),
                cwd=Path(__file__).parent.parent, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                _, error = await process.communicate()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()  # it writes no more
                raise
            if process.returncode:
                raise Failed(error.decode(errors='replace')[-500:])
        except BaseException:
            forget(target)
            raise
        source.unlink()
        return target


def forget(made: Path) -> None:
    """Delete what `as_xlsx` made, with everything beside it."""
    shutil.rmtree(made.parent, ignore_errors=True)
