"""A filled database goes through every migration and keeps every row, index, trigger and what was unique.

The migrations that follow the real ones here do what Tortoise 1.1.9 does badly on SQLite: they widen, remove and add,
and so rebuild tables that others hang on.
"""

import asyncio
import contextlib
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate as run_migrations

from models import Customer, HistoryChain, HistoryEvent, Monitor, database, migrating
from models.database import Unusable, opened
from models.history import TRIGGERS
from models.history_reading import page
from models.history_verifying import verify
from models.migrating import migrated
from settings import Settings

REAL = Path(database.__file__).parent / 'migrations'
HEAD = """from tortoise import fields, migrations
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
"""
WIDEN = "ops.AlterField('Customer', 'name', fields.CharField(max_length=240))"
REMOVE = "ops.RemoveField('Customer', 'blocked_because')"
INDEX = "ops.AddIndex('Customer', Index(fields=['domain'], name='idx_customer_domain'))"
HISTORY = "ops.AlterField('HistoryEvent', 'kind', fields.CharField(max_length=50))"
UNINDEX = "ops.RemoveIndex('Customer', fields=['partner_id', 'worst', 'name_key'])"
FREE = "ops.RemoveConstraint('Customer', fields=['partner_id', 'account_code'])"
TRIGGER = "CREATE TRIGGER history_stays BEFORE DELETE ON history_event BEGIN SELECT RAISE(ABORT, 'history stays'); END"
PARTIAL = 'CREATE INDEX idx_blocked ON customer (blocked_because) WHERE rfi_returned'
KEPT = 'CREATE INDEX idx_problems ON customer (worst) WHERE worst < 2'


