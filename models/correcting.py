"""What a first order says is put right before the vendor has accepted it: its number, and who leads the implementation.

Products, licences and prices were agreed to and stay; a change order changes them. The document is drawn anew and takes
the place of the other one, which stays among the attachments, and the vendor is told from the beginning.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from models import attachment_files, checking, order_form, rights
from models.attachment import AlreadyThere, Attachment, AttachmentKind
from models.calendar import said as day
from models.checking import Invalid
from models.connect_step import kept
from models.contact import Contact, ContactKind
from models.customer import Customer
from models.documents import order_pdf
from models.events import CUSTOMER_TOUCHED, transaction
from models.order import Order
from models.order_form import LEAD
from models.partner import Partner
from models.prospect import TITLES, Prospect
from models.rfi import Rfi
from models.rfi_link import RfiLink

if TYPE_CHECKING:
    from models.user import PortalUser

FIELDS = ('po_number', 'po_waived', *LEAD)
_TITLES = {'po_number': 'Order (PO) number', **{name: TITLES[name] for name in LEAD}}


def facts_of(order: Order) -> dict[str, Any]:
    """What can be put right, as the order says it."""
    people = _people(order)
    lead = {name: people.get(name, '') for name in LEAD}
    return {'po_number': order.po_number, 'po_waived': order.po_waived, **lead}


async def correct(
    order: Order, facts: Mapping[str, Any], *, by: 'PortalUser', note: str = '', moves_rfi: bool = False, at: str = ''
) -> bool:  # fmt: skip
    """Put right what the order says; False where that is what it says already. `note` is told to the vendor, too.

    With `moves_rfi`, another address of the lead is sent the RFI form, as the order did, and the links that were mailed
    to the wrong one are revoked; `at` is where the portal is.
    `order` is as it was seen by whoever corrects it. Raises `Refused`, `Invalid` with everything that is wrong, and
    `Impossible` where the vendor has accepted it or somebody else was quicker; then nothing is stored.
    """
    rights.require(by, 'order.submit')
    order.require_correctable()
    before = facts_of(order)
    after = {**before, **checking.each(facts, _checked)}
    note = checking.line('note', note, 120)
    if after['po_waived']:
        after['po_number'] = ''
    problems = checking.Problems()
    order_form.lead_and_number(after, problems)
    problems.refuse()
    changed = [name for name in FIELDS if after[name] != before[name]]
    if not changed:
        return False
    said = _in_words(before, after) + (f' – {note}' if note else '')
    customer = await Customer.get(id=order.customer_id or 0)
    # Before the transaction: nobody waits for a drawing. It is kept only where the order is still the one on it.
    pdf = await _drawn(order, after, customer, by)
    moves = moves_rfi and after['lead_email'].casefold() != before['lead_email'].casefold()
    document: Attachment | None = None
    try:
        async with transaction():
            if moves:  # as everybody does: the form, then the customer, then the history
                await Rfi.filter(customer_id=customer.id).select_for_update(no_key=True).first()
            async with order.correction(by, said) as fresh:
                await kept(customer.id)
                _put(fresh, after)
                try:
                    document = await Attachment.add_made(
                        customer, kind=AttachmentKind.ORDER, name=f'Order {order.number}, corrected', pdf=pdf, by=by
                    )
                    fresh.attachment_id = document.id
                except AlreadyThere as already:  # to and fro on one day
                    fresh.attachment_id = already.attachment.id
                is_main = bool(_people(order).get('main_is_lead'))
                await _introduce(customer, before, after, is_main, order.number, by)
                if moves:
                    await RfiLink.move(customer, before['lead_email'], after['lead_email'], by=by, at=at)
                CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'attachments'})})
    except BaseException:
        if document is not None:
            await asyncio.to_thread(attachment_files.pdf_of(document.stored).unlink, missing_ok=True)
        raise
    return True


def _people(order: Order) -> Mapping[str, Any]:
    found = order.details.get('people') if isinstance(order.details, dict) else None
    return found if isinstance(found, dict) else {}


def _checked(field: str, value: Any) -> Any:
    if field not in FIELDS:
        raise Invalid(str(field)[:40], 'is not corrected here: what was agreed is changed by a change order')
    return order_form.checked(field, value)


def _put(order: Order, facts: Mapping[str, Any]) -> None:
    order.po_number, order.po_waived = facts['po_number'], facts['po_waived']
    order.details = {**(order.details or {}), 'people': {**_people(order), **{name: facts[name] for name in LEAD}}}


def _in_words(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    was, now = (
        {
            **facts, 'po_number': 'not required' if facts['po_waived'] else facts['po_number'],
            'lead_phone': checking.phone_shown(facts['lead_phone']),
        }
        for facts in (before, after)
    )  # fmt: skip
    changed = {name: was[name] for name in _TITLES if was[name] != now[name]}
    return checking.in_words(_TITLES, changed, now)


async def _drawn(order: Order, facts: Mapping[str, Any], customer: Customer, by: 'PortalUser') -> bytes:
    """The document as it will be; the row itself is changed inside the transaction."""
    partner = await Partner.get(id=order.partner_id)
    prospect = await Prospect.get_or_none(id=order.prospect_id or 0)
    copy = order.clone(pk=order.id)
    _put(copy, facts)
    code = f'{customer.account_code}{" (provisional)" if customer.code_is_provisional else ""}'
    form = {**dict.fromkeys(order_form.INFRASTRUCTURE, ''), order_form.CITRIX: False,
            **((order.details or {}).get('infrastructure') or {})}  # fmt: skip
    return await order_pdf(
        copy, customer_name=customer.name, account_code=code, partner=partner,
        customer_lines=order_form.lines_about(
            facts, address=prospect.address if prospect else '', domain=customer.domain
        ),
        infrastructure=order_form.infrastructure_said(form),
        corrected=f'{day(datetime.now(UTC), partner.time_zone)} by {by.name}',
    )  # fmt: skip


async def _introduce(
    customer: Customer, before: Mapping[str, Any], after: Mapping[str, Any], is_main: bool, number: str,
    by: 'PortalUser',
) -> None:  # fmt: skip
    """Let the customer's contacts follow where they still are what the order said."""
    names = {'first_name': 'lead_first_name', 'last_name': 'lead_last_name', 'email': 'lead_email',
             'phone': 'lead_phone'}  # fmt: skip
    for kind in (ContactKind.TECHNICAL, ContactKind.MAIN) if is_main else (ContactKind.TECHNICAL,):
        contact = await Contact.get_or_none(customer_id=customer.id, kind=kind)
        if contact is not None and all(getattr(contact, fact) == before[name] for fact, name in names.items()):
            await Contact.keep(customer, kind, {fact: after[name] for fact, name in names.items()}, by=by,
                               source=f'{number} was corrected')  # fmt: skip
