from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import rfi_schema as schema
from models.checking import Invalid
from models.infrastructure import Directory, MailPlatform
from models.rfi_schema import FIELDS, Known, check_all, check_one, draft_of

# Everything that Microsoft 365 with archiving is asked, answered right.
RIGHT = {
    'emergency_first_name': 'Ida', 'emergency_last_name': 'Berg', 'emergency_email': 'ida@kunde.example',
    'emergency_mobile': '+44 7700 900123', 'mail_platform': 'microsoft_365', 'directory': 'entra_id',
    'tenant_domain': 'kunde.onmicrosoft.com', 'email_domains': ['Kunde.example', 'bücher.example'],
    'inbound_hosts': ['kunde-example.mail.protection.outlook.com'], 'recipient_validation_type': 'known',
    'journal_protocol': 'smtp', 'journal_address': 'journaling@journal.kunde.example',
}  # fmt: skip
KNOWN = Known(services='AS', domain='kunde.example', today=date(2026, 11, 23))


def wrong(answers: dict, known: Known = KNOWN) -> dict[str, str]:
    return {error['field']: error['code'] for error in check_all(answers, known)[1]}


def test_right_answers_are_complete_and_stored_in_one_way():
    clean, errors = check_all(RIGHT, KNOWN)
    assert errors == []
    assert clean['emergency_mobile'] == '+447700900123'
    assert clean['email_domains'] == ['kunde.example', 'bücher.example']


def test_what_is_asked_follows_from_platform_directory_and_what_was_bought():
    def asked(services: str, **answers: str) -> set[str]:
        return {field.key for field in schema.questions(answers, services)}

    cloud, own = asked('S', mail_platform='microsoft_365'), asked('S', mail_platform='on_premises')
    assert 'inbound_hosts' in cloud - own
    assert {'inbound_ips', 'server_os', 'mail_server'} <= own - cloud
    assert 'journal_address' in asked('SA')
    assert 'journal_address' not in asked('S')
    assert 'journal_address' in asked(''), 'where nobody knows what was bought, everything is asked'
    for directory in Directory:
        fields = asked('S', directory=directory.value)
        assert ('directory_host' in fields) == (
            directory in (Directory.ACTIVE_DIRECTORY, Directory.DOMINO, Directory.AD_PUSH)
        )
        assert ('tenant_domain' in fields) == (directory == Directory.ENTRA_ID)
    with_admin = {p.value for p in MailPlatform if 'partner_admin_email' in asked('S', mail_platform=p.value)}
    assert with_admin == {'hosted_exchange', 'microsoft_365', 'on_premises', 'google_workspace'}


