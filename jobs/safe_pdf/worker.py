"""The process that reads an uploaded file. It ends with its work, and whatever happens in it ends with it."""

import os
import sys

from . import drawing
from .confinement import confine
from .frames import CONFINED, DONE, FAILED, said
from .limits import Limits, Unsafe, Why


def main() -> None:
    """`<folder of the package> <limits> <type>`; the file on standard input, frames on standard output."""
    limits, kind = Limits.from_text(sys.argv[2]), sys.argv[3]
    draw = drawing.prepared(kind, limits)  # imports and fonts: afterwards no file can be opened
    held = confine(limits)
    _write(said(CONFINED, held))
    try:
        made, written = 0, 0
        for page in draw(_read()):
            made += 1
            written += len(page.body)
            if made > limits.pages:
                raise Unsafe(Why.PAGES)
            if written > limits.output:
                raise Unsafe(Why.OUTPUT)
            _write(page.frame())
        _write(said(DONE, made))
    except Unsafe as found:
        _write(said(FAILED, found.why, found.number))
    except MemoryError:
        _write(said(FAILED, Why.MEMORY))
    except Exception:  # whatever a library says of a file that it cannot read; its words may quote the file
        _write(said(FAILED, Why.DAMAGED))
    os._exit(0)


def _read() -> bytearray:
    data = bytearray()
    while part := os.read(0, 1 << 20):
        data += part
    return data


def _write(data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(1, rest) :]
