"""Links by which somebody without an account fills in the RFI form of one customer."""

import logging
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from tortoise import Model, fields

from models import calendar, checking, events, mailing, rights
from models.checking import Impossible, Invalid
from models.database import is_away
from models.events import Changed, transaction
from models.history import HistoryEvent
from models.partner import Partner
from models.rfi import Rfi, RfiState
from models.session import token_hash
from settings import settings

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser

log = logging.getLogger(__name__)

MOST = 10  # links of one customer that are open at once; the oldest that nobody uses makes room
LOOKED_AGAIN = timedelta(minutes=10)  # so often at the most it is written down that somebody is still looking
WAITING = (RfiState.REQUESTED, RfiState.DRAFT, RfiState.ERROR)  # who was sent the form has still to do something
REMINDED_AT = 9  # o’clock, where the MSP is
# What lists show of how a form was sent: fields of `rfi`, seen from the customer.
SHOWN = frozenset({'rfi_form__sent_to', 'rfi_form__requested_at', 'rfi_form__opened_at', 'rfi_form__reminders'})


class Issued(NamedTuple):
    """A link that was just made: its address and token are known here and nowhere else."""

    link: 'RfiLink'
    token: str
    address: str
    is_mailed: bool


class RfiLink(Model):
    """Only the hash of the token is kept. A link is good until it expires, is revoked, or the form is complete."""

    id = fields.IntField(primary_key=True)
    customer: 'fields.ForeignKeyRelation[Customer]' = fields.ForeignKeyField(
        'models.Customer', related_name='rfi_links', on_delete=fields.CASCADE
    )
    customer_id: int
    token_hash = fields.CharField(max_length=64, unique=True)
    # Empty where somebody took it to pass it on themselves.
    recipient = fields.CharField(max_length=254, default='', db_default='')
    is_reminder = fields.BooleanField(default=False, db_default=False)
    message_id = fields.BigIntField(null=True)
    made_by_id = fields.IntField(null=True)
    made_by = fields.CharField(max_length=120, default='', db_default='')
    created_at = fields.DatetimeField(auto_now_add=True)
    expires_at = fields.DatetimeField()
    revoked_at = fields.DatetimeField(null=True)
    opened_at = fields.DatetimeField(null=True)
    last_opened_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'rfi_link'
        table_description = 'A link to the RFI form of a customer'
        indexes = (('customer_id', 'created_at'), ('expires_at',))

    class Unknown(LookupError):
        """There is no such link."""

    class Closed(ValueError):
        """There was such a link, and it opens nothing any more; the sentence says why and what to do.

        `is_well` where that is so because the form is complete; `msp` names the MSP then, as the form did, to whoever
        holds a link that was good until its completion. Any other tells nothing of whose it was.
        """

        def __init__(self, why: str, *, is_well: bool = False, msp: str = '') -> None:
            super().__init__(why)
            self.is_well, self.msp = is_well, msp

    # -- making --------------------------------------------------------------------------------------------------------

    @classmethod
    async def send(cls, customer: 'Customer', *, by: 'PortalUser', at: str = '', recipient: str = '') -> Issued:
        """Make a link for somebody who asks for one on a page; without a recipient they pass it on themselves."""
        rights.require(by, 'rfi.send')
        return await cls.issue(customer, by=by, at=at, recipient=recipient)

    @classmethod
    async def issue(
        cls, customer: 'Customer', *, by: 'PortalUser | None', at: str = '', recipient: str = '',
        is_reminder: bool = False, is_told: bool = True,
    ) -> Issued:  # fmt: skip
        """Make a link and, where there is a recipient and a mail server, the mail with it. Belongs in a verb's
        transaction; whether `by` may is that verb's to ask.

        Without a mail the form counts as sent only where the address is told to somebody, who passes it on (`is_told`).
        `at` is where the portal is (https://portal.example.com); else what is set. Raises `Impossible` where the form
        is complete, is not asked for, or the customer is closed, and `Invalid` for a recipient that is none.
        """
        recipient = checking.email('recipient', recipient)
        at = (at or settings().public_url).rstrip('/')
        token, now = secrets.token_urlsafe(32), datetime.now(UTC)
        async with transaction():
            form = await _open_form(customer.id)
            partner = await Partner.get(id=customer.partner_id)
            ends = now + timedelta(days=partner.rfi_link_days)
            link = cls(
                customer_id=customer.id, token_hash=token_hash(token), recipient=recipient, is_reminder=is_reminder,
                made_by_id=by.id if by else None, made_by=by.name[:120] if by else '', expires_at=ends,
            )  # fmt: skip
            address = f'{at}/rfi/{token}'
            if recipient and at:
                facts = {
                    'customer': customer.name, 'link': address, 'until': calendar.said(ends, calendar.zone_of(partner)),
                    'by': by.name if by else '', 'is_error': form.state == RfiState.ERROR,
                }  # fmt: skip
                message = await mailing.post(
                    partner, kind='rfi_reminder' if is_reminder else 'rfi', recipient=recipient,
                    template='rfi_reminder' if is_reminder else 'rfi', facts=facts, good_until=ends,
                    customer_id=customer.id,
                )  # fmt: skip
                link.message_id = message.id if message is not None else None
            await link.save()
            made_room = await cls._make_room(customer.id, form.sent_to, now)
            is_sent = link.message_id is not None or is_told
            await cls._told(form, partner, now, recipient=recipient, is_reminder=is_reminder, is_sent=is_sent)
            if not form.answers and not form.edits:
                # Copied: what the settings say later changes nothing about a form that was sent.
                await Rfi.filter(id=form.id).update(answers=await form.known(customer))
            kind, said = _entry(form, recipient, is_reminder, is_mailed=link.message_id is not None, is_sent=is_sent)
            await HistoryEvent.add(customer.partner_id, kind, said, customer_id=customer.id, by=by, link=link.id)
            if made_room:
                said = f'The oldest unused link to the RFI form was closed: {MOST} are open at most'
                await HistoryEvent.add(customer.partner_id, 'rfi.link_revoked', said, customer_id=customer.id, by=by)
            _tell(customer.partner_id, customer.id, 'rfi')
        return Issued(link, token, address, link.message_id is not None)

    @classmethod
    async def move(
        cls, customer: 'Customer', was: str, recipient: str, *, by: 'PortalUser', at: str = ''
    ) -> Issued | None:  # fmt: skip
        """Send the form to `recipient` instead of to `was`, whose links open nothing any more; None where nobody is to
        fill it in now. Belongs in the transaction of a verb that has asked who may."""
        now = datetime.now(UTC)
        async with transaction():
            form = await Rfi.filter(customer_id=customer.id).select_for_update(no_key=True).first()
            if form is None or form.state not in WAITING:
                return None
            links = await cls._open_ones(customer.id, now)
            theirs = [link.id for link in links if link.recipient.casefold() == was.casefold()]
            if was and theirs:
                await cls._close(cls.filter(id__in=theirs), now, _REVOKED)
                await _revoked(customer.partner_id, customer.id, len(theirs), by, f' that {was} had')
            return await cls.issue(customer, by=by, at=at, recipient=recipient, is_told=False)

    @classmethod
    async def _make_room(cls, customer_id: int, recipient: str, now: datetime) -> int:
        """Close the oldest where there are too many, but never the newest, the last one to whom the form was sent, nor
        the one that was used last; how many were closed."""
        links = await cls._open_ones(customer_id, now).order_by('id')
        used = max(((link.last_opened_at, link.id) for link in links if link.last_opened_at), default=(now, 0))
        sent = next((link.id for link in reversed(links) if recipient and link.recipient == recipient), 0)
        kept = {links[-1].id, sent, used[1]}
        gone = [link.id for link in links if link.id not in kept][: max(0, len(links) - MOST)]
        return await cls._close(cls.filter(id__in=gone), now, 'The link in it made room for newer ones.') if gone else 0

    @classmethod
    async def _close(cls, links: Any, now: datetime, why: str) -> int:
        """Make these links worth nothing; mail that waits with one of them is not sent any more. Gives how many."""
        from models.message import Message

        messages = dict(await links.values_list('id', 'message_id'))
        if not messages:
            return 0
        count = await cls.filter(id__in=list(messages), revoked_at__isnull=True).update(revoked_at=now)
        for message_id in filter(None, messages.values()):
            await Message.stop(message_id, why)
        return count

    @staticmethod
    async def _told(
        form: Rfi, partner: Partner, now: datetime, *, recipient: str, is_reminder: bool, is_sent: bool
    ) -> None:  # fmt: skip
        """Note on the form to whom it was sent when, and when it is to be asked for again."""
        changes: dict[str, Any] = {}
        if form.state == RfiState.NOT_REQUESTED:
            changes['state'] = RfiState.REQUESTED
        if is_reminder:
            changes['reminders'] = form.reminders + 1
        elif recipient:
            changes |= {'sent_to': recipient, 'opened_at': None, 'reminders': 0}
            changes['requested_at'] = now if is_sent else None
            changes['remind_at'] = next_reminder(partner, now, now)
        elif form.requested_at is None:
            changes['requested_at'] = now
        if changes:
            await Rfi.filter(id=form.id).update(**changes)

    @classmethod
    def _open_ones(cls, customer_id: int, now: datetime):  # type: ignore[no-untyped-def]
        return cls.filter(customer_id=customer_id, revoked_at__isnull=True, expires_at__gt=now)

    async def revoke(self, *, by: 'PortalUser') -> None:
        """Make this link worth nothing; one that opens nothing any more stays as it is."""
        rights.require(by, 'rfi.send')
        now = datetime.now(UTC)
        async with transaction():
            partner_id = await _partner_of(self.customer_id)
            # Before the link, as whoever completes the form does.
            form = await Rfi.filter(customer_id=self.customer_id).select_for_update(no_key=True).first()
            if not await self._close(self._open_ones(self.customer_id, now).filter(id=self.id), now, _REVOKED):
                return
            if form is not None and not await self._is_wanted(self.customer_id, form.sent_to):
                await Rfi.filter(id=form.id).update(remind_at=None)
            await _revoked(partner_id, self.customer_id, 1, by)
        self.revoked_at = now

    @classmethod
    async def revoke_all_of(cls, customer: 'Customer', *, by: 'PortalUser') -> int:
        """Make every link of this customer worth nothing, and ask no more; how many still opened the form."""
        rights.require(by, 'rfi.send')
        now = datetime.now(UTC)
        async with transaction():
            await Rfi.filter(customer_id=customer.id).select_for_update(no_key=True).first()
            count = await cls._close(cls._open_ones(customer.id, now), now, _REVOKED)
            await Rfi.filter(customer_id=customer.id).update(remind_at=None)
            if count:
                await _revoked(customer.partner_id, customer.id, count, by)
        return count

    @classmethod
    async def close_all_of(cls, customer_id: int) -> None:
        """The form is complete: inside the transaction that says so. They stay closed when it is reopened."""
        now = datetime.now(UTC)
        await cls._close(cls._open_ones(customer_id, now), now, 'The form was complete before this was sent.')

    # -- using ---------------------------------------------------------------------------------------------------------

    @classmethod
    async def open(cls, token: str) -> 'RfiLink':
        """The link of this token, with its customer and their MSP; nothing is used up by looking.

        Raises `Unknown`, and `Closed` for what was a link once: only who holds the token learns that, and nothing of
        the customer.
        """
        found, token = None, token.strip(' .,;:)>')  # of the sentence in which somebody passed it on
        if 20 <= len(token) <= 100 and token.isascii():
            found = await cls.get_or_none(token_hash=token_hash(token)).select_related('customer__partner')
        if found is None:
            raise cls.Unknown('There is no such link.')
        form = await Rfi.get_or_none(customer_id=found.customer_id)
        if form is None or form.state == RfiState.NOT_APPLICABLE or found.customer.listing == 'closed':
            raise cls.Closed('This form is not needed any more.')
        if form.state == RfiState.COMPLETE:
            msp = found.customer.partner.name if _was_good(found, form) else ''
            raise cls.Closed('The form is complete, and nothing more is needed. Thank you.', is_well=True, msp=msp)
        if why := _closed_because(found):
            raise cls.Closed(why)
        return found

    @classmethod
    async def still(cls, link: 'RfiLink') -> None:
        """Raise `Closed` where the link was revoked or has expired since it was opened; inside a verb's transaction."""
        if not await cls._open_ones(link.customer_id, datetime.now(UTC)).filter(id=link.id).exists():
            raise cls.Closed(_closed_because(await cls.get(id=link.id)))

    async def opened(self) -> None:
        """Somebody has the form open in front of them. Not for whatever merely asks for the page: mail is scanned."""
        now = datetime.now(UTC)
        if self.last_opened_at is not None and now - self.last_opened_at < LOOKED_AGAIN:
            return
        is_first = self.opened_at is None
        self.opened_at, self.last_opened_at = self.opened_at or now, now
        async with transaction():
            was_never = Rfi.filter(customer_id=self.customer_id, opened_at__isnull=True)
            is_news = is_first and bool(await was_never.update(opened_at=now))  # before the link, as in `revoke`
            await RfiLink.filter(id=self.id).update(opened_at=self.opened_at, last_opened_at=now)
            if not is_first:
                return
            partner_id = await _partner_of(self.customer_id)
            if is_news:
                said = f'The RFI form was opened by the link for {self.recipient or "whoever it was passed on to"}'
                await HistoryEvent.add(
                    partner_id, 'rfi.opened', said, customer_id=self.customer_id, outsider=self.named, link=self.id
                )
            _tell(partner_id, self.customer_id)

    @property
    def named(self) -> str:
        """Whoever it is, as the history names them: nobody of the portal's."""
        return f'{self.recipient[:100]} (by link)' if self.recipient else 'Somebody with the link'

    @property
    def holder(self) -> str:
        """What is said of who fills in the form by it."""
        return self.recipient or 'somebody with the link'

    @classmethod
    async def list_of(cls, customer_id: int) -> list[dict[str, Any]]:
        """The newest links of a customer, for the MSP's people: `id`, `recipient`, `is_reminder`, `made_by`, `at`,
        `until`, `opened_at`, `last_opened_at`, `is_open`, and of the mail `mail` (waiting, sent, failed; '' for none).
        """
        from models.message import Message

        now = datetime.now(UTC)
        links = await cls.filter(customer_id=customer_id).order_by('-id').limit(MOST)
        ids = [link.message_id for link in links if link.message_id is not None]
        states = {m.id: m.state.value for m in await Message.filter(id__in=ids)} if ids else {}
        return [
            {
                'id': link.id, 'recipient': link.recipient, 'is_reminder': link.is_reminder, 'made_by': link.made_by,
                'at': link.created_at, 'until': link.expires_at, 'opened_at': link.opened_at,
                'last_opened_at': link.last_opened_at, 'is_open': link.revoked_at is None and link.expires_at > now,
                'mail': states.get(link.message_id, ''),
            }
            for link in links
        ]  # fmt: skip

    # -- reminding -----------------------------------------------------------------------------------------------------

    @classmethod
    async def remind_due(cls, now: datetime, *, at: str = '', limit: int = 50) -> int:
        """Ask again for the forms whose reminder is due; return how many reminders were written.

        However late this is called, a form is asked for once. Nothing is due where the MSP has no mail server, nobody
        knows where the portal is, or Connect is on hold: it waits until that is over.
        """
        from models.customer import Customer

        at = at or settings().public_url
        if not at:
            return 0
        due = await (
            Rfi.filter(remind_at__lte=now, state__in=list(WAITING), customer__held_at__isnull=True)
            .exclude(customer__partner__smtp_host='')
            .exclude(customer__listing='closed')
            .order_by('remind_at', 'id').limit(limit).values_list('id', 'customer_id', 'remind_at')
        )  # fmt: skip
        count = 0
        for form_id, customer_id, remind_at in due:
            try:
                async with transaction():
                    customer = await Customer.get(id=customer_id).select_related('partner')
                    form = await Rfi.filter(id=form_id).select_for_update(no_key=True).get()
                    if form.remind_at == remind_at and form.state in WAITING:  # nobody was quicker
                        count += await cls._remind(customer, form, now, at)
            except (Impossible, Invalid) as error:  # it must not keep the others from theirs
                log.warning('nobody is reminded of the RFI form of customer %d any more: %s', customer_id, error)
                await Rfi.filter(id=form_id, remind_at=remind_at).update(remind_at=None)
            except Exception as error:
                if is_away(error):
                    raise
                log.exception('the reminder of the RFI form of customer %d cannot be written', customer_id)
        return count

    @classmethod
    async def replan(cls, partner: Partner) -> None:
        """Let the forms that are out be asked for again on the schedule as it is now; inside a verb's transaction."""
        now, out = datetime.now(UTC), Rfi.filter(customer__partner_id=partner.id, state__in=list(WAITING))
        # As `_is_wanted` has it, of all at once: there may be thousands.
        links = cls.filter(customer__partner_id=partner.id, customer__rfi_form__state__in=list(WAITING)).order_by('id')
        found = await links.values_list('customer_id', 'recipient', 'revoked_at')
        revoked = {(customer_id, recipient): at for customer_id, recipient, at in found}
        moved: dict[datetime | None, dict[int, int]] = {}
        forms = out.exclude(sent_to='').exclude(customer__listing='closed').order_by('id')
        for form in await forms.only('id', 'customer_id', 'sent_to', 'requested_at', 'remind_at'):
            wanted = revoked.get((form.customer_id, form.sent_to)) is None
            due = next_reminder(partner, form.requested_at or now, now) if wanted else None
            if due != form.remind_at:
                moved.setdefault(due, {})[form.id] = form.customer_id
        for due, some in moved.items():
            await Rfi.filter(id__in=list(some), state__in=list(WAITING)).update(remind_at=due)
            events.CUSTOMER_TOUCHED.emit(partner.id, dict.fromkeys(some.values(), frozenset({'rfi'})))

    @classmethod
    async def _remind(cls, customer: 'Customer', form: Rfi, now: datetime, at: str) -> bool:
        following = next_reminder(customer.partner, form.requested_at or now, now)
        if not await cls._is_wanted(customer.id, form.sent_to):
            await Rfi.filter(id=form.id).update(remind_at=None)
            return False
        await Rfi.filter(id=form.id).update(remind_at=following)
        await cls.issue(customer, by=None, at=at, recipient=form.sent_to, is_reminder=True)
        return True

    @classmethod
    async def _is_wanted(cls, customer_id: int, recipient: str) -> bool:
        """Whether somebody waits for this form: it was sent, and not every link to it was taken back."""
        if not recipient:
            return False
        last = await cls.filter(customer_id=customer_id, recipient=recipient).order_by('-id').first()
        return last is None or last.revoked_at is None


