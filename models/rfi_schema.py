"""The questions of the RFI form (domain.md 5.2): sections of fields as data, which of them apply, and what may be
answered.

Conditions are data too, so that a browser asks the same questions while the server is away: a field applies where each
of its conditions (`when`) names one of the answers given; `services` is what was bought, by letters (S e-mail security,
A archiving). Nothing here reads a database: what has to be known of others is given in `Known`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from models import calendar, checking
from models.checking import Invalid
from models.contact import ContactKind
from models.infrastructure import Directory, MailPlatform

Answers = Mapping[str, Any]
Condition = tuple[str, tuple[str, ...]]
LISTS = frozenset({'emails', 'domains', 'hosts', 'networks'})  # kinds that are answered with several
LONGEST = 4000  # characters of an answer that is kept while somebody is still typing
MOST_LINES = 200


@dataclass(frozen=True)
class Field:
    """One question. `kind` is line, text, choice, yes_no, email, phone, host, date, number or one of LISTS."""

    key: str
    label: str
    kind: str = 'line'
    help: str = ''
    choices: tuple[tuple[str, str], ...] = ()
    # Whether it has to be answered wherever it is asked, or only where this too holds.
    required: bool = False
    required_when: tuple[Condition, ...] = ()
    when: tuple[Condition, ...] = ()
    longest: int = 120
    placeholder: str = ''
    # What a browser can fill in by itself.
    autocomplete: str = 'off'

    @property
    def is_list(self) -> bool:
        return self.kind in LISTS

    def applies(self, answers: Answers, services: str) -> bool:
        return _hold(self.when, answers, services)

    def is_required(self, answers: Answers, services: str) -> bool:
        return self.required or bool(self.required_when and _hold(self.required_when, answers, services))

    @property
    def empty(self) -> Any:
        return [] if self.is_list else False if self.kind == 'yes_no' else ''


@dataclass(frozen=True)
class Section:
    """Some questions that belong together; `letter` is the one that people call it by."""

    letter: str
    title: str
    about: str
    fields: tuple[Field, ...]


def _hold(conditions: Iterable[Condition], answers: Answers, services: str) -> bool:
    for name, wanted in conditions:
        if name == 'services':
            # Where nobody knows what was bought, everything is asked.
            if services and not set(services) & set(wanted):
                return False
        elif str(answers.get(name, '') or '') not in wanted:
            return False
    return True


_P, _D = MailPlatform, Directory
_OWN = (_P.ON_PREMISES.value, _P.HYBRID_M365.value, _P.HYBRID_GOOGLE.value, _P.OTHER.value)
_SERVERS = (*_OWN, _P.HOSTED_EXCHANGE.value)
_CLOUD = (
    _P.MICROSOFT_365.value, _P.GOOGLE_WORKSPACE.value, _P.HYBRID_M365.value, _P.HYBRID_GOOGLE.value,
    _P.HOSTED_EXCHANGE.value,
)  # fmt: skip
_CLOUD_ONLY = (_P.MICROSOFT_365.value, _P.GOOGLE_WORKSPACE.value)
_WITH_PARTNER_ADMIN = (
    _P.HOSTED_EXCHANGE.value,
    _P.MICROSOFT_365.value,
    _P.ON_PREMISES.value,
    _P.GOOGLE_WORKSPACE.value,
)
_LDAP = (_D.ACTIVE_DIRECTORY.value, _D.DOMINO.value)
_DIRECTORY = (*_LDAP, _D.AD_PUSH.value)
_EACH = 'One to a line.'

SECTIONS: tuple[Section, ...] = (
    Section('B', ContactKind.EMERGENCY.title, 'Whom we call when something is urgent: one of your technical staff.', (
        Field('emergency_first_name', 'First name', required=True, longest=80),
        Field('emergency_last_name', 'Last name', required=True, longest=80),
        Field('emergency_email', 'E-mail', 'email', required=True, placeholder='name@example.com'),
        Field('emergency_mobile', 'Mobile', 'phone', 'With the country code.', required=True,
              placeholder='+44 7700 900123'),
        Field('emergency_alternate_email', 'Another e-mail address', 'email',
              'Where we write if the first one cannot be reached: best on another domain.'),
    )),
    Section('D', 'Infrastructure', 'What your mail runs on. It decides what else we ask.', (
        Field('mail_platform', 'Mail platform', 'choice', required=True,
              choices=tuple((each.value, each.title) for each in MailPlatform if each.value)),
        Field('mail_server', 'Mail server', help='Product and version, such as Exchange 2019.',
              when=(('mail_platform', _SERVERS),)),
        Field('server_os', 'Server operating system', help='Such as Windows Server 2022.',
              when=(('mail_platform', _OWN),)),
        Field('directory', 'Active Directory environment', 'choice', 'Where your people and their addresses are kept.',
              required=True, choices=tuple((each.value, each.title) for each in Directory if each.value)),
        Field('archive_solution', 'Archive solution', help='What archives your mail today, if anything does.'),
        Field('security_msp', 'Hosted firewall or gateway',
              help='The security service that your mail passes through today, if any.'),
        Field('security_onprem', 'Firewall on your premises', when=(('mail_platform', _OWN),)),
        Field('continuity', 'Continuity', help='What your people use when the mail server is down, if anything.'),
        Field('citrix_terminal_server', 'People work on a Citrix or terminal server', 'yes_no',
              when=(('mail_platform', _OWN),)),
    )),
    Section('C', 'Partner administrator', 'Who at your provider may open the Administration Console of your account.', (
        Field('partner_admin_email', 'Partner administrator’s e-mail', 'email',
              'The personal sign-in of somebody at your provider: not an address on your own domain, nor a shared one.',
              when=(('mail_platform', _WITH_PARTNER_ADMIN),)),
    )),
    Section('E', 'IP addresses and domains', 'Where your mail comes from and goes to. Public addresses only.', (
        Field('email_domains', 'Email domain names', 'domains', f'All domains that you receive mail for. {_EACH}',
              required=True, placeholder='example.com'),
        Field('outbound_ips', 'Outbound IP addresses', 'networks',
              f'From which your servers send, as addresses or networks such as 198.51.0.0/24. {_EACH}',
              required_when=(('mail_platform', _SERVERS),)),
        Field('inbound_ips', 'Inbound IP addresses', 'networks', f'To which mail is delivered. {_EACH}',
              required_when=(('mail_platform', _OWN),), when=(('mail_platform', _SERVERS),)),
        Field('inbound_hosts', 'Inbound host names', 'hosts',
              f'To which mail is delivered, such as example-com.mail.protection.outlook.com. {_EACH}',
              required_when=(('mail_platform', _CLOUD_ONLY),), when=(('mail_platform', _CLOUD),)),
        Field('additional_ips', 'Additional IP addresses', 'networks',
              f'Others that send in your name: printers, applications, a newsletter service. {_EACH}'),
        Field('forwarding_addresses', 'Forwarding addresses', 'emails',
              f'Addresses elsewhere to which you forward mail. {_EACH}'),
        Field('smart_hosts', 'Smart hosts', 'hosts', f'Through which you send, if any. {_EACH}'),
        Field('recipient_validation_type', 'Recipient validation', 'choice', 'How we know which addresses exist.',
              required=True, choices=(
                  ('known', 'Known recipients: a list or the directory'), ('ldap', 'LDAP: by asking the directory'),
                  ('smtp', 'SMTP: by asking the mail server'), ('smtp_null', 'SMTP with an empty sender'),
                  ('backup_mx', 'Backup MX: accept while the server is away'), ('any', 'None: accept every address'),
              )),
    )),
    Section('F', 'Directory', 'How we read which people there are. Never write a password here: '
            'we ask for it later, by a safe way.', (
        Field('directory_host', 'Host', 'host', 'A public name or address that we can reach.',
              required_when=(('directory', _LDAP),), when=(('directory', _DIRECTORY),), placeholder='ldap.example.com'),
        Field('directory_alternate_host', 'Alternate host', 'host', when=(('directory', _DIRECTORY),)),
        Field('directory_port', 'Port', 'number', required_when=(('directory', _LDAP),),
              when=(('directory', _DIRECTORY),), choices=(('389', '389'), ('636', '636 (LDAPS)'))),
        Field('directory_encryption', 'Encryption', 'choice', required_when=(('directory', _LDAP),),
              when=(('directory', _DIRECTORY),), choices=(
                  ('strict', 'Strict: the certificate must be trusted'),
                  ('relaxed', 'Relaxed: any certificate'), ('none', 'None'),
              )),
        Field('directory_root_dn', 'Root DN', required_when=(('directory', _LDAP),), when=(('directory', _DIRECTORY),),
              longest=400, placeholder='DC=example,DC=com'),
        Field('directory_user_dn', 'User DN', help='Of the account that may read.', longest=400,
              required_when=(('directory', _LDAP),), when=(('directory', _DIRECTORY),),
              placeholder='CN=reader,OU=Service,DC=example,DC=com'),
        Field('tenant_domain', 'Tenant domain', 'host', 'Of your Microsoft 365 tenant.', required=True,
              when=(('directory', (_D.ENTRA_ID.value,)),), placeholder='example.onmicrosoft.com'),
    )),
    Section('G', 'Journaling', 'How a copy of every message reaches the archive.', (
        Field('journal_protocol', 'Protocol', 'choice', required=True, when=(('services', ('A',)),),
              choices=(('smtp', 'SMTP'), ('pop3', 'POP3'))),
        Field('journal_address', 'Journal address', 'email', 'Such as journaling@journal.example.com.', required=True,
              when=(('services', ('A',)),)),
        Field('journal_source_ips', 'Source IP addresses', 'networks',
              f'From which journal mail comes, where it is not one of the outbound addresses. {_EACH}',
              when=(('services', ('A',)), ('journal_protocol', ('smtp',)))),
    )),
    Section('H', 'Timing', 'When it should happen, and what to mind.', (
        Field('desired_go_live', 'Desired go-live', 'date'),
        Field('maintenance_window', 'Maintenance window', help='When changes disturb nobody.', longest=200,
              placeholder='Saturdays from 18:00'),
        Field('current_gateway', 'Current gateway provider', help='Whose contract ends with this change, if any.'),
        Field('current_gateway_until', 'Its contract ends', 'date'),
        Field('notes', 'Notes', 'text', 'Anything else that we should know.', longest=2000),
    )),
)  # fmt: skip
FIELDS: dict[str, Field] = {each.key: each for section in SECTIONS for each in section.fields}
SECTION_OF: dict[str, Section] = {each.key: section for section in SECTIONS for each in section.fields}


# -- which questions there are ----------------------------------------------------------------------------------------


def questions(answers: Answers, services: str) -> list[Field]:
    """The fields that are asked for these answers, in their order."""
    return [each for each in FIELDS.values() if each.applies(answers, services)]


def applicable(answers: Answers, services: str) -> dict[str, Any]:
    """Of the answers those that were asked for; what was typed under other choices is left out."""
    return {
        each.key: answers[each.key] for each in questions(answers, services) if answers.get(each.key) not in NOTHING
    }


NOTHING: tuple[Any, ...] = (None, '', [], ())


def described() -> list[dict[str, Any]]:
    """The sections as a browser is told of them."""
    return [
        {
            'letter': section.letter, 'title': section.title, 'about': section.about,
            'fields': [
                {
                    'key': each.key, 'label': each.label, 'kind': each.kind, 'help': each.help,
                    'choices': each.choices, 'required': each.required, 'required_when': each.required_when,
                    'when': each.when, 'longest': each.longest, 'placeholder': each.placeholder, 'many': each.is_list,
                }
                for each in section.fields
            ],
        }
        for section in SECTIONS
    ]  # fmt: skip


def shown(key: str, value: Any) -> str:
    """An answer as people read it; empty where there is none."""
    if value in NOTHING:
        return ''
    if isinstance(value, bool):
        return 'Yes' if value else 'No'
    if isinstance(value, list | tuple):
        return ', '.join(shown(key, one) for one in value)
    about = FIELDS.get(key)
    if about is not None and about.kind == 'phone':
        return checking.phone_shown(str(value))
    if about is not None and about.kind == 'date':
        return _day_said(str(value))
    return dict(about.choices).get(str(value), str(value)) if about is not None else str(value)


def _day_said(typed: str) -> str:
    """A day in words; what is none (in a draft), as it was typed."""
    try:
        return calendar.said(date.fromisoformat(typed))
    except ValueError:
        return typed


def full_label(key: str) -> str:
    """What a question is called where its section is not seen beside it."""
    if key not in FIELDS:
        return key
    label, section = FIELDS[key].label, SECTION_OF[key]
    return f'{section.title}: {label}' if section.letter in 'BFG' else label


def told(answers: Answers, services: str) -> list[tuple[str, list[tuple[str, Any]]]]:
    """The form as it is read: each section by its title, with what was asked there and answered."""
    found = []
    for section in SECTIONS:
        asked = [each for each in section.fields if each.applies(answers, services)]
        lines = [(each.label, _told(each, answers[each.key])) for each in asked if answers.get(each.key) not in NOTHING]
        if lines:
            found.append((section.title, lines))
    return found


def _told(about: Field, value: Any) -> str | list[str]:
    return [shown(about.key, one) for one in value] if about.is_list else shown(about.key, value)


# -- what may be answered ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What has to be known beside the answers: what was bought, which domains are the customer's and which are other
    customers' of the MSP, whether addresses for documentation pass (simulated customers), and what day it is."""

    services: str = ''
    domain: str = ''
    taken: frozenset[str] = frozenset()
    documentation: bool = False
    today: date | None = None
    # Addresses of other customers, for a warning; without those that all customers of the MSP share.
    elsewhere: frozenset[str] = field(default_factory=frozenset)


