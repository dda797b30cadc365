# /// script
# dependencies = ["cryptography"]
# ///
"""Makes the keys and certificates of this folder that are missing; `--all` makes every one anew.

    pip install cryptography && python tests/differential/files/tls/make.py

NAME.pem is a certificate (with its intermediate, where there is one), NAME.key its key, and
fingerprints.yaml what `verify_certificate_hash` and `verify_certificate_spki` want; ca.crl revokes
client-revoked (ca-and-crl.pem holds both), ca-stale.crl is one of the past, b-locked.key and b.p12
want the password "secret" (so does b-old.p12, in an older way; b-open.p12 wants none),
NAME.ocsp is an OCSP response for a certificate (-stale, -revoked, -timeless; unable.ocsp is none),
tickets.key and tickets-new.key encrypt session tickets, sds-*.json are secrets as files have them.
Not to be let in:
client-by-lone (signed by lone, which is no CA), client-of-expired (by ca-expired), client-by-mute
(by an intermediate that may not sign), client-unsigning and unsigning (whose
keys may not sign a handshake). client-crlf has line ends in its names. Committed, so that
both proxies of a run, and two runs, get the same bytes. They protect nothing.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ocsp
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

HERE = Path(__file__).resolve().parent
START = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
END = datetime.datetime(2124, 1, 1, tzinfo=datetime.UTC)
SOON_OVER = datetime.datetime(2024, 2, 1, tzinfo=datetime.UTC)
ANEW = "--all" in sys.argv[1:]
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass
class Issued:
    """A certificate, its key, and the certificates that go with it."""

    key: Key
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...] = ()


def subject(common_name: str, organization: str = "Dragoman") -> x509.Name:
    """A name of two parts; `organization` can hold what needs quoting."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def every_part() -> x509.Name:
    """A name of all kinds of parts, in texts of several kinds."""
    parts = [
        (NameOID.COUNTRY_NAME, "DE"), (NameOID.STATE_OR_PROVINCE_NAME, "BW"),
        (NameOID.LOCALITY_NAME, "Ulm"), (NameOID.STREET_ADDRESS, "Hauptweg 1"),
        (NameOID.POSTAL_CODE, "89073"), (NameOID.ORGANIZATION_NAME, "Dragoman"),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, "Tests"), (NameOID.TITLE, "Dr"),
        (NameOID.SURNAME, "Turm"), (NameOID.GIVEN_NAME, "Ada"), (NameOID.INITIALS, "AT"),
        (NameOID.GENERATION_QUALIFIER, "II"), (NameOID.DN_QUALIFIER, "q"),
        (NameOID.PSEUDONYM, "spire"), (NameOID.SERIAL_NUMBER, "77"), (NameOID.USER_ID, "ada"),
        (NameOID.DOMAIN_COMPONENT, "example"), (NameOID.EMAIL_ADDRESS, "ada@example.com"),
        (NameOID.BUSINESS_CATEGORY, "none"), (NameOID.ORGANIZATION_IDENTIFIER, "VAT-1"),
        (NameOID.UNSTRUCTURED_NAME, "plain"), (NameOID.JURISDICTION_COUNTRY_NAME, "DE"),
    ]  # fmt: skip
    names = [x509.NameAttribute(oid, value) for oid, value in parts]
    wide = x509.NameAttribute(NameOID.COMMON_NAME, "w\u00e4de", _ASN1Type.BMPString)
    return x509.Name([*names, wide])


def san(text: str) -> x509.GeneralName:
    """dns:…, uri:…, ip:… or email:… as a GeneralName."""
    kind, _, value = text.partition(":")
    kinds = {"dns": x509.DNSName, "uri": x509.UniformResourceIdentifier, "email": x509.RFC822Name}
    return x509.IPAddress(ipaddress.ip_address(value)) if kind == "ip" else kinds[kind](value)


def builder(
    name: x509.Name, key: Key, issuer: Issued | None, end: datetime.datetime
) -> x509.CertificateBuilder:
    """What every certificate here has; self-signed without an issuer."""
    signer = issuer.key if issuer else key
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )


def key_usage(*uses: str) -> x509.KeyUsage:
    """A KeyUsage with only `uses` set."""
    known = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
             "decipher_only")  # fmt: skip
    return x509.KeyUsage(**{use: use in uses for use in known})


