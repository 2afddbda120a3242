from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import checking, events
from models.checking import Invalid
from models.events import transaction

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

TAGLINE = 'msp_client'


class TwoFactorRule(StrEnum):
    """Where the MSP insists on a second factor."""

    OFF = 'off'
    CONSOLE = 'console'
    EVERYONE = 'everyone'

    @property
    def title(self) -> str:
        return {'off': 'Up to each person', 'console': 'For Admin Console sign-on', 'everyone': 'For everyone'}[self]


class MailSecurity(StrEnum):
    """How the connection to the mail server is protected."""

    STARTTLS = 'starttls'
    TLS = 'tls'
    NONE = 'none'

    @property
    def title(self) -> str:
        return {'starttls': 'STARTTLS', 'tls': 'TLS from the beginning', 'none': 'None'}[self]


class CompletionRule(StrEnum):
    """Who says that Connect is complete when all its steps are."""

    CONFIRMED = 'confirmed'
    AUTOMATIC = 'automatic'

    @property
    def title(self) -> str:
        return {'confirmed': 'Somebody confirms it', 'automatic': 'As soon as every step is done'}[self.value]


def reminder_days() -> list[int]:
    """After how many days without an answer an RFI is asked for again."""
    return [3, 7, 14]


class Partner(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=120, description='MSP')
    slug = fields.CharField(max_length=60, unique=True, description='Short name')
    lists_unsent_rfi = fields.BooleanField(default=False, db_default=False, description='List before the RFI is back')
    address = fields.TextField(default='', db_default='', description='Address')
    currency = fields.CharField(max_length=3, default='USD', db_default='USD', description='Currency')
    time_zone = fields.CharField(max_length=64, default='UTC', db_default='UTC', description='Time zone')
    logo: Any = fields.BinaryField(null=True)
    # What every RFI begins with (domain.md 1.11).
    outbound_ips: Any = fields.JSONField(default=list, db_default='[]', description='Outbound IP addresses')
    inbound_ips: Any = fields.JSONField(default=list, db_default='[]', description='Inbound IP addresses')
    smart_hosts: Any = fields.JSONField(default=list, db_default='[]', description='Smart hosts')
    two_factor = fields.CharEnumField(
        TwoFactorRule, max_length=10, default=TwoFactorRule.OFF, db_default=TwoFactorRule.OFF, description='Two-factor'
    )
    # Where help leads: a base, and for `status/journaling` and the like an address of its own.
    help_base = fields.CharField(max_length=300, default='', db_default='', description='Help base address')
    help_links: Any = fields.JSONField(default=dict, db_default='{}', description='Help links')
    smtp_host = fields.CharField(max_length=253, default='', db_default='', description='Mail server')
    smtp_port = fields.IntField(default=587, db_default=587, description='Port')
    smtp_security = fields.CharEnumField(
        MailSecurity, max_length=10, default=MailSecurity.STARTTLS, db_default=MailSecurity.STARTTLS,
        description='Security',
    )  # fmt: skip
    smtp_user = fields.CharField(max_length=254, default='', db_default='', description='User')
    smtp_password = fields.CharField(max_length=600, default='', db_default='')  # sealed (models/sealed.py)
    mail_from = fields.CharField(max_length=254, default='', db_default='', description='Sender')
    # Orders: where the vendor takes them by e-mail, and what they are governed by.
    order_desk = fields.CharField(max_length=254, default='', db_default='', description='Vendor’s order desk')
    agreement = fields.CharField(
        max_length=200, default='Master Service Provider Agreement', db_default='Master Service Provider Agreement',
        description='Agreement',
    )  # fmt: skip
    withdraw_days = fields.SmallIntField(default=1, db_default=1, description='Days to withdraw before it is effective')
    upgrades_when_complete = fields.BooleanField(
        default=False, db_default=False, description='Upgrades of complete customers only'
    )
    # By how much an order of sales may change the fees of a month (models/sales_limit.py); none: however much.
    sales_limit = fields.DecimalField(
        max_digits=15, decimal_places=3, null=True, description='Most that Sales may submit themselves, per month'
    )
    # RFI: for how long a link is good, and after how many days without an answer a reminder goes out.
    rfi_link_days = fields.SmallIntField(default=60, db_default=60, description='RFI links are good for')
    rfi_reminder_days: Any = fields.JSONField(
        default=reminder_days, db_default='[3, 7, 14]', description='RFI reminders'
    )
    completion = fields.CharEnumField(
        CompletionRule, max_length=10, default=CompletionRule.CONFIRMED, db_default='confirmed',
        description='Completing Connect',
    )  # fmt: skip
    # What automatic checks compare with: where a customer's MX records lead to, and what SPF includes.
    mx_hosts: Any = fields.JSONField(default=list, db_default='[]', description='MX records lead to')
    spf_include = fields.CharField(max_length=253, default='', db_default='', description='SPF includes')
    created_at = fields.DatetimeField(auto_now_add=True)

    customers: fields.ReverseRelation['Customer']
    users: fields.ReverseRelation['PortalUser']

    class Meta:
        table = 'partner'
        table_description = 'A managed service provider'

    class Taken(ValueError):
        """Another MSP has this name or this domain."""

    def __str__(self) -> str:
        return self.name

    @classmethod
    async def set_up(cls, name: str, *, domain: str) -> 'Partner':
        """Create an MSP and its generic administration account; `domain` is where its people's e-mail is.

        The account (`msp_client@domain`) holds Partner Administrator on every customer, now and later, and cannot sign
        in; it exists to grant that role (the reference page, "role"). Raises `Partner.Taken`.
        """
        from models.access import ConsoleRole, DelegatedAccess
        from models.history import HistoryEvent
        from models.text import fold, printable
        from models.user import PortalRole, PortalUser

        name = printable(name)[:120]
        slug = '-'.join(''.join(c if c.isalnum() else ' ' for c in fold(name)).split())[:60] or 'msp'
        async with transaction():
            if await cls.filter(slug=slug).exists():
                raise cls.Taken(f'There is already an MSP called {name}.')
            email = f'{TAGLINE}@{domain}'.lower()
            if await PortalUser.filter(email=email).exists():
                raise cls.Taken(f'There is already an MSP whose people are at {domain}.')
            partner = await cls.create(name=name, slug=slug)
            generic = PortalUser(partner=partner, email=email, role=PortalRole.ADMINISTRATOR, can_sign_in=False)
            generic.set_name('Generic administration account')
            await generic.save()
            await DelegatedAccess.create(
                user=generic, partner=partner, customer=None,
                role=ConsoleRole.PARTNER_ADMINISTRATOR, source='generic_account',
            )  # fmt: skip
            await HistoryEvent.add(partner.id, 'partner.created', f'{name} was set up')
        return partner

    async def change(
        self, by: 'PortalUser', *, was: Mapping[str, Any] | None = None, facts: Mapping[str, Any]
    ) -> set[str]:
        """Change settings; return the names of those that differ. An article's own address is `link step/journaling`.

        `was` is what the editor saw. Raises `Invalid`, `Refused`, or `ChangedMeanwhile` where somebody else was
        quicker; then nothing is stored. The password of the mail server is written only: it is nowhere told again.
        """
        from models import rights, second_factor
        from models.history import HistoryEvent
        from models.partner_facts import LINK, check

        rights.require(by, 'settings.change')
        async with transaction():
            fresh = await self._held(by)
            currency = str(facts.get('currency') or fresh.currency).strip().upper()
            clean = checking.each(facts, lambda field, value: check(field, value, currency))
            password = clean.pop('smtp_password', None) or None
            stored = {
                field: fresh.help_links.get(field.removeprefix(LINK), '')
                if field.startswith(LINK)
                else fresh.setting(field)
                for field in clean
            }
            before = checking.differing(stored, clean, was)
            after = {field: clean[field] for field in before}
            if 'currency' in before and fresh.sales_limit is not None and 'sales_limit' not in facts:
                why = f'cannot change while Sales has a limit in {fresh.currency}: empty that first, under Orders'
                raise Invalid('currency', why)
            links = {field.removeprefix(LINK): link for field, link in after.items() if field.startswith(LINK)}
            columns = {field: value for field, value in after.items() if not field.startswith(LINK)}
            if 'sales_limit' in columns:
                columns['sales_limit'] = Decimal(columns['sales_limit']) if columns['sales_limit'] else None
            if links:
                known = {**fresh.help_links, **links}
                columns['help_links'] = {key: known[key] for key in sorted(known) if known[key]}
            fresh.update_from_dict(columns)
            said = fresh._with_password(password, set(before))
            if not before and said is None:
                return set()
            if fresh.smtp_host and not fresh.mail_from:
                raise Invalid('mail_from', 'is needed: mail is sent from it')
            if said is not None:
                columns['smtp_password'] = fresh.smtp_password
            await fresh.save(update_fields=list(columns))
            words = '; '.join(filter(None, (checking.in_words(_Headings(), before, after), said)))
            await HistoryEvent.add(
                self.id, 'settings.changed', words, by=by,
                before=checking.as_data(before), after=checking.as_data(after),
            )  # fmt: skip
            if after.get('two_factor') == TwoFactorRule.EVERYONE:
                await second_factor.insist(self, but=by)
            if 'two_factor' in after:
                await second_factor.tell_of_consoles(self)
            events.PARTNER_CHANGED.emit(self.id)
            if before.keys() & {'rfi_reminder_days', 'time_zone'}:
                from models.rfi_link import RfiLink

                await RfiLink.replan(fresh)
            if 'lists_unsent_rfi' in before:
                events.MANY_CHANGED.emit(self.id)  # whoever waits for an RFI enters the list, or leaves it
        self.update_from_dict(columns)
        return set(before) | ({'smtp_password'} if said else set())

    def setting(self, name: str) -> Any:
        """A setting as the page shows it and a change names it: an amount is the text of a decimal."""
        from models.pricing import shown

        if name == 'sales_limit':
            return '' if self.sales_limit is None else shown(self.sales_limit, self.currency)
        return getattr(self, name)

    async def _held(self, by: 'PortalUser') -> 'Partner':
        """The MSP as it is now; whoever else changes it waits. Raises `Refused` for another MSP's people."""
        from models.rights import Refused

        if by.partner_id != self.id:
            raise Refused('These are the settings of another MSP.')
        return await Partner.filter(id=self.id).select_for_update(no_key=True).get()

    def _with_password(self, password: str | None, changed: set[str]) -> str | None:
        """Set the password of the mail server, or forget it; return what the history says about it, if anything.

        It belongs to one server and one user: whoever enters another server must know it, or they would be sent it.
        """
        from models.sealed import seal
        from models.smtp import password_purpose

        if password is not None:
            if not self.smtp_user:
                raise Invalid('smtp_user', 'is empty, and a password is of no use without it')
            self.smtp_password = seal(password, password_purpose(self.id))
            return 'Password of the mail server was set'
        if not self.smtp_password:
            return None
        if not self.smtp_user or not self.smtp_host:
            self.smtp_password = ''  # nosec B105 # there is none any more
            return 'Password of the mail server was removed'
        weaker = 'smtp_security' in changed and self.smtp_security == MailSecurity.NONE
        if changed & {'smtp_host', 'smtp_port', 'smtp_user'} or weaker:
            raise Invalid('smtp_password', 'must be entered again, because it was for another server, user or security')
        return None

    async def set_logo(self, by: 'PortalUser', uploaded: bytes) -> None:
        """Show this picture, made anew so that nothing of the file is kept. Raises `Invalid` and `Refused`."""
        from models import rights
        from models.logo import made_anew

        rights.require(by, 'settings.change')
        await self._keep_logo(by, await made_anew(uploaded), 'The logo was changed')

    async def remove_logo(self, by: 'PortalUser') -> None:
        from models import rights

        rights.require(by, 'settings.change')
        await self._keep_logo(by, None, 'The logo was removed')

    async def _keep_logo(self, by: 'PortalUser', logo: bytes | None, said: str) -> None:
        from models.history import HistoryEvent

        async with transaction():
            fresh = await self._held(by)
            if fresh.logo == logo:
                return
            fresh.logo = logo
            await fresh.save(update_fields=['logo'])
            await HistoryEvent.add(self.id, 'settings.changed', said, by=by)
            events.PARTNER_CHANGED.emit(self.id)
        self.logo = logo


class _Headings(dict[str, str]):
    """What the history calls a setting."""

    def __missing__(self, field: str) -> str:
        from models.partner_facts import ALL_ARTICLES, LINK

        if field.startswith(LINK):
            return f'Help on “{ALL_ARTICLES[field.removeprefix(LINK)]}”'
        return str(Partner._meta.fields_map[field].description)
