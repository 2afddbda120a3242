"""Backing up and restoring as somebody types it."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

import main
from models.backing_up import NAME
from settings import settings

ROOT = Path(__file__).parent.parent
KEY = 'the key of the backups, as long as it has to be'


@pytest.fixture
def call(sqlite_file: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run a command in this process, with these settings; give what it ended with and what it said."""
    monkeypatch.setattr(main, 'start_logging', lambda: None)

    def call(*arguments: str, **given: str) -> tuple[int, str]:
        with monkeypatch.context() as patched:
            for name, value in given.items():
                patched.setenv(name, value)
            settings.cache_clear()
            ended = CliRunner().invoke(main.cli, list(arguments))
        settings.cache_clear()
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return ended.exit_code, ended.output

    return call


def _made(folder: Path) -> str:
    (path,) = (path for path in folder.iterdir() if NAME.fullmatch(path.name))
    return str(path)


def test_the_drill(call, sqlite_file, tmp_path):
    """Demo, backup, verify, restore into an empty folder, history as written; then --force."""
    assert call('demo', '--customers', '20')[0] == 0
    code, said = call('backup', '--to', str(tmp_path / 'disk'), PORTAL_BACKUP_KEY=KEY)
    path = _made(tmp_path / 'disk')
    assert (code, said.split(' (')[0]) == (0, path)
    assert 'MB, encrypted)' in said
    code, said = call('verify-backup', path, PORTAL_BACKUP_KEY=KEY)
    assert code == 0
    assert said.startswith('whole: SQLite, ')
    assert ' 64 customers, 5 users, ' in said
    there = {'PORTAL_BACKUP_KEY': KEY, 'PORTAL_DATA_DIR': str(tmp_path / 'new')}
    code, said = call('restore', path, **there)
    assert code == 0, said
    assert 'restored: SQLite, ' in said
    assert 'Everybody has to sign in again.' in said
    assert '!!' not in said
    code, said = call('verify-history', **there)
    assert (code, 'all as written' in said) == (0, True)
    code, said = call('restore', path, **there)
    assert code == 1
    assert '--force' in said
    assert said.endswith('Nothing was changed.\n')
    code, said = call('restore', path, '--force', **there)
    assert code == 0
    assert f'What was there before is kept: {tmp_path / "new" / "before-restore-"}' in said


def test_what_is_not_encrypted_is_said_to_be_so(call, tmp_path):
    code, said = call('backup')
    path = _made(settings().data_dir / 'backups')
    assert code == 0
    assert 'not encrypted: PORTAL_BACKUP_KEY is empty' in said
    code, said = call('restore', path, PORTAL_DATA_DIR=str(tmp_path / 'new'), PORTAL_BACKUP_KEY=KEY)
    assert code == 0
    assert '!! PORTAL_BACKUP_KEY is set, and this backup is not encrypted' in said


@pytest.mark.parametrize('command', ['verify-backup', 'restore'])
def test_a_backup_that_cannot_be_read_is_one_sentence(call, tmp_path, command):
    call('backup', '--to', str(tmp_path), PORTAL_BACKUP_KEY=KEY)
    path = Path(_made(tmp_path))
    new = {'PORTAL_DATA_DIR': str(tmp_path / 'new')}
    code, said = call(command, str(path), PORTAL_BACKUP_KEY='y' * 40, **new)
    assert (code, 'is not the key that the backup was made with' in said) == (1, True)
    code, said = call(command, str(path), **new)
    assert (code, 'the backup is encrypted, and portal_backup_key is empty' in said.lower()) == (1, True)
    path.write_bytes(path.read_bytes()[:-5])
    code, said = call(command, str(path), PORTAL_BACKUP_KEY=KEY, **new)
    assert (code, 'it ends too early' in said) == (1, True)
    path.write_bytes(b'PK\3\4' * 100)
    code, said = call(command, str(path), **new)
    assert (code, 'This is no backup of the portal' in said) == (1, True)
    assert call(command, str(tmp_path / 'none'))[0] == 2
    assert not [file for file in (tmp_path / 'new').rglob('*') if file.is_file()]


