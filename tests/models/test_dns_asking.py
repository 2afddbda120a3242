import time

import dns.rcode
import pytest

from models import dns_asking
from models.dns_asking import ask, includes, leads_to, txt
from settings import name_servers, settings


async def test_the_records_of_a_domain_are_found(server):
    server.zones['ash.example'] = {
        'MX': ['20 B.Relay.example.', '10 a.relay.example.'],
        'TXT': ['"something else"', '"v=spf1 include:_spf" ".vendor.example -all"', '"v=spf10 no"'],
    }
    found = await ask(' Ash.example. ')
    assert found.mx == ['a.relay.example', 'b.relay.example']
    assert found.spf == ['v=spf1 include:_spf.vendor.example -all']
    assert (found.error, found.exists) == ('', True)
    assert set(server.asked) == {('ash.example', 'MX'), ('ash.example', 'TXT')}


async def test_a_domain_of_other_letters_is_asked_for_as_it_is_known_there(server):
    server.mail('xn--bckerei-5wa.example', 'mx.example')
    assert (await ask('Bäckerei.example')).mx == ['mx.example']


async def test_what_there_is_not_is_an_answer(server):
    server.zones['bare.example'] = {}
    found = await ask('bare.example')
    assert (found.mx, found.spf, found.error, found.exists) == ([], [], '', True)
    found = await ask('nowhere.example')
    assert (found.error, found.exists) == ('There is no domain nowhere.example.', False)
    server.zones['no-mail.example'] = {'MX': ['0 .']}
    assert (await ask('no-mail.example')).takes_no_mail


async def test_trouble_is_said_and_never_raised(server, monkeypatch):
    monkeypatch.setattr(dns_asking, 'SECONDS', 0.2)
    server.silent = True
    began = time.monotonic()
    found = await ask('ash.example')
    assert (found.exists, found.error) == (None, 'No answer from the name servers within 5 seconds.')
    assert time.monotonic() - began < 2
    assert await txt('ash.example') == ([], found.error)
    server.silent, server.rcode = False, dns.rcode.SERVFAIL
    assert (await ask('ash.example')).error == 'No name server could answer.'
    for wrong in ('', 'a..b', 'x' * 64 + '.example', 'ä' * 300, '\x00', '-ä.example'):
        found = await ask(wrong)
        assert found.exists is None, wrong
        assert found.error, wrong


async def test_without_a_network_it_says_so(monkeypatch):
    monkeypatch.setattr(dns_asking, 'SECONDS', 0.3)
    monkeypatch.setenv('PORTAL_DNS', '127.0.0.1:1')
    settings.cache_clear()
    found = await ask('ash.example')
    assert found.exists is None
    assert found.error


@pytest.mark.parametrize(
    ('spf', 'host', 'yes'),
    [
        ('v=spf1 include:_spf.vendor.example -all', '_spf.vendor.example', True),
        ('v=spf1 +include:_SPF.Vendor.example. -all', '_spf.vendor.example', True),
        ('v=spf1 redirect=_spf.vendor.example', '_spf.vendor.example', True),
        ('v=spf1 -include:_spf.vendor.example ~all', '_spf.vendor.example', False),
        ('v=spf1 include:_spf.vendor.example.evil.example -all', '_spf.vendor.example', False),
        ('v=spf1 ip4:192.0.2.1 -all', '_spf.vendor.example', False),
    ],
)
def test_what_an_spf_record_includes(spf, host, yes):
    assert includes(spf, host) == yes


def test_a_host_is_one_of_those_or_below_one():
    assert leads_to('Eu-in-1.Vendor.example.', ['vendor.example'])
    assert leads_to('vendor.example', ['vendor.example.'])
    assert not leads_to('notvendor.example', ['vendor.example'])
    assert not leads_to('vendor.example.evil.example', ['vendor.example'])
    assert not leads_to('vendor.example', [])


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ('', []), ('192.0.2.53', [('192.0.2.53', 53)]), ('192.0.2.53:5353, ::1', [('192.0.2.53', 5353), ('::1', 53)]),
        ('[2001:db8::53]:54', [('2001:db8::53', 54)]),
    ],
)  # fmt: skip
def test_name_servers_are_addresses_with_or_without_a_port(text, found):
    assert name_servers(text) == found


@pytest.mark.parametrize('text', ['dns.example', '192.0.2.53:0', '192.0.2.53:99999', '192.0.2.53:x', '[::1', 'a,b'])
def test_what_is_no_name_server_is_refused(text):
    with pytest.raises(ValueError, match='name servers'):
        name_servers(text)