def draft_of(name: str, value: Any) -> Any:
    """An answer as it is kept while somebody is typing, right or not; raises `Invalid` for what no form sends."""
    about = FIELDS.get(name)
    if about is None:
        raise Invalid(name[:40], 'is not a question of the form')
    if value is None:
        return about.empty
    if about.kind == 'yes_no':
        if not isinstance(value, bool):
            raise Invalid(name, 'must be yes or no')
        return value
    if about.is_list:
        if isinstance(value, str):
            value = value.splitlines()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise Invalid(name, 'must be a list')
        lines = [one for line in value if (one := _plain(line))]
        if len(lines) > MOST_LINES or sum(map(len, lines)) > LONGEST * 4:
            raise Invalid(name, f'cannot have more than {MOST_LINES} lines, nor {LONGEST * 4:,} characters')
        return lines
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise Invalid(name, 'is not a text')
    text = _plain(str(value), lines=about.kind == 'text')
    if len(text) > LONGEST:
        raise Invalid(name, f'is longer than {LONGEST:,} characters')
    return text


def _plain(text: str, *, lines: bool = False) -> str:
    """Without control characters; a text of several lines keeps them."""
    if not lines:
        return ' '.join(''.join(c if c.isprintable() else ' ' for c in text).split())
    found = [''.join(c if c.isprintable() else ' ' for c in line).rstrip() for line in text.splitlines()]
    return '\n'.join(found).strip()


