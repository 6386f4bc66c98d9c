import base64
import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook

from outboxd.errors import Invalid
from outboxd.handlers import signing
from outboxd.handlers.signing import Ed25519Key

A = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
B = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
C = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
C_PUBLIC = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="

FIRST = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
SECOND = (
    "0197f1c2-7a00-7000-8000-000000000001",
    1767225601,
    '{"type":"order.paid","timestamp":"2026-01-01T00:00:00.123Z","data":{"name":"Zoë 😀"}}'.encode(),
)


@pytest.mark.parametrize(
    ("message", "key", "signature"),
    [
        (FIRST, A, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        (
            FIRST,
            C,
            "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
        ),
        (SECOND, B, "v1,78ThbvzlZBb0Tzz+fMnXq1P5+2VoqRa20vYRXtU+6BA="),
        (SECOND, A, "v1,7eBazjHNJ4HADDN2+HJ2ybrcZ23qPEImMuyVj30UfUY="),
        (
            SECOND,
            C,
            "v1a,luBvY8+LXMrg2SgJbKP7ume33KsYLXyJdJZWxYvCBeMFX+4VY8nm+28+eh8gucuGHwr5DFbhPVVp/0jev7NxAw==",
        ),
    ],
)
def test_the_vectors_of_the_specification(message: tuple[str, int, bytes], key: str, signature: str) -> None:
    assert signing.headers(*message, [signing.parse(key)])["webhook-signature"] == signature


def test_the_second_vector_is_88_bytes() -> None:
    assert len(SECOND[2]) == 88


def test_a_stock_verifier_accepts_every_live_key_of_a_rotation() -> None:
    now = int(datetime.now(UTC).timestamp())
    keys = [signing.parse(B), signing.parse(C), signing.parse(A)]
    headers = signing.headers("e1", now, SECOND[2], keys)
    versions = [signature.split(",")[0] for signature in headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1a", "v1"]
    for secret in (A, B):
        assert Webhook(secret).verify(SECOND[2], headers)["type"] == "order.paid"


def test_a_stock_verifier_refuses_what_was_changed() -> None:
    now = int(datetime.now(UTC).timestamp())
    headers = signing.headers("e1", now, b"{}", [signing.parse(A)])
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(A).verify(b"{ }", headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(B).verify(b"{}", headers)


def test_a_public_key_verifies() -> None:
    key = signing.parse(C)
    assert isinstance(key, Ed25519Key)
    assert key.public() == C_PUBLIC
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(C_PUBLIC.removeprefix("whpk_")))
    public.verify(base64.b64decode(key.sign(b"a.1.b").removeprefix("v1a,")), b"a.1.b")


@pytest.mark.parametrize("text", [A, B, C])
def test_a_key_is_written_as_it_was_read(text: str) -> None:
    assert signing.parse(text).text() == text


def test_keys_that_are_made_are_new_and_of_the_right_form() -> None:
    one, two = signing.make_hmac(), signing.make_hmac()
    assert one != two
    assert len(one.secret) == 32
    assert signing.parse(one.text()) == one
    private = signing.make_ed25519()
    assert signing.parse(private.text()) == private


@pytest.mark.parametrize(
    "text",
    [
        "",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
        "whsec_ümlaut",
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
        "whsk_" + base64.b64encode(bytes(64)).decode(),
        "whsk_" + base64.b64encode(bytes(8)).decode(),
    ],
)
def test_what_is_no_key_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(Invalid) as caught:
        signing.parse(text)
    assert len(text) < 7 or text[7:] not in str(caught.value)


@pytest.mark.parametrize("text", [A, C])
def test_a_key_does_not_print_itself(text: str) -> None:
    key = signing.parse(text)
    assert repr(key) == str(key) == f"{text.partition('_')[0]}_***"


def test_another_vendors_library_accepts_every_live_key_of_a_rotation() -> None:
    svix = pytest.importorskip("svix.webhooks", reason="svix is not installed here")
    now = int(datetime.now(UTC).timestamp())
    headers = signing.headers("e1", now, SECOND[2], [signing.parse(each) for each in (B, C, A)])
    for secret in (A, B):
        svix.Webhook(secret).verify(SECOND[2], headers)
        with pytest.raises(svix.WebhookVerificationError):
            svix.Webhook(secret).verify(SECOND[2] + b" ", headers)


_NODE = """
const { Webhook } = require("standardwebhooks");
const { headers, body, secrets } = JSON.parse(require("fs").readFileSync(0));
for (const secret of secrets) console.log(new Webhook(secret).verify(body, headers).type);
"""


def test_the_npm_library_accepts_every_live_key_of_a_rotation() -> None:
    """Found by NODE_PATH, or where npm installs globally."""
    node = shutil.which("node")
    found = node and subprocess.run([node, "-e", _NODE.split("\n")[1]], check=False, capture_output=True)
    if not node or not found or found.returncode:
        pytest.skip("npm standardwebhooks is not installed here")
    now = int(datetime.now(UTC).timestamp())
    headers = signing.headers("e1", now, SECOND[2], [signing.parse(each) for each in (B, C, A)])
    given = json.dumps({"headers": headers, "body": SECOND[2].decode(), "secrets": [A, B]})
    told = subprocess.run([node, "-e", _NODE], input=given, capture_output=True, text=True, check=True).stdout

    assert ["order.paid", "order.paid"] == told.split()
