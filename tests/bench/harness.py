"""What every measurement stands on: data folders, servers and helpers in processes of their own, and their cost."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
COOKIE = 'portal_session'
_OURS = ('PORTAL_', 'NICEGUI_', 'PYTEST_')


class Unmeasured(Exception):
    """Why something could not be measured."""


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where there is no target."""

    what: str
    measured: str
    target: str = ''
    met: bool | None = None


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    sizes: tuple[int, int, int] = (1_000, 10_000, 100_000)
    repeats: int = 9
    requests: int = 200
    clients: int = 300
    idle_changes: int = 60
    load_seconds: float = 22.0
    cost_seconds: float = 10.0
    batches: int = 5
    sockets: int = 200
    pages: int = 50
    real: int = 1_000
    seconds_a_route: float = 15.0  # a route that is far off its target must not eat the ten minutes


QUICK = Scale(
    sizes=(1_000, 2_000, 5_000), repeats=3, requests=40, clients=60, idle_changes=15, load_seconds=6.0,
    cost_seconds=4.0, batches=2, sockets=50, pages=15,
)  # fmt: skip


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that this share of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-share * len(ordered) // 1) - 1))]


def ms(seconds: float) -> str:
    return f'{seconds * 1000:,.0f} ms' if seconds >= 0.02 else f'{seconds * 1000:.1f} ms'


def at_most(what: str, value: float, bound: float, *, note: str = '', show: str = '{:.2f}×', unit: str = '×') -> Row:
    return Row(what, show.format(value) + (f' ({note})' if note else ''), f'≤ {bound:g}{unit}', value <= bound)


# -- processes --------------------------------------------------------------------------------------------------------


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """The environment of a portal that keeps everything in this folder and hears of nothing else."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_OURS)}
    return kept | {
        'PYTHONPATH': str(ROOT), 'PYTHONDONTWRITEBYTECODE': '1', 'PORTAL_DATA_DIR': str(data_dir),
        'PORTAL_HOST': '127.0.0.1', 'PORTAL_DATABASE_URL': '', 'PORTAL_HELP_URL': '', 'PORTAL_DEMO': '1',
        'PORTAL_DEMO_RATE': '0', 'PORTAL_LOG_LEVEL': 'WARNING', 'NICEGUI_STORAGE_PATH': str(data_dir / 'nicegui'),
    } | more  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


async def started(*command: str, data_dir: Path, **options: Any) -> asyncio.subprocess.Process:
    # In the data folder: a `.env` of whoever runs this must not count.
    more = options.pop('env', {})
    return await asyncio.create_subprocess_exec(
        sys.executable, *command, cwd=data_dir, env=environment(data_dir, **more), limit=64 * 1024 * 1024, **options
    )


async def ended(process: asyncio.subprocess.Process, *, patience: float = 15) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), patience)
    except TimeoutError:
        process.kill()
        await process.wait()


async def run(*command: str, data_dir: Path, timeout: float = 300) -> str:
    """Run a Python program to its end and return what it printed."""
    pipes = {'stdout': asyncio.subprocess.PIPE, 'stderr': asyncio.subprocess.PIPE}
    process = await started(*command, data_dir=data_dir, **pipes)
    try:
        out, err = await asyncio.wait_for(process.communicate(), timeout)
    except TimeoutError:
        raise Unmeasured(f'{" ".join(command)[:60]} took longer than {timeout:.0f} s') from None
    finally:
        await ended(process)
    if process.returncode:
        raise Unmeasured(f'{" ".join(command)[:60]} failed: {_end_of(err.decode())}')
    return out.decode()


def _end_of(text: str) -> str:
    return ' / '.join(text.strip().splitlines()[-3:])[-400:]


class Server:
    """A portal on a port of its own; `bare` serves the bare page beside it."""

    def __init__(self, data_dir: Path, *, bare: bool = False) -> None:
        self.data_dir, self.bare, self.port = data_dir, bare, free_port()
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f'http://127.0.0.1:{self.port}'

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def start(self) -> float:
        """Start and wait until it is ready; return when that was (seconds since 1970)."""
        command = ('-m', 'tests.bench.serve_with_bare') if self.bare else (str(ROOT / 'main.py'), 'serve')
        log = self.data_dir / 'server.log'
        with log.open('w') as file:
            self.process = await started(
                *command, data_dir=self.data_dir, stdout=file, stderr=file, env={'PORTAL_PORT': str(self.port)}
            )
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as http:
            for _ in range(3000):
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(self.url + '/readyz') as response:
                        if response.status == 200:
                            return time.time()
                if self.process.returncode is not None:
                    break
                await asyncio.sleep(0.02)
        await self.stop()
        raise Unmeasured(f'the server did not start: {_end_of(log.read_text())}')

    async def stop(self) -> None:
        if self.process is not None:
            await ended(self.process)
            self.process = None

    async def __aenter__(self) -> 'Server':
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far: to the nanosecond where the kernel tells, else in ticks of 10 ms."""
    try:
        threads = Path(f'/proc/{pid}/task').iterdir()
        return sum(int((thread / 'schedstat').read_text().split()[0]) for thread in threads) / 1e9
    except (OSError, ValueError, IndexError):
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def resident_kib(pid: int) -> int:
    for line in Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1])
    raise Unmeasured('the memory of the server is not told here')


