import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.password import _COMMON, MAX_PASSWORD, MIN_PASSWORD, why_refused

ANA = {'email': 'ana.lindqvist@northwind.example', 'name': 'Ana Lindqvist', 'msp': 'Northwind IT'}


@pytest.mark.parametrize(
    ('password', 'why'),
    [
        ('', 'at least 12 characters'),
        ('eleven char', 'at least 12 characters'),
        ('x' * (MAX_PASSWORD + 1), 'at most 256 characters'),
        ('qazwsxedcrfv', 'most common'),
        ('QazWsxEdcRfv', 'most common'),
        ('1Q2w3e4r-5t6y', 'most common'),
        ('correct horse battery staple', 'most common'),
        ('aaaaaaaaaaaa', 'again and again'),
        ('aaaaaaaaaaab', 'again and again'),
        ('            .', 'again and again'),
        ('hunter2hunter2', 'again and again'),
        ('abcdabcdabcdab', 'again and again'),
        ('abcdefghijkl', 'follow one another'),
        ('098765432109', 'follow one another'),
        ('asdfghjklzxcvb', 'follow one another'),
        ('1234abcd5678', 'follow one another'),
        ('aaabbbcccddd', 'follow one another'),
        ('ana.lindqvist@northwind.example', 'e-mail address is in'),
        ('my ANA.Lindqvist@Northwind.Example!', 'e-mail address is in'),
        ('lindqvist2026', 'your name or e-mail'),
        ('Ana Lindqvist', 'your name or e-mail'),
        ('lindqvistlindqvist ana', 'your name or e-mail'),
        ('NorthWind-2026!', 'name of your company'),
        ('northwindnorthwindit', 'name of your company'),
        ('password2026', 'word that is tried first'),
        ('P@ssw0rd-2026', 'word that is tried first'),
        ('MSP Portal 2026', 'word that is tried first'),
        ('Welcome-Lindqvist-01-23', 'names and words'),
    ],
)
def test_what_is_guessed_first_is_refused_with_a_sentence(password, why):
    assert why in why_refused(password, **ANA)


@pytest.mark.parametrize(
    'password',
    [
        'correct horse battery', 'four words are plenty', 'a long new password', 'i love working at northwind',
        'lindqvist buys eleven kites', 'welcome to the jungle 2', 'лето зима весна осень', '🐎 🔋 🪝 ! ? – no words',
        'x7$kQ9!mzP2w', 'abcdefgh 12 trees', 'aaaaaaaaaaab tree',
    ],
)  # fmt: skip
def test_there_are_no_rules_of_what_a_password_is_made_of(password):
    assert why_refused(password, **ANA) == ''


@pytest.mark.parametrize('password', ['Contoso-MSP-2026', 'contoso-msp1234', 'ContosoMSP!01-23'])
@pytest.mark.parametrize('domain', ['contoso-msp.example', 'contoso.example'])
def test_the_company_with_a_year_or_a_number_behind_it_is_refused(password, domain):
    assert 'name of your company' in why_refused(password, email=f'tag@{domain}', name='Tag', msp='Contoso MSP Ltd')


def test_what_is_short_in_a_name_stands_in_many_words_and_counts_for_nothing():
    assert why_refused('anabolic wheat', email='ana@it.example', name='Ana', msp='IT') == ''


def test_what_is_listed_could_be_typed_and_is_refused_by_anybody():
    assert len(_COMMON) > 200
    assert all(len(each) >= MIN_PASSWORD and why_refused(each) for each in _COMMON)


@given(st.text(max_size=300), st.text(max_size=30), st.text(max_size=30), st.text(max_size=30))
def test_whatever_is_typed_is_judged(password, email, name, msp):
    assert isinstance(why_refused(password, email=email, name=name, msp=msp), str)
