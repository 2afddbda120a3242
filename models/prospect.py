"""Potential customers without an order yet: what is known of them, and how far it has come (domain.md 1.7, 4.2).

A prospect is a draft while something is missing that an order begins with (`NEEDED`), and open as soon as all of it is
there: nobody has to say so, and one that loses its domain again is a draft again. People only say that it is lost, and
why, and open it again. It is converted by the submission of its order, and by nothing else.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields
from tortoise.queryset import QuerySet

from models import checking, events, rights
from models.checking import Impossible, Invalid
from models.dns_asking import Found
from models.events import transaction
from models.history import HistoryEvent
from models.partner import Partner
from models.text import fold, initial, sort_key

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser


class ProspectState(StrEnum):
    DRAFT = 'draft'
    OPEN = 'open'
    CONVERTED = 'converted'
    LOST = 'lost'

    @property
    def title(self) -> str:
        return self.value.capitalize()


class CompanyType(StrEnum):
    UNKNOWN = ''
    PRIVATE = 'private'
    PUBLIC = 'public'
    SOLE_TRADER = 'sole_trader'
    PARTNERSHIP = 'partnership'
    GOVERNMENT = 'government'
    EDUCATION = 'education'
    NON_PROFIT = 'non_profit'

    @property
    def title(self) -> str:
        return _COMPANY_TYPES[self]


_COMPANY_TYPES = {
    CompanyType.UNKNOWN: 'Not known yet',
    CompanyType.PRIVATE: 'Private company',
    CompanyType.PUBLIC: 'Listed company',
    CompanyType.SOLE_TRADER: 'Sole trader',
    CompanyType.PARTNERSHIP: 'Partnership',
    CompanyType.GOVERNMENT: 'Government',
    CompanyType.EDUCATION: 'Education',
    CompanyType.NON_PROFIT: 'Non-profit',
}


class Sector(StrEnum):
    UNKNOWN = ''
    AGRICULTURE = 'agriculture'
    CONSTRUCTION = 'construction'
    EDUCATION = 'education'
    ENERGY = 'energy'
    FINANCE = 'finance'
    GOVERNMENT = 'government'
    HEALTH = 'health'
    HOSPITALITY = 'hospitality'
    INSURANCE = 'insurance'
    LEGAL = 'legal'
    MANUFACTURING = 'manufacturing'
    MEDIA = 'media'
    NON_PROFIT = 'non_profit'
    PROFESSIONAL = 'professional'
    REAL_ESTATE = 'real_estate'
    RETAIL = 'retail'
    TECHNOLOGY = 'technology'
    TELECOMMUNICATIONS = 'telecoms'
    TRANSPORT = 'transport'
    OTHER = 'other'

    @property
    def title(self) -> str:
        return _SECTORS.get(self, self.value.capitalize())


_SECTORS = {
    Sector.UNKNOWN: 'Not known yet', Sector.NON_PROFIT: 'Non-profit', Sector.REAL_ESTATE: 'Real estate',
    Sector.PROFESSIONAL: 'Professional services', Sector.TELECOMMUNICATIONS: 'Telecommunications',
    Sector.FINANCE: 'Banking and finance', Sector.HEALTH: 'Health care', Sector.MEDIA: 'Media and entertainment',
    Sector.TRANSPORT: 'Transport and logistics', Sector.ENERGY: 'Energy and utilities',
}  # fmt: skip


class Prospect(Model):
    """A placeholder for a potential customer. The descriptions of the fields are the headings of lists and forms."""

    id = fields.IntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='prospects', on_delete=fields.RESTRICT
    )
    partner_id: int
    name = fields.CharField(max_length=200, description='Company')
    name_key = fields.CharField(max_length=220)
    initial = fields.CharField(max_length=1)
    search_key = fields.CharField(max_length=700)
    company_type = fields.CharEnumField(
        CompanyType, max_length=16, default=CompanyType.UNKNOWN, db_default='', description='Company type'
    )
    sector = fields.CharEnumField(Sector, max_length=16, default=Sector.UNKNOWN, db_default='', description='Sector')
    domain = fields.CharField(max_length=253, default='', db_default='', description='Domain')
    # What DNS said of the domain when it was last asked: `mx`, `spf`, `error`.
    domain_checked_at = fields.DatetimeField(null=True, description='Domain verified')
    domain_found: Any = fields.JSONField(default=dict, db_default='{}')
    website = fields.CharField(max_length=300, default='', db_default='', description='Website')
    address = fields.TextField(default='', db_default='', description='Address')
    phone = fields.CharField(max_length=20, default='', db_default='', description='Phone')
    seats = fields.IntField(default=0, db_default=0, description='Licences')
    products: Any = fields.JSONField(default=list, db_default='[]', description='Products of interest')
    # The implementation lead: who gets the RFI form to fill in.
    lead_first_name = fields.CharField(max_length=60, default='', db_default='', description='First name')
    lead_last_name = fields.CharField(max_length=60, default='', db_default='', description='Last name')
    lead_email = fields.CharField(max_length=254, default='', db_default='', description='E-mail')
    lead_phone = fields.CharField(max_length=20, default='', db_default='', description='Phone of the lead')
    remarks = fields.TextField(default='', db_default='', description='Remarks')
    state = fields.CharEnumField(
        ProspectState, max_length=10, default=ProspectState.DRAFT, db_default='draft', description='State'
    )
    lost_because = fields.CharField(max_length=200, default='', db_default='', description='Lost because')
    customer: 'fields.ForeignKeyNullableRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='was_prospect', null=True, on_delete=fields.SET_NULL
    )
    customer_id: int | None
    created_by_id = fields.IntField(null=True)
    created_by = fields.CharField(max_length=120, default='', db_default='', description='Created by')
    created_at = fields.DatetimeField(auto_now_add=True, description='Created')
    changed_at = fields.DatetimeField(auto_now_add=True, description='Changed')

    SEARCHED_IN = 'search_key'
    FILED_UNDER = 'initial'
    SORTED_BY = {'name': 'name_key'}
    # What lists sort by and is no field, as SQL: who is open first.
    ORDERS = {
        'state': 'CASE "prospect"."state" '
        + ' '.join(
            f"WHEN '{state.value}' THEN {place}"
            for place, state in enumerate(
                (ProspectState.OPEN, ProspectState.DRAFT, ProspectState.LOST, ProspectState.CONVERTED)
            )
        )
        + ' END',
    }

    class Meta:
        table = 'prospect'
        table_description = 'A potential customer without an order'
        indexes = (
            ('partner_id', 'name_key'),
            ('partner_id', 'state', 'name_key'),
            ('partner_id', 'initial', 'name_key'),
            ('partner_id', 'domain'),
        )

    Invalid = checking.Invalid

    def __str__(self) -> str:
        return self.name

    @classmethod
    def visible_to(cls, user: 'PortalUser') -> QuerySet['Prospect']:
        """The one door: whoever sees all customers sees all prospects; anybody else those that they created."""
        from models.database import reader

        mine = Prospect.filter(partner_id=user.partner_id).using_db(reader())
        return mine if user.sees_all else mine.filter(created_by_id=user.id)

    @classmethod
    def pending(cls, user: 'PortalUser') -> QuerySet['Prospect']:
        """Those that may still become customers."""
        return cls.visible_to(user).filter(state__in=PENDING)

    @property
    def is_pending(self) -> bool:
        return self.state in PENDING

    @property
    def missing(self) -> list[str]:
        """What an order needs and is not there yet: names of fields."""
        return [name for name in NEEDED if not getattr(self, name)]

    def set_name(self, name: str) -> None:
        """Set the name and what lists go by."""
        self.name = name
        self.name_key = sort_key(name)[:220]
        self.initial = initial(name)
        lead = f'{self.lead_first_name} {self.lead_last_name}'
        self.search_key = '\n'.join(fold(part) for part in (name, self.domain, lead, self.lead_email))[:700]

    # -- what it may be -----------------------------------------------------------------------------------------------

    @classmethod
    def check(cls, **facts: Any) -> dict[str, Any]:
        """The facts as they would be stored; raises `Invalid` with all that cannot be."""
        return checking.each(facts, _checked)

    @classmethod
    async def alike(cls, domain: str, by: 'PortalUser', *, but: int | None = None) -> list[dict[str, Any]]:
        """Prospects and customers with this domain that `by` sees: `kind`, `id`, `name`, and `state` in a word.

        Of others nobody is told, not even that there are some. Raises `Invalid` where it is no domain.
        """
        from models.customer import Customer, Listing
        from models.database import rows

        if not (domain := checking.domain('domain', domain)):
            return []
        prospects = cls.visible_to(by).filter(domain=domain).exclude(state=ProspectState.CONVERTED)
        theirs = await rows(prospects.order_by('name_key', 'id').limit(MOST_ALIKE).values('id', 'name', 'state'))
        customers = Customer.visible_to(by).filter(domain=domain)
        bought = await rows(customers.order_by('name_key', 'id').limit(MOST_ALIKE).values('id', 'name', 'listing'))
        return [
            {'kind': 'prospect', 'id': row['id'], 'name': row['name'], 'state': ProspectState(row['state']).title}
            for row in theirs
            if row['id'] != but
        ] + [
            {
                'kind': 'customer', 'id': row['id'], 'name': row['name'],
                'state': 'Former customer' if row['listing'] == Listing.CLOSED else 'Customer',
            }
            for row in bought
        ]  # fmt: skip

    # -- verbs --------------------------------------------------------------------------------------------------------

    @classmethod
    async def add(cls, partner: Partner, *, by: 'PortalUser', found: Found | None = None, **facts: Any) -> 'Prospect':
        """Make a prospect; only its name is needed. `found` is what DNS has just said of its domain.

        Raises `Invalid` with everything that is wrong, and `Refused`.
        """
        rights.require(by, 'prospect.change')
        if by.partner_id != partner.id:
            raise rights.Refused('These prospects are another MSP’s.')
        clean = cls.check(**{'name': '', **facts})
        now = datetime.now(UTC)
        async with transaction():
            await _require_known(clean.get('products', ()), partner.id)
            made = cls(
                partner=partner, created_by_id=by.id, created_by=by.name[:120], created_at=now, changed_at=now, **clean
            )
            made.set_name(clean['name'])
            made._remember(found)
            made.state = made._by_itself()
            await made.save()
            await made._told('prospect.created', f'{made.name} was added as a prospect', by)
        return made

    async def change(
        self, facts: Mapping[str, Any], *, by: 'PortalUser', was: Mapping[str, Any] | None = None,
        found: Found | None = None,
    ) -> set[str]:  # fmt: skip
        """Change facts; return the names of those that differ. `was` is what the editor saw.

        Raises `Invalid` with everything that is wrong, `Refused`, `Impossible` for one that is lost or a customer, and
        `ChangedMeanwhile` where somebody else was quicker; then nothing is stored.
        """
        rights.require(by, 'prospect.change')
        clean = self.check(**facts)
        async with transaction():
            fresh = await self._held(by)
            fresh._require_editable()
            seen = None if was is None else {field: _as_stored(field, value) for field, value in was.items()}
            before = checking.differing({field: getattr(fresh, field) for field in clean}, clean, seen)
            if not before:
                return set()
            if 'products' in before:
                await _require_known(set(clean['products']) - set(before['products']), fresh.partner_id)
            after = {field: clean[field] for field in before}
            fresh.update_from_dict(after)
            fresh.set_name(fresh.name)
            if 'domain' in before:  # what was found is about another one
                fresh.domain_checked_at, fresh.domain_found = None, {}
                fresh._remember(found)
            was_state, fresh.state = fresh.state, fresh._by_itself()
            fresh.changed_at = datetime.now(UTC)
            await fresh.save()
            said = checking.in_words(TITLES, _readable(before), _readable(after))
            if fresh.state != was_state:
                said += f'; State: {was_state.title} → {fresh.state.title}'
            await fresh._told(
                'prospect.updated', f'{fresh.name}: {said}', by,
                before=checking.as_data(before), after=checking.as_data(after),
            )  # fmt: skip
        self._take(fresh)
        return set(before)

    async def set_state(
        self, state: ProspectState | str, *, by: 'PortalUser', because: str = '', was: str | None = None
    ) -> bool:
        """Lose it, with a reason, or open it again; False where that is what it is already.

        What is opened again is a draft where something is missing. `was` is the state that was seen. Raises `Invalid`,
        `Refused`, `Impossible` where there is no such move, and `ChangedMeanwhile`.
        """
        rights.require(by, 'prospect.change')
        wished = ProspectState(checking.one_of('state', state, ProspectState))
        if wished not in (ProspectState.OPEN, ProspectState.LOST):
            raise Impossible(
                'People only lose a prospect, or open it again: the rest follows from what is known of it.'
            )
        because = checking.line('because', because, 200)
        async with transaction():
            fresh = await self._held(by)
            before = fresh.state
            if wished == ProspectState.OPEN:
                wished = fresh._by_itself()
            if was is not None and was != before.value:
                raise checking.ChangedMeanwhile('state', before.value)
            if wished == before and (wished == ProspectState.LOST or not fresh.missing):
                return False
            fresh._require_move(wished)
            if wished == ProspectState.LOST and not because:
                raise Invalid('because', 'is missing: say why')
            fresh.state, fresh.lost_because = wished, because if wished == ProspectState.LOST else ''
            fresh.changed_at = datetime.now(UTC)
            await fresh.save(update_fields=['state', 'lost_because', 'changed_at'])
            if wished == ProspectState.LOST:
                await fresh._told('prospect.lost', f'{fresh.name} was lost – {because}', by, because=because)
            else:
                await fresh._told('prospect.reopened', f'{fresh.name} was opened again', by)
        self._take(fresh)
        return True

    async def verified(self, found: Found, *, by: 'PortalUser') -> bool:
        """Keep what DNS said of its domain; False where it was not asked about this domain, or nobody answered."""
        rights.require(by, 'prospect.change')
        async with transaction():
            fresh = await self._held(by)
            fresh._require_editable()
            before = dict(fresh.domain_found or {})
            if found.domain != fresh.domain or not fresh._remember(found):
                return False
            await fresh.save(update_fields=['domain_checked_at', 'domain_found'])
            if before != fresh.domain_found:
                await fresh._told('prospect.verified', f'{fresh.name}: {in_words(found)}', by, found=fresh.domain_found)
            else:
                events.PROSPECTS_CHANGED.emit(fresh.partner_id)
        self._take(fresh)
        return True

    # -- what the verbs share -----------------------------------------------------------------------------------------

    async def _held(self, by: 'PortalUser') -> 'Prospect':
        """It as it is now; nobody else changes it until the transaction ends."""
        fresh = await Prospect.filter(id=self.id, partner_id=by.partner_id).select_for_update().get_or_none()
        if fresh is None:
            raise rights.Refused('This prospect is not here any more, or another MSP’s.')
        return fresh

    def _by_itself(self) -> ProspectState:
        return ProspectState.DRAFT if self.missing else ProspectState.OPEN

    def _require_editable(self) -> None:
        if self.state == ProspectState.LOST:
            raise Impossible(f'{self.name} is lost. Open it again to change it.')
        if self.state == ProspectState.CONVERTED:
            raise Impossible(f'{self.name} is a customer now: what is known of it is on the customer’s page.')

    def _require_move(self, wished: ProspectState) -> None:
        """Raise `Impossible` with the rule that the move breaks."""
        if wished in MOVES[self.state]:
            return
        if self.state == ProspectState.CONVERTED:
            raise Impossible(f'{self.name} is a customer now: it cannot be a prospect again.')
        needed = ' and '.join(TITLES[name].lower() for name in self.missing)
        raise Impossible(f'Something is missing before it can be open: {needed}.')

    def _remember(self, found: Found | None) -> bool:
        """Take what DNS answered about this domain; no answer leaves what is known."""
        if found is None or found.exists is None or found.domain != self.domain:
            return False
        self.domain_checked_at = datetime.now(UTC)
        self.domain_found = {'mx': found.mx, 'spf': found.spf, 'error': found.error, 'exists': found.exists}
        return True

    @property
    def found(self) -> Found | None:
        """What DNS said of its domain when it was last asked."""
        data = self.domain_found
        if self.domain_checked_at is None or not isinstance(data, dict) or not data:
            return None
        exists = data.get('exists', not data.get('error'))
        return Found(self.domain, list(data.get('mx', [])), list(data.get('spf', [])), data.get('error', ''), exists)

    async def _told(self, kind: str, said: str, by: 'PortalUser', **data: Any) -> None:
        await HistoryEvent.add(self.partner_id, kind, said, by=by, prospect=self.id, **data)
        events.PROSPECTS_CHANGED.emit(self.partner_id)

    def _take(self, fresh: 'Prospect') -> None:
        for name in self._meta.db_fields:
            setattr(self, name, getattr(fresh, name))


# The whole life of a prospect. Only the submission of an order converts one (models/ordering.py), a draft as well: the
# order's form asks for what is missing. What is converted stays so.
MOVES: dict[ProspectState, tuple[ProspectState, ...]] = {
    ProspectState.DRAFT: (ProspectState.OPEN, ProspectState.LOST, ProspectState.CONVERTED),
    ProspectState.OPEN: (ProspectState.DRAFT, ProspectState.LOST, ProspectState.CONVERTED),
    ProspectState.LOST: (ProspectState.DRAFT, ProspectState.OPEN),
    ProspectState.CONVERTED: (),
}
PENDING = (ProspectState.DRAFT, ProspectState.OPEN)
NEEDED = ('name', 'domain', 'lead_email')
PHONES = ('phone', 'lead_phone')
MOST_ALIKE = 5
_LONGEST_REMARK = 5000
# What may be written down, and what the history and the forms call it.
TITLES = {
    'name': 'Company name', 'company_type': 'Company type', 'sector': 'Sector', 'domain': 'Domain',
    'website': 'Website', 'address': 'Address', 'phone': 'Phone', 'seats': 'Licences',
    'products': 'Products of interest', 'lead_first_name': 'First name of the implementation lead',
    'lead_last_name': 'Last name of the implementation lead', 'lead_email': 'E-mail of the implementation lead',
    'lead_phone': 'Phone of the implementation lead', 'remarks': 'Remarks',
}  # fmt: skip


def _name(field: str, value: Any) -> str:
    if not (text := checking.line(field, value, 200)):
        raise Invalid(field, 'is empty')
    return text


def _website(field: str, value: Any) -> str:
    from models.partner_facts import address

    text = checking.line(field, value, 300)
    if text and '://' not in text:  # as people write it
        text = f'https://{text}'
    return address(field, text)


def _address(field: str, value: Any) -> str:
    from models.partner_facts import check

    return check('address', value)


def _seats(field: str, value: Any) -> int:
    from models.customer import Customer

    return Customer.check(seats=value)['seats'] if value not in ('', None) else 0


def _codes(field: str, value: Any) -> list[str]:
    return checking.several(field, value, lambda name, one: checking.line(name, one, 20))


def _remarks(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(field, 'is not a text')
    text = re.sub('\r\n|[\r\x85\u2028\u2029]', '\n', value)
    text = ''.join(c for c in text if c in '\n\t' or unicodedata.category(c) not in ('Cc', 'Cs')).strip()
    if len(text) > _LONGEST_REMARK:
        raise Invalid(field, f'cannot have more than {_LONGEST_REMARK:,} characters')
    return text


def _line(most: int) -> Callable[[str, Any], str]:
    return lambda field, value: checking.line(field, value, most)


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    'name': _name, 'company_type': lambda field, value: checking.one_of(field, value, CompanyType),
    'sector': lambda field, value: checking.one_of(field, value, Sector), 'domain': checking.domain,
    'website': _website, 'address': _address, 'phone': checking.phone, 'seats': _seats, 'products': _codes,
    'lead_first_name': _line(60), 'lead_last_name': _line(60), 'lead_email': checking.email,
    'lead_phone': checking.phone, 'remarks': _remarks,
}  # fmt: skip


def _checked(field: str, value: Any) -> Any:
    if (check := _CHECKS.get(field)) is None:
        raise Invalid(str(field)[:40], 'is not a fact about a prospect')
    return check(field, value)


def _as_stored(field: str, value: Any) -> Any:
    """What an editor saw as it is stored: a phone number is shown with spaces."""
    try:
        return checking.phone(field, value) if field in PHONES else value
    except Invalid:
        return value


def _readable(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {field: checking.phone_shown(value) if field in PHONES else value for field, value in facts.items()}


async def _require_known(codes: Any, partner_id: int) -> None:
    """Raise `Invalid` where the MSP does not sell one of these; what was chosen before may stay."""
    from models.catalogue import for_partner

    if not codes:
        return
    catalogue = await for_partner(partner_id)
    for code in codes:
        if code not in catalogue:
            raise Invalid('products', f'{checking.quoted(code, 40)} is not in the catalogue')
        if not catalogue[code].is_active:
            raise Invalid('products', f'{checking.quoted(code, 40)} is not sold any more')


def in_words(found: Found) -> str:
    """What DNS said of a domain, in one sentence."""
    from models.mail_platforms import likely

    if found.error:
        return found.error
    if found.takes_no_mail:
        return f'{found.domain} says that it takes no mail.'
    spf = 'an SPF record was found' if found.spf else 'no SPF record was found'
    if not found.mx:
        return f'{found.domain} has no MX record; {spf}.'
    looks = likely(found.mx, found.spf)
    guess = f', which looks like {looks[0]}' if looks else ''
    return f'Mail for {found.domain} goes to {", ".join(found.mx[:3])}{guess}; {spf}.'
