"""A self-signed TLS certificate for a virtual SBC that was given none."""

import ipaddress
import re
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.\-]{0,61}[A-Za-z0-9])?")


class OwnCertificate:
    """A fresh key and certificate in a private directory; `remove` deletes both. `pair` is (certificate, key)."""

    def __init__(self, name: str, host: str) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="virtual-sbc-"))
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _self_signed(name, host, key)
        self.pair = (self._directory / "certificate.pem", self._directory / "key.pem")
        self.pair[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.pair[1].touch(mode=0o600)
        self.pair[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )

    def remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


def _self_signed(name: str, host: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(_names(name, host)), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _names(name: str, host: str) -> list[x509.GeneralName]:
    hosts = dict.fromkeys(["localhost", "127.0.0.1", "::1", host, name])
    names: list[x509.GeneralName] = []
    for each in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(each)))
        except ValueError:
            if _HOST.fullmatch(each):
                names.append(x509.DNSName(each))
    return names
