import contextlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import calendar, checking, events, rights
from models import rfi_knowing as knowing
from models import rfi_schema as schema
from models.attachment import AlreadyThere, Attachment, AttachmentKind
from models.checking import Impossible
from models.connect_fitting import fit
from models.connect_step import AUTOMATIC, kept, plan_open, step_done, step_undone
from models.contact import Contact, ContactKind
from models.documents import rfi_pdf
from models.events import Changed, transaction
from models.history import HistoryEvent
from models.infrastructure import Infrastructure

if TYPE_CHECKING:
    from models.customer import Customer
    from models.rfi_link import RfiLink
    from models.user import PortalUser

TOLD_AGAIN = timedelta(hours=1)  # after which the history says once more that somebody fills the form in
SUBMIT_TRIES = 3  # where somebody else types while it is sent back


class RfiState(StrEnum):
    NOT_REQUESTED = 'not_requested'
    REQUESTED = 'requested'
    DRAFT = 'draft'
    SUBMITTED = 'submitted'
    COMPLETE = 'complete'
    ERROR = 'error'
    NOT_APPLICABLE = 'not_applicable'

    @property
    def icon(self) -> 'RfiIcon':
        return _ICONS.get(self, RfiIcon.INCOMPLETE)


class RfiIcon(IntEnum):
    """What the RFI column shows; the numbers are the order it sorts by (what wants attention first)."""

    ERROR = 0
    INCOMPLETE = 1
    COMPLETE = 2
    NOT_APPLICABLE = 3

    @property
    def title(self) -> str:
        return ('RFI error', 'RFI incomplete', 'RFI complete', 'RFI not applicable')[self]


_ICONS = {
    RfiState.ERROR: RfiIcon.ERROR,
    RfiState.COMPLETE: RfiIcon.COMPLETE,
    RfiState.NOT_APPLICABLE: RfiIcon.NOT_APPLICABLE,
}
# In which states answers can be given.
FILLING = {RfiState.NOT_REQUESTED, RfiState.REQUESTED, RfiState.DRAFT, RfiState.ERROR}
# From which states each verb may be called; the table the tests walk.
MOVES: dict[str, tuple[set[RfiState], RfiState]] = {
    'request': ({RfiState.NOT_REQUESTED}, RfiState.REQUESTED),
    'save_draft': (FILLING, RfiState.DRAFT),
    'submit': (FILLING, RfiState.SUBMITTED),
    'accept': ({RfiState.SUBMITTED}, RfiState.COMPLETE),
    'find_errors': ({RfiState.SUBMITTED, RfiState.COMPLETE}, RfiState.ERROR),
    'reopen': ({RfiState.COMPLETE}, RfiState.DRAFT),
}


