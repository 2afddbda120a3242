"""The card “Orders” of a customer: every order, change and cancellation, with what the portal records and, beside it,
what the vendor was told and said."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from models import (
    Customer,
    Listing,
    Order,
    OrderKind,
    OrderState,
    Partner,
    Rfi,
    VendorState,
    calendar,
    cancelling,
    changing,
    correcting,
)
from models.checking import phone_shown
from models.database import reader
from models.order import STUCK, UNANSWERED
from models.pricing import TITLES
from models.rfi_link import WAITING

Mark = tuple[str, str, str]  # shape, tone and word of an icon
STATES: dict[OrderState, tuple[str, str]] = {
    OrderState.DRAFT: ('empty', 'none'), OrderState.SUBMITTED: ('half', 'accent'),
    OrderState.ACCEPTED: ('done', 'good'),
    OrderState.APPLIED: ('done', 'good'), OrderState.REJECTED: ('bad', 'bad'), OrderState.WITHDRAWN: ('none', 'none'),
}  # fmt: skip
VENDOR: dict[VendorState, tuple[str, str]] = {
    VendorState.NOT_TOLD: ('none', 'none'), VendorState.WAITING: ('clock', 'none'),
    VendorState.SENDING: ('mail', 'accent'), VendorState.BY_HAND: ('person', 'accent'),
    VendorState.DELIVERED: ('half', 'accent'), VendorState.ACCEPTED: ('done', 'good'),
    VendorState.REJECTED: ('bad', 'bad'), VendorState.RECALL: ('person', 'accent'),
    VendorState.RECALLED: ('done', 'none'),
}  # fmt: skip
_FEES = TITLES | {
    f'{name}_{at}': f'{TITLES[name]} {said}'
    for name in ('monthly', 'annual') for at, said in (('before', 'before'), ('after', 'from then on'))
}  # fmt: skip


def state_mark(order: Order) -> Mark:
    return (*STATES[order.state], order.state.title)


def vendor_mark(order: Order) -> Mark:
    return (*VENDOR[order.vendor], order.vendor_said)


def _orders(customer: Customer) -> Any:
    return Order.filter(Order.SHOWN, customer_id=customer.id).using_db(reader()).order_by('-id')


async def gist(customer: Customer) -> dict[str, str]:
    """The newest order whose vendor's side is not settled; without one, how many there are."""
    orders = await _orders(customer)
    unsettled = [order for order in orders if todo_of(order, customer)]
    worst = next((order for order in unsettled if order.vendor == VendorState.REJECTED), None)
    if worst is not None:
        return {'text': f'{worst.number} rejected by the vendor: {worst.decided_because}', 'tone': 'bad'}
    if newest := next(iter(unsettled or orders), None):
        count = f'{len(orders)} orders, ' if len(orders) > 1 else ''
        export = ', data export required' if _wants_export(newest) else ''
        return {'text': f'{count}{newest.number}: {_in_short(newest)}{export}', 'tone': ''}
    return {'text': 'None in the portal', 'tone': ''}


def _in_short(order: Order) -> str:
    told = order.state in (OrderState.SUBMITTED, OrderState.APPLIED) or order.vendor == VendorState.RECALL
    if order.state.value == order.vendor.value:  # accepted or rejected: there is nothing that differs
        return f'{order.state.value} by the vendor'
    said = f'{order.state.title.lower()}, {order.vendor_said.lower()}' if told else order.state.title.lower()
    return said.replace('e-mail', 'e-mail to the vendor').replace(', accepted', ', accepted by the vendor')


async def content(customer: Customer) -> dict[str, Any]:
    partner = await Partner.get(id=customer.partner_id, using_db=reader())
    by_mail = bool(partner.order_desk and partner.smtp_host)
    form = await Rfi.filter(customer_id=customer.id).using_db(reader()).first()
    # To whom the form was sent, as long as it is to be filled in.
    sent_to = form.sent_to if form is not None and form.state in WAITING else ''
    return {
        'rows': [
            row_of(order, customer, by_mail=by_mail) | _its_day(order, partner) for order in await _orders(customer)
        ],
        'rfi_sent_to': sent_to,
        'code': customer.account_code, 'is_provisional': customer.code_is_provisional,
    }  # fmt: skip


