"""Our way of remembering the models while migrating makes the very tables that Tortoise's own makes."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tortoise import Tortoise
from tortoise.migrations.api.migrate import migrate

from models import migrating_state

HEAD = """from tortoise import fields, migrations
from tortoise.fields.base import OnDelete
from tortoise.indexes import Index
from tortoise.migrations import operations as ops
from tortoise.migrations.constraints import UniqueConstraint


async def fill(apps, _editor):
    house = await apps.get_model('models.House').create(name='No. 1')
    await apps.get_model('models', 'Room').create(house=house, name='Attic')


ID = ('id', fields.IntField(generated=True, primary_key=True, unique=True, db_index=True))
HOUSE = dict(source_field='house_id', db_constraint=True, to_field='id', on_delete=OnDelete.CASCADE)


class Migration(migrations.Migration):
"""
# A model that refers to itself, two that refer to another, a code that uses them, and changes of every kind.
MIGRATIONS = {
    '0001_first': """
    operations = [
        ops.CreateModel('House', [ID, ('name', fields.CharField(max_length=20, unique=True)),
            ('shut', fields.BooleanField(default=False, db_default=False))],
            options={'table': 'house', 'app': 'models', 'pk_attr': 'id'}, bases=['Model']),
        ops.CreateModel('Room', [ID, ('name', fields.CharField(max_length=20, db_index=True)),
            ('house', fields.ForeignKeyField('models.House', related_name='rooms', **HOUSE))],
            options={'table': 'room', 'app': 'models', 'pk_attr': 'id', 'indexes': [Index(fields=['house_id', 'name'])],
                     'unique_together': (('house_id', 'name'),)}, bases=['Model']),
        ops.CreateModel('Guest', [ID, ('name', fields.CharField(max_length=20)),
            ('host', fields.ForeignKeyField('models.Guest', source_field='host_id', null=True, related_name='guests')),
            ('room', fields.ForeignKeyField('models.Room', source_field='room_id', related_name='guests'))],
            options={'table': 'guest', 'app': 'models', 'pk_attr': 'id'}, bases=['Model']),
        ops.RunPython(fill),
    ]""",
    '0002_second': """
    dependencies = [('models', '0001_first')]
    operations = [
        ops.AddField('Room', 'floor', fields.IntField(default=0, db_default=0)),
        ops.AddField('Guest', 'house',
            fields.ForeignKeyField('models.House', null=True, related_name='guests', **HOUSE)),
        ops.AddIndex('Room', Index(fields=['floor'], name='by_floor')),
        ops.AlterField('House', 'name', fields.CharField(max_length=40, unique=True)),
        ops.RenameField('House', 'shut', 'closed'),
        ops.RemoveField('Guest', 'host'),
    ]""",
    '0003_third': """
    dependencies = [('models', '0002_second')]
    operations = [
        ops.CreateModel('Key', [('room', fields.OneToOneField('models.Room', source_field='room_id', primary_key=True,
            related_name='key')), ('cut', fields.IntField())],
            options={'table': 'key', 'app': 'models', 'pk_attr': 'room_id'}, bases=['Model']),
        ops.AddConstraint('Key', UniqueConstraint(fields=('cut',), name='one_cut')),
        ops.RemoveIndex('Room', name='by_floor'),
        ops.DeleteModel('Guest'),
    ]""",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a package with these migrations."""
    name = f'migrations_in_{tmp_path.name}'
    (tmp_path / name).mkdir()
    (tmp_path / name / '__init__.py').touch()
    for file, lines in MIGRATIONS.items():
        (tmp_path / name / f'{file}.py').write_text(HEAD + lines)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def _config(path: Path, package: str) -> dict[str, Any]:
    apps = {'models': {'models': ['models'], 'default_connection': 'default', 'migrations': package}}
    return {'connections': {'default': f'sqlite://{path}?foreign_keys=OFF'}, 'apps': apps}


def _all(path: Path) -> list[tuple]:
    with contextlib.closing(sqlite3.connect(path)) as file:
        made = file.execute('SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2').fetchall()
        rows = file.execute('SELECT h.name, room.name, floor FROM room JOIN house h ON h.id = house_id').fetchall()
        return made + rows + file.execute('SELECT app, name FROM tortoise_migrations ORDER BY id').fetchall()


@pytest.fixture
async def closing() -> AsyncIterator[None]:
    yield
    await Tortoise.close_connections()


async def test_the_tables_are_those_that_tortoise_makes(tmp_path, package, closing):
    theirs, ours, in_steps = tmp_path / 'theirs', tmp_path / 'ours', tmp_path / 'in-steps'
    await migrate(config=_config(theirs, package))
    await Tortoise.close_connections()
    await migrating_state.run_migrations(_config(ours, package))
    await Tortoise.close_connections()
    for name in MIGRATIONS:
        await migrating_state.run_migrations(_config(in_steps, package), name)
        await Tortoise.close_connections()
    assert ('No. 1', 'Attic', 0) in _all(ours)
    assert _all(ours) == _all(theirs)
    assert _all(in_steps) == _all(theirs)


async def test_what_refers_to_a_model_that_is_never_made_stops_the_migration(tmp_path, package, closing):
    file = tmp_path / package / '0001_first.py'
    file.write_text(file.read_text().replace("'models.Room', source_field", "'models.Hut', source_field"))
    with pytest.raises(RuntimeError, match=r'Guest\.room refers to Hut'):
        await migrating_state.run_migrations(_config(tmp_path / 'ours', package), '0001_first')
