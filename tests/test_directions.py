"""Imports point one way: main → pages | jobs → components (pages only) → models → settings."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    'settings': set(),
    'models': {'settings', 'models'},
    'components': {'settings', 'models', 'components'},
    'jobs': {'settings', 'models', 'jobs'},
    'pages': {'settings', 'models', 'components', 'pages'},
    'main': {'settings', 'models', 'components', 'jobs', 'pages'},
}
FILES = [ROOT / 'main.py', ROOT / 'settings.py', *(f for room in ALLOWED for f in sorted((ROOT / room).rglob('*.py')))]


def imported_rooms(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split('.')[0])
    return found & set(ALLOWED)


@pytest.mark.parametrize('file', FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_one_way(file: Path) -> None:
    room = file.relative_to(ROOT).parts[0].removesuffix('.py')
    assert imported_rooms(file.read_text()) <= ALLOWED[room]


@pytest.mark.parametrize('file', [f for f in FILES if f.parts[-2] != 'models'], ids=lambda f: str(f.relative_to(ROOT)))
def test_pages_and_jobs_write_no_sql(file: Path) -> None:
    """SQL stands in models; a page that needs another question asks a model for it."""
    if file.relative_to(ROOT).parts[0] not in ('pages', 'jobs', 'components'):
        return
    source = file.read_text()
    assert 'nosec B608' not in source  # docs/security.md: nowhere but in models is SQL put together
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.lstrip().upper().startswith(('SELECT ', 'INSERT INTO', 'UPDATE "', 'DELETE FROM'))


def test_the_rule_can_fail() -> None:
    assert imported_rooms('from pages import x\nimport jobs.aging') == {'pages', 'jobs'}
