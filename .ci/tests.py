"""Runs the groups of tests, each in a process of its own (a browser and NiceGUI's simulated user do not share one),
and closes with one line that counts all of them."""

import os
import re
import subprocess
import sys
import time

# As many at a time as there are processors: each worker has databases, a PostgreSQL, portals and a browser of its own.
# The tests of one file with a browser share a portal. What is held against the clock to a second or two comes last, one
# after the other.
WORKERS = ['-n', str(min(4, os.cpu_count() or 1))]
GROUPS = (
    ['-m', 'not browser and not slow', *WORKERS, '--dist', 'worksteal'],
    ['-m', 'browser and not alone', 'tests/browser', *WORKERS, '--dist', 'loadfile'],
    ['-m', 'browser and alone', 'tests/browser'],
)
COUNTED = re.compile(r'(\d+) (passed|failed|error|errors|skipped)')


def main() -> int:
    totals = {'passed': 0, 'failed': 0, 'skipped': 0}
    worst, started = 0, time.monotonic()
    for group in GROUPS:
        process = subprocess.Popen(
            [sys.executable, '-m', 'pytest', *group], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        last = ''
        for line in process.stdout or ():
            print(line, end='', flush=True)
            if COUNTED.search(line):
                last = line
        code = process.wait()
        if code == 5:
            print('no tests were found', flush=True)
        worst = worst or code
        for count, word in COUNTED.findall(last):
            totals['failed' if word.startswith('error') else word] += int(count)
    failed = f'{totals["failed"]} failed, ' if totals['failed'] else ''
    skipped = f', {totals["skipped"]} skipped' if totals['skipped'] else ''
    print(f'=== {failed}{totals["passed"]} passed{skipped} in {time.monotonic() - started:.2f}s ===', flush=True)
    return worst


if __name__ == '__main__':
    sys.exit(main())
