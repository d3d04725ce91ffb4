"""Certificates made on the spot by an authority of our own: good ones, and such as nobody may trust.

Never here: anything of the product.
"""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = "127.0.0.1"
DAY = timedelta(days=1)


class Authority:
    """Who trusts `file` (PEM; OpenSSL reads its name from SSL_CERT_FILE) trusts what it signs."""

    def __init__(self, folder: Path, name: str = "the tests' authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self.file = folder / "authority.pem"
        own = _unsigned(self._name, self._name, self._key, DAY).add_extension(x509.BasicConstraints(True, 0), True)
        self.file.write_bytes(own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def server(self, address: str = HERE, lives: timedelta = DAY) -> ssl.SSLContext:
        """What a server of this IP address shows; `lives` less than nothing: it is over since then."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.renew(context, address, lives)
        return context

    def stranger(self) -> Authority:
        """Another one, which nobody trusts."""
        folder = self._folder / "stranger"
        folder.mkdir()
        return Authority(folder, "a stranger")

    def itself(self) -> ssl.SSLContext:
        """What it would show as a server: signed by nobody else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._show(context, self.file.read_bytes(), self._key)
        return context

    def renew(self, context: ssl.SSLContext, address: str = HERE, lives: timedelta = DAY) -> None:
        """Connections from now on are shown a new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = _unsigned(_named(address), self._name, key, lives).add_extension(name, False)
        signed = made.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        self._show(context, signed, key)

    def _show(self, context: ssl.SSLContext, certificate: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        open_key = serialization.NoEncryption()
        file = self._folder / "server.pem"
        file.write_bytes(
            certificate + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, open_key)
        )
        context.load_cert_chain(file)


def _named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _unsigned(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lives: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3 * DAY)
        .not_valid_after(now + lives)
    )
