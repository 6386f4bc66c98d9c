"""Receivers: what is verified, what is refused, and that a request can raise nothing else."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outboxd.client import VerificationError, verify
from outboxd.handlers import signing
from tests.handlers.test_signing import C_PUBLIC, FIRST, SECOND, A, B, C

ID, AT, BODY = SECOND


def signed(*keys: str, at: int = AT, body: bytes = BODY) -> dict[str, str]:
    return signing.headers(ID, at, body, [signing.parse(key) for key in keys])


@pytest.mark.parametrize("message", [FIRST, SECOND])
@pytest.mark.parametrize(("key", "known"), [(A, A), (B, B), (C, C_PUBLIC)])
def test_what_was_signed_is_verified(message: tuple[str, int, bytes], key: str, known: str) -> None:
    headers = signing.headers(*message, [signing.parse(key)])
    verify({name.title(): value for name, value in headers.items()}, message[2], known, now=message[1])


def test_one_of_several_keys_and_of_several_signatures_is_enough() -> None:
    headers = signed(B, C, A)
    for known in ([A], [C_PUBLIC], [B, "whsec_" + base64.b64encode(bytes(32)).decode()]):
        verify(headers, BODY, known, now=AT)
    verify(headers, BODY.decode(), A, now=AT)


@pytest.mark.parametrize("away", [-300, 300])
def test_a_timestamp_may_be_five_minutes_away(away: int) -> None:
    verify(signed(A), BODY, A, now=AT + away)
    with pytest.raises(VerificationError, match="too old or too new"):
        verify(signed(A), BODY, A, now=AT + away + (1 if away > 0 else -1))


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_of_the_three_headers_is_required(missing: str) -> None:
    for headers in (
        {name: value for name, value in signed(A).items() if name != missing},
        {**signed(A), missing: ""},
    ):
        with pytest.raises(VerificationError, match=missing):
            verify(headers, BODY, A, now=AT)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "other"},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": f"+{AT}"},
        {"webhook-timestamp": "1" * 400},
        {"webhook-signature": signed(B)["webhook-signature"]},
        {"webhook-signature": signed(A)["webhook-signature"].replace("v1,", "v2,")},
        {"webhook-signature": signed(A)["webhook-signature"].replace("v1,", "v1a,")},
        {"webhook-signature": signed(A)["webhook-signature"].rstrip("=")},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,"},
        {"webhook-signature": ", v1,%%% v1a,Zm9v ü,ü"},
    ],
)
def test_what_was_changed_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(VerificationError):
        verify({**signed(A), **change}, BODY, [A, C_PUBLIC], now=AT)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(VerificationError):
        verify(signed(A, C), BODY + b" ", [A, C_PUBLIC], now=AT)


def test_unknown_versions_and_malformed_entries_are_passed_over() -> None:
    headers = signed(A)
    headers["webhook-signature"] = "v9,abc junk v1,??? " + headers["webhook-signature"]
    verify(headers, BODY, A, now=AT)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "x"]), st.text()
    ),
    st.binary(),
)
def test_a_request_raises_nothing_but_that_it_is_not_verified(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(VerificationError):
        verify({"webhook-id": "e", "webhook-timestamp": str(AT), **headers}, body, [A, C_PUBLIC], now=AT)


@pytest.mark.parametrize("secret", ["", "whsec_", "secret", "whsk_abcd", "whpk_abcd", "whsec_%"])
def test_a_secret_that_is_none_is_the_callers_mistake(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        verify(signed(A), BODY, secret, now=AT)
