"""From the bytes of a file to pages of pixels. Runs in the worker only: this is where hostile bytes are read.

A page is made, sent and forgotten before the next one is begun.
"""

import io
import math
import os
import re
import unicodedata
import warnings
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from PIL import Image, ImageDraw, ImageFile, ImageFont, JpegImagePlugin

from .frames import Encoding, Page
from .limits import Limits, Unsafe, Why

A3 = (841.89, 1190.55)  # points, upright
A4 = (595.28, 841.89)
MOST_POINTS = 14_400.0  # what a PDF's page can be
FORMATS = {'png': ('PNG',), 'jpeg': ('JPEG', 'MPO'), 'tiff': ('TIFF',), 'webp': ('WEBP',)}
_PLUGINS = {
    'png': ('PngImagePlugin',), 'jpeg': ('MpoImagePlugin', 'TiffImagePlugin'), 'tiff': ('TiffImagePlugin',),
    'webp': ('WebPImagePlugin',),
}  # fmt: skip
_FONTS = (
    '/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf',
    '/usr/share/fonts/dejavu-sans-mono-fonts/DejaVuSansMono.ttf',
    '/usr/share/fonts/TTF/DejaVuSansMono.ttf',
    '/usr/share/fonts/truetype/liberation/LiberationMono-Regular.ttf',
    '/usr/share/fonts/liberation-mono/LiberationMono-Regular.ttf',
    '/usr/share/fonts/truetype/noto/NotoSansMono-Regular.ttf',
    '/System/Library/Fonts/Menlo.ttc',
    # Our own, whose letters are not all as wide: better than Pillow's, which has hardly more than English ones.
    os.path.join(os.path.dirname(__file__), '../../models/documents/fonts/DejaVuSans.ttf'),
)
# What a search in the bytes of a safe PDF must not find, not even by chance in the middle of an image.
_NAMES = re.compile(rb'/(JS|AA|URI|JavaScript|OpenAction|Launch|EmbeddedFile|AcroForm|Annots|XFA|RichMedia|SubmitForm)')
_LETTER_POINTS = 10
_MARGIN = 0.5  # inches
_TAB = 8
_ORIENTED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip

Draw = Callable[[bytearray], Iterator[Page]]


def prepared(kind: str, limits: Limits) -> Draw:
    """What draws a file of this type, with everything imported that it will need."""
    for encoding in ('utf_16', 'utf_8_sig'):
        import_module(f'encodings.{encoding}')
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    Image.MAX_IMAGE_PIXELS = limits.read_pixels
    warnings.simplefilter('error', Image.DecompressionBombWarning)
    for plugin in _PLUGINS.get(kind, ()):
        import_module(f'PIL.{plugin}')
    # Says that everything is imported, or Pillow would import the readers of thirty other formats.
    Image._initialized = 2
    if kind == 'pdf':
        pdfium = import_module('pypdfium2')
        return lambda data: _of_pdf(pdfium, data, limits)
    if kind == 'text':
        font = _font(limits)
        return lambda data: _of_text(data, font, limits)
    return lambda data: _of_image(data, FORMATS[kind], limits)


# -- PDF --------------------------------------------------------------------------------------------------------------


def _of_pdf(pdfium: Any, data: bytearray, limits: Limits) -> Iterator[Page]:
    """Each page as it looks, with the look of forms and annotations, which do nothing any more."""
    document = _opened(pdfium, bytes(data))
    data.clear()
    # What somebody filled in is drawn by this alone. The library is built without scripts, and no action is asked for.
    document.init_forms()
    count = len(document)
    if not count:
        raise Unsafe(Why.DAMAGED)
    if count > limits.pages:
        raise Unsafe(Why.PAGES, count)
    for number in range(count):
        try:
            page = document[number]
        except pdfium.PdfiumError:
            raise Unsafe(Why.PAGE_DAMAGED, number + 1) from None
        wide, high = page.get_size()
        if not math.isfinite(wide * high) or wide * high <= 0:
            raise Unsafe(Why.PAGE_DAMAGED, number + 1)
        largest = min(math.sqrt(limits.page_pixels / (wide * high)), limits.side / max(wide, high))
        bitmap = page.render(scale=min(limits.dpi / 72, largest), rev_byteorder=True)
        image = bitmap.to_pil().convert('RGB')
        bitmap.close()
        page.close()
        fit = min(1.0, MOST_POINTS / max(wide, high))
        yield _page(image, (max(1.0, wide * fit), max(1.0, high * fit)))


