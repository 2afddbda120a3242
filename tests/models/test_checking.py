import ipaddress

import idna
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from models import checking
from models.checking import ChangedMeanwhile, Invalid, differing


@pytest.mark.parametrize(
    ('text', 'stored'),
    [
        ('', ''), (None, ''), (' +44 20 7946 0123 ', '+442079460123'), ('0044 (0)20 7946 0123', '+442079460123'),
        ('+447700900123', '+447700900123'), ('+1 (415) 555-0142', '+14155550142'), ('+46-8-465 004 12', '+46846500412'),
    ],
)  # fmt: skip
def test_a_phone_number_is_stored_as_every_telephone_dials_it(text, stored):
    assert checking.phone('phone', text) == stored
    assert checking.phone('phone', stored) == stored
    assert checking.phone('phone', checking.phone_shown(stored)) == stored


def test_a_national_number_is_refused_with_how_it_must_begin_unless_the_region_is_known():
    with pytest.raises(Invalid, match=r'must begin with \+ and the country code'):
        checking.phone('phone', '020 7946 0123')
    assert checking.phone('phone', '020 7946 0123', region='GB') == '+442079460123'
    assert checking.phone_shown('+442079460123') == '+44 20 7946 0123'


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('+44 20', 'too short'), ('+44 20 7946 0123 4567', 'too long'), ('+999 1234567', 'must begin with'),
        ('+44 call me', 'not a phone number'), ('+44 20 7946 0123 ext. 7', 'extension'), ('+', 'not a phone number'),
        ('+44' * 20, 'longer than 40'), ('000000000', 'must begin with'),
    ],
)  # fmt: skip
def test_what_is_no_phone_number_is_refused_with_the_reason(text, why):
    with pytest.raises(Invalid, match=why) as refused:
        checking.phone('mobile', text)
    assert refused.value.field == 'mobile'


def test_an_email_address_may_be_of_any_script_and_needs_no_mailbox():
    assert checking.email('email', ' Ana@Bücher.EXAMPLE ') == 'Ana@bücher.example'
    assert checking.email('email', '') == ''
    for wrong in ('ana', 'ana@', '@b.example', 'a b@c.example', 'ana@localhost', 'a@b.example\x00,c@d.example'):
        with pytest.raises(Invalid, match='is not an e-mail address'):
            checking.email('email', wrong)


@pytest.mark.parametrize(
    ('text', 'stored'),
    [
        ('', ''), ('A.Example.', 'a.example'), ('BÜCHER.example', 'bücher.example'),
        ('xn--bcher-kva.example', 'bücher.example'), ('a-b.c--d.example', 'a-b.c--d.example'),
        ('例え.テスト', '例え.テスト'), ('3com.example', '3com.example'),
    ],
)  # fmt: skip
def test_a_domain_is_stored_as_people_read_it(text, stored):
    assert checking.domain('domain', text) == stored


@pytest.mark.parametrize(
    'text',
    [
        'localhost', 'a@b.example', 'https://a.example', 'a b.example', '-a.example', 'a-.example', 'a..example',
        '.example', 'a_b.example', 'x' * 64 + '.example', 'x.' * 127 + 'example', '192.0.2.1',
        'xn--zzzzzzzz99999.example', 'a.example:25', '\u202e.example', 'xn--a.example',
    ],
)  # fmt: skip
def test_what_is_no_domain_is_refused(text):
    with pytest.raises(Invalid, match='is not a domain'):
        checking.domain('domain', text)


@given(st.text(max_size=80))
def test_any_text_is_a_domain_of_the_internet_or_refused(text):
    try:
        stored = checking.domain('domain', text)
    except Invalid:
        return
    assert checking.domain('domain', stored) == stored
    assert not stored or idna.encode(stored).decode().isascii()


@given(st.text(max_size=60))
def test_any_text_is_an_address_a_number_a_network_or_refused(text):
    for check in (checking.email, checking.phone, checking.network):
        try:
            stored = check('field', text)
        except Invalid:
            continue
        assert check('field', stored) == stored


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), st.integers(0, 128))
def test_only_networks_that_the_internet_can_reach_are_taken(address, prefix):
    assume(prefix <= address.max_prefixlen)
    wanted = ipaddress.ip_network((address, prefix), strict=False)
    try:
        stored = ipaddress.ip_network(checking.network('ips', str(wanted)))
    except Invalid:
        # Nothing is refused that is within what the registries give out (2002::/16 is long abandoned).
        ordinary = [ipaddress.ip_network(block) for block in ('8.0.0.0/7', '2600::/12')]
        assert wanted.prefixlen < 8 or not any(wanted[0] in block and wanted[-1] in block for block in ordinary)
        return
    assert stored == wanted
    assert prefix >= 8
    for end in (stored[0], stored[-1]):
        assert end.is_global
        assert not any((end.is_private, end.is_multicast, end.is_loopback, end.is_link_local, end.is_reserved))


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        ('192.168.10.4', 'private'), ('172.0.0.0/8', 'private'), ('10.0.0.0/8', 'private'),
        ('172.16.5.5', 'private'), ('fd00::1', 'private'),
        ('127.0.0.1', 'of this machine'), ('::1', 'of this machine'), ('169.254.1.1', 'link-local'),
        ('fe80::1', 'link-local'), ('224.0.0.1', 'multicast'), ('ff02::1', 'multicast'), ('0.0.0.0', 'unspecified'),
        ('::', 'unspecified'), ('240.0.0.1', 'reserved'), ('100.64.0.1', 'shared'), ('192.0.2.1', 'documentation'),
        ('0.0.0.0/0', 'too large'), ('8.0.0.0/7', 'too large'), ('::/0', 'too large'),
        ('9.9.9.9/24', r'9\.9\.9\.0/24 is'), ('mail.a.example', 'not an IP'), ('1.2.3', 'not an IP'),
        ('01.2.3.4', 'not an IP'), ('192.0.0.0/8', 'not a public'), ('fe80::1%eth0', 'not an IP'),
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused_with_the_reason(text, why):
    with pytest.raises(Invalid, match=why):
        checking.network('outbound_ips', text)


