#!/usr/bin/env python3
"""A worker of a pull queue, over HTTP, with nothing but Python's standard library.

    OUTBOXD_URL=http://127.0.0.1:8377 OUTBOXD_API_KEY=obx_… python3 worker.py mail

The key needs the scope `queues:work`. Ends after SIGTERM, once the jobs in hand are done. `--drain`: ends as
soon as nothing is due.
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

URL = os.environ.get("OUTBOXD_URL", "http://127.0.0.1:8377")
KEY = os.environ["OUTBOXD_API_KEY"]
LEASE_S = 60
Job = dict[str, Any]
stop = threading.Event()


class RefusedError(Exception):
    """No further attempt is of any use."""


def work(job: Job) -> Any:
    """Yours. `job["id"]` is the same in every attempt: pass it on as idempotency key. What it returns is the
    job's output; an exception is a failure, and the job runs again later."""
    if job["payload"].get("fail"):
        raise RefusedError("the payload says so")
    return {"doneBy": "worker.py", "n": job["payload"].get("n")}


def call(method: str, path: str, body: object = None, timeout: float = 30) -> tuple[int, Any]:
    """Status and answer. A server that is away, full or closing is asked again."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    pause = 0.2
    while True:
        request = urllib.request.Request(URL + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout) as reply:
                return reply.status, json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as refused:
            if refused.code not in (429, 503):
                return refused.code, json.loads(refused.read() or b"null")
            pause = float(refused.headers.get("retry-after") or pause)
        except OSError as away:
            print("away:", away, file=sys.stderr)
        time.sleep(pause)
        pause = min(pause * 2, 10)


def keep(lease: str, lost: threading.Event, done: threading.Event) -> None:
    """Extends the lease while we work; a lease that is lost is somebody else's: what we do is refused."""
    while not done.wait(LEASE_S / 3):
        status, _ = call("POST", f"/v1/leases/{lease}/extend", {"leaseSeconds": LEASE_S})
        if status == 409:
            lost.set()
            return


def one(job: Job, lost: threading.Event) -> dict[str, Any] | None:
    if lost.is_set():
        return None
    if "payloadUrl" in job:
        _, job["payload"] = call("GET", job["payloadUrl"])
    try:
        return {"jobId": job["id"], "outcome": "completed", "output": work(job)}
    except RefusedError as refused:
        return failed(job, refused, final=True)
    except Exception as broken:  # noqa: BLE001 - whatever it is, the job failed
        return failed(job, broken, final=False)


def failed(job: Job, error: Exception, *, final: bool) -> dict[str, Any]:
    said = {"class": type(error).__name__, "message": str(error)}
    return {"jobId": job["id"], "outcome": "failed", "error": said, "final": final}


def main(queue: str, *, drain: bool) -> None:
    name = f"{socket.gethostname()}:{os.getpid()}"
    wait = 0 if drain else 20_000
    while not stop.is_set():
        wanted = {"worker": name, "limit": 10, "leaseSeconds": LEASE_S, "waitMs": wait}
        status, claimed = call("POST", f"/v1/queues/{queue}/claim", wanted, timeout=60)
        if status != 200:
            sys.exit(f"{status}: {claimed['message']}")
        if claimed["lease"] is None:
            if drain:
                return
            stop.wait(claimed["retryAfterMs"] / 1000)
            continue
        lease, lost, done = claimed["lease"]["id"], threading.Event(), threading.Event()
        keeper = threading.Thread(target=keep, args=(lease, lost, done), daemon=True)
        keeper.start()
        results = [result for result in (one(job, lost) for job in claimed["jobs"]) if result]
        done.set()
        if results:
            # Said again after a lost answer it is answered `repeated`.
            status, told = call("POST", f"/v1/leases/{lease}/settle", {"results": results})
            print(status, [(each["jobId"], each["state"]) for each in (told or {}).get("results", [])])


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    main(sys.argv[1], drain="--drain" in sys.argv)