class Package:
    """A copy of the real migrations to which others can be added."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / '__init__.py').touch()

    def copy_real(self, names: list[str]) -> None:
        for name in names:
            shutil.copy(REAL / f'{name}.py', self.folder)

    def add(self, *operations: str) -> str:
        last = sorted(file.stem for file in self.folder.glob('0*.py'))[-1]
        name = f'{int(last[:4]) + 1:04}_later'
        lines = ', '.join(operations)
        (self.folder / f'{name}.py').write_text(
            f'{HEAD}\n\ndef fail(*_):\n    raise RuntimeError("no")\n\n\nclass Migration(migrations.Migration):\n'
            f"    dependencies = [('models', '{last}')]\n    operations = [{lines}]\n"
        )
        return name


REAL_NAMES = sorted(file.stem for file in REAL.glob('0*.py'))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Package:
    """What the portal takes for its migrations in this test; empty."""
    name = f'migrations_of_{abs(hash(request.node.nodeid))}'
    package = Package(tmp_path / name)
    monkeypatch.syspath_prepend(tmp_path)
    config = database.config

    def configured(*args: Any, **more: Any) -> dict[str, Any]:
        made = config(*args, **more)
        made['apps']['models']['migrations'] = name
        return made

    monkeypatch.setattr(database, 'config', configured)
    return package


@contextlib.contextmanager
def _file(given: Settings):
    with contextlib.closing(sqlite3.connect(given.sqlite_path)) as connection:
        connection.row_factory = sqlite3.Row
        yield connection
        connection.commit()


def _fill(given: Settings, rows: int = 3) -> None:
    """Some rows in every table, whatever its columns are: number n everywhere, so that every reference is right."""
    with _file(given) as connection:
        for table in _tables(connection):
            columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
            names = ', '.join(f'"{column["name"]}"' for column in columns)
            for n in range(1, rows + 1):
                values = [_value(column['name'], column['type'], n) for column in columns]
                connection.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join("?" * len(values))})', values)
        assert connection.execute('PRAGMA foreign_key_check').fetchall() == []


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite_%'")
    return [row['name'] for row in found if row['name'] != 'tortoise_migrations']


def _value(name: str, kind: str, n: int) -> str | int:
    if 'INT' in kind or kind == 'REAL':
        return n
    return {'TIMESTAMP': f'2026-01-0{n} 12:00:00+00:00', 'JSON': f'{{"n": {n}}}'}.get(kind, f'{name} {n}')


def _contents(given: Settings) -> dict[str, list[dict[str, Any]]]:
    with _file(given) as connection:
        return {
            table: [dict(row) for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY 1')]
            for table in _tables(connection)
        }


def _made(given: Settings) -> dict[str, str]:
    """The statements of all indexes and triggers by name."""
    with _file(given) as connection:
        found = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql != ''"
        )
        return {row['name']: row['sql'] for row in found}


def _unique(given: Settings) -> set[tuple[str, tuple[str, ...]]]:
    found = set()
    with _file(given) as connection:
        for table in _tables(connection):
            for index in connection.execute(f'PRAGMA index_list("{table}")').fetchall():
                if index['unique']:
                    columns = connection.execute(f'PRAGMA index_info("{index["name"]}")')
                    found.add((table, tuple(column['name'] for column in columns)))
    return found


def _backups(given: Settings) -> list[Path]:
    return sorted((given.sqlite_path.parent / 'backups').glob('*'))


async def test_a_filled_database_keeps_every_row_index_and_trigger(package, test_settings):
    given = test_settings
    package.copy_real(REAL_NAMES[:1])
    await migrated(given)
    _fill(given)
    with _file(given) as connection:
        for statement in (TRIGGER, PARTIAL, KEPT):
            connection.execute(statement)
    rows, made, unique = _contents(given), _made(given), _unique(given)
    assert all(len(found) == 3 for found in rows.values())
    assert ('customer', ('partner_id', 'account_code')) in unique

    package.copy_real(REAL_NAMES[1:])
    package.add(WIDEN)
    package.add(REMOVE, HISTORY)
    package.add(INDEX)
    package.add("ops.AlterField('Monitor', 'reason', fields.CharField(max_length=300, default='', db_default=''))")
    await migrated(given)

    after = _contents(given)
    for table, before in rows.items():
        if table in after:
            kept = after[table][0].keys()
            assert after[table] == [
                {k: v for k, v in row.items() if k in kept} | _new(row, after[table]) for row in before
            ]
    assert 'blocked_because' not in after['customer'][0]
    removed = {'idx_blocked', 'idx_history_eve_custome_5250b6', 'idx_history_eve_partner_44a9a0'}
    assert _made(given).items() >= {name: sql for name, sql in made.items() if name not in removed}.items()
    assert {*TRIGGERS['sqlite']} <= _made(given).keys()
    assert [(text['summary'], text['actor'], text['data']) for text in after['history_text']] == [
        (row['summary'], row['actor'], f'{{"n":{row["id"]}}}') for row in rows['history_event']
    ]
    assert 'idx_blocked' not in _made(given)
    assert 'idx_customer_domain' in _made(given)
    assert _unique(given) >= unique
    with _file(given) as connection:
        assert connection.execute('PRAGMA integrity_check').fetchone()[0] == 'ok'
        with pytest.raises(sqlite3.IntegrityError, match='history stays'):
            connection.execute('DELETE FROM history_event')


def _new(row: dict[str, Any], after: list[dict[str, Any]]) -> dict[str, Any]:
    """What the columns hold that a later migration added."""
    found = next(other for other in after if other['id'] == row['id'])
    return {name: value for name, value in found.items() if name not in row}


async def test_what_the_portal_itself_wrote_is_read_back_after_a_rebuild(package, test_settings, make_northwind):
    package.copy_real(REAL_NAMES)
    async with opened(test_settings):
        northwind = await make_northwind()
        customer = await Customer.add(northwind.partner, name='Émile', account_code='C1', products=['SEC'])
    package.add(WIDEN)
    async with opened(test_settings):
        assert (await Customer.get(account_code='C1')).name == 'Émile'
        assert await Monitor.filter(customer_id=customer.id).count() == 5
        with pytest.raises(Customer.Invalid):
            await Customer.add(await customer.partner, name='Other', account_code='C1')
        await (await Customer.get(id=customer.id)).delete()
        assert await Monitor.all().count() == 0  # foreign keys are at work again


async def test_without_the_protection_the_rows_are_lost(package, test_settings):
    # The migrations before the history's triggers: with these, a rebuild without the protection does not even end.
    package.copy_real(REAL_NAMES[:4])
    await migrated(test_settings)
    _fill(test_settings)
    made, unique = _made(test_settings), _unique(test_settings)
    package.add(WIDEN)
    await run_migrations(config=database.config(test_settings))
    await Tortoise.close_connections()
    after = _contents(test_settings)
    assert len(after['customer']) == 3
    assert after['monitor'] == after['flip'] == []
    assert not made.items() <= _made(test_settings).items()
    assert not unique <= _unique(test_settings)


async def test_a_new_database_has_the_indexes_that_later_migrations_dropped(package, test_settings):
    package.copy_real(REAL_NAMES)
    await migrated(test_settings)
    made, unique = _made(test_settings), _unique(test_settings)
    test_settings.sqlite_path.unlink()
    package.add(WIDEN)
    await migrated(test_settings)
    assert _made(test_settings).items() >= made.items()
    assert _unique(test_settings) >= unique
    assert _backups(test_settings) == []


async def test_what_a_migration_removes_on_purpose_stays_removed(package, test_settings):
    package.copy_real(REAL_NAMES)
    await migrated(test_settings)
    made, unique = _made(test_settings), _unique(test_settings)
    package.add(UNINDEX, WIDEN)
    package.add(FREE)
    await migrated(test_settings)
    removed = made.keys() - _made(test_settings).keys()
    assert [made[name].partition(' ON ')[2] for name in removed] == ['"customer" ("partner_id", "worst", "name_key")']
    assert unique - _unique(test_settings) == {('customer', ('partner_id', 'account_code'))}


async def test_every_index_that_the_models_declare_is_there(sqlite_db):
    def indexed(table: str) -> set[tuple[str, ...]]:
        with _file(sqlite_db) as connection:
            names = [row['name'] for row in connection.execute(f'PRAGMA index_list("{table}")')]
            return {tuple(row['name'] for row in connection.execute(f'PRAGMA index_info("{n}")')) for n in names}

    for model in Tortoise.apps['models'].values():
        there = indexed(model._meta.db_table)
        for fields in (*model._meta.indexes, *model._meta.unique_together):
            assert tuple(getattr(fields, 'fields', fields)) in there, (model.__name__, fields)


async def test_migrating_twice_changes_nothing_and_makes_no_second_backup(package, test_settings):
    package.copy_real(REAL_NAMES)
    await migrated(test_settings)
    assert _backups(test_settings) == []  # there was nothing to keep
    _fill(test_settings)
    package.add(WIDEN)
    await migrated(test_settings)
    (backup,) = _backups(test_settings)
    before = test_settings.sqlite_path.read_bytes()
    await migrated(test_settings)
    assert _backups(test_settings) == [backup]
    assert test_settings.sqlite_path.read_bytes() == before


async def test_the_backup_is_the_database_as_it_was_and_only_a_few_are_kept(package, test_settings):
    package.copy_real(REAL_NAMES)
    await migrated(test_settings)
    _fill(test_settings)
    before = _contents(test_settings)
    package.add(REMOVE)
    await migrated(test_settings)
    (backup,) = _backups(test_settings)
    assert _contents(Settings(database_url=f'sqlite://{backup}', _env_file=None)) == before  # type: ignore[call-arg]
    for _ in range(migrating.KEPT_BACKUPS + 1):
        package.add(WIDEN)
        await migrated(test_settings)
    assert len(_backups(test_settings)) == migrating.KEPT_BACKUPS


@pytest.mark.parametrize(
    'wrong', ['ops.RunPython(fail)', "ops.RunSQL('DELETE FROM monitor WHERE id = 2')", "ops.RunSQL('nonsense')"]
)
async def test_a_failing_migration_leaves_the_database_as_it_was(package, test_settings, wrong):
    package.copy_real(REAL_NAMES)
    await migrated(test_settings)
    _fill(test_settings)
    before = (_contents(test_settings), _made(test_settings), _unique(test_settings))
    package.add(WIDEN, REMOVE)
    package.add(wrong)
    with pytest.raises(Unusable) as refused:
        await migrated(test_settings)
    assert str(refused.value).count('\n') == 0
    assert (_contents(test_settings), _made(test_settings), _unique(test_settings)) == before
    with pytest.raises(Unusable):  # and the next start tries again, and fails again
        await migrated(test_settings)


async def test_a_failing_first_migration_leaves_no_database(package, test_settings):
    package.copy_real(REAL_NAMES)
    package.add('ops.RunPython(fail)')
    beside = test_settings.sqlite_path.with_name(test_settings.sqlite_path.name + '.kept-by-hand')
    beside.parent.mkdir(parents=True)
    beside.write_text('mine')
    with pytest.raises(Unusable):
        await migrated(test_settings)
    assert not test_settings.sqlite_path.exists()
    assert beside.read_text() == 'mine'


async def test_a_database_of_a_newer_portal_is_left_alone(package, test_settings):
    package.copy_real(REAL_NAMES)
    later = package.add(WIDEN)
    await migrated(test_settings)
    (package.folder / f'{later}.py').unlink()
    with pytest.raises(Unusable, match='newer'):
        await migrated(test_settings)


async def test_tasks_that_start_at_once_take_turns(test_settings):
    await asyncio.gather(*(migrated(test_settings) for _ in range(12)))
    with _file(test_settings) as connection:
        applied = [row['name'] for row in connection.execute('SELECT name FROM tortoise_migrations')]
    assert sorted(applied) == REAL_NAMES


START = """
import asyncio
from models.database import opened
from settings import Settings

