"""Whatever changes something, or is read by a page, is registered through `pages/acting.py`, which names the right; the
syntax tree tells.
"""

import ast
from pathlib import Path

import pytest

from models.rights import GROUPS, RIGHTS
from models.user import PortalRole
from pages.acting import ACTS, ANYBODY, MACHINE, READS, SESSION, SIGNED_IN

ROOT = Path(__file__).parent.parent
CHANGING = {'post', 'put', 'patch', 'delete'}
READING = {'GET', 'HEAD'}
# What pages/api answers without `reads`: nobody is signed in there.
PLAIN = {
    ('health', 'healthz'): 'a probe of whoever watches the process',
    ('health', 'readyz'): 'a probe of whoever watches the process',
    ('readings', 'readings_are_posted'): 'tells machines that this address is posted to',
}
# Registered by `hears`, or given by a page that says so (components/live_table.py).
HEARD = {'keep_columns', 'on_columns'}


def wrong_in(source: str) -> list[str]:
    """What in this module changes something and is not registered by `acts`, `takes` or `hears`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ''
        named = {keyword.arg: keyword.value for keyword in node.keywords}
        is_router = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).endswith(('router', 'app'))
        if name in CHANGING and is_router:
            found.append(f'line {node.lineno}: {name}')
        if name in ('api_route', 'add_api_route', 'route', 'add_route'):
            methods = named.get('methods')
            listed = ast.literal_eval(methods) if isinstance(methods, ast.List | ast.Tuple | ast.Set) else None
            if methods is not None and (listed is None or not set(listed) <= READING):
                found.append(f'line {node.lineno}: {name} with {ast.unparse(methods)}')
        if name == 'on' and node.args and not _is_heard(node.args[-1]):
            found.append(f'line {node.lineno}: a handler of the framework')
        found += [f'line {node.lineno}: {arg}=' for arg in named if arg in HANDLERS]
    return found


def _is_heard(handler: ast.expr) -> bool:
    called = handler.body if isinstance(handler, ast.Lambda) else None
    return isinstance(called, ast.Call) and isinstance(called.func, ast.Name) and called.func.id in HEARD


HANDLERS = {f'on_{what}' for what in ('click', 'change', 'value_change', 'upload', 'submit', 'select', 'event')}


@pytest.mark.parametrize('path', sorted(p for room in ('pages', 'components') for p in (ROOT / room).rglob('*.py')))
def test_nothing_else_registers_what_changes_something(path):
    name = path.relative_to(ROOT).as_posix()
    if name in ('pages/acting.py', 'pages/api/health.py'):
        return
    assert not wrong_in(path.read_text(encoding='utf-8'))


@pytest.mark.parametrize(
    'source',
    [
        "@router.post('/x')\nasync def x(): ...",
        "customers_router.delete('/x')",
        "app.put('/x')",
        "router.add_api_route('/x', x, methods=['GET', 'POST'])",
        "router.api_route('/x', methods=WHATEVER)",
        "ui.button('x', on_click=lambda: None)",
        "island.on('click', act)",
        "island.on('click', lambda: act())",
    ],
)
def test_the_tree_is_read_well_enough_to_find_them(source):
    assert wrong_in(source)


def read_plainly(source: str) -> list[str]:
    """The handlers of a module that are registered to be read, and not by `reads`; '' where one has no name here."""
    found, routes = [], ('get', 'head', 'api_route', 'add_api_route', 'route', 'add_route')
    tree = ast.parse(source)
    named = {
        id(decorator): node.name
        for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
    }  # fmt: skip
    for node in ast.walk(tree):
        func = node.func if isinstance(node, ast.Call) else None
        if not isinstance(func, ast.Attribute) or func.attr not in routes:
            continue
        if ast.unparse(func.value).endswith(('router', 'app')):
            found.append(named.get(id(node), ''))
    return found


def test_what_pages_read_is_registered_by_reads():
    plain = {
        (path.stem, name)
        for path in (ROOT / 'pages' / 'api').glob('*.py') for name in read_plainly(path.read_text(encoding='utf-8'))
    }  # fmt: skip
    assert plain == PLAIN.keys(), 'register it with `reads` (pages/acting.py), or say in PLAIN why not'


@pytest.mark.parametrize(
    ('source', 'name'),
    [
        ("@router.get('/x')\nasync def x(): ...", 'x'),
        ("@router.api_route('/x', methods=['GET', 'HEAD'])\ndef x(): ...", 'x'),
        ("customers_router.get('/x')(x)", ''),
        ("app.add_api_route('/x', x)", ''),
    ],
)
def test_the_tree_is_read_well_enough_to_find_what_is_read(source, name):
    assert read_plainly(source) == [name]
    assert not read_plainly("@reads(router, '/x', right='x')\nasync def x(asking): asking.sent.get('x')")


def test_every_right_that_is_named_is_one():
    import main  # noqa: F401 # registers everything

    assert set(ACTS.values()) <= {*RIGHTS, ANYBODY, SESSION, MACHINE}
    assert set(READS.values()) <= {*RIGHTS, SIGNED_IN}


def test_every_right_has_a_sentence_and_somebody_who_has_it():
    assert sum(len(group) for group in GROUPS.values()) == len(RIGHTS), 'an action is in two groups'
    for action, right in RIGHTS.items():
        assert right.title, action
        assert right.roles, action
        assert PortalRole.ADMINISTRATOR in right.roles, f'{action}: an administrator looks after everything'
