from typing import TYPE_CHECKING

from tortoise import Model, fields

from models.events import transaction

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

TAGLINE = 'msp_client'


class Partner(Model):
    id = fields.IntField(primary_key=True)
    name = fields.CharField(max_length=120, description='MSP')
    slug = fields.CharField(max_length=60, unique=True, description='Short name')
    lists_unsent_rfi = fields.BooleanField(default=False, db_default=False, description='List before the RFI is back')
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
            generic = await PortalUser.create(
                partner=partner, name='Generic administration account', email=email,
                role=PortalRole.ADMINISTRATOR, can_sign_in=False,
            )  # fmt: skip
            await DelegatedAccess.create(
                user=generic, partner=partner, customer=None,
                role=ConsoleRole.PARTNER_ADMINISTRATOR, source='generic_account',
            )  # fmt: skip
            await HistoryEvent.add(partner.id, 'partner.created', f'{name} was set up')
        return partner