def next_reminder(partner: Partner, begun: datetime, now: datetime) -> datetime | None:
    """When a form that was sent at `begun` is asked for next, after `now`; None when it is not asked for any more.

    In the morning where the MSP is, so many days later.
    """
    first = calendar.day_of(partner, begun)
    due = (calendar.at(partner, first + timedelta(days=day), REMINDED_AT) for day in partner.rfi_reminder_days)
    return min((at for at in due if at > now), default=None)


_REVOKED = 'The link in it was revoked before this was sent.'


def _closed_because(link: RfiLink) -> str:
    again = 'Ask whoever sent it to you for another one; what was filled in is kept.'
    if link.revoked_at is not None:
        return f'This link has been withdrawn; a newer one may be in your mail. {again}'
    return f'This link has expired. {again}' if link.expires_at <= datetime.now(UTC) else ''


def _was_good(link: RfiLink, form: Rfi) -> bool:
    """Whether nothing but the completion of the form has closed this link."""
    closed, completed = link.revoked_at, form.completed_at
    until_then = closed is None or (completed is not None and closed >= completed)
    return until_then and link.expires_at > datetime.now(UTC)


async def _open_form(customer_id: int) -> Rfi:
    """The form, kept from other writers; raises `Impossible` where nobody can fill it in."""
    from models.customer import Customer, Listing

    form = await Rfi.filter(customer_id=customer_id).select_for_update(no_key=True).first()
    if form is None or form.state == RfiState.NOT_APPLICABLE:
        raise Impossible('This customer needs no RFI form.')
    if form.state in (RfiState.COMPLETE, RfiState.SUBMITTED):
        raise Impossible('The RFI form has been sent back. To have it filled in again, reopen it.')
    if await Customer.filter(id=customer_id, listing=Listing.CLOSED).exists():
        raise Impossible('This customer is closed: nobody fills in a form for it any more.')
    return form


