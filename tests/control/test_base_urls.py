import pytest

from control.domain.providers import check_base_url, provider_type
from tollkeeper.errors import Reason, TollkeeperError


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/v1",
        "https://api.example.com:8443",
        "https://8.8.8.8/v1",
        "https://[2606:4700::1111]/v1",
        "https://10.example.com/v1",
        "https://example.com/v1/chat/completions",
    ],
)
def test_public_https_is_accepted(url: str) -> None:
    """A custom provider may be anywhere on the Internet that https reaches."""
    assert check_base_url(url + "/", "custom", allow_private=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "ftp://api.example.com",
        "api.example.com",
        "https://",
        "https://localhost/v1",
        "https://LOCALHOST./v1",
        "https://intranet/v1",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0x1/",
        "https://0/",
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest",
        "https://100.64.0.1/",
        "https://224.0.0.1/",
        "https://[::1]/",
        "https://[fe80::1]/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://user:secret@example.com/",
        "https://example.com/?a=b",
        "https://example.com/#x",
        "https://example.com:99999/",
        "https://exam ple.com/",
        "https://example.com\\@10.0.0.1/",
        "https://[::1/",
        "https://" + "a" * 500 + ".com",
    ],
)
def test_private_plain_and_odd_urls_are_refused(url: str) -> None:
    """Nothing that could reach this machine, its network or a metadata service, however it is written."""
    with pytest.raises(TollkeeperError) as refused:
        check_base_url(url, "custom", allow_private=False)
    assert refused.value.reason == Reason.INVALID_ARGUMENT


def test_a_setting_allows_private_addresses() -> None:
    """Development servers are allowed when the installation says so; other rules stay."""
    assert (
        check_base_url("http://127.0.0.1:8090/v1", "custom", allow_private=True) == "http://127.0.0.1:8090/v1"
    )
    with pytest.raises(TollkeeperError):
        check_base_url("http://user@127.0.0.1/", "custom", allow_private=True)


def test_only_custom_providers_need_a_url() -> None:
    """Vendors are reached through the gateway; a custom one can't be."""
    assert check_base_url("", "openai", allow_private=False) == ""
    with pytest.raises(TollkeeperError):
        check_base_url("", "custom", allow_private=False)


def test_types_are_normalised() -> None:
    """`gemini` is another word for `google`; unknown types are refused."""
    assert provider_type("gemini") == "google"
    assert provider_type("custom") == "custom"
    with pytest.raises(TollkeeperError):
        provider_type("acme")
