"""Webhooks are sent to public addresses only, however these are written."""

import pytest

from turnstream.ws_server.webhooks.addresses import check_url, is_public

PUBLIC = "8.8.8.8 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::"
NOT_PUBLIC = (
    "10.0.0.1 172.16.0.1 192.168.1.1 127.0.0.1 0.0.0.0 169.254.169.254 100.64.0.1 100.100.100.200"
    " 168.63.129.16 192.0.2.1 198.18.0.1 192.0.0.8 224.0.0.1 240.0.0.1 255.255.255.255"
    " :: ::1 ::127.0.0.1 ::ffff:10.0.0.1 64:ff9b::a00:1 64:ff9b:1::808:808 2002:7f00:1::"
    " 2001:0:a00:1::1 2001:db8::1 fd00:ec2::254 fe80::1%eth0 fec0::1 ff02::1 example.com"
)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_a_public_address_may_be_sent_to(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_an_address_of_another_network_may_not(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "https:///path",
        "https://user:pass@example.com/",
        "https://example.com/#part",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://exämple.com/",
        "https://example.com/a b",
        "https://example.com/\n",
        "https://[::1/",
        "https://10.0.0.1/",
        "https://[::ffff:127.0.0.1]/",
        "https://example.com/" + "a" * 2048,
        "",
    ],
)
def test_a_url_that_may_not_be_used_is_refused_with_what_it_must_be(url: str) -> None:
    with pytest.raises(ValueError, match="URL"):
        check_url(url, "public")


def test_other_urls_may_be_used_and_those_of_private_networks_if_they_are_allowed() -> None:
    check_url("https://example.com:8443/hook?a=b", "public")
    check_url("https://8.8.8.8/", "public")
    check_url("http://127.0.0.1:8000/hook", "any")
