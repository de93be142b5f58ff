"""The tree is that of RFC 6962, whatever the number of leaves."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from sat_hook.audit.merkle import MerkleTree, leaf_of

# Of the reference implementation of Certificate Transparency: leaves, and the root of the first n of them.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize(("leaves", "root"), ROOTS.items())
def test_roots_are_those_of_the_standard(leaves: int, root: str) -> None:
    """Test vectors of another implementation."""
    tree = MerkleTree()
    for leaf in LEAVES[:leaves]:
        tree.add(leaf)
    assert (tree.leaves, tree.root) == (leaves, root)


def test_a_leaf_is_canonical() -> None:
    """The same moment in another zone is the same leaf; to the microsecond."""
    moment = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)
    digest = hashlib.sha256(b"x").hexdigest()
    assert leaf_of(7, moment, digest) == f'[7,"2026-11-23T01:02:03.000000+00:00","{digest}"]'.encode()
    assert leaf_of(7, moment.astimezone(timezone(timedelta(hours=7))), digest) == leaf_of(7, moment, digest)
    assert leaf_of(7, moment + timedelta(microseconds=1), digest) != leaf_of(7, moment, digest)
