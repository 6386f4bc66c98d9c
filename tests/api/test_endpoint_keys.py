"""What deliveries are signed with, over HTTP: made, shown once, replaced with an overlap."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow

from outboxd.db.pool import Database
from outboxd.handlers import signing
from outboxd.store import endpoint_keys
from tests import seed
from tests.api.served import Served, serving
from tests.api.test_endpoints import SEAL, URL, make
from tests.clock import Clock

Conn = AsyncConnection[DictRow]
GIVEN = "whsec_" + base64.b64encode(b"g" * 24).decode()
PRIVATE = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="


async def rotate(served: Served, id_: str, status: int = 200, **fields: Any) -> dict[str, Any]:
    reply = await served.http.post(f"/v1/endpoints/{id_}/secret/rotate", json=fields)
    assert reply.status_code == status, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def keys(served: Served, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = (await served.http.get(f"/v1/endpoints/{id_}/secret")).json()
    return found


async def test_the_old_key_signs_too_until_its_overlap_is_over(
    db: Database, conn: Conn, clock: Clock
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        first = await make(served)
        id_ = first["endpoint"]["id"]
        clock.forward(timedelta(seconds=1))
        second = await rotate(served, id_, overlapSeconds=3600)
        both = await keys(served, id_)
        clock.forward(timedelta(seconds=3600))
        one = await keys(served, id_)
        clock.forward(timedelta(seconds=1))
        third = await rotate(served, id_, overlapSeconds=0)
        last = await keys(served, id_)
    dropped = await endpoint_keys.forget(conn)
    left = await (await conn.execute("select count(*) as n from outbox.endpoint_secrets")).fetchall()

    assert len({first["secret"], second["secret"], third["secret"]}) == 3
    assert [second["secret"], first["secret"]] == both["secrets"]
    assert second["secret"] == both["secret"]
    assert [[second["secret"]], [third["secret"]]] == [one["secrets"], last["secrets"]]
    assert ("hmac", round(clock.now.timestamp() * 1000) - 1000) == (second["kind"], second["oldUntilEpoch"])
    assert (2, [{"n": 1}]) == (dropped, left)


async def test_a_rotation_is_audited_without_the_secret(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        made = await rotate(served, (await make(served))["endpoint"]["id"])
    rows = await (
        await conn.execute(
            "select details, audit_log::text as whole from outbox.audit_log"
            " where action = 'endpoint.secret_rotated'"
        )
    ).fetchall()

    assert [{"kind": "hmac", "overlapSeconds": 86_400}] == [row["details"] for row in rows]
    assert made["secret"] not in rows[0]["whole"]


async def test_an_ed25519_key_is_known_by_its_public_half_only(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        made = await make(served, signing="v1+v1a")
        id_ = made["endpoint"]["id"]
        given = await rotate(served, id_, secret=PRIVATE, kind="ed25519")
        shown = await keys(served, id_)

    assert made["secret"].startswith("whsec_")
    assert made["publicKey"].startswith("whpk_")
    assert "warnings" not in made
    assert ({"kind", "publicKey", "oldUntilEpoch"}, PUBLIC) == (set(given), given["publicKey"])
    assert [PUBLIC, made["publicKey"]] == shown["publicKeys"]
    assert [made["secret"]] == shown["secrets"], "keys of the other kind are left alone"
    assert "whsk_" not in str([made, given, shown])


async def test_v1a_alone_is_warned_of_and_another_signing_gets_its_key_when_it_is_wanted(
    db: Database, conn: Conn
) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        made = await make(served, signing="v1a")
        id_ = made["endpoint"]["id"]
        back = (await served.http.patch(f"/v1/endpoints/{id_}", json={"signing": "v1"})).json()
        again = (await served.http.patch(f"/v1/endpoints/{id_}", json={"signing": "v1+v1a"})).json()

    assert "secret" not in made
    assert "v1 only" in made["warnings"][0]
    assert signing.parse(back["secret"]).text() == back["secret"]
    assert {"endpoint"} == set(again), "both keys are there"


@pytest.mark.parametrize(
    "fields",
    [
        {"secret": "whsec_" + base64.b64encode(bytes(23)).decode()},
        {"secret": "whsec_" + base64.b64encode(bytes(65)).decode()},
        {"secret": "hunter2"},
        {"secret": GIVEN, "kind": "ed25519"},
        {"secret": PRIVATE, "kind": "hmac"},
        {"kind": "rsa"},
        {"overlapSeconds": 604_801},
        {"overlapSeconds": -1},
        {"other": 1},
    ],
)
async def test_a_bad_rotation_is_refused(db: Database, conn: Conn, fields: dict[str, Any]) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        id_ = (await make(served))["endpoint"]["id"]
        refusal = await rotate(served, id_, 400, **fields)
        left = await keys(served, id_)

    assert fields.get("secret", "\0") not in str(refusal)
    assert 1 == len(left["secrets"])


async def test_a_given_secret_is_of_one_endpoint_of_the_project(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        one, two = [(await make(served))["endpoint"]["id"] for _ in range(2)]
        taken = await rotate(served, one, secret=GIVEN)
        await rotate(served, two, 409, secret=GIVEN)
    other = await seed.tenant(conn, "other")
    async with serving(db, other.key, **SEAL) as served:
        away = (await make(served))["endpoint"]["id"]
        await rotate(served, away, secret=GIVEN)

    assert GIVEN == taken["secret"]


async def test_at_most_ten_keys_are_in_force(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        id_ = (await make(served))["endpoint"]["id"]
        for _ in range(9):
            await rotate(served, id_)
        refusal = await rotate(served, id_, 409)
        assert 10 == len((await keys(served, id_))["secrets"])
        await rotate(served, id_, overlapSeconds=0)

    assert "LimitReached" == refusal["error"]


async def test_a_repeated_rotation_shows_no_secret_and_makes_none(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        id_ = (await make(served))["endpoint"]["id"]
        said = [
            (
                await served.http.post(
                    f"/v1/endpoints/{id_}/secret/rotate", json={}, headers={"idempotency-key": "one"}
                )
            ).json()
            for _ in range(2)
        ]
        held = await keys(served, id_)

    assert said[0]["secret"] == held["secret"]
    assert (None, 2) == (said[1]["secret"], len(held["secrets"]))


async def test_what_the_old_key_sealed_moves_to_the_first(db: Database, conn: Conn) -> None:
    tenant = await seed.tenant(conn)
    async with serving(db, tenant.key, **SEAL) as served:
        before = await make(served, headers={"X-Token": "hunter2"}, signing="v1+v1a")
    new = "k2:" + base64.b64encode(b"n" * 32).decode()
    both = {"SECRET_KEYS": f"{new},{SEAL['SECRET_KEYS']}"}
    async with serving(db, tenant.key, **both) as served:
        both_keys = served.config.secret_keys
        async with db.transaction() as link:
            moved = await endpoint_keys.reseal(link, both_keys)
        async with db.transaction() as link:
            rest = await endpoint_keys.reseal(link, both_keys)
    async with serving(db, tenant.key, SECRET_KEYS=new) as served:
        id_ = UUID(before["endpoint"]["id"])
        shown = await keys(served, str(id_))
        endpoint = (await served.http.get(f"/v1/endpoints/{id_}")).json()["endpoint"]

    assert (3, 0) == (moved, rest)
    assert ([before["secret"]], [before["publicKey"]]) == (shown["secrets"], shown["publicKeys"])
    assert {"X-Token": "***"} == endpoint["headers"]
    assert URL == endpoint["url"]