def authority(
    common_name: str,
    issuer: Issued | None = None,
    *,
    end: datetime.datetime = END,
    uses: Sequence[str] = ("key_cert_sign", "crl_sign"),
) -> Issued:
    """A CA; an intermediate one when it has an issuer."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        builder(subject(common_name), key, issuer, end)
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(key_usage(*uses), True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Issued(key, certificate)


def leaf(
    name: x509.Name,
    sans: Sequence[str],
    issuer: Issued | None,
    *,
    client: bool = False,
    use_rsa: bool = False,
    uses: Sequence[str] = (),
    end: datetime.datetime = END,
    chain: tuple[x509.Certificate, ...] = (),
) -> Issued:
    """A certificate for a server, or for a client; for both, self-signed, without an issuer."""
    key: Key = (
        rsa.generate_private_key(65537, 2048)
        if use_rsa
        else ec.generate_private_key(ec.SECP256R1())
    )
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH] if client or not issuer else []
    purposes += [] if client else [ExtendedKeyUsageOID.SERVER_AUTH]
    usual = ("digital_signature", "key_encipherment") if use_rsa else ("digital_signature",)
    uses = uses or usual
    made = (
        builder(name, key, issuer, end)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(key_usage(*uses), True)
        .add_extension(x509.ExtendedKeyUsage(purposes), False)
    )
    if sans:
        made = made.add_extension(x509.SubjectAlternativeName([san(text) for text in sans]), False)
    return Issued(key, made.sign(issuer.key if issuer else key, hashes.SHA256()), chain)


def kept(name: str, made: Issued) -> Issued:
    """What the folder has by this name; what was made, if there is nothing or all is made anew."""
    pem, key = HERE / f"{name}.pem", HERE / f"{name}.key"
    if ANEW or not (pem.exists() and key.exists()):
        return made
    first, *others = x509.load_pem_x509_certificates(pem.read_bytes())
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(loaded, Key)
    return Issued(loaded, first, tuple(others))


def everything() -> dict[str, Issued]:
    """By the names of their files."""
    ca, other = kept("ca", authority("Test CA")), kept("other-ca", authority("Other CA"))
    middle = authority("Intermediate CA", ca)
    made = {
        "ca": ca,
        "other-ca": other,
        **servers(ca, other),
        **clients(ca, other, middle),
        **refused(ca),
    }
    return {name: kept(name, issued) for name, issued in made.items()}


def servers(ca: Issued, other: Issued) -> dict[str, Issued]:
    """What listeners and origins show."""
    name, sans = subject("a.example.com"), ["dns:a.example.com"]
    return {
        "a-ecdsa": leaf(name, sans, ca),
        "a-rsa": leaf(name, sans, ca, use_rsa=True),
        "a-other": leaf(name, sans, other),
        "a-expired": leaf(name, sans, ca, end=SOON_OVER),
        "b": leaf(subject("b.example.com"), ["dns:b.example.com"], ca),
        "wild": leaf(subject("*.wild.example.com"), ["dns:*.wild.example.com"], ca),
        "ip": leaf(subject("by address"), ["ip:127.0.0.1"], ca),
        "spiffe": leaf(subject("by URI"), ["uri:spiffe://example.com/server"], ca),
        "cn-only": leaf(name, [], ca),
        "part": leaf(subject("w*.example.com"), ["dns:w*.example.com"], ca),
        "unsigning": leaf(name, sans, ca, use_rsa=True, uses=["key_encipherment"]),
    }


def clients(ca: Issued, other: Issued, middle: Issued) -> dict[str, Issued]:
    """What clients, and the proxy towards origins, show."""
    name = subject("client.example.com")
    sans = ["dns:client.example.com", "uri:spiffe://example.com/client"]
    odd = subject('odd "name"', "Commas, and; semicolons")
    odd_sans = ["dns:one.example.com", "dns:two.example.com", "uri:urn:x,y;z"]
    by_address = ["ip:10.1.2.3", "email:a@example.com"]
    chain = (middle.certificate,)
    return {
        "client": leaf(name, sans, ca, client=True),
        "client-rsa": leaf(name, sans, ca, client=True, use_rsa=True),
        "client-other": leaf(name, sans, other, client=True),
        "client-expired": leaf(name, sans, ca, client=True, end=SOON_OVER),
        "client-revoked": leaf(name, sans, ca, client=True),
        "client-ip": leaf(subject("by address"), by_address, ca, client=True),
        "client-bare": leaf(subject("bare"), [], ca, client=True),
        "client-odd": leaf(odd, odd_sans, ca, client=True),
        "client-deep": leaf(subject("deep"), sans, middle, client=True, chain=chain),
    }


def refused(ca: Issued) -> dict[str, Issued]:
    """Signers that may not sign (any more), whom they signed, and names that would end a line."""
    name, sans = subject("client.example.com"), ["dns:client.example.com"]
    lone = kept("lone", leaf(subject("lone.example.com"), ["dns:lone.example.com"], None))
    expired = kept("ca-expired", authority("Expired CA", end=SOON_OVER))
    mute = authority("Mute CA", ca, uses=["crl_sign"])
    lines, line_sans = subject('x"\r\nx-admin: yes'), ["dns:a\r\nx-admin: yes", *sans]
    return {
        "lone": lone,
        "client-by-lone": leaf(name, sans, lone, client=True),
        "client-unsigning": leaf(name, sans, ca, client=True, uses=["key_agreement"]),
        "ca-expired": expired,
        "client-of-expired": leaf(name, sans, expired, client=True),
        "client-by-mute": leaf(name, sans, mute, client=True, chain=(mute.certificate,)),
        "client-crlf": leaf(lines, line_sans, ca, client=True),
        "client-named": leaf(every_part(), sans, ca, client=True),
    }


def fingerprints(certificate: x509.Certificate) -> tuple[str, str]:
    """SHA-256 of the whole certificate in hex, and of its public key in base64."""
    public = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    whole = certificate.public_bytes(serialization.Encoding.DER)
    spki = base64.b64encode(hashlib.sha256(public).digest()).decode("ascii")
    return hashlib.sha256(whole).hexdigest(), spki


def key_pem(key: Key, encryption: serialization.KeySerializationEncryption) -> bytes:
    """A key as its file has it."""
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, encryption)


def revocations(ca: Issued, revoked: Issued, end: datetime.datetime = END) -> bytes:
    """The CA's list, with one certificate on it."""
    entry = x509.RevokedCertificateBuilder().serial_number(revoked.certificate.serial_number)
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(START)
        .next_update(end)
        .add_revoked_certificate(entry.revocation_date(START).build())
        .add_extension(x509.CRLNumber(1), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), False
        )
    )
    return made.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def answered(
    ca: Issued, leaf: Issued, end: datetime.datetime | None = END, *, revoked: bool = False
) -> bytes:
    """The CA's OCSP response for a certificate, in DER; without `end` it says no time."""
    status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
    built = ocsp.OCSPResponseBuilder().add_response(
        cert=leaf.certificate, issuer=ca.certificate, algorithm=hashes.SHA1(), cert_status=status,
        this_update=START, next_update=end, revocation_time=START if revoked else None,
        revocation_reason=None,
    ).responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate)  # fmt: skip
    return built.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def secret(name: str, kind: str, files: dict[str, str]) -> bytes:
    """A file of a secret, what `files` hold written into it."""
    content = {field: {"inline_string": (HERE / file).read_text()} for field, file in files.items()}
    return packed(name, {kind: content})


