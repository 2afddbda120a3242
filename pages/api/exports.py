"""The lists as files, for those who may take them away; each leaves an entry in the audit. And the template for
importing."""

import logging
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response, StreamingResponse

from components.export import Failed, as_csv, as_xlsx, forget
from components.live_table import Asked, LiveTable
from models import PortalUser
from models.customer_import import TEMPLATE_CSV
from models.exporting import note_export
from pages.acting import SIGNED_IN, Asking, reads
from pages.answers import answer
from pages.api.ui import asked_of

log = logging.getLogger(__name__)
router = APIRouter(prefix='/api/ui', include_in_schema=False)
XLSX = 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet'


def _name(table: LiveTable, kind: str) -> str:
    what = table.key if table.key == table.noun else f'{table.noun}-{table.key}'
    return f'{what}-{datetime.now(UTC):%Y-%m-%d}.{kind}'


@reads(router, '/tables/{key}/export.csv', right='list.export')
async def export_csv(asking: Asking) -> Response:
    table, asked = asked_of(asking)
    await _note(table, asking.user, asked, 'CSV')
    # Content-Encoding identity: the compressing middleware would hold the stream up on the loop.
    return StreamingResponse(
        as_csv(table, asking.user, asked), media_type='text/csv; charset=utf-8',
        headers={
            'Content-Disposition': f'attachment; filename="{_name(table, "csv")}"', 'Cache-Control': 'no-store',
            'Content-Encoding': 'identity',
        },
    )  # fmt: skip


@reads(router, '/tables/{key}/export.xlsx', right='list.export')
async def export_xlsx(asking: Asking) -> Response:
    table, asked = asked_of(asking)
    try:
        path = await as_xlsx(table, asking.user, asked)
        await _note(table, asking.user, asked, 'Excel')
    except Failed as error:
        log.error('an export failed: %s', error)
        return answer({'error': 'The file could not be made. Try CSV, or again in a moment.'}, 500)
    return FileResponse(
        path, media_type=XLSX, filename=_name(table, 'xlsx'),
        background=BackgroundTask(forget, path),
        headers={'Cache-Control': 'no-store', 'Content-Encoding': 'identity'},
    )  # fmt: skip


async def _note(table: LiveTable, user: PortalUser, asked: Asked, form: str) -> None:
    rows = (await table.counts(user, asked))['shown']
    filters = {'q': asked.search, 'letter': asked.letter, 'only': asked.only}
    what = f'The list “{table.key}” was exported as {form}, {rows:,} {"row" if rows == 1 else "rows"}'
    await note_export('list.exported', what, by=user, filters=filters, list=table.key, rows=rows, form=form)


@reads(router, '/import-template.csv', right=SIGNED_IN)
async def import_template(_: Asking) -> Response:
    """What `import-customers` reads, with two example lines."""
    return Response(
        TEMPLATE_CSV, media_type='text/csv; charset=utf-8',
        headers={'Content-Disposition': 'attachment; filename="customers-template.csv"'},
    )  # fmt: skip
