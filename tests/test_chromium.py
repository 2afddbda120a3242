import os
import subprocess
from pathlib import Path

import pytest

from tests.bench import __main__ as bench
from tests.bench import browser as bench_browser
from tests.browser import portal

SCRIPT = Path(__file__).parent.parent / '.ci' / 'chromium'
# Stands for Python: starts a browser as soon as one was installed, and notes what it was asked for.
PYTHON = """#!/bin/sh
echo "$*" >> "{folder}/asked"
case "$*" in
    *install*) touch "{folder}/installed" ;;
    *) [ -e "{folder}/installed" ] ;;
esac
"""


def _program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all there is on the PATH."""
    folder = tmp_path / 'programs'
    folder.mkdir()
    monkeypatch.setenv('PATH', str(folder))
    return folder


def test_a_browser_that_does_not_start_is_passed_over(programs):
    _program(programs / 'chromium', '#!/bin/sh\necho "install the snap first" >&2\nexit 1\n')
    assert portal.chromium() is None
    _program(programs / 'google-chrome-stable', '#!/bin/sh\necho Google Chrome 140.0\n')
    assert portal.chromium() == str(programs / 'google-chrome-stable')


def test_the_browser_that_somebody_names_is_taken(programs, monkeypatch):
    _program(programs / 'chromium', '#!/bin/sh\necho Chromium 140.0\n')
    monkeypatch.setenv('PORTAL_TEST_CHROMIUM', '/opt/mine')
    assert portal.chromium() == '/opt/mine'


def test_the_bench_measures_with_the_browser_of_the_tests():
    assert bench_browser.chromium is bench.chromium is portal.chromium


@pytest.mark.parametrize(('user', 'wanted'), [('0', 'install --with-deps chromium'), ('1000', 'install chromium')])
def test_playwrights_browser_comes_with_its_libraries_only_where_nobody_is_asked_for_a_password(
    programs, tmp_path, user, wanted
):
    _program(tmp_path / 'python', PYTHON.format(folder=tmp_path))
    _program(programs / 'id', f'#!/bin/sh\necho {user}\n')
    for name in ('dirname', 'tail', 'touch'):
        (programs / name).symlink_to(f'/usr/bin/{name}')
    environment = os.environ | {'PATH': str(programs), 'PYTHON': str(tmp_path / 'python')}
    done = subprocess.run(['/bin/sh', str(SCRIPT)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    installed = [line for line in (tmp_path / 'asked').read_text().splitlines() if 'install' in line]
    assert installed == [f'-m playwright {wanted}']
