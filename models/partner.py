from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

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


class MailSecurity(StrEnum):
    """How the connection to the mail server is protected."""

    STARTTLS = 'starttls'
    TLS = 'tls'
    NONE = 'none'


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
