"""What takes a process everything but its open pipes: limits, another user, and a list of allowed system calls."""

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
from enum import IntFlag

from .limits import Limits


class Held(IntFlag):
    """What the confinement came to."""

    LIMITS = 1
    SYSTEM_CALLS = 2


NOBODY = 65534
_PDEATHSIG, _DUMPABLE, _SECCOMP, _NO_NEW_PRIVS = 1, 4, 22, 38  # of prctl
_SECCOMP_FILTER = 2
_EPERM, _ENOSYS = 1, 38
_SIGKILL = 9
_PROT_EXEC = 4

# Drawing needs memory, the clock and the pipes that are open, and nothing else: no file is opened any more, not even to
# be read, for what is read could be drawn. Numbers: [x86_64, aarch64]; None where there is no such call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    'read': (0, 63), 'write': (1, 64), 'close': (3, 57), 'lseek': (8, 62), 'fstat': (5, 80),
    'pread64': (17, 67), 'readv': (19, 65), 'writev': (20, 66),
    'munmap': (11, 215), 'brk': (12, 214), 'mremap': (25, 216), 'madvise': (28, 233),
    'rt_sigaction': (13, 134), 'rt_sigprocmask': (14, 135), 'rt_sigreturn': (15, 139), 'sigaltstack': (131, 132),
    'sched_yield': (24, 124), 'sched_getaffinity': (204, 123), 'getpid': (39, 172), 'gettid': (186, 178),
    'exit': (60, 93), 'exit_group': (231, 94), 'restart_syscall': (219, 128), 'futex': (202, 98),
    'gettimeofday': (96, 169), 'times': (100, 153), 'getrusage': (98, 165), 'sysinfo': (99, 179),
    'clock_gettime': (228, 113), 'clock_getres': (229, 114), 'clock_nanosleep': (230, 115), 'getrandom': (318, 278),
}  # fmt: skip
# Allowed unless memory becomes code.
_WITHOUT_EXEC = {'mmap': (9, 222), 'mprotect': (10, 226)}
_CLONE3 = 435  # the same everywhere; "there is no such call" lets the C library fall back to one that is refused
_MACHINES = {'x86_64': (0, 0xC000003E), 'aarch64': (1, 0xC00000B7)}


def confine(limits: Limits) -> Held:
    """Give up what drawing does not need, for good; say what could be had on this system."""
    held = Held(0)
    with contextlib.suppress(OSError):
        os.nice(10)
    _limit(limits)
    held |= Held.LIMITS
    if os.getuid() == 0:  # a portal that runs as root draws as nobody
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setresgid(NOBODY, NOBODY, NOBODY)
            os.setresuid(NOBODY, NOBODY, NOBODY)
    if sys.platform == 'linux' and _without_system_calls():
        held |= Held.SYSTEM_CALLS
    return held


def _limit(limits: Limits) -> None:
    given = {
        'RLIMIT_AS': limits.memory,
        'RLIMIT_CPU': limits.cpu_seconds,
        'RLIMIT_FSIZE': 0,  # what is made goes through the pipe
        'RLIMIT_NOFILE': 3,
        'RLIMIT_NPROC': 0,
        'RLIMIT_CORE': 0,
    }
    for name, value in given.items():
        if (number := getattr(resource, name, None)) is None:
            continue
        # A second more for the hard one: the soft one says by its signal that it was the time.
        hard = value + 1 if name == 'RLIMIT_CPU' else value
        with contextlib.suppress(OSError, ValueError):  # macOS does not take every one of these
            resource.setrlimit(number, (value, hard))


def _without_system_calls() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PDEATHSIG, _SIGKILL, 0, 0, 0)  # after the change of the user, which would clear it
    libc.prctl(_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    program = _program(platform.machine())
    if program is None:
        return False
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the count, then (aligned) the address.
    head = ctypes.create_string_buffer(struct.pack('HxxxxxxP', len(program) // 8, ctypes.addressof(code)))
    return libc.prctl(_SECCOMP, _SECCOMP_FILTER, head, 0, 0) == 0


def _program(machine: str) -> bytes | None:
    """The filter for the kernel: a BPF program of eight bytes an instruction."""
    if machine not in _MACHINES or sys.maxsize < 2**32:
        return None
    column, architecture = _MACHINES[machine]
    load, equal, has_bit, give = 0x20, 0x15, 0x45, 0x06
    allow, kill, refuse = 0x7FFF0000, 0x80000000, 0x00050000
    made: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),  # which machine's calls
        (equal, 1, 0, architecture),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # which call
    ]
    for numbers in _ALLOWED.values():
        if (number := numbers[column]) is not None:
            made += [(equal, 0, 1, number), (give, 0, 0, allow)]
    for numbers in _WITHOUT_EXEC.values():
        made += [
            (equal, 0, 4, numbers[column]),
            (load, 0, 0, 32),  # the third argument: what the memory is for
            (has_bit, 1, 0, _PROT_EXEC),
            (give, 0, 0, allow),
            (give, 0, 0, refuse | _EPERM),
        ]
    made += [(equal, 0, 1, _CLONE3), (give, 0, 0, refuse | _ENOSYS), (give, 0, 0, refuse | _EPERM)]
    return b''.join(struct.pack('HBBI', *each) for each in made)
