"""The orders of the demo's customers as documents.

A new demo has some dozens of them, which hardly anybody opens: each is drawn when somebody first asks for it, so that
nobody waits for the portal while it draws. Until then there is a row without a file.
"""

import asyncio
import hashlib
from datetime import datetime

from models import attachment_files as files
from models.attachment import Attachment, AttachmentKind, AttachmentState
from models.customer import Customer
from models.documents import addendum_pdf, cancellation_pdf, order_pdf
from models.order import Order, OrderKind

SAID = 'A document of the demonstration: nothing was ordered.'


async def load_documents() -> None:
    """Give every customer that has none its order; belongs in the transaction that made them."""
    given = set(await Attachment.filter(kind=AttachmentKind.ORDER).values_list('customer_id', flat=True))
    await Attachment.bulk_create([
        to_be_drawn(customer.id, AttachmentKind.ORDER, f'Order {customer.account_code}', customer.created_at)
        for customer in await Customer.all().order_by('id')
        if customer.id not in given
    ])  # fmt: skip


def to_be_drawn(customer_id: int, kind: AttachmentKind, name: str, at: datetime) -> Attachment:
    """The row of a document without its file."""
    stored = files.new_stored()
    return Attachment(
        customer_id=customer_id, kind=kind, name=name, stored=stored, size=0, sha256=files.not_drawn(stored),
        state=AttachmentState.READY, uploaded_at=at, done_at=at,
    )  # fmt: skip


async def draw(attachment: Attachment) -> bool:
    """Draw it into its place; False where it is of no order. Whoever is second draws the same."""
    order = await Order.filter(attachment_id=attachment.id, customer_id=attachment.customer_id).first()
    if order is None:
        return False
    customer = await Customer.get(id=attachment.customer_id)
    made = {OrderKind.CHANGE: addendum_pdf, OrderKind.CANCELLATION: cancellation_pdf}.get(order.kind, order_pdf)
    pdf = await made(
        order, customer_name=customer.name, customer_lines=[*filter(None, [customer.domain]), SAID],
        account_code=customer.account_code,
    )  # fmt: skip
    await asyncio.to_thread(files.write_pdf, attachment.stored, pdf)
    attachment.update_from_dict({
        'size': len(pdf), 'pdf_size': len(pdf), 'pages': pdf.pages, 'sha256': hashlib.sha256(pdf).hexdigest(),
    })  # fmt: skip
    await attachment.save(update_fields=['size', 'pdf_size', 'pages', 'sha256'])
    return True
