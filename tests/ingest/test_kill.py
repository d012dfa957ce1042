"""kill -9 of the collector at random moments."""

import random

from tests.support.events import burst, digest
from tests.support.home import eventually

KILLS, BURST = 20, 50_000


def test_each_popped_batch_is_wholly_stored_or_wholly_absent(home, proxy):
    chance = random.Random(20)
    home.use(proxy, LEDGER_BATCH_SIZE="100")
    events = burst(BURST)
    for part in range(KILLS):
        proxy.push(events[part * BURST // KILLS : (part + 1) * BURST // KILLS])
        popped = len(proxy.popped)
        process = home.start("ingest")
        # Somewhere in the part's 25 batches, wherever the collector then is.
        least = popped + chance.randrange(1, 22)
        eventually(lambda least=least: len(proxy.popped) >= least)
        process.kill()
        process.communicate()
    home.run("ingest", "--once")

    stored = {hash_ for (hash_,) in home.query("select event_hash from usage_events")}
    stored_counts = [sum(digest(event) in stored for event in batch) for batch in proxy.popped]
    torn = [
        n for n, batch in zip(stored_counts, proxy.popped, strict=True) if n not in (0, len(batch))
    ]
    absent = stored_counts.count(0)
    [(at_risk,)] = home.query("select sum(batches_at_risk) from gaps")
    print(f"{len(stored_counts)} batches, {absent} missing, {at_risk} at risk, {KILLS} kills")
    assert not torn
    assert absent <= at_risk <= KILLS
    assert len(stored) == sum(stored_counts) == home.count()
    home.run("ledger", "check")
    assert home.spool().read_bytes() == b""


def test_a_batch_in_the_spool_is_replayed_once(home, proxy, all_recorded):
    home.use(proxy)
    home.run("ingest", "--once")
    from ingest.spool import Batch, Spool

    spool = Spool(home.spool())
    spool.write(Batch(1, "resp", 1_795_500_000_000, all_recorded))
    spool.close()
    content = home.spool().read_bytes()
    home.run("ingest", "--once")
    assert home.query("select received, stored from ingest_ledger") == [(370, 370)]

    home.spool().write_bytes(content)
    home.run("ingest", "--once")
    assert home.query("select received, stored from ingest_ledger") == [(370, 370)]


def test_a_locked_database_keeps_the_batch(home, proxy, all_recorded):
    import sqlite3

    home.use(proxy)
    home.run("ingest", "--once")
    home.start("ingest")
    eventually(lambda: home.query("select 1 from heartbeats where state = 'working'"))
    locker = sqlite3.connect(home.data / "ledger.db", isolation_level=None)
    locker.execute("begin immediate")
    proxy.push(all_recorded[:300])
    eventually(lambda: proxy.queued == 0)
    pops = len(proxy.popped)
    proxy.push(all_recorded[300:])
    eventually(lambda: home.spool().stat().st_size > 0)
    assert len(proxy.popped) == pops
    locker.execute("commit")
    locker.close()
    eventually(lambda: home.count() == 370)