async def main():
    async with opened(Settings(data_dir={!r}, database_url={!r}, _env_file=None)):
        print('open')

asyncio.run(main())
"""


def _start_two(given: Settings) -> None:
    command = [sys.executable, '-c', START.format(str(given.data_dir), given.database_url)]
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REAL.parent.parent)
        for _ in range(2)
    ]
    for process in running:
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, 'open\n'), err


def test_processes_that_start_at_once_take_turns(test_settings):
    _start_two(test_settings)
    with _file(test_settings) as connection:
        assert len(connection.execute('SELECT name FROM tortoise_migrations').fetchall()) == len(REAL_NAMES)


@pytest.mark.postgres
async def test_processes_that_start_at_once_take_turns_on_postgresql(postgres: Callable[[str], str], tmp_path):
    admin = await asyncpg.connect(postgres('postgres'))
    try:
        await admin.execute('CREATE DATABASE empty')
        given = Settings(data_dir=tmp_path, database_url=postgres('empty'), _env_file=None)  # type: ignore[call-arg]
        await asyncio.to_thread(_start_two, given)
    finally:
        await admin.execute('DROP DATABASE empty WITH (FORCE)')
        await admin.close()


# -- the history becomes chains ---------------------------------------------------------------------------------------

OLD_ENTRY = 'INSERT INTO history_event (partner_id, customer_id, kind, at, actor_id, actor, summary, data) VALUES '


def _old_entries(count: int) -> str:
    """Entries as they were before there were chains: of two customers and the MSP in turn."""
    return OLD_ENTRY + ', '.join(
        f"(1, {('NULL', '7', '8')[n % 3]}, 'rfi.sent', '2026-01-02 03:04:05.{n:06}+00:00', 5, 'Émile', "
        f'\'Entry {n}\', \'{{"b": 1.50, "a": [{n}]}}\')'
        for n in range(count)
    )


async def _check_chained(given: Settings, count: int) -> None:
    async with opened(given):
        assert await verify() == []
        ends = await HistoryChain.all().order_by('chain')
        assert [(end.chain, end.length) for end in ends] == [(name, count // 3) for name in ('c:7', 'c:8', 'p:1')]
        found, _ = await page(7, group='all', limit=2)
        assert [(each['summary'], each['actor'], each['data']) for each in found] == [
            (f'Entry {n}', 'Émile', {'a': [n], 'b': 1.5}) for n in (count - 2, count - 5)
        ]
        await HistoryEvent.add(1, 'rfi.sent', 'later', customer_id=7)
        assert await verify() == []


async def test_old_entries_become_chains_in_portions(package, test_settings, monkeypatch):
    package.copy_real(REAL_NAMES[:4])
    await migrated(test_settings)
    with _file(test_settings) as connection:
        connection.execute(_old_entries(30))
    package.copy_real(REAL_NAMES[4:])
    chained = package.folder / f'{REAL_NAMES[4]}.py'
    chained.write_text(chained.read_text().replace('PORTION = 5000', 'PORTION = 7'))
    await migrated(test_settings)
    await _check_chained(test_settings, 30)


@pytest.mark.postgres
async def test_old_entries_become_chains_on_postgresql(package, postgres: Callable[[str], str], tmp_path):
    admin = await asyncpg.connect(postgres('postgres'))
    try:
        await admin.execute('CREATE DATABASE chained')
        given = Settings(data_dir=tmp_path, database_url=postgres('chained'), _env_file=None)  # type: ignore[call-arg]
        package.copy_real(REAL_NAMES[:4])
        await migrated(given)
        filler = await asyncpg.connect(given.database_url)
        await filler.execute(_old_entries(30))
        await filler.close()
        package.copy_real(REAL_NAMES[4:])
        await migrated(given)
        await _check_chained(given, 30)
    finally:
        await admin.execute('DROP DATABASE chained WITH (FORCE)')
        await admin.close()


async def test_a_migration_that_takes_the_protection_away_is_refused(package, test_settings):
    package.copy_real(REAL_NAMES)
    await migrated(test_settings)
    before = _made(test_settings)
    package.add("ops.RunSQL('DROP TRIGGER history_event_no_update')")
    with pytest.raises(Unusable, match='history_event_no_update is missing'):
        await migrated(test_settings)
    assert _made(test_settings) == before


@pytest.mark.postgres
async def test_a_migration_that_takes_the_protection_away_is_refused_on_postgresql(
    package, postgres: Callable[[str], str], tmp_path
):
    admin = await asyncpg.connect(postgres('postgres'))
    try:
        await admin.execute('CREATE DATABASE unprotected')
        given = Settings(data_dir=tmp_path, database_url=postgres('unprotected'), _env_file=None)  # type: ignore[call-arg]
        package.copy_real(REAL_NAMES)
        await migrated(given)
        package.add("ops.RunSQL('ALTER TABLE history_event DISABLE TRIGGER history_event_no_delete')")
        with pytest.raises(Unusable, match='history_event_no_delete is missing'):
            await migrated(given)
    finally:
        await admin.execute('DROP DATABASE unprotected WITH (FORCE)')
        await admin.close()


# -- what cannot be used ----------------------------------------------------------------------------------------------


async def _refused(given: Settings) -> str:
    with pytest.raises(Unusable) as refused:
        await migrated(given)
    sentence = str(refused.value)
    assert '\n' not in sentence
    assert sentence.endswith('.')
    return sentence


async def test_garbage_is_no_database_and_is_left_alone(test_settings):
    path = test_settings.sqlite_path
    path.parent.mkdir(parents=True)
    path.write_bytes(b'this is a diary, not a database. ' * 100)
    assert str(path) in await _refused(test_settings)
    assert path.read_bytes().startswith(b'this is a diary')


async def test_a_locked_database_says_so(sqlite_file, test_settings, monkeypatch):
    monkeypatch.setattr(migrating, 'BUSY', 0.1)
    with contextlib.closing(sqlite3.connect(sqlite_file, isolation_level=None)) as other:
        other.execute('BEGIN IMMEDIATE')
        assert 'locked' in await _refused(test_settings)
    await migrated(test_settings)


async def test_a_read_only_database_says_so(sqlite_file, test_settings):
    content = bytearray(sqlite_file.read_bytes())
    content[18] = 3  # a version of the file format that SQLite reads and does not write, whoever asks
    sqlite_file.write_bytes(content)
    assert 'read-only' in await _refused(test_settings)


async def test_a_folder_in_the_place_of_the_database_says_so(test_settings):
    test_settings.sqlite_path.mkdir(parents=True)
    assert str(test_settings.sqlite_path) in await _refused(test_settings)


async def test_a_file_in_the_place_of_the_data_folder_says_so(test_settings):
    test_settings.data_dir.write_text('not a folder')
    assert str(test_settings.sqlite_path) in await _refused(test_settings)


@pytest.mark.parametrize('url', ['postgres://nobody@127.0.0.1:1/none', 'postgres:///none?host=/nowhere'])
async def test_a_postgresql_that_does_not_answer_says_so(tmp_path, url):
    assert 'PORTAL_DATABASE_URL' in await _refused(
        Settings(data_dir=tmp_path, database_url=url, _env_file=None)  # type: ignore[call-arg]
    )
