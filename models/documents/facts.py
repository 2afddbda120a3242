"""What stands on a document, taken from the rows before the thread that draws it begins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

INFRASTRUCTURE = {
    'mail_platform': 'Mail platform', 'mail_server': 'Mail server', 'server_os': 'Server operating system',
    'directory': 'Directory', 'archive_solution': 'Archive solution', 'security_msp': 'Security, MSP (firewall)',
    'security_onprem': 'Security, on-premise (firewall)', 'continuity': 'Continuity',
    'citrix_terminal_server': 'Citrix or terminal server',
}  # fmt: skip


class Pdf(bytes):
    """A document, and of how many pages it is."""

    pages: int

    def __new__(cls, content: bytes, pages: int) -> Self:
        made = super().__new__(cls, content)
        made.pages = pages
        return made


@dataclass(frozen=True, kw_only=True)
class Facts:
    """An order of any kind as its document needs it."""

    number: str
    customer: str
    customer_lines: tuple[str, ...]
    account_code: str
    zone: str
    agreement: str
    currency: str
    lines: tuple[Mapping[str, Any], ...]
    fees: Mapping[str, Any]
    seats: int
    was_seats: int | None
    po_number: str
    po_waived: bool
    accepts_agreement: bool
    is_authorised: bool
    effective_on: date | None
    withdraw_until: date | None
    by: str
    at: datetime | None  # submitted; None for a draft
    made_at: datetime
    mode: str = ''
    details: Mapping[str, Any] = field(default_factory=dict)
    infrastructure: tuple[tuple[str, str], ...] = ()
    corrected: str = ''  # when and by whom


@dataclass(frozen=True, kw_only=True)
class Answers:
    """The RFI form of a customer as it was sent back: sections of questions with what was answered."""

    customer: str
    account_code: str
    zone: str
    state: str
    version: int
    by: str
    at: datetime
    sections: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
