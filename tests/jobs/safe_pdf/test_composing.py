"""The portal believes nothing that a worker says: a page is an image of its size, or there is no page."""

import dataclasses
import io
import zlib

import pytest
from PIL import Image

from jobs.safe_pdf.composing import Composer, check
from jobs.safe_pdf.frames import Encoding, Page
from jobs.safe_pdf.limits import Limits, Unsafe, Why
from tests.jobs.safe_pdf import samples

GREY = Page(30, 20, 30.0, 20.0, Encoding.GRAY_FLATE, zlib.compress(bytes(600)))
PHOTO = Page(60, 40, 30.0, 20.0, Encoding.RGB_JPEG, samples.photograph('JPEG'))


def _jpeg_with(marker: int, data: bytes) -> bytes:
    segment = bytes([0xFF, marker]) + (len(data) + 2).to_bytes(2) + data
    return PHOTO.body[:2] + segment + PHOTO.body[2:]


def _progressive() -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(PHOTO.body)).save(out, 'JPEG', progressive=True)
    return out.getvalue()


@pytest.mark.parametrize('page', [GREY, PHOTO])
def test_an_honest_page_is_taken(page):
    check(page, Limits())


DISHONEST = [
    dataclasses.replace(GREY, width=31),
    dataclasses.replace(GREY, width=0, height=0),
    dataclasses.replace(GREY, width=100_000, height=100_000),
    dataclasses.replace(GREY, points_wide=float('nan')),
    dataclasses.replace(GREY, points_high=-1.0),
    dataclasses.replace(GREY, points_high=1e9),
    dataclasses.replace(GREY, encoding=Encoding.RGB_FLATE),
    dataclasses.replace(GREY, encoding=Encoding.GRAY_JPEG),
    dataclasses.replace(GREY, body=b''),
    dataclasses.replace(GREY, body=GREY.body[:-1]),
    dataclasses.replace(GREY, body=GREY.body + b'endstream endobj /JS'),
    dataclasses.replace(GREY, body=zlib.compress(bytes(50_000_000))),
    dataclasses.replace(PHOTO, width=61),
    dataclasses.replace(PHOTO, encoding=Encoding.GRAY_JPEG),
    dataclasses.replace(PHOTO, encoding=Encoding.RGB_FLATE),
    dataclasses.replace(PHOTO, body=PHOTO.body[:-2]),
    dataclasses.replace(PHOTO, body=PHOTO.body + b'<script>' + b'\xff\xd9'),
    dataclasses.replace(PHOTO, body=_jpeg_with(0xFE, samples.SECRET)),
    dataclasses.replace(PHOTO, body=_jpeg_with(0xE1, b'Exif\0\0' + samples.SECRET)),
    dataclasses.replace(PHOTO, body=_progressive()),
    dataclasses.replace(PHOTO, body=b'\xff\xd8\xff\xd9'),
]


@pytest.mark.parametrize('page', DISHONEST)
def test_what_is_no_image_of_its_size_is_refused(page):
    with pytest.raises(Unsafe) as found:
        Composer(io.BytesIO(), Limits()).add(page)
    assert found.value.why is Why.CRASHED


def test_there_is_a_most_of_pages_and_of_bytes():
    composer = Composer(io.BytesIO(), Limits(pages=2))
    composer.add(GREY)
    composer.add(PHOTO)
    with pytest.raises(Unsafe):
        composer.add(GREY)
    with pytest.raises(Unsafe):
        Composer(io.BytesIO(), Limits(output=300)).add(PHOTO)
