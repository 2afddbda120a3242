"""Which passwords are refused, and why: those that are guessed first.

After NIST SP 800-63B, 5.1.1.2 (memorized secret verifiers): a length, no rules of composition, and a comparison with
what is commonly used, expected or known to be compromised – passwords from breaches, characters that repeat or follow
one another, and words of the context: the service, the person and derivatives of both.

`_LISTED` are the passwords of at least `MIN_PASSWORD` characters among the 30,000 most frequent ones of published
breaches, as zxcvbn 4.5.0 (MIT) lists them (Mark Burnett's ten million), without crude ones. Most of what is common is
shorter, and refused for its length.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

from models.text import fold

MIN_PASSWORD = 12
MAX_PASSWORD = 256  # argon2 takes any length; a megabyte of password is an attack

_WORDS = 'A few words that only you would put together are hard to guess and easy to keep in mind.'
_LEAST = 4  # letters of a word that counts: shorter ones are in many others
_RUN = 3  # characters that follow one another, at least
_NUMBER = 4  # digits of a year or a day, which people put behind a word
# What is put into a password to make it longer; none of it may be most of one.
_EXPECTED = ('password', 'passwort', 'passphrase', 'welcome', 'willkommen', 'letmein', 'changeme', 'qwerty', 'qwertz',
             'administrator', 'admin', 'iloveyou', 'dragon', 'monkey', 'football', 'baseball', 'sunshine', 'princess',
             'trustno1', 'superman', 'batman', 'master', 'secret', 'login', 'mspportal', 'portal')  # fmt: skip
_LEET = str.maketrans('@4310$57', 'aaeiosst')
_ROWS = ('abcdefghijklmnopqrstuvwxyz', '01234567890', 'qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwertzuiop', 'yxcvbnm')
_FOLLOWS = {pair for row in _ROWS for line in (row, row[::-1]) for pair in pairwise(line)}
_LISTED = """
123qweasdzxc 1qaz2wsx3edc q1w2e3r4t5y6 1q2w3e4r5t6y mailcreated5240 qazwsxedcrfv 123456qwerty qwerty123456
sojdlg123aljg leavemealone 123456654321 gfhjkmgfhjkm qazwsxedc123 ghjcnjgfhjkm sonyericsson zxcasdqwe123 ghhh47hj7649
123456789qwe 1qazxsw23edc qwerasdfzxcv qweasdzxc123 flvbybcnhfnjh 123456789987654321 112233445566 finalfantasy
ghbdtnrfrltkf websolutions chickenwing101 1qaz2wsx3edc4rfv justinbieber contortionist newproject2004 needforspeed
businessbabe 123456789123 maurolarastefy domainlock2005 dkflbvbhjdbx hd764nw5d7e1vb1 qazwsxedcrfvtgb dkflbvbhjdyf
counterstrike zaq1xsw2cde3 vfvfvskfhfve ghjcnjghjcnj fkmnthyfnbdf 123456789abc admin18533362 23176djivanfros
123456789qwerty qazxswedcvfr qwertyasdfgh 1111111111zz fktrcfylhjdyf fktrcfylhjdbx 123456789qaz 541233432442
12345678900987654321 password1234 ghbdtnghbdtn 010203040506 lost4815162342 102030405060 vanyarespekt qwerty123456789
devilmaycry4 iseedeadpeople 89231243658s 123456789qqq jamesbond007 4815162342lost 123123qweqwe qwertyytrewq
1234567890qw 1234qwerasdf 123qwe456rty asdfghjkl123 ghjcnjrdfibyj qwertyuiop123 saun24865709 q1w2e3r4t5y6u7
1qa2ws3ed4rf 123456789zxc ptybnxtvgbjy 12345678987654321 mevefalkcakk playstation3 31217221027711 q1w2e3r4t5y6u7i8
zqjphsyf6ctifgu 1234567890qwe hedimaptfcor lhbjkjubz2957704 andrewjackie networkingpe 12qw34er56ty 1qazxsw23edcvfr4
159753456852 123456782000 christopher1 ingodwetrust installdevic digitalprodu minecraft123 boy4u2ownnyc peanutbutter
an83546921an13 1234567890zzz olcrackmaster abc123456789 auckland2010 residentevil qawsedrftgyh 123321qweewq
32615948worms 742617000027 nemvxyheqdd5oqxyxyzi avrillavigne massimiliano 012345678910 41d8cd98f00b nhfdvfnjkju123
gjkysqgbpltw temppassword ticketmaster 01telemike01 p030710p$e4o stratocaster punksnotdead playstation2 fynfyfyfhbde
ghjcnjqgfhjkm nightcrawler installsqlst 123456789101 frederiksberg 1234567890qaz 1a2s3d4f5g6h sanfrancisco
89876065093rax ghjcnjgbpltw 1234567qwertyu 1234qwerasdfzxcv lytghjgtnhjdcr schoolgirlie 111222333000 zaqwsxcderfv
nhecsyfujkjdt qwaszxerdfcv antananarivu vfrcbvvfrcbv greenlantern q1w2e3r4t5y6u7i8o9p0 passwordstandard corperfmonsy
maprchem56458 warhammer40k 1234567890qwerty morganstanley 1234567890987654321 cjdthitycndj bltynbabrfwbz qwertyuiop10
qazxswedc123 zxcvbn123456 gtnhjpfdjlcr 123321456654 59382113kevinp bpgjldsgjldthnf rfnthbyf1988 1qa2ws3ed4rf5tg
qwertyuiop12345 nhfycajhvths msorcloledbr stickdaddy77 vfhbyfvfhbyf asdfgh123456 123456789asd specialinsta
michaeljackson webuivalidat 1234567887654321 1234567892000 ilovemyfamily weihnachtsbau 014702580369 qaz123wsx456
123456789qwer 111222333444555 123456789000 systemofadown vladimirovna 122333444455555 amadeusptfcor zxcvbnm123456789
websolutionssu paraklast1974 minnesota_hp nondriversig 123qwerty123 a1s2d3f4g5h6 z1x2c3v4b5n6m7 ghjnbdjcnjzybt
thecakeisalie fktrcfylhjdf qwertyuiop12 ontheoutside zcfvfzkexifz sonnenschein wazzkaprivet xxxp455w0rd5
qwertasdfgzxcvb weihnachtsbaum correcthorsebatterystaple
"""
_COMMON = frozenset(_LISTED.split())


def why_refused(password: str, *, email: str = '', name: str = '', msp: str = '') -> str:
    """A sentence that says what is wrong with this password for this person of this MSP; '' where nothing is."""
    if len(password) < MIN_PASSWORD:
        return f'A password has at least {MIN_PASSWORD} characters.'
    if len(password) > MAX_PASSWORD:
        return f'A password has at most {MAX_PASSWORD} characters.'
    folded = fold(password)
    bare = _bare(folded)
    if folded in _COMMON or bare in _COMMON:
        return f'This is one of the most common passwords, and tried before any other. {_WORDS}'
    if _repeats(folded):
        return f'This is the same again and again, which is guessed early. {_WORDS}'
    if _is_sequence(folded):
        return f'These are characters that follow one another, which are guessed early. {_WORDS}'
    if email and _bare(fold(email)) in bare:
        return f'Your e-mail address is in this password. {_WORDS}'
    local, _, domain = fold(email).partition('@')
    own = [_bare(local), _bare(fold(name)), *_parts(local), *_parts(fold(name))]
    if _is_mostly(bare, own):
        return f'This is hardly more than your name or e-mail address. {_WORDS}'
    site = domain.rpartition('.')[0]
    company = [_bare(fold(msp)), *_parts(fold(msp)), _bare(site), *_parts(site)]
    if _is_mostly(_without_number(bare), company):
        return f'This is hardly more than the name of your company. {_WORDS}'
    if any(_is_mostly(text, _EXPECTED) for text in (bare, _bare(folded.translate(_LEET)))):
        return f'This is hardly more than a word that is tried first. {_WORDS}'
    # A name and a common word together are no better than either.
    if _is_mostly(bare, [*own, *company, *_EXPECTED]):
        return f'This is made of names and words that are tried first. {_WORDS}'
    return ''


def _bare(folded: str) -> str:
    """Letters and digits only."""
    return ''.join(c for c in folded if c.isalnum())


def _without_number(bare: str) -> str:
    """Without the last digits, of which a year has four."""
    return bare[: len(bare) - min(_NUMBER, len(bare) - len(bare.rstrip('0123456789')))]


def _parts(folded: str) -> list[str]:
    """The words of a name or an address."""
    return ''.join(c if c.isalnum() else ' ' for c in folded).split()


def _repeats(text: str) -> bool:
    """Whether there are hardly any different characters, or whether a few – fewer than a password has – come again and
    again, the last time perhaps in part."""
    lags = range(1, min(MIN_PASSWORD, len(text) // 2 + 1))
    return len(set(text)) < _LEAST or any(text[lag:] == text[:-lag] for lag in lags)


def _is_sequence(text: str) -> bool:
    """Whether all of it is runs: of one character, of the alphabet, of digits or of a row of the keyboard."""
    return all(length >= _RUN for length in _runs(text))


def _runs(text: str) -> Iterator[int]:
    """The lengths of the runs that a text consists of."""
    start = 0
    while start < len(text):
        end = start + 1
        if end < len(text):
            is_same = text[start] == text[end]
            while end < len(text) and (text[end] == text[start] if is_same else (text[end - 1], text[end]) in _FOLLOWS):
                end += 1
        yield end - start
        start = end


def _is_mostly(bare: str, words: Iterable[str]) -> bool:
    """Whether more than half of it is these words, wherever they stand."""
    rest = bare
    for word in sorted({word for word in words if len(word) >= _LEAST}, key=len, reverse=True):
        rest = rest.replace(word, ' ')
    return len(rest.replace(' ', '')) * 2 < len(bare)
