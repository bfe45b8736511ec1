"""Which addresses may be reached."""

from __future__ import annotations

import pytest

from tunesmith.connectors import addresses
from tunesmith.core.errors import DataError

PUBLIC = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::5db8:d822"]
PRIVATE = ["127.0.0.1", "10.0.0.1", "172.16.3.4", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
           "240.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
           "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1"]  # fmt: skip
METADATA = ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "100.100.100.200", "fd00:ec2::254"]


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_open(address: str) -> None:
    assert addresses.off_limits(address, is_private_allowed=False) == ""


@pytest.mark.parametrize("address", PRIVATE)
def test_private_ones_only_where_the_recipe_says_so(address: str) -> None:
    assert addresses.off_limits(address, is_private_allowed=False)
    assert addresses.off_limits(address, is_private_allowed=True) == ""


@pytest.mark.parametrize("address", METADATA)
def test_a_machines_own_credentials_are_never_read(address: str) -> None:
    assert "credentials" in addresses.off_limits(address, is_private_allowed=True)


def test_one_private_address_among_public_ones_is_enough() -> None:
    with pytest.raises(DataError, match="not on the public internet") as caught:
        addresses.checked(
            "a.example", 80, is_private_allowed=False, who="source `a`", find=lambda host, port: [PUBLIC[0], "10.0.0.1"]
        )
    assert "10.0.0.1" in str(caught.value)