def test_a_backup_that_cannot_be_made_is_one_sentence(call, tmp_path, monkeypatch):
    monkeypatch.setattr('models.backing_up.ROOM_KEPT', 1 << 60)
    code, said = call('backup', '--to', str(tmp_path / 'disk'))
    assert code == 1
    assert said.startswith('There is not enough room for a backup in ')
    assert said.count('\n') == 1
    assert list((tmp_path / 'disk').iterdir()) == []
    elsewhere = tmp_path / 'elsewhere'  # a folder that was mistyped has nothing that could be well
    for command in ('backup', 'verify-history', 'remove-demo'):
        code, said = call(command, PORTAL_DATA_DIR=str(elsewhere))
        assert (code, said) == (
            1, f'There is no database: {elsewhere / "portal.sqlite3"}. PORTAL_DATA_DIR says where it is.\n'
        )  # fmt: skip
    assert not elsewhere.exists()


def test_what_somebody_does_and_what_verifying_finds_wrong_is_in_the_audit(call, sqlite_file, tmp_path):
    assert call('create-partner', 'Northwind', '--domain', 'n.example', '--admin-email', 'ana@n.example',
                '--password', 'four words are plenty')[0] == 0  # fmt: skip
    disk = tmp_path / 'disk'
    assert call('backup', '--to', str(disk))[0] == 0
    path = Path(_made(disk))
    assert call('verify-backup', str(path))[0] == 0
    path.write_bytes(path.read_bytes()[:-1000])
    before = _audited(sqlite_file)
    assert [kind for kind, _ in before if kind.startswith('backup.')] == ['backup.made']
    code, said = call('verify-backup', str(path))
    assert (code, _audited(sqlite_file)) == (1, [*before,
        ('backup.unreadable', f'A backup could not be verified: {path.name}. {said.strip()}')
    ])  # fmt: skip
    # Where only copies are kept, nothing is made for it.
    assert call('verify-backup', str(path), PORTAL_DATA_DIR=str(tmp_path / 'elsewhere'))[0] == 1
    assert not (tmp_path / 'elsewhere' / 'portal.sqlite3').exists()
    # Nor is a database of another version migrated.
    with contextlib.closing(sqlite3.connect(sqlite_file)) as file, file:
        file.execute('DELETE FROM tortoise_migrations WHERE id=(SELECT max(id) FROM tortoise_migrations)')
        known = file.execute('SELECT count(*) FROM tortoise_migrations').fetchone()
    assert call('verify-backup', str(path))[0] == 1
    assert len(_audited(sqlite_file)) == len(before) + 1
    with contextlib.closing(sqlite3.connect(sqlite_file)) as file:
        assert file.execute('SELECT count(*) FROM tortoise_migrations').fetchone() == known


def _audited(place: Path) -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(place)) as file:
        return file.execute(
            'SELECT e.kind, t.summary FROM history_event e JOIN history_text t ON t.event_id=e.id '
            'WHERE e.customer_id IS NULL ORDER BY e.id'
        ).fetchall()


def test_the_commands_work_in_a_process_of_their_own(sqlite_file, tmp_path):
    """Which is where nothing else has opened a database or started a loop before."""
    kept = {name: v for name, v in os.environ.items() if not name.startswith(('PYTEST_', 'NICEGUI_'))}

    def run(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / 'main.py'), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60,
            env={**kept, 'PORTAL_DATA_DIR': str(sqlite_file.parent), **given}, check=False,
        )  # fmt: skip

    made = run('backup', '--to', str(tmp_path))
    assert (made.returncode, made.stdout.count('\n')) == (0, 1), made.stderr
    restored = run('restore', _made(tmp_path), PORTAL_DATA_DIR=str(tmp_path / 'new'))
    assert restored.returncode == 0, restored.stderr
    assert (tmp_path / 'new' / 'portal.sqlite3').stat().st_mode & 0o777 == 0o600
    assert (tmp_path / 'new').stat().st_mode & 0o777 == 0o700
    assert 'Traceback' not in made.stderr + restored.stderr