class Rfi(Model):
    id = fields.IntField(primary_key=True)
    customer: 'fields.OneToOneRelation[Customer]' = fields.OneToOneField(
        'models.Customer', related_name='rfi_form', on_delete=fields.CASCADE
    )
    customer_id: int
    state = fields.CharEnumField(RfiState, max_length=16, default=RfiState.NOT_REQUESTED)
    answers: Any = fields.JSONField(default=dict, db_default='{}')
    errors: Any = fields.JSONField(default=list, db_default='[]')
    # What is worth a look and no error, as it was found when the form was accepted.
    warnings: Any = fields.JSONField(default=list, db_default='[]')
    requested_at = fields.DatetimeField(null=True)
    returned_at = fields.DatetimeField(null=True)
    completed_at = fields.DatetimeField(null=True)
    # Who saved which answer when, by the answer's name: `at`, `by`. `version` rises with every saving.
    edits: Any = fields.JSONField(default=dict, db_default='{}')
    version = fields.IntField(default=0, db_default=0)
    returned_by = fields.CharField(max_length=254, default='', db_default='')
    reopened_because = fields.CharField(max_length=200, default='', db_default='')
    sent_to = fields.CharField(max_length=254, default='', db_default='', description='Sent to')
    opened_at = fields.DatetimeField(null=True, description='Opened')
    reminders = fields.SmallIntField(default=0, db_default=0, description='Reminders')
    remind_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'rfi'
        table_description = 'A Request for Information form'
        indexes = (('remind_at',),)

    class NotReady(ValueError):
        """The form is in a state in which this cannot be done."""

    async def move(
        self, verb: str, *, by: 'PortalUser | None' = None, errors: list[dict] | None = None,
        answers: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """One step of the form's life: request, save_draft, submit, accept, find_errors or reopen; with `answers` where
        they change with it.

        The first time it is submitted the customer is listed under In Progress (the reference page). Raises
        `Rfi.NotReady` where the state does not allow it, also when somebody else was quicker.
        """
        allowed, state = MOVES[verb]
        now = datetime.now(UTC)
        async with transaction():
            stamp = {'request': 'requested_at', 'submit': 'returned_at', 'accept': 'completed_at'}.get(verb)
            changes: dict[str, Any] = {'state': state, 'errors': errors or []}
            if stamp:
                changes[stamp] = now
            if answers is not None:
                changes['answers'] = answers
            if not await Rfi.filter(id=self.id, state__in=list(allowed)).update(**changes):
                fresh = await Rfi.get(id=self.id)
                raise Rfi.NotReady(f'The RFI is {fresh.state.value.replace("_", " ")}; it cannot {verb} now.')
            self.update_from_dict(changes)
            customer = await kept(self.customer_id)
            if verb == 'submit':
                await self._is_back(customer, now)
            if verb == 'accept':
                await step_done(customer.id, 'rfi', now, evidence=self._evidence(now))
            if verb == 'reopen':
                await self._step_reopened(customer)
            await HistoryEvent.add(
                customer.partner_id, f'rfi.{state.value}', _SENTENCES[verb], customer_id=customer.id, by=by
            )
            await self._follow(customer)

    # -- filling it in -------------------------------------------------------------------------------------------------

    async def known(self, customer: 'Customer') -> dict[str, Any]:
        """The answers as somebody sees them: before anything was answered, what is known beforehand."""
        return dict(self.answers) if self.answers or self.edits else await knowing.prefill(customer)

    async def fill(
        self, values: Mapping[str, Any], *, was: Mapping[str, Any] | None = None, by: 'PortalUser | None' = None,
        link: 'RfiLink | None' = None,
    ) -> 'Rfi':  # fmt: skip
        """Keep answers as they were typed, right or not, from somebody of the MSP or by a link; return the form as it
        is then.

        `was` is what stood there when they were typed. Raises `Invalid` for what no form sends, `Refused`,
        `Impossible`, `RfiLink.Closed`, or `ChangedMeanwhile` where somebody else was quicker; then nothing is stored.
        """
        drafts = checking.each(values, schema.draft_of)
        if by is not None:
            rights.require(by, 'rfi.fill')
        async with transaction():
            form, customer = await self._held(link)
            answers = await form.known(customer)
            stored = {name: answers.get(name, schema.FIELDS[name].empty) for name in drafts}
            before = checking.differing(stored, drafts, was)
            if not before:
                return form
            who, now = _who(by, link), datetime.now(UTC)
            last = max(form.edits.values(), key=lambda edit: edit['at'], default=None)
            answers |= {name: drafts[name] for name in before}
            edits = form.edits | {name: {'at': now.isoformat(), 'by': who} for name in before}
            moved = form.state != RfiState.DRAFT
            # What is still to be corrected stays there to be read.
            errors = [error for error in form.errors or [] if error.get('field') not in before]
            await form._become(
                answers=answers, edits=edits, errors=errors, version=form.version + 1, state=RfiState.DRAFT
            )
            if last is None or last['by'] != who or now - datetime.fromisoformat(last['at']) > TOLD_AGAIN:
                said = f'{who if "@" in who else who[:1].upper() + who[1:]} filled in some of the RFI form'
                await HistoryEvent.add(
                    customer.partner_id, 'rfi.draft', said, customer_id=customer.id, by=by, outsider=_named(link)
                )
            if moved:
                await form._follow(customer)
            else:
                events.CUSTOMER_TOUCHED.emit(customer.partner_id, {customer.id: frozenset({'rfi'})})
        return form

    async def submit(
        self, *, declares: bool, by: 'PortalUser | None' = None, link: 'RfiLink | None' = None
    ) -> tuple['Rfi', list[dict[str, str]]]:
        """Send the form back, and check it at once: it is complete, or in error with the list of fields (`errors`).

        Returns the form as it is then, and what is worth a look though it is no error. Raises `Invalid` without the
        declaration, `Refused`, `Impossible` and `RfiLink.Closed`.
        """
        if by is not None:
            rights.require(by, 'rfi.fill')
        if not declares:
            raise checking.Invalid('declaration', 'Tick that the answers are accurate, to the best of your knowledge')
        return await self._judged(FILLING, by=by, link=link)

    async def check(self, *, by: 'PortalUser') -> tuple['Rfi', list[dict[str, str]]]:
        """Check a form that came back outside of the portal (by an import, say), as one that is sent back here is.

        What the portal does not know of its answers is in error, and can be filled in. Raises `Refused` and
        `Impossible`.
        """
        rights.require(by, 'rfi.fill')
        return await self._judged({RfiState.SUBMITTED}, by=by, link=None)

    async def _judged(
        self, states: Collection[RfiState], *, by: 'PortalUser | None', link: 'RfiLink | None'
    ) -> tuple['Rfi', list[dict[str, str]]]:
        from models.customer import Customer

        for _ in range(SUBMIT_TRIES):
            seen = await Rfi.get(id=self.id)
            customer = await Customer.get(id=self.customer_id)
            answers = await seen.known(customer)
            known = await knowing.known_of(customer, answers)
            clean, errors = schema.check_all(answers, known)
            now, who = datetime.now(UTC), _who(by, link)
            copy = b''
            if not errors and seen.state in states:
                # Drawn before the transaction: nobody waits for the writing of the others.
                copy = await rfi_pdf(customer, schema.told(clean, known.services), by=who, at=now, state='Complete')
            async with transaction():
                form, customer = await self._held(link, states=states)
                if form.version != seen.version:
                    continue  # somebody has typed meanwhile: what they typed is sent back too
                if form.state == RfiState.SUBMITTED:
                    await form._become(version=form.version + 1)
                    await HistoryEvent.add(
                        customer.partner_id, 'rfi.checked', 'RFI form checked', customer_id=customer.id, by=by
                    )
                else:
                    await form._sent_back(customer, now, who, by, _named(link))
                if errors:
                    await form._found_wrong(customer, answers, errors)
                else:
                    await form._completed(customer, clean, schema.warnings(clean, known), copy, now, by, _named(link))
                await form._follow(customer)
            return form, schema.warnings(clean, known)
        raise Impossible('Somebody else is typing in the form. Send it back when they have finished.')

    async def reopen(self, because: str, *, by: 'PortalUser') -> 'Rfi':
        """Have a complete form filled in once more; the links to it stay closed. Raises `Refused`, `Invalid` without a
        reason, and `Impossible`."""
        rights.require(by, 'rfi.reopen')
        because = checking.line('because', because, 200)
        if not because:
            raise checking.Invalid('because', 'cannot be empty')
        async with transaction():
            form, customer = await self._held(None, states=MOVES['reopen'][0])
            await form._become(
                state=RfiState.DRAFT, completed_at=None, remind_at=None, errors=[], warnings=[],
                reopened_because=because, version=form.version + 1,
            )  # fmt: skip
            await self._step_reopened(customer)
            await HistoryEvent.add(
                customer.partner_id, 'rfi.reopened', f'RFI reopened – {because}', customer_id=customer.id, by=by
            )
            await form._follow(customer)
        return form

    # -- inside the transactions of these verbs ------------------------------------------------------------------------

    async def _held(
        self, link: 'RfiLink | None', *, states: Collection[RfiState] = frozenset(FILLING)
    ) -> 'tuple[Rfi, Customer]':
        """The form as it is now, and its customer; whoever else changes it waits."""
        from models.customer import Listing
        from models.rfi_link import RfiLink

        form = await Rfi.filter(id=self.id).select_for_update(no_key=True).get()
        customer = await kept(form.customer_id)  # before the history: whoever moves a step holds it and then writes
        if customer.listing == Listing.CLOSED:
            raise Impossible('This customer is closed: the form is not needed any more.')
        if form.state not in states:
            raise Impossible(_WHY_NOT.get(form.state, 'This cannot be done with the form as it is now.'))
        if link is not None:
            await RfiLink.still(link)
        return form, customer

    async def _become(self, **changes: Any) -> None:
        await Rfi.filter(id=self.id).update(**changes)
        self.update_from_dict(changes)

    @staticmethod
    async def _is_back(customer: 'Customer', now: datetime) -> None:
        if not customer.rfi_returned:
            await plan_open(customer.id, now, is_back=True)
        customer.rfi_returned = True

    async def _sent_back(
        self, customer: 'Customer', now: datetime, who: str, by: 'PortalUser | None', outsider: str
    ) -> None:
        await self._become(returned_at=now, returned_by=who[:254], version=self.version + 1)
        await self._is_back(customer, now)
        said = 'RFI form sent back' if by is not None else f'RFI form sent back by {who}'
        await HistoryEvent.add(
            customer.partner_id, 'rfi.submitted', said, customer_id=customer.id, by=by, outsider=outsider
        )

    async def _found_wrong(self, customer: 'Customer', answers: dict[str, Any], errors: list[dict[str, str]]) -> None:
        await self._become(state=RfiState.ERROR, errors=errors, answers=answers)
        fields_ = '1 field' if len(errors) == 1 else f'{len(errors)} fields'
        await HistoryEvent.add(
            customer.partner_id, 'rfi.error', f'RFI found in error: {fields_} to correct', customer_id=customer.id,
            fields=[error['field'] for error in errors],
        )  # fmt: skip

    async def _completed(
        self, customer: 'Customer', clean: dict[str, Any], warnings: list[dict[str, str]], copy: bytes, now: datetime,
        by: 'PortalUser | None', outsider: str,
    ) -> None:  # fmt: skip
        from models.rfi_link import RfiLink

        await self._become(
            state=RfiState.COMPLETE, errors=[], warnings=warnings, answers=clean, completed_at=now, remind_at=None,
            reopened_because='',
        )  # fmt: skip
        await RfiLink.close_all_of(customer.id)
        await step_done(customer.id, 'rfi', now, by=by, evidence=self._evidence(now))
        said = f'RFI complete; {warnings[0]["message"]}' if warnings else 'RFI complete'
        if len(warnings) > 1:
            said += f' And {len(warnings) - 1} more.'
        await HistoryEvent.add(customer.partner_id, 'rfi.complete', said[:400], customer_id=customer.id)
        await self._tell_elsewhere(customer, clean, by, outsider)
        await fit(customer.id, by=by)
        name = f'RFI {customer.name} {calendar.day_of(customer.partner, now)}.pdf'
        with contextlib.suppress(AlreadyThere):
            await Attachment.add_made(customer, kind=AttachmentKind.RFI_COPY, name=name, pdf=copy, by=by)

    def _evidence(self, now: datetime) -> dict[str, Any]:
        """What the step of Connect keeps, as its automatic check would have found it."""
        back = f'Sent back by {self.returned_by}; it' if self.returned_by else 'It'
        return {
            'at': now.isoformat(), 'by': AUTOMATIC, 'asked': 'Is the RFI form complete?', 'passed': True,
            'answer': f'{back} was accepted.',
        }  # fmt: skip

    async def _tell_elsewhere(
        self, customer: 'Customer', clean: dict[str, Any], by: 'PortalUser | None', outsider: str
    ) -> None:
        """What the form says of infrastructure and contacts is what the portal knows from now on."""
        facts = {name: clean[key] for key, name in _INFRASTRUCTURE.items() if key in clean}
        await Infrastructure.keep(customer, facts, by=by, outsider=outsider, source=_SOURCE)
        whom = {name: clean[key] for key, name in _CONTACT.items() if key in clean}
        await Contact.keep(customer, ContactKind.EMERGENCY, whom, by=by, outsider=outsider, source=_SOURCE)
        if not await Contact.filter(customer_id=customer.id, kind=ContactKind.TECHNICAL).exists():
            await Contact.keep(customer, ContactKind.TECHNICAL, whom, by=by, outsider=outsider, source=_SOURCE)

    @staticmethod
    async def _step_reopened(customer: 'Customer') -> None:
        """The step of Connect is worked on again, and what needs it waits; nothing of a customer that is live."""
        from models.customer import Listing

        if customer.listing in (Listing.COMPLETE, Listing.CLOSED):
            return
        await step_undone(customer.id, 'rfi')

    async def _follow(self, customer: 'Customer') -> None:
        """Have the customer show what the form is now, and tell whoever looks."""
        was = customer.listing
        customer.rfi = self.state.icon
        names = {'rfi', *await customer.restate()}
        events.RFI_MOVED.emit(Changed(
            customer.partner_id, {customer.id: frozenset(names)},
            frozenset({customer.id} if customer.listing != was else ()),
        ))  # fmt: skip
        await customer.complete_by_rule()


def _who(by: 'PortalUser | None', link: 'RfiLink | None') -> str:
    """Who fills the form in, as the others read it."""
    if by is not None:
        return by.name
    return link.holder if link is not None else 'somebody'


def _named(link: 'RfiLink | None') -> str:
    return link.named if link is not None else ''


_WHY_NOT = {
    RfiState.SUBMITTED: 'The form has been sent back. What is wrong can be corrected once it is checked.',
    RfiState.COMPLETE: 'The form is complete. To change an answer, it has to be reopened.',
    RfiState.NOT_APPLICABLE: 'This customer needs no RFI form.',
    RfiState.DRAFT: 'The form is not complete: it can be filled in as it is.',
    RfiState.ERROR: 'The form is in error: it can be corrected as it is.',
    RfiState.NOT_REQUESTED: 'The form has not been sent yet.',
    RfiState.REQUESTED: 'The form has not come back yet.',
}
_SOURCE = 'From the RFI form'
_INFRASTRUCTURE = {
    'email_domains': 'domains', 'mail_platform': 'mail_platform', 'mail_server': 'mail_server',
    'server_os': 'server_os', 'directory': 'directory', 'outbound_ips': 'outbound_ips', 'inbound_ips': 'inbound_ips',
}  # fmt: skip
_CONTACT = {
    'emergency_first_name': 'first_name', 'emergency_last_name': 'last_name', 'emergency_email': 'email',
    'emergency_mobile': 'mobile',
}  # fmt: skip


_SENTENCES = {
    'request': 'RFI form sent for completion',
    'save_draft': 'RFI draft saved',
    'submit': 'RFI form sent back',
    'accept': 'RFI complete',
    'find_errors': 'RFI found in error',
    'reopen': 'RFI reopened',
}
