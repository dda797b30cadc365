//! The body of a ClientHello: RFC 8446 section 4.1.2, RFC 6066 section 3 (server_name), RFC 7301 section
//! 3.1 (ALPN). Refused is what BoringSSL refuses on the way to the server name, which is how far
//! Envoy's inspector lets it come.

use super::failure;

/// Extensions that are looked into.
pub(super) const SERVER_NAME: u16 = 0;
pub(super) const SUPPORTED_GROUPS: u16 = 10;
pub(super) const EC_POINT_FORMATS: u16 = 11;
pub(super) const SIGNATURE_ALGORITHMS: u16 = 13;
pub(super) const APPLICATION_PROTOCOLS: u16 = 16;
pub(super) const SUPPORTED_VERSIONS: u16 = 43;

/// The longest host name (the limit of DNS, and BoringSSL's).
const MAX_NAME: usize = 255;
/// TLS 1.0 to 1.3.
const VERSIONS: std::ops::RangeInclusive<u16> = 0x0301..=0x0304;

#[derive(Debug)]
pub(super) struct ClientHello<'a> {
    /// `legacy_version`.
    pub(super) version: u16,
    /// Pairs of bytes.
    pub(super) ciphers: &'a [u8],
    /// Type and body, in the client's order, each type once.
    pub(super) extensions: Vec<(u16, &'a [u8])>,
    pub(super) server_name: Option<&'a [u8]>,
}

impl<'a> ClientHello<'a> {
    /// # Errors
    /// How it is malformed.
    pub(super) fn parse(body: &'a [u8]) -> Result<ClientHello<'a>, &'static str> {
        let mut hello = ClientHello::frame(body).ok_or(failure::MALFORMED)?;
        if let Some(body) = hello.extension(SERVER_NAME) {
            hello.server_name = Some(host_name(body).ok_or(failure::MALFORMED_EXTENSION)?);
        }
        Ok(hello)
    }

    /// Without a look into the extensions.
    fn frame(body: &'a [u8]) -> Option<ClientHello<'a>> {
        let mut rest = Reader(body);
        let version = rest.u16()?;
        rest.take(32)?;
        let session = rest.prefixed8()?;
        let ciphers = rest.prefixed16()?;
        let compression = rest.prefixed8()?;
        let sound = session.len() <= 32
            && !ciphers.is_empty()
            && ciphers.len().is_multiple_of(2)
            && !compression.is_empty();
        let extensions = extensions(rest).filter(|_| sound)?;
        Some(ClientHello { version, ciphers, extensions, server_name: None })
    }

    /// `legacy_version` is one of TLS 1.0 to 1.3. Envoy looks at no other.
    pub(super) fn has_version(&self) -> bool {
        VERSIONS.contains(&self.version)
    }

    pub(super) fn extension(&self, wanted: u16) -> Option<&'a [u8]> {
        self.extensions.iter().find(|(kind, _)| *kind == wanted).map(|(_, body)| *body)
    }

    /// What the client offers. A malformed list offers nothing: the TLS stack will say so.
    pub(super) fn applications(&self) -> Option<Vec<&'a [u8]>> {
        let mut body = Reader(self.extension(APPLICATION_PROTOCOLS)?);
        let mut list = Reader(body.prefixed16()?);
        let mut names = Vec::new();
        while !list.0.is_empty() {
            names.push(list.prefixed8().filter(|name| !name.is_empty())?);
        }
        (body.0.is_empty() && !names.is_empty()).then_some(names)
    }

    /// The offered versions, where the client lists them.
    pub(super) fn versions(&self) -> Option<impl Iterator<Item = u16> + use<'a>> {
        let body = self.extension(SUPPORTED_VERSIONS)?;
        Some(pairs(Reader(body).prefixed8().unwrap_or_default()))
    }
}

/// None at all, or a list that ends with the message.
fn extensions(mut rest: Reader<'_>) -> Option<Vec<(u16, &[u8])>> {
    let mut found = Vec::new();
    if rest.0.is_empty() {
        return Some(found);
    }
    let mut list = Reader(rest.prefixed16()?);
    while !list.0.is_empty() {
        found.push((list.u16()?, list.prefixed16()?));
    }
    let mut kinds: Vec<u16> = found.iter().map(|(kind, _)| *kind).collect();
    kinds.sort_unstable();
    let twice = kinds.windows(2).any(|pair| pair[0] == pair[1]);
    (rest.0.is_empty() && !twice).then_some(found)
}

/// The one name of the list; other kinds of names were never defined.
fn host_name(body: &[u8]) -> Option<&[u8]> {
    let mut body = Reader(body);
    let mut list = Reader(body.prefixed16()?);
    let kind = list.u8()?;
    let name = list.prefixed16()?;
    let sound = body.0.is_empty()
        && list.0.is_empty()
        && kind == 0
        && (1..=MAX_NAME).contains(&name.len())
        && !name.contains(&0);
    sound.then_some(name)
}

/// Numbers of two bytes; half a one at the end is left out.
pub(super) fn pairs(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
}

/// Reads from the front; `None` past the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(super) fn prefixed8(&mut self) -> Option<&'a [u8]> {
        let length = self.u8()?;
        self.take(length.into())
    }

    pub(super) fn prefixed16(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }
}
