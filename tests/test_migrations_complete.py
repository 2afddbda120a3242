"""The models and their migrations say the same: what `makemigrations` would write is nothing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_no_migration_is_missing(tmp_path: Path) -> None:
    # In a copy: `makemigrations` has no dry run and would write into the tree.
    shutil.copytree(ROOT / 'models', tmp_path / 'models', ignore=shutil.ignore_patterns('__pycache__'))
    for name in ('settings.py', 'pyproject.toml'):
        shutil.copy(ROOT / name, tmp_path)
    tortoise = 'from tortoise.cli import main; main()'
    command = [sys.executable, '-c', tortoise, '-c', 'models.database.MIGRATION_CONFIG', 'makemigrations']
    environment = {k: v for k, v in os.environ.items() if not k.startswith(('PORTAL_', 'PYTHON'))}
    made = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | {'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 'No changes detected' in made.stdout, made.stdout + made.stderr
    there = {file.name for file in (ROOT / 'models/migrations').glob('*.py')}
    assert {file.name for file in (tmp_path / 'models/migrations').glob('*.py')} == there
