"""PDFs that the portal makes itself: orders, change orders, cancellations, copies of RFI forms.

Each function reads what it needs of its row, draws in a thread and gives the PDF. Nothing is stored here, and no
transaction should wait for it: draw first, then begin the transaction and keep it with `Attachment.add_made`. The same
facts give the same bytes whenever they are drawn. What a document looks like, and what becomes of characters that its
fonts have not, is in paper.py.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from models.documents.facts import INFRASTRUCTURE, Answers, Facts, Pdf
from models.partner import Partner

if TYPE_CHECKING:
    from models.order import Order

__all__ = ['Pdf', 'addendum_pdf', 'cancellation_pdf', 'order_pdf', 'rfi_pdf']

# One at a time, and not on the loop.
_drawing = ThreadPoolExecutor(1, thread_name_prefix='documents')
Sections = Iterable[tuple[str, Iterable[tuple[str, Any]]]]


class _Named(Protocol):
    """What of a customer is on a document."""

    partner_id: Any
    name: Any
    account_code: Any


async def order_pdf(
    order: 'Order', *, customer_name: str, customer_lines: Sequence[str] = (), account_code: str = '',
    infrastructure: Sequence[tuple[str, str]] = (), by: str = '', at: datetime | None = None,
    partner: Partner | None = None, corrected: str = '',
) -> Pdf:  # fmt: skip
    """A first order: products, fees, infrastructure, agreement, and who submitted it.

    Texts of the customer are one line each: `customer_lines` are its address, domain or contact. `infrastructure` are
    labels with answers; without, what the order has in `details['infrastructure']`. `by` (a name) and `at` say who
    submits it and when, for an order that is only about to be; without, the order's own `submitted_by` and
    `submitted_at` count, and one that has neither is drawn as a draft. `corrected` says when, and by whom, it was.
    """
    return await _order(
        'order', order, customer_name, customer_lines, account_code, by, at, partner, infrastructure, corrected
    )  # fmt: skip


async def addendum_pdf(
    order: 'Order', *, customer_name: str, customer_lines: Sequence[str] = (), account_code: str = '', by: str = '',
    at: datetime | None = None, partner: Partner | None = None,
) -> Pdf:  # fmt: skip
    """A change order: the lines as they are, old ones negative; before and after where `fees` has `monthly_before` and
    `monthly_after` (`annual_…`), else `monthly` and `annual` as the difference. The rest is as in `order_pdf`."""
    return await _order('addendum', order, customer_name, customer_lines, account_code, by, at, partner)


async def cancellation_pdf(
    order: 'Order', *, customer_name: str, customer_lines: Sequence[str] = (), account_code: str = '', by: str = '',
    at: datetime | None = None, partner: Partner | None = None,
) -> Pdf:  # fmt: skip
    """A cancellation, or the change to another partner: `details` has `type` (`cancel` or `partner_change`),
    `data_export` (bool) and `because`. The rest is as in `order_pdf`."""
    return await _order('cancellation', order, customer_name, customer_lines, account_code, by, at, partner)


async def rfi_pdf(
    customer: _Named, rfi: Sections, *, by: str = '', at: datetime | None = None, state: str = '', version: int = 0,
    partner: Partner | None = None,
) -> Pdf:  # fmt: skip
    """A copy of an RFI form: `rfi` are its sections, each a heading with its questions and answers.

    An answer is a text (of several lines where it has several), a list of texts, a bool or a number. `by` and `at` say
    who sent it back and when (now, without), `state` is a word such as “Complete”.
    """
    partner = partner or await Partner.get(id=customer.partner_id)
    answers = Answers(
        customer=customer.name, account_code=customer.account_code, zone=partner.time_zone, state=state,
        version=version, by=by, at=at or datetime.now(UTC),
        sections=tuple((title, tuple((label, _said(answer)) for label, answer in asked)) for title, asked in rfi),
    )  # fmt: skip
    return await _in_thread('rfi', partner, answers)


async def _order(
    kind: str, order: 'Order', customer_name: str, customer_lines: Sequence[str],
    account_code: str, by: str, at: datetime | None, partner: Partner | None,
    infrastructure: Sequence[tuple[str, str]] = (), corrected: str = '',
) -> Pdf:  # fmt: skip
    partner = partner or await Partner.get(id=order.partner_id)
    details = order.details if isinstance(order.details, dict) else {}
    stored = details.get('infrastructure')
    if not infrastructure and isinstance(stored, dict):
        infrastructure = [(INFRASTRUCTURE.get(str(key)) or str(key).replace('_', ' ').capitalize(), _said(value))
                          for key, value in stored.items() if value not in (None, '', [])]  # fmt: skip
    facts = Facts(
        number=order.number, customer=customer_name, customer_lines=tuple(customer_lines), account_code=account_code,
        zone=partner.time_zone, agreement=partner.agreement, currency=order.currency or partner.currency,
        lines=tuple(order.lines or ()), fees=dict(order.fees or {}), seats=order.seats, was_seats=order.was_seats,
        po_number=order.po_number, po_waived=order.po_waived, accepts_agreement=order.accepts_agreement,
        is_authorised=order.is_authorised, effective_on=order.effective_on, withdraw_until=order.withdraw_until,
        by=by or order.submitted_by, at=at or order.submitted_at,
        made_at=order.changed_at or order.created_at or datetime.now(UTC), mode=str(order.mode), details=details,
        infrastructure=tuple((label, text) for label, text in infrastructure), corrected=corrected,
    )  # fmt: skip
    return await _in_thread(kind, partner, facts)


async def _in_thread(kind: str, partner: Partner, facts: Facts | Answers) -> Pdf:
    def work() -> Pdf:
        # Here, because loading the library takes a second, and not on the loop.
        from models.documents import papers
        from models.documents.paper import Msp
        from models.documents.words import lines_of

        draw: Callable[[Msp, Any], Pdf] = getattr(papers, kind)
        return draw(Msp(partner.name, lines_of(partner.address), bytes(partner.logo) if partner.logo else None), facts)

    return await asyncio.get_running_loop().run_in_executor(_drawing, work)


def _said(answer: Any) -> str:
    """An answer as a text."""
    if isinstance(answer, bool):
        return 'Yes' if answer else 'No'
    if isinstance(answer, list | tuple):
        return '\n'.join(_said(each) for each in answer)
    return '' if answer is None else str(answer)
