"""The server's own certificate authority and certificate, for installations that bring none."""

import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3653)
# Browsers refuse server certificates that live longer than 398 days.
SERVER_LIFETIME = timedelta(days=397)
RENEW_BEFORE_END = timedelta(days=30)
# A client whose clock runs a little behind must not see a certificate from the future.
CLOCK_SKEW = timedelta(hours=1)

LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Binding words for "every address": nobody connects to them by that name.
UNSPECIFIED = ("0.0.0.0", "::", "")  # noqa: S104

_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
HOST_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: what clients trust, what the server shows (its certificate), and the key behind it."""

    ca_cert: Path
    server_cert: Path
    server_key: Path


def ensure_certificates(directory: Path, hosts: Sequence[str]) -> TlsFiles:
    """Return the TLS files in `directory`, making what is missing.

    The server certificate names localhost, this machine's host name, both loopback addresses and `hosts` (names or IP
    addresses). It is issued anew when it lacks one of them, ends within 30 days, or does not fit its key or authority.
    The authority stays as long as it can sign, so clients that trust it go on doing so; its key is not needed
    between issues. Raises ValueError for a host that is no name.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    ca_key_file = directory / "ca.key"
    files = TlsFiles(directory / "ca.crt", directory / "server.crt", directory / "server.key")
    names = _subject_names(hosts)
    now = datetime.now(UTC)
    if _serves(files, names, now):
        return files
    authority = _load_authority(files.ca_cert, ca_key_file, now)
    if authority is None:
        authority = _issue_authority(now)
        _write(ca_key_file, _key_pem(authority[1]), 0o600)
        _write(files.ca_cert, _certificate_pem(authority[0]), 0o644)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _issue_server(authority, key, names, now)
    # Key and certificate cannot be replaced in one step; a crash between leaves a pair that `_serves` rejects.
    _write(files.server_key, _key_pem(key), 0o600)
    _write(files.server_cert, _certificate_pem(certificate), 0o644)
    return files


def _subject_names(hosts: Sequence[str]) -> list[x509.GeneralName]:
    wanted = dict.fromkeys([*LOOPBACK, *(host for host in hosts if host not in UNSPECIFIED)])
    names = [_general_name(host) for host in wanted]
    # The administrator did not choose this one here, so one that no certificate can hold is left out, not refused.
    with suppress(ValueError):
        names.append(_general_name(socket.gethostname()))
    return names


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        name = host.encode("idna").decode("ascii").lower().removesuffix(".")
    if not HOST_NAME.fullmatch(name):
        raise ValueError(f"{host!r} is neither a host name nor an IP address")
    return x509.DNSName(name)


def _load_authority(
    certificate_file: Path, key_file: Path, now: datetime
) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    if not (certificate_file.exists() and key_file.exists()):
        return None
    certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    key = _load_key(key_file)
    # One that ends before a server certificate would is replaced: nothing it signs could be trusted to the end.
    fits = certificate.public_key() == key.public_key() and certificate.not_valid_after_utc >= now + SERVER_LIFETIME
    return (certificate, key) if fits else None


def _issue_authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial in the name keeps two installations apart in one trust store.
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "OpenSDM"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"OpenSDM certificate authority {secrets.token_hex(4)}"),
        ]
    )
    usage = _key_usage(digital_signature=False, certificate_signing=True)
    certificate = (
        _builder(name, name, key.public_key(), now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _issue_server(
    authority: tuple[x509.Certificate, ec.EllipticCurvePrivateKey],
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[x509.GeneralName],
    now: datetime,
) -> x509.Certificate:
    ca_certificate, ca_key = authority
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OpenSDM server")])
    usage = _key_usage(digital_signature=True, certificate_signing=False)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    return (
        _builder(subject, ca_certificate.subject, key.public_key(), now, SERVER_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(issuer_id, critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now - CLOCK_SKEW + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, digital_signature: bool, certificate_signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=certificate_signing,
        crl_sign=certificate_signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _serves(files: TlsFiles, names: Sequence[x509.GeneralName], now: datetime) -> bool:
    """Whether the server certificate on disk can still be used as it is."""
    if not (files.ca_cert.exists() and files.server_cert.exists() and files.server_key.exists()):
        return False
    authority = x509.load_pem_x509_certificate(files.ca_cert.read_bytes())
    certificate = x509.load_pem_x509_certificate(files.server_cert.read_bytes())
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, ValueError):
        return False
    if certificate.public_key() != _load_key(files.server_key).public_key():
        return False
    named = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return set(names) <= set(named) and certificate.not_valid_after_utc - now > RENEW_BEFORE_END


def _load_key(file: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{file} holds no elliptic curve key")
    return key


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write(file: Path, content: bytes, mode: int) -> None:
    """Replace `file` in one step; it is never readable by more than `mode` allows, nor half written."""
    temporary = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
