"""HTTP to addresses that others name: only to the address that was checked, for so long, and not where it redirects.

A name is resolved once, in the moment of connecting, and the connection goes to an address that passed, so that what
was checked and what is connected to are the same (no DNS rebinding); certificate and Host stay the name's. Whatever
way an address is written, it is judged as the system understands it.
"""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NameResolutionError, NewConnectionError

CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
"""Until the status and the headers are there, however many bytes of them come each second."""
MAX_ANSWER_BYTES = 65_536
"""Of an answer nobody reads: so that the connection can be used again."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class BlockedAddressError(NewConnectionError):
    """The name leads to an address nobody outside has."""


class NotEncryptedError(NewConnectionError):
    """No encrypted connection came about, for example to a certificate that is over: nothing has been sent. `reason`
    says why."""

    def __init__(self, connection: HTTPConnection, reason: str) -> None:
        super().__init__(connection, reason)
        self.reason = reason


def pool(at_once: int, *, allow_private: bool) -> urllib3.PoolManager:
    """Connections for as many threads. It repeats nothing and follows nothing; `allow_private`: also to this machine
    and its network."""

    class Plain(_Guarded, HTTPConnection):
        may_be_private = allow_private

    class Encrypted(_Guarded, HTTPSConnection):
        may_be_private = allow_private

        def connect(self) -> None:
            try:
                super().connect()
            except ssl.SSLCertVerificationError as problem:
                raise NotEncryptedError(self, f"its certificate is not valid: {problem.verify_message}") from problem
            except OSError as problem:
                raise NotEncryptedError(self, f"it does not speak TLS as expected: {problem}") from problem

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class EncryptedPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Encrypted

    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
    manager = urllib3.PoolManager(maxsize=at_once, timeout=timeout, retries=False)
    manager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}
    return manager


def is_public(address: Address) -> bool:
    """Whether an address is one of the internet, itself and what it stands for (IPv6 that carries IPv4)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address.sixtofour is not None or address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def drain(answer: urllib3.BaseHTTPResponse) -> None:
    """Read a short answer to its end; of a long or slow one nothing more is wanted, nor its connection."""
    deadline = time.monotonic() + READ_SECONDS
    try:
        left = MAX_ANSWER_BYTES
        while left > 0 and time.monotonic() < deadline:
            block = answer.read1(min(left, 8_192))
            if not block:
                answer.release_conn()
                return
            left -= len(block)
    except urllib3.exceptions.HTTPError:
        # The status has been read: what comes after it changes nothing.
        pass
    answer.close()


def read_whole(answer: urllib3.BaseHTTPResponse, most_bytes: int) -> bytes:
    """The body of an answer that somebody reads. Raises HTTPError if it is longer, or takes too long."""
    deadline = time.monotonic() + READ_SECONDS
    data = bytearray()
    while len(data) <= most_bytes and time.monotonic() < deadline:
        block = answer.read1(65_536)
        if not block:
            answer.release_conn()
            return bytes(data)
        data += block
    answer.close()
    raise urllib3.exceptions.HTTPError(f"its answer is over {most_bytes} bytes, or over {READ_SECONDS:g} seconds")


class _Guarded(HTTPConnection):
    """Connects to what was checked; hangs up when an answer takes too long."""

    may_be_private = False

    def _new_conn(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as problem:
            raise NameResolutionError(self.host, self, socket.gaierror(str(problem))) from problem
        allowed = [each for each in found if self.may_be_private or is_public(ipaddress.ip_address(each[4][0]))]
        if not allowed:
            raise BlockedAddressError(self, f"{self.host} is no public address")
        said = ""
        for family, kind, protocol, _, where in allowed:
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(CONNECT_SECONDS)
                connection.connect(where)
            except OSError as refused:
                connection.close()
                said = str(refused)
            else:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
        raise NewConnectionError(self, f"no connection to {self.host}: {said}")

    def getresponse(self) -> Any:
        hung_up = threading.Timer(READ_SECONDS, _hang_up, (self.sock,))
        hung_up.daemon = True
        hung_up.start()
        try:
            return super().getresponse()
        finally:
            hung_up.cancel()


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it may have ended by itself in that moment
        connection.shutdown(socket.SHUT_RDWR)