def test_addresses_for_documentation_are_taken_for_simulated_customers_only():
    for text in ('192.0.2.7', '198.51.100.0/28', '2001:db8::25'):
        assert checking.network('ips', text, documentation=True) == text
    for text in ('192.0.2.0/23', '10.0.0.1'):
        with pytest.raises(Invalid):
            checking.network('ips', text, documentation=True)


def test_a_list_may_be_a_text_and_has_everything_once():
    wanted = ['9.9.9.9', '2620:fe::fe', '8.8.8.0/24']
    assert checking.networks('ips', '9.9.9.9, 2620:FE::FE\r\n8.8.8.0/24;;9.9.9.9/32 ') == wanted
    assert checking.networks('ips', [*wanted, '']) == wanted
    assert checking.networks('ips', None) == checking.networks('ips', ' ,\n') == []
    assert checking.domains('domains', 'B.example b.example') == ['b.example']
    for wrong in ({'a': 1}, b'9.9.9.9', 7):
        with pytest.raises(Invalid, match='must be a list'):
            checking.networks('ips', wrong)
    with pytest.raises(Invalid) as refused:  # all of them, so that they are corrected in one go
        checking.domains('domains', 'good.example a b c a d e f g')
    assert refused.value.message == (
        '; '.join(f'“{name}” is not a domain' for name in 'abcde') + '; and 2 more'
    )  # fmt: skip


def test_a_machine_has_a_name_or_a_public_address():
    for text, stored in ((' Relay.Example.com. ', 'relay.example.com'), ('8.8.8.8', '8.8.8.8'), ('', '')):
        assert checking.machine('host', text) == stored
    for text, why in (('a.example:587', 'has a port'), ('10.0.0.1', 'not a public'), ('8.8.8.0/24', 'is a network')):
        with pytest.raises(Invalid, match=why):
            checking.machine('host', text)


def test_a_list_ends_at_fifty():
    fifty = [f'9.9.9.{n}' for n in range(50)]
    assert checking.networks('ips', fifty + fifty) == fifty
    with pytest.raises(Invalid, match='more than 50'):
        checking.networks('ips', [*fifty, '9.9.8.1'])


_value = st.sampled_from(['', 'a', 'b', 1, 2, None])
_facts = st.fixed_dictionaries({'x': _value, 'y': _value})


@given(stored=_facts, wished=_facts, was=st.one_of(st.none(), _facts))
def test_a_field_is_changed_only_over_what_the_editor_saw(stored, wished, was):
    def plain(value):
        return '' if value is None else str(value)

    differ = {field for field in wished if plain(stored[field]) != plain(wished[field])}
    overtaken = {field for field in differ if was is not None and plain(was[field]) != plain(stored[field])}
    if overtaken:
        with pytest.raises(ChangedMeanwhile) as told:
            differing(stored, wished, was)
        assert told.value.field in overtaken
        assert told.value.now == stored[told.value.field]
    else:
        assert differing(stored, wished, was) == {field: stored[field] for field in differ}


# -- all that is wrong at once ----------------------------------------------------------------------------------------


def test_a_refusal_of_several_fields_is_the_first_with_the_others():
    def check(field, value):
        if not value:
            raise Invalid(field, 'is empty')
        return value.upper()

    assert checking.each({'a': 'x', 'b': 'y'}, check) == {'a': 'X', 'b': 'Y'}
    with pytest.raises(Invalid) as refused:
        checking.each({'a': '', 'b': 'y', 'c': ''}, check)
    assert (refused.value.field, refused.value.message) == ('a', 'is empty')
    assert refused.value.errors == {'a': 'is empty', 'c': 'is empty'}


def test_of_a_field_that_is_wrong_twice_the_first_is_told():
    problems = checking.Problems()
    for message in ('first', 'second'):
        with problems.noted():
            raise Invalid('a', message)
    with pytest.raises(Invalid) as refused:
        problems.refuse()
    assert refused.value.errors == {'a': 'first'}


def test_nothing_wrong_is_no_refusal():
    checking.Problems().refuse()
