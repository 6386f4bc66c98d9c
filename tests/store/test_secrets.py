from uuid import UUID

import pytest

from outboxd.errors import Broken, NotConfigured
from outboxd.store import secrets
from outboxd.store.secrets import kid_of, make_key, seal, unseal
from tests.proofs import proves

OWNER = UUID("0197f1c2-7a00-7000-8000-000000000001")
OTHER = UUID("0197f1c2-7a00-7000-8000-000000000002")
OLD, NEW = make_key("2025"), make_key("2026")


@proves("G8")
def test_what_is_sealed_is_unsealed_and_not_readable_in_between() -> None:
    sealed = seal([NEW], b"whsec_hunter2", owner=OWNER, column="sealed")
    assert unseal([NEW], sealed, owner=OWNER, column="sealed") == b"whsec_hunter2"
    assert b"hunter2" not in sealed


def test_the_first_key_seals_and_every_key_opens() -> None:
    old = seal([OLD], b"a", owner=OWNER, column="sealed")
    new = seal([NEW, OLD], b"a", owner=OWNER, column="sealed")
    assert (kid_of(old), kid_of(new)) == ("2025", "2026")
    assert unseal([NEW, OLD], old, owner=OWNER, column="sealed") == b"a"


def test_the_same_text_is_sealed_differently_each_time() -> None:
    assert len({seal([NEW], b"a", owner=OWNER, column="sealed") for _ in range(100)}) == 100


@pytest.mark.parametrize(("owner", "column"), [(OTHER, "sealed"), (OWNER, "headers")])
def test_a_copy_in_another_row_or_column_does_not_open(owner: UUID, column: str) -> None:
    sealed = seal([NEW], b"a", owner=OWNER, column="sealed")
    with pytest.raises(Broken):
        unseal([NEW], sealed, owner=owner, column=column)


def test_not_one_bit_can_be_changed() -> None:
    sealed = seal([NEW], b"a", owner=OWNER, column="sealed")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises((Broken, NotConfigured)):
            unseal([NEW], bytes(changed), owner=OWNER, column="sealed")


def test_what_was_cut_does_not_open() -> None:
    sealed = seal([NEW], b"a", owner=OWNER, column="sealed")
    for length in range(len(sealed)):
        with pytest.raises(Broken):
            unseal([NEW], sealed[:length], owner=OWNER, column="sealed")


def test_a_missing_key_is_named() -> None:
    sealed = seal([OLD], b"a", owner=OWNER, column="sealed")
    with pytest.raises(NotConfigured, match="2025"):
        unseal([NEW], sealed, owner=OWNER, column="sealed")
    with pytest.raises(NotConfigured):
        seal([], b"a", owner=OWNER, column="sealed")


def test_a_key_of_the_same_name_that_is_another_does_not_open() -> None:
    sealed = seal([OLD], b"a", owner=OWNER, column="sealed")
    with pytest.raises(Broken):
        unseal([secrets.make_key("2025")], sealed, owner=OWNER, column="sealed")