def check_one(name: str, value: Any, *, documentation: bool = False) -> Any:
    """The answer as it is stored; nothing is the empty text or list. Raises `Invalid`.

    `documentation` lets the addresses of RFC 5737 and RFC 3849 pass (`models.checking.network`).
    """
    value = draft_of(name, value)
    about = FIELDS[name]
    if about.is_list:
        each = [one for line in value for one in re.split(r'[\s,;]+', line)]
        if about.kind == 'networks':
            return checking.networks(name, each, documentation=documentation)
        return checking.several(name, each, _ONE[about.kind])
    if about.kind == 'yes_no' or value == '':
        return value
    if about.kind in ('choice', 'number'):
        if value not in dict(about.choices):
            raise Invalid(name, f'{checking.quoted(value, 40)} is none of those that can be chosen')
        return int(value) if about.kind == 'number' else value
    if about.kind == 'date':
        return _day(name, value)
    if about.kind in _ONE_OF:
        return _ONE_OF[about.kind](name, value)
    if len(value) > about.longest:
        raise Invalid(name, f'is longer than {about.longest:,} characters')
    return value


def _day(name: str, value: str) -> str:
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or not 2000 <= found.year <= 2100:
        raise Invalid(name, f'{checking.quoted(value, 40)} is not a day such as 2027-03-31')
    return found.isoformat()


