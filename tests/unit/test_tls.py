"""The certificates as clients see them: real handshakes on loopback, by Python, curl and requests, strict modes on."""

import http.server
import ipaddress
import os
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from opensdm import tls
from opensdm.tls import TlsFiles, ensure_certificates
from tests.machine import tool


class Greeting(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(files: TlsFiles, family: socket.AddressFamily = socket.AF_INET) -> Iterator[int]:
    """A TLS server with these files on loopback; yields its port."""

    class Server(http.server.ThreadingHTTPServer):
        address_family = family

    address = "::1" if family is socket.AF_INET6 else "127.0.0.1"
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.server_cert, files.server_key)
    with Server((address, 0), Greeting) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def strict_context(ca_cert: Path) -> ssl.SSLContext:
    """What Python 3.13 does by default, asked for by name on every version."""
    context = ssl.create_default_context(cafile=ca_cert)
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def shown_name(files: TlsFiles, name: str, address: str = "127.0.0.1") -> str | None:
    """Connect to the server as `name`; the TLS version agreed on."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        serving(files, family) as port,
        socket.create_connection((address, port), timeout=10) as plain,
        strict_context(files.ca_cert).wrap_socket(plain, server_hostname=name) as secured,
    ):
        return secured.version()


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "sdm.example.net", "192.0.2.7", "2001:db8::7"])
def test_strict_client_accepts_every_name(tmp_path: Path, name: str) -> None:
    files = ensure_certificates(tmp_path, ["sdm.example.net", "192.0.2.7", "2001:db8::7"])
    assert shown_name(files, name) == "TLSv1.3"


def test_strict_client_accepts_the_host_name_of_this_machine(tmp_path: Path) -> None:
    assert shown_name(ensure_certificates(tmp_path, []), socket.gethostname()) == "TLSv1.3"


def test_client_refuses_a_name_that_was_not_given(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, ["sdm.example.net"])
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shown_name(files, "other.example.net")


def test_client_of_another_authority_refuses(tmp_path: Path) -> None:
    ours = ensure_certificates(tmp_path / "ours", [])
    others = ensure_certificates(tmp_path / "others", [])
    with pytest.raises(ssl.SSLCertVerificationError):
        shown_name(TlsFiles(others.ca_cert, ours.server_cert, ours.server_key), "localhost")


def test_curl_accepts_it_with_nothing_but_the_bundle_in_its_environment(tmp_path: Path) -> None:
    curl = tool("curl")
    files = ensure_certificates(tmp_path, [])
    environment = {"PATH": os.environ["PATH"], "CURL_CA_BUNDLE": str(files.ca_cert)}
    with serving(files) as port:
        for host in ("localhost", "127.0.0.1"):
            done = subprocess.run(
                [curl, "--silent", "--show-error", "--noproxy", "*", "--max-time", "10", f"https://{host}:{port}/"],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            )
            assert (done.stdout, done.stderr) == ("hello", "")


def test_requests_accepts_it_with_nothing_but_the_bundle_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = ensure_certificates(tmp_path, [])
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(files.ca_cert))
    monkeypatch.setenv("NO_PROXY", "*")
    with serving(files) as port:
        assert requests.get(f"https://localhost:{port}/", timeout=10).text == "hello"
        assert requests.get(f"https://127.0.0.1:{port}/", timeout=10).text == "hello"


def test_keys_are_readable_by_the_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        files = ensure_certificates(tmp_path / "tls", [])
    finally:
        os.umask(before)
    assert mode(files.server_key) == 0o600
    assert mode(tmp_path / "tls" / "ca.key") == 0o600
    assert mode(tmp_path / "tls") == 0o700
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == [
        "ca.crt",
        "ca.key",
        "server.crt",
        "server.key",
    ]


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, ["sdm.example.net"])
    before = {path: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()}
    assert ensure_certificates(tmp_path, ["sdm.example.net"]) == files
    assert ensure_certificates(tmp_path, []) == files
    assert {path: (path.read_bytes(), path.stat().st_ino) for path in tmp_path.iterdir()} == before


def test_a_new_host_gets_a_new_server_certificate_from_the_same_authority(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, [])
    authority, server = files.ca_cert.read_bytes(), files.server_cert.read_bytes()
    ensure_certificates(tmp_path, ["sdm.example.net"])
    assert files.ca_cert.read_bytes() == authority
    assert files.server_cert.read_bytes() != server
    assert shown_name(files, "sdm.example.net") == "TLSv1.3"


@pytest.mark.parametrize(("days_left", "renewed"), [(31, False), (29, True), (0, True)])
def test_renewal_near_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days_left: int, renewed: bool) -> None:
    with monkeypatch.context() as shorter:
        shorter.setattr(tls, "SERVER_LIFETIME", timedelta(days=days_left) + tls.CLOCK_SKEW)
        files = ensure_certificates(tmp_path, [])
    before = files.server_cert.read_bytes()
    ensure_certificates(tmp_path, [])
    assert (files.server_cert.read_bytes() != before) is renewed
    assert shown_name(files, "localhost") == "TLSv1.3"


def test_an_authority_that_ends_too_soon_signs_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as shorter:
        shorter.setattr(tls, "CA_LIFETIME", timedelta(days=396))
        files = ensure_certificates(tmp_path, [])
    before = files.ca_cert.read_bytes()
    ensure_certificates(tmp_path, [])
    assert files.ca_cert.read_bytes() == before
    ensure_certificates(tmp_path, ["sdm.example.net"])
    assert files.ca_cert.read_bytes() != before
    assert shown_name(files, "sdm.example.net") == "TLSv1.3"


def test_the_authority_key_may_be_kept_elsewhere_between_issues(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, [])
    (tmp_path / "ca.key").unlink()
    before = files.ca_cert.read_bytes(), files.server_cert.read_bytes()
    ensure_certificates(tmp_path, [])
    assert (files.ca_cert.read_bytes(), files.server_cert.read_bytes()) == before
    assert not (tmp_path / "ca.key").exists()


@pytest.mark.parametrize("lost", ["ca.crt", "server.crt", "server.key"])
def test_a_lost_file_is_replaced_by_a_working_set(tmp_path: Path, lost: str) -> None:
    files = ensure_certificates(tmp_path, [])
    (tmp_path / lost).unlink()
    assert ensure_certificates(tmp_path, []) == files
    assert shown_name(files, "localhost") == "TLSv1.3"


def test_a_pair_torn_by_a_crash_is_replaced(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path / "ours", [])
    others = ensure_certificates(tmp_path / "others", [])
    files.server_key.write_bytes(others.server_key.read_bytes())
    ensure_certificates(tmp_path / "ours", [])
    assert shown_name(files, "localhost") == "TLSv1.3"


def test_lifetimes_and_curve(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, [])
    authority, server = certificate(files.ca_cert), certificate(files.server_cert)
    assert server.not_valid_after_utc - server.not_valid_before_utc == timedelta(days=397)
    assert (authority.not_valid_after_utc - authority.not_valid_before_utc).days == 3653
    assert server.not_valid_before_utc < datetime.now(UTC)
    for key in (authority.public_key(), server.public_key()):
        assert isinstance(key, ec.EllipticCurvePublicKey)
        assert key.curve.name == "secp256r1"


def test_addresses_that_mean_every_address_are_left_out(tmp_path: Path) -> None:
    files = ensure_certificates(tmp_path, ["0.0.0.0", "::", "sdm.example.net"])
    names = certificate(files.server_cert).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = names.get_values_for_type(x509.IPAddress)
    assert addresses == [ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")]


@pytest.mark.parametrize("host", ["two words", "a..b", "x" * 64, "-sdm", "https://sdm.example.net", "sdm:8443"])
def test_a_host_that_is_no_name_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match=r"host name|label"):
        ensure_certificates(tmp_path, [host])
    assert list(tmp_path.iterdir()) == []


def test_names_beyond_ascii_are_served(tmp_path: Path) -> None:
    assert shown_name(ensure_certificates(tmp_path, ["Bücher.example"]), "bücher.example") == "TLSv1.3"


@pytest.mark.parametrize("name", ["strange name", "x" * 64])
def test_a_host_name_no_certificate_can_hold_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    assert shown_name(ensure_certificates(tmp_path, []), "localhost") == "TLSv1.3"