def _entry(form: Rfi, recipient: str, is_reminder: bool, *, is_mailed: bool, is_sent: bool) -> tuple[str, str]:
    if is_reminder:
        return 'rfi.reminded', f'{recipient} was reminded of the RFI form'
    if not recipient:
        return 'rfi.link_made', 'A link to the RFI form was made, to be passed on'
    if not is_sent:
        return 'rfi.link_made', f'The RFI form is to be sent to {recipient}: no mail could be sent, so pass on a link'
    first = not form.sent_to
    how = '' if is_mailed else ': the link is passed on by hand, because no mail can be sent'
    return ('rfi.requested' if first else 'rfi.sent'), f'RFI form sent {"" if first else "again "}to {recipient}{how}'


async def _revoked(partner_id: int, customer_id: int, count: int, by: 'PortalUser', whose: str = '') -> None:
    said = (
        f'The link to the RFI form{whose} was revoked'
        if count == 1
        else f'{count} links to the RFI form{whose} were revoked'
    )
    await HistoryEvent.add(partner_id, 'rfi.link_revoked', said, customer_id=customer_id, by=by)
    _tell(partner_id, customer_id)


async def _partner_of(customer_id: int) -> int:
    from models.customer import Customer

    return (await Customer.filter(id=customer_id).values('partner_id'))[0]['partner_id']


def _tell(partner_id: int, customer_id: int, *more: str) -> None:
    events.RFI_MOVED.emit(Changed(partner_id, {customer_id: SHOWN | set(more)}))
