"""The documents of the demo's customers: an order each, as a small PDF of lines of text."""

import asyncio
import hashlib
from datetime import datetime

from models import attachment_files as files
from models.attachment import Attachment, AttachmentKind, AttachmentState
from models.customer import Customer
from models.product import CustomerProduct
from models.text import fold

_PAGE = (595, 842)  # A4, in points


async def load_documents() -> None:
    """Give every customer that there is its order; belongs in the transaction that made them."""
    made = []
    for customer in await Customer.all().select_related('partner').order_by('id'):
        # Not `list_of`, which reads beside the transaction that has just made them.
        bought = await CustomerProduct.filter(customer_id=customer.id).select_related('product')
        lines = [(row.product.name, row.quantity) for row in bought]
        pdf = order_pdf(
            partner=customer.partner.name, customer=customer.name, code=customer.account_code, at=customer.created_at,
            lines=lines,
        )  # fmt: skip
        stored = files.new_stored()
        await asyncio.to_thread(files.write_pdf, stored, pdf)
        made.append(Attachment(
            customer_id=customer.id, kind=AttachmentKind.ORDER, name=f'Order {customer.account_code}', stored=stored,
            size=len(pdf), sha256=hashlib.sha256(pdf).hexdigest(), state=AttachmentState.READY, pages=1,
            pdf_size=len(pdf), uploaded_at=customer.created_at, done_at=customer.created_at,
        ))  # fmt: skip
    await Attachment.bulk_create(made)


def order_pdf(*, partner: str, customer: str, code: str, at: datetime, lines: list[tuple[str, int]]) -> bytes:
    """An order of these products and quantities as a PDF of one page."""
    text = [
        (20, 'Order'), (11, f'{partner} – {at:%d %B %Y}'), (11, ''), (11, f'Customer: {customer}'),
        (11, f'Account code: {code}'), (11, ''), (13, 'Products'),
        *((11, f'{quantity:>8,}   {product}') for product, quantity in lines),
        (11, ''), (9, 'A document of the demonstration: nothing was ordered.'),
    ]  # fmt: skip
    return _pdf(text, title=f'Order of {customer}')


def _pdf(text: list[tuple[int, str]], *, title: str) -> bytes:
    """These lines, each with its size, from the top of a page down."""
    drawn, y = [], _PAGE[1] - 80
    for size, line in text:
        drawn.append(b'BT /F1 %d Tf 72 %d Td (%s) Tj ET' % (size, y, _literal(line)))
        y -= round(size * 1.6)
    stream = b'\n'.join(drawn)
    objects = [
        b'<</Type/Catalog/Pages 2 0 R>>',
        b'<</Type/Pages/Kids[3 0 R]/Count 1>>',
        b'<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>' % _PAGE,
        b'<</Length %d>>stream\n%s\nendstream' % (len(stream), stream),
        b'<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>',
        b'<</Title(%s)>>' % _literal(title),
    ]
    file, places = bytearray(b'%PDF-1.4\n'), []
    for number, content in enumerate(objects, 1):
        places.append(len(file))
        file += b'%d 0 obj%s endobj\n' % (number, content)
    start = len(file)
    file += b'xref\n0 %d\n0000000000 65535 f \n' % (len(objects) + 1)
    file += b''.join(b'%010d 00000 n \n' % place for place in places)
    file += b'trailer<</Size %d/Root 1 0 R/Info 6 0 R>>\nstartxref\n%d\n%%%%EOF\n' % (len(objects) + 1, start)
    return bytes(file)


def _literal(line: str) -> bytes:
    """A line as the font's own encoding writes it; a letter that it has not is written without its accent."""
    try:
        encoded = line.encode('cp1252')
    except UnicodeEncodeError:
        encoded = ''.join(c if _is_known(c) else _plain(c) for c in line).encode('cp1252', 'replace')
    return encoded.replace(b'\\', rb'\\').replace(b'(', rb'\(').replace(b')', rb'\)')


def _plain(letter: str) -> str:
    return fold(letter).upper() if letter.isupper() else fold(letter)


def _is_known(letter: str) -> bool:
    try:
        letter.encode('cp1252')
    except UnicodeEncodeError:
        return False
    return True
