"""The lists as files, for those who may take them away; each leaves an entry in the audit. And the template for
importing."""

import logging
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response, StreamingResponse

from components.export import Failed, as_csv, as_xlsx, forget
from components.live_table import Asked, LiveTable
from models import PortalUser
from models.customer_import import TEMPLATE_CSV
from models.exporting import note_export
from models.rights import Refused, require
from pages.answers import answer, refusal
from pages.api.ui import Asking
from pages.guard import user_of

log = logging.getLogger(__name__)
router = APIRouter(prefix='/api/ui', include_in_schema=False)
XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'


def _name(key: str, kind: str) -> str:
    return f'customers-{key}-{datetime.now(UTC):%Y-%m-%d}.{kind}'


@router.get('/tables/{key}/export.csv')
async def export_csv(request: Request, asking: Asking) -> Response:
    table, asked = asking
    try:
        await _note(table, user_of(request), asked, 'CSV')
    except Refused as error:
        return refusal(error)
    # Content-Encoding identity: the compressing middleware would hold the stream up on the loop.
    return StreamingResponse(
        as_csv(table, user_of(request), asked), media_type='text/csv; charset=utf-8',
        headers={
            'Content-Disposition': f'attachment; filename="{_name(table.key, "csv")}"', 'Cache-Control': 'no-store',
            'Content-Encoding': 'identity',
        },
    )  # fmt: skip


@router.get('/tables/{key}/export.xlsx')
async def export_xlsx(request: Request, asking: Asking) -> Response:
    table, asked = asking
    try:
        require(user_of(request), 'list.export')
        path = await as_xlsx(table, user_of(request), asked)
        await _note(table, user_of(request), asked, 'Excel')
    except Refused as error:
        return refusal(error)
    except Failed as error:
        log.error('an export failed: %s', error)
        return answer({'error': 'The file could not be made. Try CSV, or again in a moment.'}, 500)
    return FileResponse(
        path, media_type=XLSX, filename=_name(table.key, 'xlsx'),
        background=BackgroundTask(forget, path),
        headers={'Cache-Control': 'no-store', 'Content-Encoding': 'identity'},
    )  # fmt: skip


async def _note(table: LiveTable, user: PortalUser, asked: Asked, form: str) -> None:
    """Raises `Refused`."""
    require(user, 'list.export')
    rows = (await table.counts(user, asked))['shown']
    filters = {'q': asked.search, 'letter': asked.letter}
    what = f'The list “{table.key}” was exported as {form}, {rows:,} {"row" if rows == 1 else "rows"}'
    await note_export('list.exported', what, by=user, filters=filters, list=table.key, rows=rows, form=form)


@router.get('/import-template.csv')
async def import_template() -> Response:
    """What `import-customers` reads, with two example lines."""
    return Response(
        TEMPLATE_CSV, media_type='text/csv; charset=utf-8',
        headers={'Content-Disposition': 'attachment; filename="customers-template.csv"'},
    )  # fmt: skip
