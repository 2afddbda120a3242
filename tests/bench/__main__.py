"""Measures the portal and prints one table in Markdown. It wants the machine for itself."""

import argparse
import asyncio
import platform
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import board, coming_back, cost, exports, live_changes, memory, opening, painting, routes, storing
from tests.bench.harness import QUICK, Data, Row, Scale, Unmeasured
from tests.browser.portal import chromium, version

MAKING_TARGET = 120


async def making(data: Data) -> list[Row]:
    """The databases, the largest first: with the others made, the disk would be busier."""
    for size in reversed(data.scale.sizes):
        await data.demo(size)
    most = data.scale.sizes[-1]
    took = data.took[most]
    return [Row(f'`demo --customers {most}`', f'{took:.0f} s', f'< {MAKING_TARGET} s', took < MAKING_TARGET)]


MEASUREMENTS: dict[str, Callable[[Data], Awaitable[list[Row]]]] = {
    'data': making, 'paint': painting.measure, 'open': opening.measure, 'board': board.measure,
    'routes': routes.measure, 'idle': live_changes.idle, 'load': live_changes.load, 'cost': cost.measure,
    'readings': storing.measure, 'memory': memory.measure, 'reconnect': coming_back.measure, 'export': exports.measure,
}  # fmt: skip


async def measure(scale: Scale, names: list[str]) -> tuple[list[Row], bool]:
    """All rows, and whether everything could be measured; one that fails does not stop the others."""
    data, found, complete = Data(scale), [], True
    try:
        for name in names:
            began = time.monotonic()
            try:
                rows = await MEASUREMENTS[name](data)
            except Unmeasured as error:
                rows, complete = [Row(name, f'could not be measured: {error}', '', False)], False
            except Exception as error:
                what = ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
                rows, complete = [Row(name, f'could not be measured: {what}', '', False)], False
            found += rows
            for row in rows:
                print(f'[{name}] {row.what}: {row.measured}', file=sys.stderr, flush=True)
            print(f'[{name}] took {time.monotonic() - began:.0f} s', file=sys.stderr, flush=True)
    finally:
        data.close()
    return found, complete


# -- the table --------------------------------------------------------------------------------------------------------


def table(rows: list[Row], *, quick: bool, took: float) -> str:
    met = {True: 'yes', False: '**no**', None: ''}
    when = f'{datetime.now(UTC):%Y-%m-%d %H:%M} UTC'
    lines = [f'Measured {when} by `make bench` in {took / 60:.1f} minutes on {machine()}.', '']
    if quick:
        lines += ['A quick run: small databases and few repeats. Its figures mean nothing.', '']
    lines += ['| What | Measured | Target | Met |', '|---|---|---|---|']
    lines += [f'| {row.what} | {row.measured.replace("|", "/")} | {row.target} | {met[row.met]} |' for row in rows]
    return '\n'.join(lines) + '\n'


def machine() -> str:
    cores = len(_cpu_lines('processor'))
    model = next(iter(_cpu_lines('model name')), platform.machine())
    memory = int(Path('/proc/meminfo').read_text().split()[1]) / 1024 / 1024
    return f'{model}, {cores} cores, {memory:.0f} GiB, Linux, Python {platform.python_version()}, {_browser()}'


def _cpu_lines(name: str) -> list[str]:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    return [line.partition(':')[2].strip() for line in lines if line.partition(':')[0].strip() == name]


def _browser() -> str:
    found = chromium()
    return (found and version(found)) or 'Chromium of Playwright'


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='python -m tests.bench', description=__doc__)
    parser.add_argument('--quick', action='store_true', help='small databases and few repeats, to see that it works')
    parser.add_argument('--only', nargs='+', metavar='NAME', choices=MEASUREMENTS, help=', '.join(MEASUREMENTS))
    parser.add_argument('--out', type=Path, metavar='FILE.md', help='write the table here as well')
    return parser.parse_args()


def main() -> int:
    given, began = arguments(), time.monotonic()
    names = [name for name in MEASUREMENTS if not given.only or name in given.only]
    rows, complete = asyncio.run(measure(QUICK if given.quick else Scale(), names))
    text = table(rows, quick=given.quick, took=time.monotonic() - began)
    print(text)
    if given.out:
        given.out.write_text(text)
    return 0 if complete else 1


if __name__ == '__main__':
    sys.exit(main())
