import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields
from tortoise.backends.base.client import BaseDBAsyncClient
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q, Subquery
from tortoise.functions import Lower
from tortoise.queryset import QuerySet

from models import checking, events, rights
from models.access import CustomerAccess
from models.connect_step import TEMPLATES, ConnectStep, StepState, plan_open, unlock
from models.events import Changed, transaction
from models.history import HistoryEvent, numbered
from models.monitor import Health, Monitor, MonitorKind, MonitorState
from models.partner import Partner
from models.rfi import Rfi, RfiIcon, RfiState
from models.tag import CustomerTag, UserTag
from models.text import fold, initial, printable, sort_key

if TYPE_CHECKING:
    from models.admin_console import AdminConsole
    from models.user import PortalUser


class AccountType(StrEnum):
    STANDARD = 'standard'
    EXPRESS = 'express'
    TRIAL = 'trial'
    NFR = 'nfr'
    INTERNAL = 'internal'

    @property
    def title(self) -> str:
        return 'Not for resale' if self == AccountType.NFR else self.value.capitalize()


class Listing(StrEnum):
    """In which list a customer is."""

    WAITING = 'waiting'
    IN_PROGRESS = 'in_progress'
    COMPLETE = 'complete'


class Customer(Model):
    """A customer of an MSP. The descriptions of the fields are the headings of lists."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='customers', on_delete=fields.RESTRICT
    )
    partner_id: int
    name = fields.CharField(max_length=200, description='Customer')
    name_key = fields.CharField(max_length=220)
    initial = fields.CharField(max_length=1)
    search_key = fields.CharField(max_length=700)
    account_code = fields.CharField(max_length=40, description='Account code')
    domain = fields.CharField(max_length=253, default='', db_default='', description='Domain')
    seats = fields.IntField(default=0, db_default=0, description='Licences')
    account_type = fields.CharEnumField(AccountType, max_length=10, description='Account type')
    products_in_short = fields.CharField(max_length=200, default='', db_default='', description='Products')
    listing = fields.CharEnumField(Listing, max_length=12, default=Listing.IN_PROGRESS, description='List')
    connect_status = fields.CharField(max_length=120, default='', db_default='', description='Connect status')
    connect_key = fields.CharField(max_length=30, default='', db_default='')
    connect_since = fields.DatetimeField(null=True, description='In this step since')
    blocked_because = fields.CharField(max_length=200, default='', db_default='', description='Blocked because')
    rfi = fields.IntEnumField(RfiIcon, default=RfiIcon.INCOMPLETE, description='RFI')
    rfi_returned = fields.BooleanField(default=False, db_default=False)
    # The icons as they are shown, so that a list of 100,000 sorts by them at once; `models.monitor` alone writes them.
    inbound_queue = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Inbound email queue')
    outbound_queue = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Outbound email queue')
    journal_queue = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Journaling queue')
    journal_connector = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Journaling connector')
    directory_connector = fields.IntEnumField(
        Health, default=Health.NOT_CONFIGURED, description='Active Directory connector'
    )
    worst = fields.IntEnumField(Health, default=Health.NOT_CONFIGURED, description='Worst signal')
    console_url = fields.CharField(max_length=300, default='', db_default='')
    console: 'fields.ForeignKeyNullableRelation[AdminConsole]' = fields.ForeignKeyField(
        'models.AdminConsole', related_name='customers', null=True, on_delete=fields.SET_NULL
    )
    console_id: int | None
    is_simulated = fields.BooleanField(default=False, db_default=False)
    created_at = fields.DatetimeField(auto_now_add=True, description='Customer since')
    completed_at = fields.DatetimeField(null=True, description='Live since')

    steps: fields.ReverseRelation[ConnectStep]
    monitors: fields.ReverseRelation[Monitor]

    # What lists do with a customer: the folded text they search, the letter it is filed under, and by what a heading
    # sorts where that is not the field itself.
    SEARCHED_IN = 'search_key'
    FILED_UNDER = 'initial'
    SORTED_BY = {'name': 'name_key'}

    class Meta:
        table = 'customer'
        table_description = 'A customer of an MSP'
        unique_together = (('partner_id', 'account_code'),)
        indexes = (
            ('partner_id', 'listing', 'name_key'),
            ('partner_id', 'listing', 'initial', 'name_key'),
            ('partner_id', 'worst', 'name_key'),
            ('partner_id', 'listing', 'connect_since'),
            ('partner_id', 'listing', 'seats', 'name_key'),
            *(('partner_id', 'listing', kind.value, 'name_key') for kind in MonitorKind),
        )

    Invalid = checking.Invalid

    def __str__(self) -> str:
        return self.name

    # -- questions ----------------------------------------------------------------------------------------------------

    @classmethod
    def visible_to(cls, user: 'PortalUser') -> QuerySet['Customer']:
        """The one door: every customer that this user may know of."""
        from models.database import reader

        mine = Customer.filter(partner_id=user.partner_id).using_db(reader())
        exceptions = CustomerAccess.filter(user_id=user.id, allowed=not user.sees_all).values('customer_id')
        if user.sees_all:
            return mine.filter(id__not_in=Subquery(exceptions))
        tags = Subquery(UserTag.filter(user_id=user.id).values('tag'))
        tagged = Subquery(CustomerTag.filter(tag__in=tags).values('customer_id'))
        return mine.filter(Q(id__in=Subquery(exceptions)) | Q(id__in=tagged))

    @classmethod
    def listed(cls, user: 'PortalUser', *listings: Listing) -> QuerySet['Customer']:
        visible = cls.visible_to(user)
        return visible.filter(listing=listings[0]) if len(listings) == 1 else visible.filter(listing__in=listings)

    @classmethod
    def listed_in_progress(cls, user: 'PortalUser') -> QuerySet['Customer']:
        """Those going through Connect whose RFI has come back, or all of them where the partner wants it so.

        The reference page: a new customer is not displayed until its RFI has been sent back.
        """
        at_once = Subquery(Partner.filter(lists_unsent_rfi=True).values('id'))
        return cls.visible_to(user).filter(
            Q(listing=Listing.IN_PROGRESS) | Q(listing=Listing.WAITING, partner_id__in=at_once)
        )

    @classmethod
    def with_codes(cls, partner_id: int, codes: Iterable[str]) -> QuerySet['Customer']:
        """Those with one of these account codes, whatever is a capital: reads all codes of the partner in its index."""
        # SQLite lowers ASCII only, PostgreSQL what its locale says.
        wanted = {form for code in codes for form in (code.lower(), re.sub('[A-Z]', lambda c: c[0].lower(), code))}
        theirs = Customer.filter(partner_id=partner_id).annotate(code=Lower('account_code'))
        return theirs.filter(code__in=sorted(wanted))

    # -- verbs --------------------------------------------------------------------------------------------------------

    def set_name(self, name: str) -> None:
        """Set the name and what follows from it and the other searched facts."""
        self.name = name
        self.name_key = sort_key(name)[:220]
        self.initial = initial(name)
        self.search_key = '\n'.join(fold(part) for part in (name, self.account_code, self.domain))[:700]

    @classmethod
    def check(cls, **facts: Any) -> dict[str, Any]:
        """The facts as they would be stored; raises `Customer.Invalid` for the first that cannot be."""
        clean: dict[str, Any] = {}
        for field, value in facts.items():
            if field in ('name', 'account_code', 'domain'):
                value = printable(str(value))
                limit = {'name': 200, 'account_code': 40, 'domain': 253}[field]
                if not value and field != 'domain':
                    raise cls.Invalid(field, 'is empty')
                if len(value) > limit:
                    raise cls.Invalid(field, f'is longer than {limit} characters')
                if field == 'account_code' and any(c.isspace() for c in value):
                    raise cls.Invalid(field, 'has a space in it')
                if field == 'domain':
                    value = checking.domain(field, value)
            elif field == 'seats':
                try:
                    # Digits as everybody here reads them; `int` takes 1_000, ٣ and a half of 2.5 as well.
                    if not re.fullmatch(r'\s*[+-]?[0-9]+(\.0)?\s*', str(value)):
                        raise ValueError(value)
                    value = int(float(value)) if isinstance(value, float) else int(value)
                except (TypeError, ValueError, OverflowError):
                    raise cls.Invalid(field, f'{str(value)[:40]!r} is not a whole number') from None
                if not 0 <= value <= 10_000_000:
                    raise cls.Invalid(field, 'is not between 0 and 10,000,000')
            elif field == 'account_type':
                try:
                    value = AccountType(value)
                except ValueError:
                    known = ', '.join(AccountType)
                    raise cls.Invalid(field, f'{str(value)[:40]!r} is none of {known}') from None
            else:
                raise cls.Invalid(str(field)[:40], 'is not a fact about a customer')
            clean[field] = value
        return clean

    @classmethod
    async def add(
        cls, partner: Partner, *, by: 'PortalUser | None' = None, rfi: RfiState = RfiState.REQUESTED,
        listing: Listing = Listing.IN_PROGRESS, products: Sequence[str] = (), **facts: Any,
    ) -> 'Customer':  # fmt: skip
        """Create a customer with its RFI, Connect steps and monitors; raises `Customer.Invalid` and `Refused`.

        `listing` COMPLETE is a customer that has been through Connect elsewhere; otherwise what it is listed under
        follows from the RFI (`restate`). Whoever adds one sees it, also where they see some customers only.
        """
        if by is not None:
            rights.require(by, 'customer.create')
            if by.partner_id != partner.id:
                raise rights.Refused('These customers are another MSP’s.')
        clean = cls.check(**{'account_type': AccountType.STANDARD, 'domain': '', 'seats': 0, **facts})
        try:
            return await cls._add(partner, clean, by=by, rfi=rfi, listing=listing, products=products)
        except IntegrityError:  # somebody else added the same code at the same moment
            raise cls.Invalid('account_code', f'{clean["account_code"]!r} is another customer’s') from None

    @classmethod
    async def _add(
        cls, partner: Partner, clean: dict[str, Any], *, by: 'PortalUser | None', rfi: RfiState, listing: Listing,
        products: Sequence[str],
    ) -> 'Customer':  # fmt: skip
        from models.product import CustomerProduct, load_catalogue

        now = datetime.now(UTC)
        async with transaction():
            await cls._require_free(partner.id, clean['account_code'])
            catalogue = await load_catalogue() if products else {}
            unknown = [code for code in products if code not in catalogue]
            if unknown:
                raise cls.Invalid('products', f'{unknown[0][:40]!r} is not in the catalogue')
            customer = cls(partner=partner, **clean)
            customer.set_name(clean['name'])
            customer.products_in_short = ', '.join(products)[:200]
            customer.rfi = rfi.icon
            customer.rfi_returned = rfi not in (RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.DRAFT)
            customer.listing = listing
            customer.connect_since = now
            if listing == Listing.COMPLETE:
                customer.completed_at = now
                customer.connect_status, customer.connect_key = 'Complete', 'complete'
            await customer.save()
            await Rfi.create(customer=customer, state=rfi, requested_at=now if rfi == RfiState.REQUESTED else None)
            await CustomerProduct.bulk_create(
                [
                    CustomerProduct(customer=customer, product=product, quantity=customer.seats, since=now.date())
                    for product in (catalogue[code] for code in products)
                ]
            )
            services = ''.join(catalogue[code].connect_services for code in products)
            if listing != Listing.COMPLETE:
                await ConnectStep.bulk_create(
                    [
                        ConnectStep(
                            customer=customer,
                            key=t.key,
                            title=t.title,
                            position=position,
                            owner=t.owner,
                            is_optional=t.optional,
                            state=StepState.LOCKED,
                        )
                        for position, t in enumerate(ConnectStep.applicable(services), 1)
                    ]
                )
                await unlock(customer.id)
                if rfi in (RfiState.COMPLETE, RfiState.NOT_APPLICABLE):
                    state = StepState.COMPLETE if rfi == RfiState.COMPLETE else StepState.SKIPPED
                    await ConnectStep.filter(customer_id=customer.id, key='rfi').update(state=state, completed_at=now)
                    await unlock(customer.id)
                is_back = customer.rfi_returned or rfi == RfiState.NOT_APPLICABLE
                await plan_open(customer.id, now, is_back=is_back)
            await Monitor.bulk_create(
                [
                    Monitor(customer=customer, kind=kind, threshold=Monitor.default_threshold(kind, customer.seats))
                    for kind in MonitorKind
                ]
            )
            await customer.restate()
            if by is not None and not by.sees_all:
                await CustomerAccess.create(user=by, customer=customer, allowed=True)
                events.SIGHT_CHANGED.emit(by.id)
            await HistoryEvent.add(
                partner.id, 'customer.created', f'{customer.name} was added', customer_id=customer.id, by=by
            )
            events.CUSTOMERS_ADDED.emit(
                Changed(partner.id, {customer.id: frozenset({'name'})}, frozenset({customer.id}))
            )
        return customer

    async def change(
        self, *, was: Mapping[str, Any] | None = None, by: 'PortalUser | None' = None, **facts: Any
    ) -> set[str]:
        """Change facts (name, account_code, domain, seats, account_type); return the names of those that differ.

        `was` is what the editor saw. Raises `Customer.Invalid`, `Refused`, or `ChangedMeanwhile` where somebody else
        was quicker; then nothing is stored. Each change is in the history with before and after.
        """
        if by is not None:
            rights.require(by, 'customer.change')
        clean = self.check(**facts)
        async with transaction() as connection:
            if 'seats' in clean:
                await hold_monitors(connection, [self.id])
            fresh = await Customer.filter(id=self.id).select_for_update().get()
            before = checking.differing({field: getattr(fresh, field) for field in clean}, clean, was)
            if not before:
                return set()
            after = {field: clean[field] for field in before}
            if 'account_code' in before:
                await self._require_free(self.partner_id, clean['account_code'], but=self.id)
            fresh.update_from_dict(after)
            fresh.set_name(fresh.name)
            await fresh.save(update_fields=[*before, *({'name_key', 'initial', 'search_key'} - set(before))])
            await HistoryEvent.add(
                self.partner_id, 'customer.changed', checking.in_words(_CHANGED, before, after),
                customer_id=self.id, by=by, before=checking.as_data(before), after=checking.as_data(after),
            )  # fmt: skip
            if 'seats' in before:
                await follow_seats(connection, self.partner_id, {self.id: (before['seats'], after['seats'])})
            moved = frozenset({self.id} if {'name', 'account_code', 'domain'} & set(before) else ())
            events.CUSTOMERS_CHANGED.emit(Changed(self.partner_id, {self.id: frozenset(before)}, moved))
        self.update_from_dict(after)
        self.set_name(self.name)
        return set(before)

    @classmethod
    async def _require_free(cls, partner_id: int, code: str, *, but: int | None = None) -> None:
        """Raise `Customer.Invalid` where this account code is another customer's, or differs from it by capitals only.

        People read and type codes without looking at capitals: two such customers would be taken for one.
        """
        others = await cls.with_codes(partner_id, [code]).order_by('id').values_list('id', 'account_code')
        for other in (other for id_, other in others if id_ != but):
            if other == code:
                raise cls.Invalid('account_code', f'{code!r} is another customer’s')
            raise cls.Invalid('account_code', f'{code!r} is another customer’s, written {other!r}')

    async def restate(self) -> set[str]:
        """Work out list and Connect status from the RFI and the steps, store them, return the fields that changed."""
        now = datetime.now(UTC)
        before = (self.listing, self.connect_status, self.connect_key, self.blocked_because)
        self.blocked_because = ''
        if self.listing != Listing.COMPLETE:
            self.listing = (
                Listing.IN_PROGRESS if self.rfi_returned or self.rfi == RfiIcon.NOT_APPLICABLE else Listing.WAITING
            )
            current = await self._current_step()
            if self.listing == Listing.WAITING:
                self.connect_status, self.connect_key = 'RFI requested', 'rfi_requested'
            elif current is None:
                self.connect_status, self.connect_key = 'Ready to complete', 'handover'
            elif current.key == 'rfi':
                self.connect_status, self.connect_key = 'RFI received', 'rfi_received'
            else:
                self.connect_status, self.connect_key = current.title, current.key
                if current.state == StepState.BLOCKED:
                    self.blocked_because = current.reason
        else:
            self.connect_status, self.connect_key = 'Complete', 'complete'
        after = (self.listing, self.connect_status, self.connect_key, self.blocked_because)
        names = ('listing', 'connect_status', 'connect_key', 'blocked_because')
        changed = {name for name, old, new in zip(names, before, after, strict=True) if old != new}
        if self.connect_key != before[2] or self.connect_since is None:
            self.connect_since = now
            changed.add('connect_since')
        await self.save(update_fields=[*names, 'connect_since', 'rfi', 'rfi_returned', 'completed_at'])
        return changed

    async def _current_step(self) -> ConnectStep | None:
        """The step that is worked on, else what stalls, else the next one; None when all that applies is done."""
        order = {StepState.BLOCKED: 0, StepState.IN_PROGRESS: 1, StepState.TODO: 2, StepState.LOCKED: 3}
        open_steps = [
            step
            for step in await ConnectStep.filter(customer_id=self.id).order_by('position')
            if step.state in order and not (step.is_optional and step.state in (StepState.TODO, StepState.LOCKED))
        ]
        return min(open_steps, key=lambda step: (order[step.state], step.position), default=None)

    async def complete_connect(self, *, by: 'PortalUser | None' = None) -> None:
        """Move from In Progress to Complete; raises `ConnectStep.NotAllowed` while a step that applies is open."""
        async with transaction():
            fresh = await Customer.get(id=self.id)
            if fresh.listing == Listing.COMPLETE:
                return
            if (step := await fresh._current_step()) is not None:
                raise ConnectStep.NotAllowed(f'{step.title} is still to be done.')
            # Named by the old list: of two who complete it at once, one does.
            if not await Customer.filter(id=fresh.id, listing=fresh.listing).update(listing=Listing.COMPLETE):
                return
            fresh.listing, fresh.completed_at = Listing.COMPLETE, datetime.now(UTC)
            changed = await fresh.restate()
            await HistoryEvent.add(
                fresh.partner_id, 'connect.completed', 'Connect complete: the customer is live',
                customer_id=fresh.id, by=by,
            )  # fmt: skip
            events.CONNECT_MOVED.emit(
                Changed(fresh.partner_id, {fresh.id: frozenset({*changed, 'listing'})}, frozenset({fresh.id}))
            )

    async def reopen_connect(self, step_key: str, *, because: str, by: 'PortalUser | None' = None) -> None:
        """Bring a live customer back into Connect at one of its steps (an upgrade, say)."""
        async with transaction():
            fresh = await Customer.get(id=self.id)
            template = next((t for t in ConnectStep.applicable('') if t.key == step_key), None)
            if template is None:
                raise ConnectStep.NotAllowed(f'There is no step {step_key!r:.40}.')
            if fresh.listing != Listing.COMPLETE:
                raise ConnectStep.NotAllowed('The customer is in Connect already.')
            if not await Customer.filter(id=fresh.id, listing=fresh.listing).update(listing=Listing.IN_PROGRESS):
                return
            await ConnectStep.update_or_create(
                {
                    'title': template.title, 'position': 1 + TEMPLATES.index(template), 'owner': template.owner,
                    'is_optional': False, 'state': StepState.IN_PROGRESS, 'started_at': datetime.now(UTC),
                    'completed_at': None, 'reason': '',
                },
                customer_id=fresh.id, key=step_key,
            )  # fmt: skip
            await unlock(fresh.id)
            fresh.listing, fresh.completed_at = Listing.IN_PROGRESS, None
            changed = await fresh.restate()
            await HistoryEvent.add(
                fresh.partner_id, 'connect.reopened', f'Back in Connect – {because}', customer_id=fresh.id, by=by
            )
            events.CONNECT_MOVED.emit(
                Changed(fresh.partner_id, {fresh.id: frozenset({*changed, 'listing'})}, frozenset({fresh.id}))
            )

    async def record_readings(self, readings: dict[MonitorKind, MonitorState | float], *, at: datetime) -> int:
        """Store what was read of this customer: a state or a value for each monitor; return how many flipped."""
        from models.monitor import Reading

        recorded = await Monitor.record(
            Reading(
                self.id,
                kind,
                at,
                value=None if isinstance(found, MonitorState) else float(found),
                state=found if isinstance(found, MonitorState) else None,
            )
            for kind, found in readings.items()
        )
        return recorded.flips


async def hold_monitors(connection: BaseDBAsyncClient, customer_ids: list[int]) -> None:
    """Keep the monitors from other writers before the customers themselves: the order in which readings take them."""
    from models.database import rows_within

    if connection.capabilities.support_for_update:
        monitors = Monitor.filter(customer_id__in=customer_ids).order_by('id')
        await rows_within(connection, monitors.values('id'), lock=True)


async def follow_seats(connection: BaseDBAsyncClient, partner_id: int, changed: Mapping[int, tuple[int, int]]) -> None:
    """What is reckoned from the licences of these customers (id: before, after) is reckoned anew.

    A threshold or quantity that is not what followed from the licences before was set by somebody, and stays. The
    state stays until the next reading: nobody knows whether the last one was told or judged.
    """
    thresholds = [
        [Monitor.default_threshold(kind, after), customer_id, kind.value, Monitor.default_threshold(kind, before)]
        for customer_id, (before, after) in changed.items() for kind in MonitorKind if kind.is_queue
    ]  # fmt: skip
    if not thresholds:
        return
    await connection.execute_many(
        numbered(
            connection,
            'UPDATE "monitor" SET "threshold"=?1 WHERE "customer_id"=?2 AND "kind"=?3 AND "threshold"=?4',
        ),
        [each for each in thresholds if each[0] != each[3]],
    )
    await connection.execute_many(
        numbered(connection, 'UPDATE "customer_product" SET "quantity"=?1 WHERE "customer_id"=?2 AND "quantity"=?3'),
        [[after, customer_id, before] for customer_id, (before, after) in changed.items()],
    )
    touched = dict.fromkeys(changed, frozenset({'products', 'monitor'}))
    events.CUSTOMER_TOUCHED.emit(partner_id, touched)


# What the history calls the facts that change.
_CHANGED = {
    'name': 'Name',
    **{
        name: Customer._meta.fields_map[name].description or name
        for name in ('account_code', 'domain', 'seats', 'account_type')
    },
}
