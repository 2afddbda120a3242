"""E-mail on its way: written in the transaction of what it tells of (models/mailing.py), and sent by a job."""

import json
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields
from tortoise.expressions import Q, Subquery
from tortoise.queryset import QuerySet

from models import events
from models.events import transaction
from models.partner import Partner
from models.sealed import unseal
from models.text import printable

if TYPE_CHECKING:
    from models.user import PortalUser

GIVEN_UP_AFTER = timedelta(days=3)
FIRST_PAUSE = timedelta(minutes=1)  # doubled with every attempt
LONGEST_PAUSE = timedelta(hours=6)
# For so long a message is whoever's who claimed it; longer than sending one takes. After it, the sender has died.
CLAIMED_FOR = timedelta(minutes=10)


class MessageState(StrEnum):
    WAITING = 'waiting'
    SENT = 'sent'
    FAILED = 'failed'
    STOPPED = 'stopped'  # taken back before it left

    @property
    def title(self) -> str:
        return 'Not sent' if self == MessageState.STOPPED else self.value.capitalize()


# What waits and is not being sent at this moment (`may_be_tried`).
_WAITS = Q(Q(attempts=0) | ~Q(error=''), state=MessageState.WAITING)
# What a message is about, in the words of the list; `kind` is the key.
KINDS = {
    'invite': 'Invitation', 'reset': 'Password link', 'test': 'Test', 'rfi': 'RFI link', 'rfi_reminder': 'RFI reminder',
    'order_desk': 'Order to the vendor', 'step_reminder': 'Reminder of steps', 'digest': 'Daily digest',
}  # fmt: skip
_TITLES = ' '.join(f"WHEN '{kind}' THEN '{title}'" for kind, title in KINDS.items())


