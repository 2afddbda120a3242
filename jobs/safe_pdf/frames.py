"""What the worker says to the portal: numbers and pixels, in frames of a fixed form."""

import struct
from dataclasses import dataclass
from enum import IntEnum

HEADER = struct.Struct('>4sIIddBI')
CONFINED, PAGE, FAILED, DONE = b'CONF', b'PAGE', b'FAIL', b'DONE'


class Encoding(IntEnum):
    GRAY_FLATE = 0
    RGB_FLATE = 1
    GRAY_JPEG = 2
    RGB_JPEG = 3

    @property
    def channels(self) -> int:
        return 3 if self in (Encoding.RGB_FLATE, Encoding.RGB_JPEG) else 1

    @property
    def is_jpeg(self) -> bool:
        return self in (Encoding.GRAY_JPEG, Encoding.RGB_JPEG)


@dataclass(frozen=True)
class Page:
    """One page as an image: its size in pixels and in points."""

    width: int
    height: int
    points_wide: float
    points_high: float
    encoding: Encoding
    body: bytes

    def frame(self) -> bytes:
        return (
            HEADER.pack(
                PAGE, self.width, self.height, self.points_wide, self.points_high, self.encoding, len(self.body)
            )
            + self.body
        )


def said(tag: bytes, first: int = 0, second: int = 0) -> bytes:
    """A frame without a body."""
    return HEADER.pack(tag, min(first, 0xFFFFFFFF), min(second, 0xFFFFFFFF), 0.0, 0.0, 0, 0)
