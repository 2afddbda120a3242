from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.dependencies import esm_modules
from nicegui.elements import aggrid
from nicegui.version import __version__

from components import theme

AGGRID = 'nicegui-aggrid'


class Island(ui.element, component='island.js', esm={AGGRID: str(Path(aggrid.__file__).parent / 'dist')}):
    """An element drawn by one of our own browser modules (assets/), which is given `config` once and tells by events.

    NiceGUI sends it once; what it shows afterwards comes over the live socket, so that a change costs the same for one
    viewer and for three hundred.
    """

    def __init__(self, module: str, config: dict[str, Any]) -> None:
        super().__init__()
        self._props['src'] = theme.asset(module)
        self._props['config'] = config

    @staticmethod
    def grid_url() -> str:
        """Where the grid's code is; a page that will show a table loads it early, for it is the largest thing on it."""
        key = next(key for key, module in esm_modules.items() if module.name == AGGRID)
        return f'/_nicegui/{__version__}/esm/{key}/index.js'