class Message(Model):
    """A message to one person. Its body may hold a link that opens something: it is sealed, and erased once sent."""

    id = fields.BigIntField(primary_key=True)
    partner: fields.ForeignKeyRelation[Partner] = fields.ForeignKeyField(
        'models.Partner', related_name='messages', on_delete=fields.CASCADE
    )
    partner_id: int
    # In the header `Message-ID`: whoever receives a message twice after a crash can tell.
    key = fields.CharField(max_length=64, unique=True)
    kind = fields.CharField(max_length=40)
    recipient = fields.CharField(max_length=254)
    subject = fields.CharField(max_length=200)
    body = fields.TextField(default='', db_default='')
    state = fields.CharEnumField(MessageState, max_length=10, default=MessageState.WAITING)
    attempts = fields.IntField(default=0, db_default=0)
    due_at = fields.DatetimeField()
    good_until = fields.DatetimeField(null=True)
    sent_at = fields.DatetimeField(null=True)
    error = fields.CharField(max_length=300, default='', db_default='')
    # About whom it is, and the document that goes with it.
    customer_id = fields.IntField(null=True)
    attachment_id = fields.IntField(null=True)
    created_at = fields.DatetimeField(auto_now_add=True)

    # What lists sort by where that is not a field as it is: SQL over `message`.
    ORDERS = {
        'customer': '(SELECT c."name_key" FROM "customer" c WHERE c."id"="message"."customer_id")',
        'kind': f'LOWER(CASE "message"."kind" {_TITLES} ELSE "message"."kind" END)',
        'state': '"message"."state"',
        'written': '"message"."created_at"',
    }

    class Meta:
        table = 'message'
        table_description = 'An e-mail that waits, was sent or failed'
        indexes = (('state', 'due_at'), ('partner_id', 'created_at'))

    @staticmethod
    def purpose(key: str) -> str:
        """What the body is sealed for."""
        return f'mail {key}'

    def opened(self) -> tuple[str, str]:
        """Text and HTML; raises `sealed.Unreadable`."""
        body = json.loads(unseal(self.body, self.purpose(self.key)))
        return body['text'], body['html']

    @classmethod
    def visible_to(cls, user: 'PortalUser') -> QuerySet['Message']:
        """The one door: mail of the user's MSP about customers that they see, or about none."""
        from models.customer import Customer
        from models.database import reader

        customers = Subquery(Customer.visible_to(user).values('id'))
        mine = Message.filter(partner_id=user.partner_id).using_db(reader())
        return mine.filter(Q(customer_id__isnull=True) | Q(customer_id__in=customers))

    @property
    def kind_title(self) -> str:
        return KINDS.get(self.kind) or self.kind.replace('_', ' ').capitalize()

    @property
    def may_be_tried(self) -> bool:
        """Whether it waits and can be tried at once, before its time or that of its mail server. One that is being sent
        at this moment has no error, and must not be sent by somebody else as well."""
        return self.state == MessageState.WAITING and (bool(self.error) or not self.attempts)

    # -- what the job asks --------------------------------------------------------------------------------------------

    @classmethod
    async def partners_with_due(cls, now: datetime) -> list[int]:
        """MSPs (ids) that have something to send."""
        found = await cls.filter(state=MessageState.WAITING, due_at__lte=now).distinct().values_list('partner_id')
        return [partner_id for (partner_id,) in found]

    @classmethod
    async def claim(cls, partner_id: int, now: datetime) -> 'Message | None':
        """The message of this MSP that has been due the longest, to be sent by whoever calls and by nobody else.

        Its attempt is counted before it is made: a message on which the sender dies is not tried at once for ever.
        """
        for message in await cls.filter(
            state=MessageState.WAITING, partner_id=partner_id, due_at__lte=now
        ).order_by('due_at', 'id').limit(20):  # fmt: skip
            due = now + CLAIMED_FOR
            if await cls.filter(
                id=message.id, state=MessageState.WAITING, attempts=message.attempts, due_at=message.due_at
            ).update(attempts=message.attempts + 1, due_at=due, error=''):  # fmt: skip
                message.attempts, message.due_at = message.attempts + 1, due
                return message
        return None

    # -- what became of it --------------------------------------------------------------------------------------------

    async def sent(self, now: datetime) -> None:
        """The mail server took it; its body is erased."""
        await self._become(Q(), state=MessageState.SENT, sent_at=now, body='', error='')

    async def failed_for_now(self, why: str, now: datetime, *, due: datetime | None = None) -> None:
        """Try again at `due`, else after pauses that grow; or give up where there is no later."""
        later: datetime = due or now + min(FIRST_PAUSE * 2 ** min(self.attempts - 1, 20), LONGEST_PAUSE)
        if later > self.last_moment:
            await self.failed(why)
        else:
            # Only where nobody else has claimed it meanwhile.
            await self._become(Q(attempts=self.attempts, state=MessageState.WAITING), due_at=later, error=_short(why))

    @classmethod
    async def rest(cls, partner_id: int, until: datetime) -> None:
        """Nothing of this MSP is due before then, because its mail server cannot be used."""
        await cls.filter(_WAITS, partner_id=partner_id, due_at__lt=until).update(due_at=until)

    @classmethod
    async def resume(cls, partner_id: int, now: datetime) -> None:
        """What waits is due, because the mail server may be another one."""
        await cls.filter(_WAITS, partner_id=partner_id, due_at__gt=now).update(due_at=now)

    async def release(self, now: datetime) -> None:
        """Not tried after all: due at once, for whoever claims it next."""
        await self._become(
            Q(attempts=self.attempts, state=MessageState.WAITING), due_at=now, attempts=self.attempts - 1
        )  # fmt: skip

    async def failed(self, why: str) -> None:
        """It cannot be sent; its body is erased."""
        await self._become(Q(state=MessageState.WAITING), state=MessageState.FAILED, error=_short(why), body='')

    @classmethod
    async def stop(cls, message_id: int, why: str) -> bool:
        """Don't send it after all; False where it is being sent at this moment, or has been."""
        found = await cls.filter(_WAITS, id=message_id).first()
        if found is not None:
            await found._become(_WAITS, state=MessageState.STOPPED, error=_short(why), body='')
        return found is not None and found.state == MessageState.STOPPED

    async def _become(self, where: Q, **changed: Any) -> None:
        async with transaction():
            if await Message.filter(where, id=self.id).update(**changed):
                self.update_from_dict(changed)
                events.MAIL_MOVED.emit(self.partner_id)

    @property
    def last_moment(self) -> datetime:
        """When there is no point in sending it any more."""
        end = self.created_at + GIVEN_UP_AFTER
        return min(end, self.good_until) if self.good_until else end

    # -- all of them --------------------------------------------------------------------------------------------------

    @classmethod
    async def give_up(cls, now: datetime) -> int:
        """Give up what has waited too long or is worth nothing any more; what is being sent is left alone."""
        overdue = cls.filter(
            Q(created_at__lt=now - GIVEN_UP_AFTER) | Q(good_until__lt=now), state=MessageState.WAITING, due_at__lte=now
        )
        async with transaction():
            concerned = {partner_id for (partner_id,) in await overdue.distinct().values_list('partner_id')}
            # Where a try has failed, why it failed says more than that it is late.
            untold = 'It was not sent in time: the mail server could not be used.'
            await overdue.filter(error='').update(error=untold)
            gone = await overdue.update(state=MessageState.FAILED, body='')
            for partner_id in concerned:
                events.MAIL_MOVED.emit(partner_id)
        return gone

    @classmethod
    async def retry_now(cls, partner: Partner, by: Any) -> int:
        """Let everything that waits be tried at once; return how many. What failed is gone: its body is erased."""
        from models import rights

        rights.require(by, 'settings.change')
        return await cls._let_go(cls.filter(partner_id=partner.id))

    async def retry(self, by: 'PortalUser') -> None:
        """Let this one be tried at once; raises `Impossible`, and `Refused`."""
        from models import rights
        from models.checking import Impossible

        rights.require(by, 'mail.see')
        if by.partner_id != self.partner_id:
            raise rights.Refused('This is another MSP’s mail.')
        if not await self._let_go(Message.filter(id=self.id)):
            fresh = await Message.get(id=self.id)
            raise Impossible(_NOT_TRIED[fresh.state])

    @classmethod
    async def retry_seen(cls, by: 'PortalUser') -> int:
        """Let everything that waits, and that this person sees, be tried at once; how many."""
        from models import rights

        rights.require(by, 'mail.see')
        seen = cls.visible_to(by).filter(_WAITS)
        ids = list(await seen.order_by('due_at').limit(5000).values_list('id', flat=True))
        return await cls._let_go(cls.filter(id__in=ids, partner_id=by.partner_id)) if ids else 0

    @classmethod
    async def _let_go(cls, some: Any) -> int:
        async with transaction():
            waiting = some.filter(_WAITS)
            concerned = {partner_id for (partner_id,) in await waiting.distinct().values_list('partner_id')}
            count = await waiting.update(due_at=datetime.now(UTC))
            for partner_id in concerned:
                events.PARTNER_CHANGED.emit(partner_id)  # the mail server is not left alone any longer
                events.MAIL_MOVED.emit(partner_id)
        return count

    @classmethod
    async def standing(cls, partner_id: int) -> dict[str, Any]:
        """How this MSP's mail is: `waiting`, `failed` (of the last 7 days), `sent_at`, and the last `error`."""
        from models.database import reader

        mine = cls.filter(partner_id=partner_id).using_db(reader())
        week = datetime.now(UTC) - timedelta(days=7)
        unsent = mine.filter(state__in=[MessageState.WAITING, MessageState.FAILED]).exclude(error='')
        stuck = await unsent.order_by('-id').first()
        last = await mine.filter(state=MessageState.SENT).order_by('-sent_at').first()
        return {
            'waiting': await mine.filter(state=MessageState.WAITING).count(),
            'failed': await mine.filter(state=MessageState.FAILED, created_at__gte=week).count(),
            'sent_at': last.sent_at if last else None,
            'error': stuck.error if stuck else '',
            'error_to': stuck.recipient if stuck else '',
        }

    @classmethod
    async def prune(cls, before: datetime) -> int:
        """Forget messages that were written before `before` and wait no longer."""
        gone = (
            await cls.filter(created_at__lt=before)
            .exclude(state=MessageState.WAITING)
            .limit(5000)
            .values_list('id', flat=True)
        )
        return await cls.filter(id__in=list(gone)).delete() if gone else 0


_NOT_TRIED = {
    MessageState.WAITING: 'It is being sent at this moment.',
    MessageState.SENT: 'It has been sent meanwhile.',
    MessageState.FAILED: 'It has failed for good, and what it said is erased: it has to be written anew.',
    MessageState.STOPPED: 'It was taken back before it left.',
}


def _short(why: str) -> str:
    return printable(why)[:300]
