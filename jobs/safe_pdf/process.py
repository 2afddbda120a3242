"""Runs the worker for one file and holds it to its limits. Blocking: the portal calls it in a thread."""

import contextlib
import logging
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .composing import Composer
from .confinement import Held
from .frames import CONFINED, DONE, FAILED, HEADER, PAGE, Encoding, Page
from .limits import Limits, Unsafe, Why

log = logging.getLogger(__name__)

_BEGIN = 'import sys; sys.path.insert(0, sys.argv[1]); from safe_pdf.worker import main; main()'
_HEARD = 4096  # bytes of what the worker complains of that are kept
_told: set[Held] = set()


class Stopped(Exception):
    """The portal is going down; the file is none the worse for it."""


class NotStarted(RuntimeError):
    """The worker did not come as far as the file: something is wrong with the portal, not with the file."""


@dataclass(frozen=True)
class Made:
    pages: int
    size: int


class Conversion:
    """One file on its way to a safe PDF."""

    def __init__(self, source: Path, kind: str, target: BinaryIO, limits: Limits) -> None:
        self._source, self._kind, self._limits = source, kind, limits
        self._composer = Composer(target, limits)
        self._buffer = bytearray()
        self._confined = self._done = self._stopped = False
        self._complaint = b''
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> Made:
        """Draw the file into the target; raises `Unsafe` with the reason where that cannot be."""
        with tempfile.TemporaryDirectory(prefix='portal-safe-pdf-') as empty, self._source.open('rb') as given:
            process = self._process = subprocess.Popen(
                [
                    sys.executable, '-I', '-B', '-c', _BEGIN, str(Path(__file__).parent.parent),
                    self._limits.as_text(), self._kind,
                ],
                stdin=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=empty, env={}, start_new_session=True,
            )  # fmt: skip
            try:
                self._listen(process)
            finally:
                _end(process)
        if self._stopped:
            raise Stopped
        if not self._confined:
            raise NotStarted(f'the worker ended with {process.returncode}: {self._complaint[-500:]!r}')
        if not self._done:
            log.warning('a worker ended with %s: %r', process.returncode, self._complaint[-500:])
            raise Unsafe(_why(process.returncode))
        self._composer.close()
        return Made(self._composer.pages, self._composer.size)

    def stop(self) -> None:
        """End it now; from any thread."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Take in what the worker says until it is done or its time is over."""
        until = time.monotonic() + self._limits.wall_seconds
        assert process.stdout is not None
        assert process.stderr is not None
        with process.stdout, process.stderr, selectors.DefaultSelector() as both:
            both.register(process.stdout, selectors.EVENT_READ)
            both.register(process.stderr, selectors.EVENT_READ)
            while both.get_map() and not self._stopped:
                left = until - time.monotonic()
                if left <= 0:
                    raise Unsafe(Why.TIME)
                for key, _ in both.select(min(left, 1.0)):
                    part = os.read(key.fd, 1 << 18)
                    if not part:
                        both.unregister(key.fileobj)
                    elif key.fileobj is process.stderr:
                        self._complaint = (self._complaint + part)[-_HEARD:]
                    else:
                        self._buffer += part
                        self._hear()
        if not self._stopped:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(1.0)

    def _hear(self) -> None:
        while len(self._buffer) >= HEADER.size and not self._done:
            tag, first, second, wide, high, encoding, length = HEADER.unpack_from(self._buffer)
            if length > self._limits.output:
                raise Unsafe(Why.OUTPUT)
            if len(self._buffer) < HEADER.size + length:
                return
            body = bytes(self._buffer[HEADER.size : HEADER.size + length])
            del self._buffer[: HEADER.size + length]
            if tag == CONFINED and not self._confined:
                self._confined = True
                _tell(Held(first & 3))
            elif tag == PAGE and self._confined and encoding in list(Encoding):
                self._composer.add(Page(first, second, wide, high, Encoding(encoding), body))
            elif tag == FAILED and self._confined and first in list(Why):
                raise Unsafe(Why(first), second)
            elif tag == DONE and self._composer.pages and first == self._composer.pages:
                self._done = True
            else:
                raise Unsafe(Why.CRASHED)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave nothing of the worker behind. It leads a group of its own."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _why(code: int) -> Why:
    if code == -signal.SIGXCPU:
        return Why.TIME
    return Why.MEMORY if code == -signal.SIGKILL else Why.CRASHED


def _tell(held: Held) -> None:
    """Say once which protection this system does not have."""
    if held not in _told:
        _told.add(held)
        if Held.SYSTEM_CALLS not in held:
            log.warning('files are drawn without a filter of system calls: this system has none')
