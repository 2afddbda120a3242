"""The logo of an MSP: a picture from outside, taken apart to its pixels and made anew."""

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

from PIL import Image

from models.checking import Invalid

MOST_BYTES = 500_000
EDGE = 512  # px of its longer side at most
_MOST_PIXELS = 20_000_000
_LONGEST_EDGE = 10_000
MAIL_WIDTH, MAIL_HEIGHT = 220, 48  # px at most, at the head of a message
FORMATS = ('PNG', 'JPEG', 'WEBP')
# One at a time, and not on the loop: a picture of twenty million pixels takes a while and 80 MB.
_drawing = ThreadPoolExecutor(1, thread_name_prefix='logo')


async def made_anew(uploaded: bytes) -> bytes:
    """The picture as a PNG of at most 512 px, without whatever else is in the file; raises `Invalid`."""
    if not uploaded:
        raise Invalid('logo', 'is empty')
    if len(uploaded) > MOST_BYTES:
        raise Invalid('logo', f'is larger than {MOST_BYTES // 1000} KB')
    return await asyncio.get_running_loop().run_in_executor(_drawing, _made_anew, uploaded)


def _made_anew(uploaded: bytes) -> bytes:
    no_picture = Invalid('logo', 'is not a PNG, JPEG or WebP picture')
    try:
        with Image.open(io.BytesIO(uploaded), formats=FORMATS) as found:  # its head only, until it is loaded
            width, height = found.size
            if width * height > _MOST_PIXELS or max(width, height) > _LONGEST_EDGE:
                most = f'at most {_MOST_PIXELS // 1_000_000} million are read, and {_LONGEST_EDGE:,} along an edge'
                raise Invalid('logo', f'has too many pixels ({width:,} × {height:,}); {most}')
            found.draft('RGB', (EDGE, EDGE))  # a JPEG is read small
            picture = found.convert('RGBA')
    except Invalid:
        raise
    except Exception:  # whatever a damaged file makes of the decoder
        raise no_picture from None
    picture.thumbnail((EDGE, EDGE), Image.Resampling.LANCZOS)
    # Onto a new one: what the file says beside its pixels (place, camera, texts) stays behind.
    clean = Image.new('RGBA', picture.size)
    clean.paste(picture)
    made = io.BytesIO()
    clean.save(made, 'PNG', optimize=True)
    return made.getvalue()


class Small(NamedTuple):
    """A logo for the head of a message: a PNG with twice the pixels, for sharp screens, and how large it is shown."""

    png: bytes
    width: int
    height: int


@lru_cache(maxsize=16)
def for_mail(logo: bytes) -> Small | None:
    """The logo on white, for a message may be read on black; None for what is no picture. Belongs in a thread."""
    try:
        with Image.open(io.BytesIO(logo), formats=FORMATS) as found:
            picture = found.convert('RGBA')
    except Exception:  # whatever damaged bytes make of the decoder: the message has the name
        return None
    scale = min(MAIL_WIDTH / picture.width, MAIL_HEIGHT / picture.height)
    width, height = (max(1, round(each * scale)) for each in picture.size)
    picture.thumbnail((width * 2, height * 2), Image.Resampling.LANCZOS)
    paper = Image.new('RGB', picture.size, 'white')
    paper.paste(picture, mask=picture.getchannel('A'))
    made = io.BytesIO()
    paper.save(made, 'PNG', optimize=True)
    return Small(made.getvalue(), width, height)
