import time, asyncpg
from models.database import migrated, opened
from settings import settings
async def test_pieces(postgres, monkeypatch, test_settings):
    def T(label, t): print(f'{label}: {(time.perf_counter()-t)*1000:.0f} ms')
    for i in range(2):
        t=time.perf_counter(); admin=await asyncpg.connect(postgres('postgres')); T('connect',t)
        t=time.perf_counter(); await admin.execute(f'CREATE DATABASE sp{i} TEMPLATE template'); T('create wal_log',t)
        t=time.perf_counter(); await admin.execute(f'CREATE DATABASE sq{i} TEMPLATE template STRATEGY FILE_COPY'); T('create file_copy',t)
        monkeypatch.setenv('PORTAL_DATABASE_URL', postgres(f'sp{i}')); settings.cache_clear(); g=settings()
        t=time.perf_counter(); await migrated(g); T('migrated',t)
        t=time.perf_counter()
        async with opened(g): T('opened incl migrated',t); t=time.perf_counter()
        T('close',t)
        t=time.perf_counter(); await admin.execute(f'DROP DATABASE sp{i} WITH (FORCE)'); T('drop',t)
        t=time.perf_counter(); await admin.close(); T('close admin',t)
async def test_lite(sqlite_file, test_settings):
    def T(label, t): print(f'{label}: {(time.perf_counter()-t)*1000:.0f} ms')
    for i in range(2):
        t=time.perf_counter(); await migrated(test_settings); T('migrated',t)
        t=time.perf_counter()
        async with opened(test_settings): T('opened',t); t=time.perf_counter()
        T('close',t)