def _opened(pdfium: Any, data: bytes) -> Any:
    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        code = getattr(error, 'err_code', None)
        protected = code in (pdfium.raw.FPDF_ERR_PASSWORD, pdfium.raw.FPDF_ERR_SECURITY)
        raise Unsafe(Why.PROTECTED if protected else Why.DAMAGED) from None


# -- images -----------------------------------------------------------------------------------------------------------


def _of_image(data: bytearray, formats: tuple[str, ...], limits: Limits) -> Iterator[Page]:
    """One page; of a TIFF one for each of its images. Of what moves, the first picture."""
    try:
        source = Image.open(io.BytesIO(bytes(data)), formats=formats)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unsafe(Why.PIXELS, _announced(data)) from None
    data.clear()
    count = _frames(source, limits) if 'TIFF' in formats else 1
    for number in range(count):
        if number:
            source.seek(number)
        if source.width * source.height > limits.read_pixels:
            raise Unsafe(Why.PIXELS, source.width * source.height)
        image = _upright(source, limits)
        yield _page(image, _on_paper(image.width, image.height, limits))


def _announced(data: bytearray) -> int:
    """How many pixels the head of a PNG announces; for the others nobody counts again."""
    if data[12:16] == b'IHDR':
        return int.from_bytes(data[16:20]) * int.from_bytes(data[20:24])
    return 0


def _frames(source: Image.Image, limits: Limits) -> int:
    count = 1
    try:
        while count <= limits.pages:
            source.seek(count)
            count += 1
        raise Unsafe(Why.PAGES)
    except EOFError:
        source.seek(0)
        return count


def _upright(source: Image.Image, limits: Limits) -> Image.Image:
    """The picture in grey or colours, no larger than a page may be, on white, and the right way up."""
    shrink = _shrinking(source.width, source.height, limits)
    if shrink < 1:
        source.draft(None, (int(source.width * shrink) + 1, int(source.height * shrink) + 1))  # type: ignore[arg-type]
    try:
        turned = _ORIENTED.get(source.getexif().get(0x0112, 1))
    except Exception:  # a damaged note about the picture is no reason not to show it
        turned = None
    seen_through = source.has_transparency_data
    if source.mode.startswith('I') or source.mode == 'F':
        image = _of_deep_grey(source)
    elif seen_through:
        image = source.convert('RGBA')
    else:
        image = source.convert('L' if source.mode in ('1', 'L') else 'RGB')
    shrink = _shrinking(image.width, image.height, limits)
    if shrink < 1:
        size = (max(1, int(image.width * shrink)), max(1, int(image.height * shrink)))
        image = image.resize(size, Image.Resampling.BOX)
    if image.mode == 'RGBA':
        white = Image.new('RGB', image.size, 'white')
        white.paste(image, mask=image.getchannel('A'))
        image = white
    return image.transpose(turned) if turned is not None else image


def _of_deep_grey(source: Image.Image) -> Image.Image:
    """Sixteen bits and more to eight: by the range of the format, or by what is in it where there is none."""
    image = source.convert('F')
    found: Any = image.getextrema() if source.mode == 'F' else (0.0, 65535.0)
    low, high = found if math.isfinite(found[1] - found[0]) and found[1] > found[0] else (0.0, 255.0)
    factor = 255.0 / (high - low)
    return image.point(lambda value: value * factor - low * factor).convert('L')


def _shrinking(width: int, height: int, limits: Limits) -> float:
    return min(1.0, math.sqrt(limits.page_pixels / (width * height)), limits.side / max(width, height))


def _on_paper(width: int, height: int, limits: Limits) -> tuple[float, float]:
    """The size in points: so many dots an inch, but no larger than A3."""
    wide, high = width * 72 / limits.dpi, height * 72 / limits.dpi
    paper = A3 if high >= wide else (A3[1], A3[0])
    fit = min(1.0, paper[0] / wide, paper[1] / high)
    return max(1.0, wide * fit), max(1.0, high * fit)