def packed(name: str, content: dict[str, Any]) -> bytes:
    """A file of one secret."""
    kind_url = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    body = {"version_info": "1", "resources": [{"@type": kind_url, "name": name, **content}]}
    return json.dumps(body, indent=1).encode() + b"\n"


def store(issued: Issued, how: serialization.KeySerializationEncryption) -> bytes:
    """A key with its certificates (PKCS #12)."""
    chain = list(issued.chain)
    return pkcs12.serialize_key_and_certificates(b"b", issued.key, issued.certificate, chain, how)


def write(name: str, data: bytes) -> None:
    """Writes a file that isn't there yet, or any when all is made anew."""
    if ANEW or not (HERE / name).exists():
        (HERE / name).write_bytes(data)


def main() -> None:
    """Writes the folder."""
    lines = ["# Made by make.py."]
    made = everything()
    for name, issued in made.items():
        pem = [c.public_bytes(serialization.Encoding.PEM)
               for c in (issued.certificate, *issued.chain)]  # fmt: skip
        write(f"{name}.pem", b"".join(pem))
        write(f"{name}.key", key_pem(issued.key, serialization.NoEncryption()))
        whole, spki = fingerprints(issued.certificate)
        lines.append(f'{name}: {{sha256: "{whole}", spki: "{spki}"}}')
    locked = key_pem(made["b"].key, serialization.BestAvailableEncryption(b"secret"))
    write("b-locked.key", locked)
    write("b.p12", store(made["b"], serialization.BestAvailableEncryption(b"secret")))
    write("b-open.p12", store(made["b"], serialization.NoEncryption()))
    old = serialization.PrivateFormat.PKCS12.encryption_builder()
    old = old.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC)
    old = old.hmac_hash(hashes.SHA1()).kdf_rounds(2000)
    write("b-old.p12", store(made["b"], old.build(b"secret")))
    write("ca.crl", revocations(made["ca"], made["client-revoked"]))
    write("ca-and-crl.pem", (HERE / "ca.pem").read_bytes() + (HERE / "ca.crl").read_bytes())
    write("ca-stale.crl", revocations(made["ca"], made["client-revoked"], SOON_OVER))
    write("a-ecdsa.ocsp", answered(made["ca"], made["a-ecdsa"]))
    write("a-ecdsa-stale.ocsp", answered(made["ca"], made["a-ecdsa"], SOON_OVER))
    write("a-ecdsa-revoked.ocsp", answered(made["ca"], made["a-ecdsa"], revoked=True))
    write("a-ecdsa-timeless.ocsp", answered(made["ca"], made["a-ecdsa"], None))
    unable = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER)
    write("unable.ocsp", unable.public_bytes(serialization.Encoding.DER))
    write("b.ocsp", answered(made["ca"], made["b"]))
    write("tickets.key", os.urandom(80))
    write("tickets-new.key", os.urandom(80))
    pair = {"certificate_chain": "a-ecdsa.pem", "private_key": "a-ecdsa.key"}
    write("sds-server.json", secret("server", "tls_certificate", pair))
    write("sds-trust.json", secret("trust", "validation_context", {"trusted_ca": "ca.pem"}))
    keys = {"keys": [{"inline_string": "k" * 80}]}
    write("sds-tickets.json", packed("tickets", {"session_ticket_keys": keys}))
    write("sds-empty.json", b"{}\n")
    (HERE / "fingerprints.yaml").write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