@pytest.mark.parametrize(
    ('changed', 'field', 'code'),
    [
        ({'mail_platform': ''}, 'mail_platform', 'required'),
        ({'outbound_ips': ['192.168.10.4']}, 'outbound_ips', 'invalid'),
        ({'outbound_ips': ['127.0.0.1']}, 'outbound_ips', 'invalid'),
        ({'outbound_ips': ['203.0.113.7']}, 'outbound_ips', 'invalid'),
        ({'additional_ips': ['1.2.3.4/4']}, 'additional_ips', 'invalid'),
        ({'email_domains': ['kunde']}, 'email_domains', 'invalid'),
        ({'email_domains': []}, 'email_domains', 'required'),
        ({'emergency_mobile': '07700 900123'}, 'emergency_mobile', 'invalid'),
        ({'emergency_email': 'ida at kunde'}, 'emergency_email', 'invalid'),
        ({'partner_admin_email': 'x@kunde.example'}, 'partner_admin_email', 'own_domain'),
        ({'partner_admin_email': 'x@mail.bücher.example'}, 'partner_admin_email', 'own_domain'),
        ({'smart_hosts': ['10.1.1.1']}, 'smart_hosts', 'invalid'),
        ({'smart_hosts': ['https://relay.example.com']}, 'smart_hosts', 'invalid'),
        ({'desired_go_live': '2026-11-22'}, 'desired_go_live', 'past'),
        ({'desired_go_live': '31.12.2026'}, 'desired_go_live', 'invalid'),
        ({'mail_platform': 'pigeons'}, 'mail_platform', 'invalid'),
        ({'notes': 'x' * 2001}, 'notes', 'invalid'),
        ({'mail_platform': 'on_premises'}, 'inbound_ips', 'required'),
        ({'directory': 'domino'}, 'directory_user_dn', 'required'),
        ({'directory': 'domino', 'directory_port': 25}, 'directory_port', 'invalid'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(changed, field, code):
    assert wrong(RIGHT | changed).get(field) == code


def test_another_customers_domain_is_refused_without_naming_anybody():
    known = Known(services='AS', taken=frozenset({'bücher.example'}))
    [error] = check_all(RIGHT, known)[1]
    assert (error['field'], error['code']) == ('email_domains', 'taken')
    assert error['message'] == '“bücher.example” is in use elsewhere; ask your provider about it.'


def test_an_address_that_others_have_is_a_warning_and_no_error():
    answers = RIGHT | {'outbound_ips': ['8.8.8.0/24', '9.9.9.9']}
    known = Known(services='AS', elsewhere=frozenset({'8.8.8.8', '1.1.1.1'}))
    clean, errors = check_all(answers, known)
    assert not errors
    assert [(each['field'], '8.8.8.0/24' in each['message']) for each in schema.warnings(clean, known)] == [
        ('outbound_ips', True)
    ]


def test_several_may_stand_in_one_line():
    answers = RIGHT | {'outbound_ips': ['8.8.8.8, 9.9.9.0/24;1.1.1.1  2606:4700::1']}
    clean, errors = check_all(answers, Known(services='AS'))
    assert not errors
    assert clean['outbound_ips'] == ['8.8.8.8', '9.9.9.0/24', '1.1.1.1', '2606:4700::1']


def test_simulated_customers_have_addresses_for_documentation():
    answers = RIGHT | {'outbound_ips': ['203.0.113.7']}
    assert not check_all(answers, Known(services='AS', documentation=True))[1]


def test_answers_to_what_is_not_asked_are_left_out():
    clean, errors = check_all(RIGHT | {'directory_host': 'not a host!', 'server_os': 'Windows'}, KNOWN)
    assert not errors
    assert not {'directory_host', 'server_os'} & clean.keys()


def test_a_day_is_read_in_words_and_what_is_none_as_it_was_typed():
    assert schema.shown('desired_go_live', '2026-12-10') == '10 December 2026'
    assert schema.shown('desired_go_live', 'soon') == 'soon'


def test_conditions_name_fields_that_there_are_and_answers_that_can_be_chosen():
    for field in FIELDS.values():
        for name, wanted in (*field.when, *field.required_when):
            choices = {'S', 'A'} if name == 'services' else set(dict(FIELDS[name].choices))
            assert set(wanted) <= choices, field.key


_ODD = ['10.0.0.1', 'a@b.example', '+4420794601', '<script>', '=1+1']
_TEXTS = st.one_of(st.text(max_size=60), st.sampled_from(_ODD))
_VALUES = st.one_of(st.none(), st.booleans(), st.integers(-5, 700), _TEXTS, st.lists(_TEXTS, max_size=4))


def refused(check, key, value):
    """What `check` makes of it, or the field that it refuses."""
    try:
        return check(key, value), None
    except Invalid as error:
        return None, error.field


@given(st.sampled_from(list(FIELDS)), _VALUES)
def test_whatever_is_sent_is_an_answer_or_is_refused_and_stays_what_it_is(key, value):
    kept, field = refused(draft_of, key, value)
    if field is not None:
        assert field == key
        return
    assert draft_of(key, kept) == kept, 'what was kept is kept again'
    assert isinstance(kept, list) == FIELDS[key].is_list
    clean, field = refused(check_one, key, kept)
    if field is not None:
        assert field == key
    else:
        assert check_one(key, clean) == clean, 'what is stored is right'


@given(st.dictionaries(st.sampled_from(list(FIELDS)), _VALUES, max_size=12), st.sampled_from(['', 'S', 'A', 'AS']))
def test_a_form_without_errors_is_one_that_answers_all_that_is_asked(answers, services):
    known = Known(services=services)
    clean, errors = check_all(RIGHT | answers, known)
    asked = {field.key: field for field in schema.questions(RIGHT | answers, services)}
    assert clean.keys() <= asked.keys()
    assert {error['field'] for error in errors} <= asked.keys()
    assert all(error['message'][-1] in '.!?' and error['message'][0] == error['message'][0].upper() for error in errors)
    if not errors:
        assert check_all(clean, known) == (clean, [])
        for field in schema.questions(clean, services):
            assert not field.is_required(clean, services) or field.key in clean


@given(st.ip_addresses(), st.integers(0, 128))
def test_no_address_passes_that_the_internet_cannot_reach(address, length):
    text = f'{address}/{min(length, address.max_prefixlen)}' if length else str(address)
    try:
        found = check_one('outbound_ips', [text])
    except Invalid:
        return
    assert address.is_global
    assert found