def _wants_export(order: Order) -> bool:
    """Whether its customer's data are still to be handed over."""
    return cancelling.requires_export(order) and cancelling.export_of(order) is None


def _export_is_late(order: Order, today: date) -> bool:
    return _wants_export(order) and order.effective_on is not None and order.effective_on < today


def export_mark(order: Order, today: date) -> Mark | None:
    """That its customer's data are still to be handed over, and by when; None where they are not."""
    if not _wants_export(order):
        return None
    by = calendar.said(order.effective_on, none='the end')
    if _export_is_late(order, today):
        return 'bad', 'bad', f'Data export required: it was due on {by}'
    return 'clock', 'accent', f'Data export required before {by}'


async def end_of(customer: Customer, partner: Partner) -> dict[str, Any] | None:
    """The cancellation that is under way, or by which the customer was closed, as the head of the page tells it; None
    where there is none."""
    state = OrderState.APPLIED if customer.listing == Listing.CLOSED else OrderState.SUBMITTED
    orders = Order.filter(customer_id=customer.id, kind=OrderKind.CANCELLATION, state=state).using_db(reader())
    order = await orders.order_by('-id').first()
    if order is None:
        return None
    details = order.details if isinstance(order.details, dict) else {}
    moves, day = details.get('type') == cancelling.PARTNER_CHANGE, calendar.said(order.effective_on, none='no day')
    waits = bool(changing.waits_because(order, partner))
    ends = 'moves the customer to another partner' if moves else 'ends the subscription'
    due = 'is due to move the customer to another partner' if moves else 'is due to end the subscription'
    told = {
        VendorState.DELIVERED: 'The vendor has been told.', VendorState.ACCEPTED: 'The vendor has accepted it.',
    }.get(order.vendor, 'The vendor has not been told yet.')  # fmt: skip
    return {
        'number': order.number, 'wants_export': _wants_export(order), 'because': str(details.get('because') or ''),
        'exported': cancelling.export_of(order) is not None,
        'says': f'{due}, since {day}' if waits else f'{ends} on {day}',
        'told': 'It waits, because the vendor has not been told yet.' if waits else told,
        'mark': f'{"Due to end since" if waits else "Moves away" if moves else "Ends"} {day}',
    }  # fmt: skip


def _its_day(order: Order, partner: Partner) -> dict[str, Any]:
    """Of a change or a cancellation: until when it can be withdrawn, whether it waits, and what is asked for."""
    details = order.details if isinstance(order.details, dict) else {}
    about = ''
    if order.kind == OrderKind.CANCELLATION:
        export = 'with' if details.get('data_export') else 'without'
        about = f'{cancelling.TYPES.get(str(details.get("type")), "")}, {export} a data export'
    elif lead := changing.lead_said(order):
        about = f'lead on our side: {lead.splitlines()[0]}'
    waits = changing.waits_because(order, partner)
    can = order.kind != OrderKind.NEW and not changing.why_not_withdrawn(order, partner)
    return {
        'about': about, 'waits': waits, 'can_withdraw': can, 'withdraw_until': order.withdraw_until if can else None,
        'wants_export': _wants_export(order), 'exported': cancelling.export_of(order),
        'export_is_late': _export_is_late(order, calendar.today(partner)),
        'comes_about': _comes_about(order) if waits else '',
    }  # fmt: skip


def _comes_about(order: Order) -> str:
    """What happens as soon as the vendor is known to have an order whose day has come."""
    if order.kind == OrderKind.CANCELLATION:
        return 'Its day has come: this closes the customer now.'
    return 'Its day has come: licences and products change now.'


def without_prices(found: dict[str, Any]) -> dict[str, Any]:
    """The same for who may not see prices; they stand in its document, too."""
    return found | {'rows': [row | {'fees': None, 'document': None} for row in found['rows']]}


