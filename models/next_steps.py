"""How far a new MSP has come with setting up its portal, worked out from what is there; nothing of it is stored."""

from typing import Any, NamedTuple

from models.backup_run import BackupRun
from models.customer import Customer
from models.database import reader
from models.demo import ACCOUNTS
from models.partner import Partner
from models.user import PortalUser


class Standing(NamedTuple):
    """Colleagues and customers by number, the mail server's name or '', and of backups what `BackupRun.latest` says."""

    colleagues: int
    mail_server: str
    customers: int
    backups: dict[str, Any]


async def standing(user: PortalUser) -> Standing | None:
    """How far this person's MSP has come; None for one of the demo, which nobody sets up."""
    people = PortalUser.filter(partner_id=user.partner_id).using_db(reader())
    if await people.filter(email__in=ACCOUNTS).exists():
        return None
    partner = await Partner.get(id=user.partner_id, using_db=reader())
    return Standing(
        await people.filter(can_sign_in=True).exclude(id=user.id).count(), partner.smtp_host,
        await Customer.filter(partner_id=partner.id).using_db(reader()).count(), await BackupRun.latest(),
    )  # fmt: skip
