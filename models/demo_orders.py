"""The first orders of the demo's customers. Nothing was sent anywhere: what the vendor knows, a person has told it."""

from datetime import UTC, datetime, timedelta

from models.attachment import Attachment, AttachmentKind
from models.contact import Contact, ContactKind
from models.customer import Customer, Listing
from models.order import Order, OrderState, VendorState
from models.price import Price
from models.pricing import fees, line
from models.product import CustomerProduct
from models.user import PortalUser

_TOLD, _ANSWERED = timedelta(hours=3), timedelta(days=2)  # after the order
BY_HAND_BECAUSE = 'The settings name no order desk that takes orders by e-mail.'


async def load_orders() -> None:
    """Give every customer that has none its first order: accepted, but of those who wait for their RFI the newest is to
    be passed on and the others are not answered yet. Belongs in the transaction that made them and their documents."""
    now = datetime.now(UTC)
    by = {user.partner_id: user for user in await PortalUser.filter(can_sign_in=True).order_by('-id')}
    documents = dict(await Attachment.filter(kind=AttachmentKind.ORDER).values_list('customer_id', 'id'))
    prices = {(each.partner_id, each.product_id): each for each in await Price.all()}
    bought: dict[int, list[CustomerProduct]] = {}
    for row in await CustomerProduct.all().select_related('product').order_by('id'):
        bought.setdefault(row.customer_id, []).append(row)
    given = set(await Order.filter(customer_id__isnull=False).values_list('customer_id', flat=True))
    customers = [each for each in await Customer.all().order_by('created_at', 'id') if each.id not in given]
    leads = {each.customer_id: each for each in await Contact.filter(kind=ContactKind.TECHNICAL)}
    newest = {each.partner_id: each.id for each in customers if each.listing == Listing.WAITING}
    await Order.bulk_create([
        priced(_order(each, by[each.partner_id].name, documents.get(each.id), now, leads.get(each.id),
                      is_newest=newest.get(each.partner_id) == each.id), bought.get(each.id, []), prices)
        for each in customers
    ])  # fmt: skip


def priced(order: Order, bought: list[CustomerProduct], prices: dict[tuple[int, int], Price]) -> Order:
    """With what was bought, for what it costs by the price list."""
    priced = [(row, prices.get((order.partner_id, row.product_id))) for row in bought]
    lines = [line(row.product, price, row.quantity) for row, price in priced if price is not None]
    sums = fees(lines)
    order.products = [row.product.code for row in bought]
    order.lines, order.fees, order.currency = [each.as_data() for each in lines], sums.as_data(), sums.currency
    return order


def _order(
    customer: Customer, by: str, document: int | None, now: datetime, lead: Contact | None, *, is_newest: bool
) -> Order:  # fmt: skip
    at = customer.created_at
    facts = ('first_name', 'last_name', 'email', 'phone')
    people = {f'lead_{fact}': getattr(lead, fact) for fact in facts} if lead is not None else {}
    order = Order(
        partner_id=customer.partner_id, customer_id=customer.id, state=OrderState.SUBMITTED, seats=customer.seats,
        po_waived=True, accepts_agreement=True, is_authorised=True, attachment_id=document,
        created_by=by, created_at=at, changed_at=at, submitted_by=by, submitted_at=at,
        details={'people': people} if people else {},
    )  # fmt: skip
    if is_newest:
        order.vendor = VendorState.BY_HAND
        order.vendor_error = BY_HAND_BECAUSE
        return order
    order.vendor, order.vendor_how, order.vendor_at = VendorState.DELIVERED, 'hand', min(now, at + _TOLD)
    if customer.listing != Listing.WAITING:
        order.state, order.vendor = OrderState.ACCEPTED, VendorState.ACCEPTED
        order.decided_at, order.decided_by = min(now, at + _ANSWERED), by
    return order
