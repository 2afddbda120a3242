"""A PDF of images, written by the portal itself: what is not written here cannot be in it.

The worker is not believed: sizes are bounded, and an image's bytes must be an image and nothing beside it.
"""

import math
import re
import zlib
from typing import BinaryIO

from .frames import Encoding, Page
from .limits import Limits, Unsafe, Why

# Of a JPEG: how it is compressed, and nothing that says anything (no EXIF, no comment, no profile).
_JPEG_TABLES = {0xC4, 0xDB, 0xDD}
_JFIF, _FRAME, _SCAN = 0xE0, 0xC0, 0xDA
# Inside the picture itself nothing but its bits and marks to begin anew at.
_BESIDE = re.compile(rb'\xff[^\x00\xd0-\xd7]')


class Composer:
    """Writes page after page to a file; `close` makes it whole."""

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._written = 0
        self._at: dict[int, int] = {}  # where each object begins
        self.pages = 0
        self._put(b'%PDF-1.7\n%\xe2\xe3\xcf\xd3\n')
        self._object(1, b'<</Type/Catalog/Pages 2 0 R>>')

    @property
    def size(self) -> int:
        return self._written

    def add(self, page: Page) -> None:
        check(page, self._limits)
        if self.pages >= self._limits.pages:
            raise Unsafe(Why.PAGES)
        number = 3 + 3 * self.pages
        wide, high = f'{page.points_wide:.2f}', f'{page.points_high:.2f}'
        space = '/DeviceRGB' if page.encoding.channels == 3 else '/DeviceGray'
        packed = '/DCTDecode' if page.encoding.is_jpeg else '/FlateDecode'
        drawn = f'q {wide} 0 0 {high} 0 0 cm /P Do Q'.encode()
        self._object(
            number,
            f'<</Type/Page/Parent 2 0 R/MediaBox[0 0 {wide} {high}]/Contents {number + 1} 0 R'
            f'/Resources<</XObject<</P {number + 2} 0 R>>>>>>'.encode(),
        )
        self._object(number + 1, f'<</Length {len(drawn)}>>'.encode(), drawn)
        self._object(
            number + 2,
            f'<</Type/XObject/Subtype/Image/Width {page.width}/Height {page.height}/ColorSpace{space}'
            f'/BitsPerComponent 8/Filter{packed}/Length {len(page.body)}>>'.encode(),
            page.body,
        )
        self.pages += 1

    def close(self) -> None:
        kids = ' '.join(f'{3 + 3 * number} 0 R' for number in range(self.pages))
        self._object(2, f'<</Type/Pages/Count {self.pages}/Kids[{kids}]>>'.encode())
        begin, count = self._written, len(self._at) + 1
        lines = ''.join(f'{self._at[number]:010} 00000 n \n' for number in range(1, count))
        self._put(f'xref\n0 {count}\n0000000000 65535 f \n{lines}'.encode())
        self._put(f'trailer\n<</Size {count}/Root 1 0 R>>\nstartxref\n{begin}\n%%EOF\n'.encode())

    def _object(self, number: int, dictionary: bytes, stream: bytes | None = None) -> None:
        self._at[number] = self._written
        self._put(b'%d 0 obj\n%b\n' % (number, dictionary))
        if stream is not None:
            self._put(b'stream\n')
            self._put(stream)
            self._put(b'\nendstream\n')
        self._put(b'endobj\n')

    def _put(self, data: bytes) -> None:
        if self._written + len(data) > self._limits.output:
            raise Unsafe(Why.OUTPUT)
        self._file.write(data)
        self._written += len(data)


def check(page: Page, limits: Limits) -> None:
    """Raise `Unsafe` for a page that no honest worker would send."""
    sizes_hold = (
        0 < page.width <= limits.side + 1
        and 0 < page.height <= limits.side + 1
        and page.width * page.height <= limits.page_pixels * 1.01
        and all(math.isfinite(side) and 0 < side <= 14_400 for side in (page.points_wide, page.points_high))
    )
    if not sizes_hold or not (_is_jpeg(page) if page.encoding.is_jpeg else _is_flate(page)):
        raise Unsafe(Why.CRASHED)


def _is_flate(page: Page) -> bool:
    """Whether the bytes unpack to as many as the image has, and to no more."""
    expected = page.width * page.height * page.encoding.channels
    unpacking, rest, found = zlib.decompressobj(), page.body, 0
    try:
        while not unpacking.eof and found <= expected:
            part = unpacking.decompress(rest, 1 << 20)
            rest = unpacking.unconsumed_tail
            found += len(part)
            if not part and not rest:
                break
    except zlib.error:
        return False
    return unpacking.eof and found == expected and not unpacking.unused_data and not rest


def _is_jpeg(page: Page) -> bool:
    """Whether the bytes are one JPEG of this size, without a word beside the picture."""
    body, at, framed = page.body, 2, False
    if body[:2] != b'\xff\xd8' or body[-2:] != b'\xff\xd9':
        return False
    while at + 4 <= len(body):
        if body[at] != 0xFF:
            return False
        marker, length = body[at + 1], int.from_bytes(body[at + 2 : at + 4])
        segment = body[at + 4 : at + 2 + length]
        if marker == _SCAN:
            return framed and _BESIDE.search(body, at + 2 + length, len(body) - 2) is None
        if marker == _FRAME:
            framed = (
                int.from_bytes(segment[1:3]) == page.height
                and int.from_bytes(segment[3:5]) == page.width
                and segment[5] == (3 if page.encoding is Encoding.RGB_JPEG else 1)
            )
        elif not (marker in _JPEG_TABLES or (marker == _JFIF and length == 16 and segment[:5] == b'JFIF\0')):
            return False
        at += 2 + length
    return False
