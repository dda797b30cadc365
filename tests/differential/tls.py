"""TLS for the harness's client and origin: Python's ssl over the streams of a connection.

A `tls:` mapping of a case says what one end does; `TlsStream` takes the place of a connection's
reader and writer and keeps what the handshake gave. Certificates are told by the names of their
files, alerts by the names of RFC 8446. Must not know which end of the proxy it plays.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import ssl
from pathlib import Path
from typing import Any

from .content import CaseError
from .hello import parse_hello

FOLDER = Path(__file__).resolve().parent / "files" / "tls"
KEYS = {"sni", "ca", "optional", "certificate", "alpn", "versions", "ciphers", "resume"}
VERSIONS = {1.2: ssl.TLSVersion.TLSv1_2, 1.3: ssl.TLSVersion.TLSv1_3}
_ALERT = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(.+)")


class HandshakeFailed(Exception):
    """The message says how, as compared."""


class Alerted(ConnectionError):
    """The peer ended an established connection with the alert that the message names."""


def check_tls(wanted: Any) -> None:
    """Raises CaseError on a `tls:` with keys unknown here. False means none."""
    if wanted is not False and (not isinstance(wanted, dict) or set(wanted) - KEYS):
        raise CaseError(f"tls {wanted!r}: a mapping of {', '.join(sorted(KEYS))}, or false")


def make_context(wanted: dict[str, Any], *, server: bool) -> ssl.SSLContext:
    """What `wanted` says, with a certificate, checks and versions of its own."""
    kind = ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT
    context = ssl.SSLContext(kind)
    # Otherwise an end without close_notify could not be told from one with it.
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if "ca" in wanted:
        context.verify_mode = ssl.CERT_OPTIONAL if wanted.get("optional") else ssl.CERT_REQUIRED
        context.load_verify_locations(FOLDER / f"{wanted['ca']}.pem")
    if "certificate" in wanted:
        name = wanted["certificate"]
        context.load_cert_chain(FOLDER / f"{name}.pem", FOLDER / f"{name}.key")
    if "alpn" in wanted:
        context.set_alpn_protocols(wanted["alpn"])
    if "ciphers" in wanted:
        context.set_ciphers(wanted["ciphers"])
    versions = wanted.get("versions", list(VERSIONS))
    context.minimum_version = VERSIONS[min(versions)]
    context.maximum_version = VERSIONS[max(versions)]
    return context


@functools.cache
def _known_certificates() -> dict[bytes, str]:
    known = {}
    for path in FOLDER.glob("*.pem"):
        first, end, _ = path.read_text("ascii").partition("-----END CERTIFICATE-----\n")
        known[ssl.PEM_cert_to_DER_cert(first + end)] = path.stem
    return known


def certificate_name(der: bytes | None) -> str:
    """The file that a peer's certificate comes from."""
    return "none" if der is None else _known_certificates().get(der, "unknown")


def told(error: ssl.SSLError) -> str:
    """An alert by its name; what this end itself found wrong, in OpenSSL's words."""
    reason = error.reason or str(error)
    alert = _ALERT.fullmatch(reason)
    return f"alert {alert[1].lower()}" if alert else f"gave up: {reason.lower()}"


class TlsStream:
    """One end of a TLS connection; stands for an asyncio reader and writer at once."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        *,
        server: bool = False,
        sni: str | None = None,
        session: ssl.SSLSession | None = None,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(
            self._incoming, self._outgoing, server, None if server else sni, session
        )
        self._first = b""
        self.cut = False  # the peer's end came without close_notify

    async def handshake(self) -> None:
        """Raises HandshakeFailed."""
        while True:
            try:
                self._tls.do_handshake()
                self._flush()
                return
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLError as error:
                self._flush()
                raise HandshakeFailed(told(error)) from None
            try:
                data = await self._reader.read(65536)
            except ConnectionError:
                data = b""
            if not data:
                raise HandshakeFailed("closed without an alert")
            self._first += data
            self._incoming.write(data)

    @property
    def described(self) -> str:
        """What the handshake gave: version, protocol, the peer's certificate."""
        shown = f"{self._tls.version()}, alpn {self._tls.selected_alpn_protocol() or 'none'}"
        shown += f", certificate {certificate_name(self._tls.getpeercert(binary_form=True))}"
        return shown + (", resumed" if self._tls.session_reused else "")

    @property
    def hello(self) -> str:
        """What the client's first message asked for, seen from the server."""
        return str(parse_hello(self._first) or "no ClientHello")

    @property
    def session(self) -> ssl.SSLSession | None:
        """What a later connection can resume."""
        return self._tls.session

    @property
    def context(self) -> ssl.SSLContext:
        """The context that `session` belongs to."""
        return self._tls.context

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._writer.write(data)

    async def read(self, size: int) -> bytes:
        """The next bytes; none at the end. Raises ConnectionError, and Alerted among them."""
        while True:
            try:
                data = self._tls.read(size)
                self._flush()
                return data
            except ssl.SSLWantReadError:
                self._flush()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                self.cut = True
                return b""
            except ssl.SSLError as error:
                self._flush()
                raise Alerted(told(error)) from None
            if data := await self._reader.read(65536):
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def write(self, data: bytes) -> None:
        """Encrypts and writes. Raises ConnectionError when TLS has ended."""
        try:
            if data:
                self._tls.write(data)
        except ssl.SSLError as error:
            raise ConnectionResetError(told(error)) from None
        self._flush()

    async def drain(self) -> None:
        """As of a StreamWriter."""
        await self._writer.drain()

    def _close_notify(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # the peer's own close_notify is not waited for
            self._tls.unwrap()
        self._flush()

    def write_eof(self) -> None:
        """close_notify and FIN; reading goes on."""
        self._close_notify()
        self._writer.write_eof()

    def close(self) -> None:
        """close_notify and the end of the socket."""
        if not self._writer.is_closing():
            self._close_notify()
        self._writer.close()

    def get_extra_info(self, name: str) -> Any:
        """As of a StreamWriter."""
        return self._writer.get_extra_info(name)

    @property
    def transport(self) -> asyncio.WriteTransport:
        """The socket's, for aborts."""
        return self._writer.transport
