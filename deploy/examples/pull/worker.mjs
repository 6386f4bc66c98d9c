#!/usr/bin/env node
// A worker of a pull queue in Node 18 or newer, without packages.
//
//   OUTBOXD_URL=http://127.0.0.1:8377 OUTBOXD_API_KEY=obx_… node worker.mjs mail [--drain]
//
// Ends after SIGTERM, once the jobs in hand are done. --drain: ends when nothing is due.
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

const url = process.env.OUTBOXD_URL ?? 'http://127.0.0.1:8377';
const [queue, ...flags] = process.argv.slice(2);
const drain = flags.includes('--drain');
const leaseSeconds = 60;
let stopping = false;
process.on('SIGTERM', () => { stopping = true; });
process.on('SIGINT', () => { stopping = true; });

// Yours. `job.id` is the same in every attempt: pass it on as idempotency key. `signal` is aborted when the
// lease is lost: then somebody else has the job.
async function work(job, signal) {
  if (job.payload.fail) throw Object.assign(new Error('the payload says so'), { final: true });
  return { doneBy: 'worker.mjs', n: job.payload.n };
}

async function call(method, path, body) {
  for (let pause = 200; ; pause = Math.min(pause * 2, 10_000)) {
    try {
      const reply = await fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${process.env.OUTBOXD_API_KEY}`, 'content-type': 'application/json' },
        body: body && JSON.stringify(body),
        signal: AbortSignal.timeout(60_000),
      });
      const text = await reply.text();
      if (![429, 503].includes(reply.status)) return { status: reply.status, told: text ? JSON.parse(text) : null };
      pause = 1000 * Number(reply.headers.get('retry-after') ?? 1);
    } catch (away) {
      console.error('away:', away.message);
    }
    await sleep(pause);
  }
}

async function one(job, signal) {
  try {
    if (job.payloadUrl) job.payload = (await call('GET', job.payloadUrl)).told;
    return { jobId: job.id, outcome: 'completed', output: await work(job, signal) };
  } catch (error) {
    const said = { class: error.name, message: error.message };
    return { jobId: job.id, outcome: 'failed', final: error.final === true, error: said };
  }
}

while (!stopping) {
  const wanted = { worker: `${hostname()}:${process.pid}`, limit: 10, leaseSeconds, waitMs: drain ? 0 : 20_000 };
  const { status, told: claimed } = await call('POST', `/v1/queues/${queue}/claim`, wanted);
  if (status !== 200) throw new Error(`${status}: ${claimed.message}`);
  if (!claimed.lease) {
    if (drain) break;
    await sleep(claimed.retryAfterMs);
    continue;
  }
  const lost = new AbortController();
  const keeper = setInterval(async () => {
    const { status } = await call('POST', `/v1/leases/${claimed.lease.id}/extend`, { leaseSeconds });
    if (status === 409) lost.abort();
  }, leaseSeconds * 1000 / 3);
  const results = await Promise.all(claimed.jobs.map((job) => one(job, lost.signal)));
  clearInterval(keeper);
  // Said again after a lost answer it is answered `repeated`.
  const { status: settled, told } = await call('POST', `/v1/leases/${claimed.lease.id}/settle`, { results });
  console.log(settled, JSON.stringify(told));
}
