import pytest

from models.dns_asking import Found
from models.mail_platforms import likely
from models.prospect import in_words


def test_the_platform_behind_a_gateway_is_guessed_from_who_may_send():
    spf = ['v=spf1 include:spf.protection.outlook.com include:_netblocks.mimecast.com -all']
    assert likely(['eu-smtp-inbound-1.mimecast.com'], spf) == ['Mimecast', 'Microsoft 365']
    assert likely(['aspmx.l.google.com'], []) == ['Google Workspace']
    assert likely(['mail.notgoogle.com', 'mx.akesson.example'], []) == []


@pytest.mark.parametrize(
    ('found', 'said'),
    [
        (
            Found('a.example', ['a-example.mail.protection.outlook.com'], ['v=spf1 -all']),
            'Mail for a.example goes to a-example.mail.protection.outlook.com, which looks like Microsoft 365; '
            'an SPF record was found.',
        ),
        (Found('a.example'), 'a.example has no MX record; no SPF record was found.'),
        (Found('a.example', mx=['.']), 'a.example says that it takes no mail.'),
        (Found('a.example', error='No answer.', exists=None), 'No answer.'),
    ],
)
def test_what_was_found_is_said_in_a_sentence(found, said):
    assert in_words(found) == said