# -- text -------------------------------------------------------------------------------------------------------------


def _font(limits: Limits) -> Any:
    size = _LETTER_POINTS * limits.dpi / 72
    for name in _FONTS:
        if os.path.exists(name):
            with open(name, 'rb') as file:
                return ImageFont.truetype(io.BytesIO(file.read()), size, layout_engine=ImageFont.Layout.BASIC)
    return ImageFont.load_default(size)


def _of_text(data: bytearray, font: Any, limits: Limits) -> Iterator[Page]:
    """Lines of even letters on A4, as a terminal would show them."""
    encoding = 'utf-16' if data[:2] in (b'\xff\xfe', b'\xfe\xff') else 'utf-8-sig'
    text = data.decode(encoding, 'replace')
    width, height = (round(side * limits.dpi / 72) for side in A4)
    margin = round(_MARGIN * limits.dpi)
    leading = round(_LETTER_POINTS * 1.25 * limits.dpi / 72)
    columns = int((width - 2 * margin) / font.getlength('M'))
    rows = (height - 2 * margin) // leading
    pages: list[list[str]] = []
    for part in text.split('\f'):
        pages.append([])
        for line in _wrapped(part, columns):
            if len(pages[-1]) == rows:
                pages.append([])
            if len(pages) > limits.pages:
                raise Unsafe(Why.PAGES)
            pages[-1].append(line)
        if len(pages) > limits.pages + 1:  # one more: what follows the last form feed may be nothing
            raise Unsafe(Why.PAGES)
    if len(pages) > 1 and not any(pages[-1]):  # a form feed or a line's end at the very end begins no page
        pages.pop()
    if len(pages) > limits.pages:
        raise Unsafe(Why.PAGES)
    for lines in pages:
        image = Image.new('L', (width, height), 255)
        drawing = ImageDraw.Draw(image)
        for row, line in enumerate(lines):
            drawing.text((margin, margin + row * leading), line, fill=0, font=font)
        yield _page(image, A4)


def _wrapped(text: str, columns: int) -> Iterator[str]:
    """The lines of a text, none wider than so many columns; found one after the other, for there may be millions."""
    for match in re.finditer(r'([^\r\n]*)(\r\n|\r|\n|\Z)', text):
        line, column = [], 0
        for letter in match[1]:
            if letter == '\t':
                letter = ' ' * (_TAB - column % _TAB)
            wide = len(letter) if letter.isascii() else _columns(letter)
            if column + wide > columns:
                yield ''.join(line)
                line, column = [], 0
            line.append(letter if letter.isprintable() else '\ufffd')
            column += wide
        if line or match[2]:
            yield ''.join(line)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in 'WF' else 1


# -- a page -----------------------------------------------------------------------------------------------------------


def _page(image: Image.Image, points: tuple[float, float]) -> Page:
    """The page in the smaller of two forms: without a loss where there is little to see, else as a photograph."""
    image = _grey_if_it_is(image)
    image.info.clear()  # Pillow would write the comment and the profile of the original again
    grey = image.mode == 'L'
    if grey or image.getcolors(256) is not None:
        for level in (6, 7, 5, 8):
            body = zlib.compress(image.tobytes(), level)
            if len(body) > image.width * image.height / 4:
                break
            if not _NAMES.search(body):
                encoding = Encoding.GRAY_FLATE if grey else Encoding.RGB_FLATE
                return Page(image.width, image.height, *points, encoding, body)
    body = b''
    for quality in (80, 82, 78, 84, 76):
        out = io.BytesIO()
        image.save(out, JpegImagePlugin.JpegImageFile.format, quality=quality)
        body = out.getvalue()
        if not _NAMES.search(body):
            break
    return Page(image.width, image.height, *points, Encoding.GRAY_JPEG if grey else Encoding.RGB_JPEG, body)


def _grey_if_it_is(image: Image.Image) -> Image.Image:
    if image.mode != 'RGB':
        return image
    colours = image.getcolors(256)
    if colours is not None and all(red == green == blue for _, (red, green, blue) in colours):  # type: ignore[misc]
        return image.getchannel(0)
    return image