def row_of(order: Order, customer: Customer, *, by_mail: bool) -> dict[str, Any]:
    """An order as the card shows it; what its viewer may do is asked there."""
    leaving = order.vendor in (VendorState.WAITING, VendorState.SENDING) and not order.vendor_error
    moves = [verb for verb in order.moves()
             # Where there is no way to send it, it would come back at once.
             if (verb != 'deliver_again' or by_mail)
             # Most mail is gone in a second.
             and not (leaving and verb in ('passed_on', 'correct'))]  # fmt: skip
    return {
        'id': order.id, 'number': order.number, 'kind': order.kind.value, 'title': order.kind.title,
        'is_first': order.kind == OrderKind.NEW, 'seats': order.seats, 'was_seats': order.was_seats,
        'products': _products(order), 'fees': _fees(order), 'currency': order.currency,
        'effective_on': order.effective_on, 'po': 'not required' if order.po_waived else order.po_number,
        'state': order.state.value, 'state_title': order.state.title, 'state_mark': state_mark(order),
        'by': order.submitted_by or order.created_by, 'at': order.submitted_at or order.changed_at,
        'applied_at': order.applied_at,
        'vendor': order.vendor.value, 'vendor_title': order.vendor_said, 'vendor_mark': vendor_mark(order),
        'how': order.vendor_how, 'to': order.vendor_to, 'told_at': order.vendor_at, 'error': order.vendor_error,
        'message': order.message_id,
        'decided_by': order.decided_by, 'decided_at': order.decided_at, 'because': order.decided_because,
        'document': order.attachment_id, 'moves': moves, 'todo': todo_of(order, customer),
        'version': order.version, 'correctable': _correctable(order) if 'correct' in moves else None,
        'wants_code': order.kind == OrderKind.NEW and order.vendor == VendorState.ACCEPTED
        and customer.code_is_provisional,
    }  # fmt: skip


def _correctable(order: Order) -> dict[str, Any]:
    facts = correcting.facts_of(order)
    return facts | {'lead_phone': phone_shown(facts['lead_phone'])}


def todo_of(order: Order, customer: Customer) -> str:
    """What a person has to do about it now; nothing where nobody has to do anything."""
    in_force = order.state in (OrderState.SUBMITTED, OrderState.APPLIED)
    match order.vendor:
        case VendorState.BY_HAND if order.state == OrderState.SUBMITTED:
            return 'Pass it on to the vendor, then say so here.'
        case VendorState.SENDING if in_force and datetime.now(UTC) - order.changed_at > STUCK:
            return 'Its e-mail has not left for an hour. Pass it on by hand, or see to the mail server.'
        case VendorState.RECALL:
            return 'The vendor has it. Tell it that this was withdrawn, then say so here.'
        case VendorState.DELIVERED if in_force and order.vendor_at is not None:
            waited = datetime.now(UTC) - order.vendor_at
            if waited > UNANSWERED:
                return f'The vendor has not answered for {waited.days} days. Ask, then record what it said.'
        case VendorState.REJECTED if order.state == OrderState.APPLIED:
            return 'It is in force here, and the vendor rejected it. Agree with the vendor, or order it back.'
        case VendorState.REJECTED if order.kind == OrderKind.NEW:
            return 'The customer stays in Connect. Correct what was wrong, and it is delivered again.'
        case VendorState.ACCEPTED if order.kind == OrderKind.NEW and customer.code_is_provisional:
            return 'The account code that the vendor gave is still to be typed.'
    return ''


def _products(order: Order) -> list[list[Any]]:
    """Name, code and quantity of each line; what a change takes away is negative."""
    lines = [line for line in order.lines or [] if isinstance(line, dict)]
    if lines:
        return [[line.get('name', ''), line.get('code', ''), line.get('quantity', 0)] for line in lines]
    return [['', code, order.seats] for code in order.products or []]


def _fees(order: Order) -> list[list[str]]:
    """Label and amount of each sum that is one."""
    found = []
    for name, label in _FEES.items():
        try:
            amount = Decimal(str((order.fees or {}).get(name, '0')))
        except InvalidOperation:
            continue
        if amount:
            is_difference = order.kind == OrderKind.CHANGE and name in ('monthly', 'annual')
            said = f'{"+" if is_difference and amount > 0 else ""}{amount:,}'.replace('-', '−')
            found.append([f'{label}, difference' if is_difference else label, said])
    return found