_ONE = {'emails': checking.email, 'domains': checking.domain, 'hosts': checking.machine}
_ONE_OF = {'email': checking.email, 'phone': checking.phone, 'host': checking.machine}


def check_all(answers: Answers, known: Known) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """The answers to what is asked, as they are stored, and everything that is wrong with them: `field`, `code` and
    `message`, a sentence that reads for itself.

    The form is complete where the list is empty. What is asked follows from the answers as they are stored.
    """
    clean: dict[str, Any] = {}
    errors: list[dict[str, str]] = []
    for each in questions(answers, known.services):
        try:
            value = check_one(each.key, answers.get(each.key), documentation=known.documentation)
        except Invalid as wrong:
            errors.append(error(each.key, 'invalid', wrong.message))
            continue
        if value not in NOTHING:
            clean[each.key] = value
        elif each.is_required(answers, known.services):
            errors.append(error(each.key, 'required', 'cannot be empty'))
    wrong = {each['field'] for each in errors}
    for name, code, message in _together(clean, known):
        if name not in wrong:
            errors.append(error(name, code, message))
    order = list(FIELDS)
    return clean, sorted(errors, key=lambda each: order.index(each['field']))


def _together(clean: Answers, known: Known) -> Iterable[tuple[str, str, str]]:
    """What is wrong with answers that are right one by one."""
    mine = {known.domain, *clean.get('email_domains', ())} - {''}
    for one in clean.get('email_domains', ()):
        if one in known.taken:
            # It names nobody: whose it is, is not this customer's to know.
            yield 'email_domains', 'taken', f'{checking.quoted(one)} is in use elsewhere; ask your provider about it'
            break
    if admin := clean.get('partner_admin_email', ''):
        host = checking.domain('partner_admin_email', admin.rpartition('@')[2])
        if any(host == one or host.endswith(f'.{one}') for one in mine):
            yield 'partner_admin_email', 'own_domain', 'must be an address of your provider, not on your own domain'
    for name in ('desired_go_live',):
        if known.today and clean.get(name) and date.fromisoformat(clean[name]) < known.today:
            yield name, 'past', 'is in the past'