class Helper:
    """A program of this package that is given orders on its input and answers each with one line of JSON."""

    def __init__(self, name: str, data_dir: Path, **given: Any) -> None:
        self.name, self.data_dir, self.given = name, data_dir, given

    async def __aenter__(self) -> 'Helper':
        pipe = asyncio.subprocess.PIPE
        self.process = await started('-m', f'tests.bench.{self.name}', data_dir=self.data_dir, stdin=pipe, stdout=pipe)
        try:
            await self.ask(self.given)
        except BaseException:
            await ended(self.process)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self.process, patience=5)

    async def ask(self, order: Any, timeout: float = 120) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b'\n')
        await self.process.stdin.drain()
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), timeout)
        except TimeoutError:
            raise Unmeasured(f'{self.name} did not answer within {timeout:.0f} s') from None
        if not line:
            raise Unmeasured(f'{self.name} has ended by itself')
        answer = json.loads(line)
        if isinstance(answer, dict) and 'error' in answer:
            raise Unmeasured(f'{self.name}: {answer["error"]}')
        return answer


# -- data -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Prepared:
    """A data folder of a measurement: who may sign in, and the customers that take readings."""

    folder: Path
    token: str
    sessions: list[str]
    customers: list[tuple[int, str]]

    @property
    def codes(self) -> list[str]:
        return [code for _, code in self.customers]

    @property
    def cookies(self) -> dict[str, str]:
        return {COOKIE: self.sessions[0]}


@dataclass
class Data:
    """The databases of one run: each made once, and copied for every measurement that wants it fresh."""

    scale: Scale
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix='portal-bench-')))
    took: dict[int, float] = field(default_factory=dict)
    _copies: int = 0

    async def demo(self, customers: int) -> Path:
        """A folder with the demonstration and this many customers more."""
        folder = self.folder / f'demo-{customers}'
        if not folder.exists():
            folder.mkdir()
            began = time.monotonic()
            if customers:
                await run(
                    str(ROOT / 'main.py'), 'demo', '--customers', str(customers), '--seed', '1',
                    data_dir=folder, timeout=400,
                )  # fmt: skip
            else:
                await run('-m', 'tests.bench.prepare', 'cast', data_dir=folder)
            self.took[customers] = time.monotonic() - began
        return folder

    async def prepared(self, customers: int, *, real: int = 0, sessions: int = 1) -> Prepared:
        """A copy of its own, with `real` customers more that take readings, and people signed in."""
        source = await self.demo(customers)
        self._copies += 1
        folder = self.folder / f'{source.name}-{self._copies}'
        await asyncio.to_thread(shutil.copytree, source, folder)
        made = json.loads(await run('-m', 'tests.bench.prepare', str(real), str(sessions), data_dir=folder))
        return Prepared(folder, made['token'], made['sessions'], [tuple(pair) for pair in made['customers']])

    def forget(self, prepared: Prepared) -> None:
        shutil.rmtree(prepared.folder, ignore_errors=True)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def portal(
    data: Data, customers: int, *, real: int = 0, sessions: int = 1, bare: bool = False
) -> AsyncIterator[tuple[Server, Prepared]]:
    """A portal with data of its own, until the end of the block."""
    prepared = await data.prepared(customers, real=real, sessions=sessions)
    try:
        async with Server(prepared.folder, bare=bare) as server:
            yield server, prepared
    finally:
        data.forget(prepared)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
