"""A portal of its own for the browser tests and the pictures: `main.py serve` in a process, on a free port."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent
CHROMIUM_ARGUMENTS = (
    '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
    '--disable-background-networking', '--disable-component-update', '--disable-sync',
)  # fmt: skip
_CHROMIUMS = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
# A process that has the models loaded, which takes a second, and lives as long as the tests. For every piece of code
# that it reads it makes a copy of itself, which has nothing of those before it.
_ASIDE = """
import asyncio, json, os, signal, sys, textwrap, traceback
sys.path.insert(0, {root!r})
from datetime import UTC, datetime, timedelta
from models import *
from models.database import opened

async def done(code):
    names = dict(globals())
    exec('async def work():\\n' + textwrap.indent(code, '    '), names)
    async with opened():
        return await names['work']()

def answer(order):
    os.environ.clear()
    os.environ.update(order['environment'])
    os.chdir(order['folder'])
    try:
        return {{'returned': asyncio.run(done(order['code']))}}
    except BaseException:
        return {{'failed': traceback.format_exc()}}

def say(answer):
    os.write(out, json.dumps(answer).encode() + b'\\n')

out = os.dup(1)
os.dup2(2, 1)
for line in sys.stdin:
    if (child := os.fork()) == 0:
        signal.alarm(60)
        say(answer(json.loads(line)))
        os._exit(0)
    if ended := os.waitpid(child, 0)[1]:
        say({{'failed': 'it took too long, or ended by ' + str(ended)}})
"""


@cache
def _beside() -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, '-c', _ASIDE.format(root=str(ROOT))], text=True, bufsize=1,
        env={k: v for k, v in os.environ.items() if not k.startswith(('PYTEST_', 'NICEGUI_', 'PORTAL_'))},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    atexit.register(process.communicate)
    return process


def chromium() -> str | None:
    """The Chromium to test and measure with; None is Playwright's own."""
    given = os.environ.get('PORTAL_TEST_CHROMIUM')
    return given or next((path for name in _CHROMIUMS if (path := shutil.which(name)) and version(path)), None)


@cache
def version(path: str) -> str:
    """What this browser calls itself; empty where it does not start, as a wrapper without a browser in it."""
    try:
        told = subprocess.run([path, '--version'], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ''
    return ' '.join(told.split()[:2])


def start_chromium() -> None:
    """Start the Chromium to test with, headless as the tests do, and end it; raises where there is none."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        playwright.chromium.launch(executable_path=chromium(), args=list(CHROMIUM_ARGUMENTS)).close()


def kept_port() -> socket.socket:
    """A free port that nobody else is given as long as this socket is open: connecting to it is refused, until a server
    listens there, which says as well that it shares its address."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(('127.0.0.1', 0))
    return kept


class Portal:
    """One server with data of its own; it can be killed, stopped, frozen and started again in the same place."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data, self._kept = data, kept_port()  # also while it starts, which takes seconds
        self.port = self._kept.getsockname()[1]
        self.address = f'http://127.0.0.1:{self.port}'
        self.log = data / 'server.log'
        # Nothing of a test around it, of NiceGUI's test mode, or of the settings of whoever runs this.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(('PYTEST_', 'NICEGUI_', 'PORTAL_'))}
        self.environment = kept | {
            'PORTAL_HOST': '127.0.0.1', 'PORTAL_PORT': str(self.port), 'PORTAL_DATA_DIR': str(data),
            'PORTAL_DEMO': '1', 'PORTAL_DEMO_RATE': '0', 'PYTHONUNBUFFERED': '1', **settings,
        }  # fmt: skip
        self.tokens: dict[str, str] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._frozen = False

    # -- the server ---------------------------------------------------------------------------------------------------

    def start(self, *, wait: bool = True) -> Self:
        assert self._server is None, 'it runs already'
        self.data.mkdir(parents=True, exist_ok=True)
        with self.log.open('ab') as log:
            self._server = subprocess.Popen(
                [sys.executable, str(ROOT / 'main.py'), 'serve'],
                env=self.environment, cwd=self.data, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        if wait:
            self.wait_until_ready()
        return self

    def wait_until_ready(self, timeout: float = 120) -> None:
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            assert self._server is not None
            if self._server.poll() is not None:
                raise RuntimeError(f'the server ended with {self._server.returncode}:\n{self.printed()[-3000:]}')
            try:
                with urllib.request.urlopen(self.address + '/readyz', timeout=5):
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f'the server was not ready after {timeout:.0f} s:\n{self.printed()[-3000:]}')

    def _end(self, how: signal.Signals) -> None:
        if self._server is None:
            return
        self.thaw()
        self._server.send_signal(how)
        try:
            self._server.wait(15)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait(15)
        self._server = None

    def stop(self) -> None:
        """Ask it to end, as whoever runs it would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it stand still: its sockets stay open and nobody answers."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        if self._frozen and self._server is not None:
            self._server.send_signal(signal.SIGCONT)
        self._frozen = False

    def printed(self) -> str:
        return self.log.read_text(errors='replace') if self.log.exists() else ''

    @property
    def password(self) -> str:
        """The demo password, as it was printed: a moment after the portal was ready."""
        until = time.monotonic() + 30
        while True:
            lines = [line for line in self.printed().splitlines() if line.startswith('demo password: ')]
            if lines or time.monotonic() > until:
                return lines[-1].removeprefix('demo password: ').strip()
            time.sleep(0.05)

    # -- what happens outside -----------------------------------------------------------------------------------------

    def command(self, *words: str) -> str:
        """Run a command of main.py beside the server; give what it printed."""
        done = subprocess.run(
            [sys.executable, str(ROOT / 'main.py'), *words], env=self.environment, cwd=self.data, check=False,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f'{words}: {done.stdout}\n{done.stderr}'
        return done.stdout.strip()

    def aside(self, code: str) -> Any:
        """Run these lines of async Python with the models in a process of their own; give what they return."""
        self.data.mkdir(parents=True, exist_ok=True)
        beside = _beside()
        assert beside.stdin is not None
        assert beside.stdout is not None
        order = {'code': textwrap.dedent(code), 'environment': self.environment, 'folder': str(self.data)}
        beside.stdin.write(json.dumps(order) + '\n')
        answer = json.loads(beside.stdout.readline())
        assert 'failed' not in answer, answer['failed']
        return answer['returned']

    def post(self, *readings: dict[str, Any], partner: str = 'northwind-it') -> dict[str, Any]:
        """Post readings as an outside collector does; `at` is now unless it says otherwise."""
        now = datetime.now(UTC).isoformat()
        request = urllib.request.Request(
            self.address + '/api/v1/readings',
            json.dumps({'readings': [{'at': now, **reading} for reading in readings]}).encode(),
            {'Authorization': f'Bearer {self.tokens[partner]}', 'Content-Type': 'application/json'},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = json.load(response)
        assert not answer['refused'], answer
        return answer

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def temporary_portal() -> Portal:
    """A quiet demo in a folder of its own; the caller removes `data`."""
    return Portal(Path(tempfile.mkdtemp(prefix='portal-browser-')))


if __name__ == '__main__':  # .ci/chromium asks
    start_chromium()
