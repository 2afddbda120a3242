"""The portal with one page more: a static one that holds nothing but AG Grid, fed by the portal's own route.

It comes from the same process through the same compression, so that what differs is the portal's page alone.
"""

from nicegui import app
from starlette.responses import HTMLResponse

import main
from components.island import Island
from components.live_table import TABLES, Column
from pages import guard

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Bare grid</title>
<style>html,body{{margin:0;height:100%}}#grid{{height:100vh}}</style></head>
<body><div id="grid"></div>
<script type="module">
import * as AgGrid from '{grid}';
AgGrid.ModuleRegistry.registerModules([AgGrid.AllCommunityModule]);
AgGrid.createGrid(document.getElementById('grid'), {{
  rowModelType: 'infinite', cacheBlockSize: 100, columnDefs: {columns}, loadThemeGoogleFonts: false,
  datasource: {{ getRows: async (params) => {{
    const address = `/api/ui/tables/complete/rows?start=${{params.startRow}}&end=${{params.endRow}}`;
    const answer = await (await fetch(address, {{ cache: 'no-store' }})).json();
    params.successCallback(answer.rows, -1);
  }} }},
}});
</script></body></html>"""


async def bare() -> HTMLResponse:
    table = TABLES['complete']
    shown = [c.name for c in table.columns if isinstance(c, Column) and c.name not in table.hidden]
    columns = [{'field': name} for name in shown]
    return HTMLResponse(PAGE.format(grid=Island.grid_url(), columns=columns))


if __name__ == '__main__':
    guard.PUBLIC += ('/bench/',)
    app.add_api_route('/bench/bare.html', bare)
    main.serve()