def error(name: str, code: str, message: str) -> dict[str, str]:
    """What is wrong with a field, with a sentence that reads without it beside it."""
    return {'field': name, 'code': code, 'message': sentence(name, message)}


def sentence(name: str, message: str) -> str:
    """A refusal that begins with a verb goes on from the name of its field; any other is a sentence of its own."""
    label = FIELDS[name].label if name in FIELDS else 'It'
    said = f'{label} {message}' if message[:1].islower() else message
    return said if said.endswith(('.', '!', '?')) else f'{said}.'


# -- what is worth a look ---------------------------------------------------------------------------------------------

IP_FIELDS = ('outbound_ips', 'inbound_ips', 'additional_ips', 'journal_source_ips')


def overlaps(one: str, others: Iterable[str]) -> bool:
    """Whether an address or network has one of the others in it, or lies in it; texts as `checking.network` makes
    them."""
    mine = ip_network(one)
    return any(_touch(mine, ip_network(other)) for other in others)


def _touch(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)  # type: ignore[arg-type]


def warnings(clean: Answers, known: Known) -> list[dict[str, str]]:
    """What is unusual and no error: an address that another customer has as well."""
    found = []
    for name in IP_FIELDS:
        for one in clean.get(name, ()):
            if overlaps(one, known.elsewhere):
                found.append({
                    'field': name, 'code': 'elsewhere',
                    'message': f'{one} is in use elsewhere as well. Check that it is yours.',
                })  # fmt: skip
    return found
