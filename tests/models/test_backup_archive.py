import functools
import hashlib
import io
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import backup_archive
from models.backup_archive import Damaged, NotReadable, Reader, Writer, WrongKey

KEY = 'the key of the backups, as long as it has to be'
OTHER = 'another key for backups, as long as it has to be'
KEYS = pytest.mark.parametrize('key', ['', KEY], ids=['plain', 'encrypted'])


@pytest.fixture(autouse=True)
def small_frames(monkeypatch):
    """Many frames in a small file; and keys derived quickly, where the real way is slow on purpose."""
    monkeypatch.setattr(backup_archive, 'CHUNK', 64)
    monkeypatch.setattr(backup_archive, '_derived', _quickly_derived)


_derived = backup_archive._derived


def _quickly_derived(key: str, salt: bytes) -> tuple[bytes, bytes]:
    both = hashlib.sha512(key.encode() + salt).digest()
    return both[:32], both[32:48]


def _written(members: dict[str, bytes], key: str = '') -> bytes:
    file = io.BytesIO()
    writer = Writer(file, key)
    for name, content in members.items():
        with writer.member(name) as member:
            member.write(content)
    writer.finish()
    return file.getvalue()


def _read(data: bytes, key: str = '') -> dict[str, bytes]:
    return {name: b''.join(portions) for name, portions in Reader(io.BytesIO(data), key).members()}


MEMBERS = {'about.json': b'{}', 'text': b'Acme ' * 100, 'random': bytes(range(256)), 'empty': b''}


@functools.cache
def _example(key: str) -> bytes:
    return _written(MEMBERS, key)


@KEYS
@given(
    members=st.dictionaries(
        st.text(min_size=1, max_size=40).filter(lambda name: name.isprintable()), st.binary(max_size=500), min_size=1
    )
)
def test_what_was_written_is_read(key, members):
    assert _read(_written(members, key), key) == members


@KEYS
def test_members_that_fill_frames_exactly_are_read(key):
    for size in range(180):
        assert _read(_written({'a': bytes(size)}, key), key) == {'a': bytes(size)}


@KEYS
@given(data=st.data())
def test_any_flipped_bit_is_found(key, data):
    whole = _example(key)
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    damaged = bytearray(whole)
    damaged[at] ^= 1 << bit
    with pytest.raises(NotReadable):
        _read(bytes(damaged), key)


@KEYS
def test_any_changed_byte_is_found(key):
    """Every byte, one after the other; and what is said is never that the key is wrong."""
    whole = _example(key)
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 0x55
        with pytest.raises(NotReadable) as refused:
            _read(bytes(damaged), key)
        assert not isinstance(refused.value, WrongKey)


@KEYS
def test_a_file_that_was_cut_off_anywhere_is_found(key):
    whole = _example(key)
    for length in range(len(whole)):
        with pytest.raises(NotReadable):
            _read(whole[:length], key)
    with pytest.raises(Damaged, match='ends too early'):
        _read(whole[:-1], key)


@KEYS
def test_a_file_to_which_something_was_added_is_found(key):
    with pytest.raises(Damaged, match='after its end'):
        _read(_example(key) + b'\0', key)


def _frames(whole: bytes) -> tuple[bytes, list[bytes]]:
    at = 0
    for _ in range(3):
        at = whole.index(b'\n', at) + 1
    head, frames = whole[:at], []
    while at < len(whole):
        end = at + 4 + int.from_bytes(whole[at : at + 4], 'big')
        frames.append(whole[at:end])
        at = end
    return head, frames


@KEYS
def test_frames_left_out_repeated_or_in_another_order_are_found(key):
    head, frames = _frames(_example(key))
    assert len(frames) > 8
    for others in (
        [*frames[:2], *frames[3:]], [*frames[:2], frames[1], *frames[2:]], [frames[1], frames[0], *frames[2:]],
        frames[:-1], [*frames[:3], frames[-1]],
    ):  # fmt: skip
        with pytest.raises(Damaged):
            _read(head + b''.join(others), key)


def test_a_wrong_key_and_none_are_told_apart_from_damage():
    with pytest.raises(WrongKey, match='not the key that the backup was made with'):
        _read(_example(KEY), OTHER)
    with pytest.raises(WrongKey, match='PORTAL_BACKUP_KEY is empty'):
        _read(_example(KEY))
    assert _read(_example(''), KEY) == MEMBERS  # a key that is not needed is no harm


def test_the_key_of_the_frames_is_derived_slowly_from_key_and_salt(monkeypatch):
    monkeypatch.setattr(backup_archive, '_derived', _derived)
    whole = _written(MEMBERS, KEY)
    assert _read(whole, KEY) == MEMBERS
    with pytest.raises(WrongKey):
        _read(whole, OTHER)
    assert len({_derived(KEY, b'a' * 16), _derived(KEY, b'b' * 16), _derived(OTHER, b'a' * 16)}) == 3
    assert [len(each) for each in _derived(KEY, b'a' * 16)] == [32, 16]


def test_nothing_can_be_read_in_an_encrypted_file_and_no_two_are_alike():
    first, second = _example(KEY), _written(MEMBERS, KEY)
    assert b'Acme' not in first
    assert b'about.json' not in first
    assert _frames(first)[1][0] != _frames(second)[1][0]


def test_frames_of_another_file_with_the_same_key_do_not_fit():
    head, frames = _frames(_example(KEY))
    _, others = _frames(_written({**MEMBERS, 'text': b'Evil ' * 100}, KEY))
    with pytest.raises(Damaged):
        _read(head + b''.join([*frames[:3], others[3], *frames[4:]]), KEY)


@pytest.mark.parametrize('content', [b'', b'PK\3\4', b'MSP', os.urandom(500)])
def test_what_is_no_backup_is_said_to_be_none(content):
    with pytest.raises(NotReadable, match='This is no backup of the portal'):
        _read(content)


def test_a_format_that_is_not_known_is_said_to_be_so():
    with pytest.raises(NotReadable, match='a format that this portal does not know'):
        _read(_example('').replace(b'backup 1', b'backup 2', 1))


def test_a_frame_that_would_become_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(backup_archive, 'CHUNK', 10_000)
    big = _written({'a': bytes(9_000)})
    monkeypatch.setattr(backup_archive, 'CHUNK', 64)
    with pytest.raises(Damaged):
        _read(big)


@KEYS
def test_a_beginning_that_makes_no_sense_is_damage(key):
    lines = backup_archive.MAGIC + json.dumps([1]).encode() + b'\n'
    with pytest.raises(Damaged):
        _read(lines + hashlib.sha256(lines).hexdigest().encode() + b'\n', key)
