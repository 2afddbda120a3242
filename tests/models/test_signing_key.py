from datetime import UTC, datetime, timedelta

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from models import HistoryEvent, SigningKey
from models.checking import Impossible
from models.sealed import seal
from settings import settings


async def _keys() -> KeySet:
    return KeySet.import_key_set(await SigningKey.published())  # type: ignore[arg-type]


async def test_the_first_use_makes_a_key_and_what_it_signs_is_known_by_the_published_one(db):
    key = await SigningKey.current()
    assert (await SigningKey.current()).id == key.id
    token = jwt.decode(key.sign({'sub': 'ana'}), await _keys(), algorithms=['ES256'])
    assert token.claims == {'sub': 'ana'}
    assert token.header == {'alg': 'ES256', 'typ': 'JWT', 'kid': key.kid}


async def test_the_private_half_is_sealed_and_never_published(db):
    key = await SigningKey.current()
    assert key.private.startswith('s1.')
    assert 'PRIVATE' not in key.private
    (published,) = (await SigningKey.published())['keys']
    assert set(published) == {'kty', 'crv', 'x', 'y', 'kid', 'use', 'alg'}


async def test_after_a_rotation_the_new_key_signs_and_the_old_one_stays_known_for_a_day(db, northwind):
    old = await SigningKey.current()
    signed = old.sign({'sub': 'ana'})
    new = await SigningKey.rotate()
    assert (await SigningKey.current()).id == new.id != old.id
    assert jwt.decode(signed, await _keys(), algorithms=['ES256']).claims == {'sub': 'ana'}
    await old.refresh_from_db()
    assert old.private == ''  # it never signs again
    assert await HistoryEvent.filter(partner_id=northwind.partner.id, kind='console.keys_rotated').count() == 1
    await SigningKey.filter(id=old.id).update(retired_at=datetime.now(UTC) - timedelta(hours=25))
    assert [key['kid'] for key in (await SigningKey.published())['keys']] == [new.kid]
    with pytest.raises(JoseError):
        jwt.decode(signed, await _keys(), algorithms=['ES256'])
    await SigningKey.rotate()
    assert not await SigningKey.exists(id=old.id)


async def test_a_key_that_another_secret_sealed_says_so_and_a_new_one_is_the_way_out(db, monkeypatch):
    key = await SigningKey.current()
    monkeypatch.setenv('PORTAL_SECRET', 'y' * 40)
    settings.cache_clear()
    with pytest.raises(Impossible, match=r'python main\.py rotate-keys'):
        (await SigningKey.current()).sign({})
    assert [each['kid'] for each in (await SigningKey.published())['keys']] == [key.kid]
    await SigningKey.rotate()
    assert (await SigningKey.current()).sign({'sub': 'ana'})


async def test_a_key_is_sealed_for_itself_and_cannot_be_put_in_the_place_of_another(db):
    key = await SigningKey.current()
    await SigningKey.filter(id=key.id).update(private=seal('-----BEGIN', 'signing key other'))
    with pytest.raises(Impossible):
        (await SigningKey.current()).sign({})
