"""What waits for a dead endpoint, and what it costs those who work for others."""

import statistics
import time
from uuid import UUID

from tests.handlers.desk import Desk
from tests.proofs import proves


@proves("D6")
async def test_a_hundred_thousand_deliveries_for_a_dead_endpoint_cost_a_claim_nothing(post: Desk) -> None:
    (dead, well) = [await post.endpoint("http://127.0.0.1:1/", types=[name]) for name in ("dead", "well")]
    queues = {
        endpoint: await post.crew.value("select queue_id from outbox.endpoints where id = %s", endpoint)
        for endpoint in (dead, well)
    }
    await post.do(
        "update outbox.queues set closed_until = outbox.clock() + interval '1 h', probing = true"
        " where id = %s",
        queues[dead],
    )
    await post.publish(type_="well")
    worker = await post.crew.value("select worker_id from outbox.enlist('w', array['deliver'])")
    alone = await claiming(post, worker, queues[well])
    await post.do(
        """
        insert into outbox.ready (queue_id, lane, priority, run_at, job_id, attempt, no, series)
        select %s, 1, 0, outbox.clock() - interval '1 h', outbox.uuid7(outbox.clock()), 0, 0, 0
        from generate_series(1, 100000)
        """,
        queues[dead],
    )
    beside = await claiming(post, worker, queues[well])

    assert beside < alone * 2 + 0.002, (alone, beside)
    assert 0 == await post.crew.value("select count(*) from outbox.attempts")


async def claiming(post: Desk, worker: UUID, queue: int) -> float:
    """Seconds of a claim, the median of 21; what it gave is put back."""
    took = []
    for _ in range(21):
        before = time.perf_counter()
        rows = await post.crew.rows("select queue_id, lease_id, job_id from outbox.claim(%s, 10)", worker)
        took.append(time.perf_counter() - before)
        assert [queue] == [row["queue_id"] for row in rows]
        await post.do(
            "insert into outbox.ready"
            " select run_ats[1], lanes[1], job_ids[1], queue_id, priorities[1], 0, 0, 0"
            " from outbox.leases"
        )
        await post.do("delete from outbox.leases")
    return statistics.median(took)


async def test_why_says_that_one_delivery_tries_the_target(post: Desk) -> None:
    endpoint = await post.endpoint("http://127.0.0.1:1/", concurrency=8)
    await post.do(
        "update outbox.queues set probing = true"
        " where id = (select queue_id from outbox.endpoints where id = %s)",
        endpoint,
    )
    jobs = [await post.delivery() for _ in range(3)]
    worker = await post.crew.value("select worker_id from outbox.enlist('w', array['deliver'])")
    claimed = await post.crew.rows("select job_id from outbox.claim(%s, 10)", worker)
    waiting = next(job for job in jobs if job != claimed[0]["job_id"])
    told = await post.crew.rows("select reason, detail from outbox.why(%s)", waiting)

    assert 1 == len(claimed)
    assert ("no_slot", "1 of 1 run, on w, which tries the target") == (told[0]["reason"], told[0]["detail"])
