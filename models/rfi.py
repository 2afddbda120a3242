from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from tortoise import Model, fields

from models import events
from models.connect_step import plan_open, step_done
from models.events import Changed, transaction
from models.history import HistoryEvent

if TYPE_CHECKING:
    from models.customer import Customer
    from models.user import PortalUser


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
# From which states each verb may be called; the table the tests walk.
MOVES: dict[str, tuple[set[RfiState], RfiState]] = {
    'request': ({RfiState.NOT_REQUESTED}, RfiState.REQUESTED),
    'save_draft': ({RfiState.REQUESTED, RfiState.DRAFT, RfiState.ERROR}, RfiState.DRAFT),
    'submit': ({RfiState.REQUESTED, RfiState.DRAFT, RfiState.ERROR}, RfiState.SUBMITTED),
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
    requested_at = fields.DatetimeField(null=True)
    returned_at = fields.DatetimeField(null=True)
    completed_at = fields.DatetimeField(null=True)

    class Meta:
        table = 'rfi'
        table_description = 'A Request for Information form'

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
        from models.customer import Customer

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
            customer = await Customer.get(id=self.customer_id)
            was = customer.listing
            customer.rfi = state.icon
            if verb == 'submit':
                if not customer.rfi_returned:
                    await plan_open(customer.id, now, is_back=True)
                customer.rfi_returned = True
            if verb == 'accept':
                await step_done(customer.id, 'rfi', now)
            fields_changed = {'rfi', *await customer.restate()}
            await HistoryEvent.add(
                customer.partner_id, f'rfi.{state.value}', _SENTENCES[verb], customer_id=customer.id, by=by
            )
            events.RFI_MOVED.emit(Changed(
                customer.partner_id, {customer.id: frozenset(fields_changed)},
                frozenset({customer.id} if customer.listing != was else ()),
            ))  # fmt: skip


_SENTENCES = {
    'request': 'RFI form sent for completion',
    'save_draft': 'RFI draft saved',
    'submit': 'RFI form sent back',
    'accept': 'RFI complete',
    'find_errors': 'RFI found in error',
    'reopen': 'RFI reopened',
}
