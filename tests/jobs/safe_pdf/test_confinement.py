"""What a process cannot do any more once it is confined, tried from inside."""

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.safe_pdf import confinement
from jobs.safe_pdf.limits import Limits

JOBS = Path(__file__).parent.parent.parent.parent / 'jobs'
TRIED = """
import ctypes, json, mmap, os, signal, socket, sys, threading
sys.path.insert(0, sys.argv[1])
from safe_pdf.confinement import confine
from safe_pdf.limits import Limits

here = sys.argv[2]
libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

tries = {
    'a socket': lambda: socket.socket(),
    'a pair of sockets': lambda: socket.socketpair(),
    'a file to write': lambda: os.open(here + '/written', os.O_WRONLY | os.O_CREAT, 0o600),
    'a file to read': lambda: os.open('/etc/hostname', os.O_RDONLY),
    'a folder': lambda: os.listdir('/'),
    'a folder made': lambda: os.mkdir(here + '/made'),
    'a file deleted': lambda: os.unlink(here + '/kept'),
    'a file renamed': lambda: os.rename(here + '/kept', here + '/moved'),
    'a process': lambda: os._exit(0) if os.fork() == 0 else None,
    'a program': lambda: os.execv('/bin/true', ['true']),
    'a program in its place': lambda: os.posix_spawn('/bin/true', ['true'], {}),
    'a thread': lambda: threading.Thread(target=lambda: None).start(),
    'a signal': lambda: os.kill(os.getppid(), 0),
    'memory that runs': lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC),
    'tracing': lambda: call('ptrace', 16, os.getppid(), 0, 0),
    'memory of others': lambda: call('process_vm_readv', os.getppid(), None, 0, None, 0, 0),
    'another root': lambda: os.chroot('/'),
    'a name space': lambda: call('unshare', 0x10000000),
    'a pipe': lambda: os.pipe(),
    'more than its limits': lambda: __import__('resource').setrlimit(7, (100, 100)),
    'the user again': lambda: os.setuid(0),
}
__import__('resource')
held = confine(Limits())
said = {}
for name, attempt in tries.items():
    try:
        attempt()
        said[name] = 'done'
    except (OSError, RuntimeError, ValueError) as error:
        said[name] = 'refused'
os.write(1, json.dumps({'held': int(held), 'said': said}).encode())
os._exit(0)
"""


@pytest.mark.skipif(
    sys.platform != 'linux' or platform.machine() not in ('x86_64', 'aarch64'), reason='the filter is for Linux'
)
def test_inside_the_worker_nothing_can_be_reached(tmp_path):
    (tmp_path / 'kept').write_text('kept')
    tmp_path.chmod(0o777)
    ended = subprocess.run(
        [sys.executable, '-I', '-c', TRIED, str(JOBS), str(tmp_path)], capture_output=True, timeout=20, check=False
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found['held'] == confinement.Held.LIMITS | confinement.Held.SYSTEM_CALLS
    assert {name for name, came_of_it in found['said'].items() if came_of_it != 'refused'} == set()
    assert len(found['said']) > 15
    assert [path.name for path in tmp_path.iterdir()] == ['kept']


def test_there_is_a_filter_for_both_machines_and_for_no_other():
    for machine in ('x86_64', 'aarch64'):
        program = confinement._program(machine)
        assert program is not None
        assert len(program) % 8 == 0
        assert len(program) // 8 < 256  # so that every jump fits into its byte
    assert confinement._program('riscv64') is None


def test_the_limits_go_to_the_worker_as_they_are():
    limits = Limits(pages=7, wall_seconds=1.5)
    assert Limits.from_text(limits.as_text()) == limits
