//! Session tickets (RFC 8446 section 4.6.1, RFC 5077) under keys of the configuration, and how long
//! sessions live.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use dragoman_proto::data_source::read;
use dragoman_proto::pb::envoy::extensions::transport_sockets::tls::v3::TlsSessionTicketKeys;
use dragoman_types::Faults;
use rustls::server::{ProducesTickets, StoresServerSessions};

/// Bytes of a key as Envoy has it: a name, then secrets.
const KEY: usize = 80;
const NAME: usize = 16;

/// The keys of the configuration: the first one seals, all of them open.
///
/// A ticket is a key's name, a nonce, and the sealed session. `bound` is sealed with it: a session that
/// was made where other certificates are asked for is none here.
pub(super) struct TicketKeys {
    keys: Vec<Key>,
    bound: [u8; 32],
}

struct Key {
    name: [u8; NAME],
    sealing: LessSafeKey,
}

/// Shows no key.
impl std::fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ticket keys", self.keys.len())
    }
}

impl TicketKeys {
    /// Faults: `missing` (no key), `unreadable`, `wrong-length` (a key has 80 bytes).
    pub(super) fn compile(
        message: &TlsSessionTicketKeys,
        bound: [u8; 32],
        faults: &mut Faults,
    ) -> Option<TicketKeys> {
        if message.keys.is_empty() {
            faults.add_at("keys", "missing", "at least one key is needed");
            return None;
        }
        let mut keys = Vec::with_capacity(message.keys.len());
        for (index, source) in message.keys.iter().enumerate() {
            let bytes = read(Some(source), &format!("keys[{index}]"), faults)?;
            let key = bytes.as_slice().try_into().ok().and_then(Key::new);
            let Some(key) = key else {
                let why = format!("a key has {KEY} bytes, this one has {}", bytes.len());
                faults.item("keys", index, |faults| faults.add("wrong-length", why));
                return None;
            };
            keys.push(key);
        }
        Some(TicketKeys { keys, bound })
    }
}

impl Key {
    fn new(bytes: &[u8; KEY]) -> Option<Key> {
        let (name, secrets) = bytes.split_first_chunk()?;
        let secret = Salt::new(HKDF_SHA256, &[]).extract(secrets);
        let key = secret.expand(&[b"dragoman session ticket"], &AES_256_GCM_SIV).ok()?;
        Some(Key { name: *name, sealing: LessSafeKey::new(UnboundKey::from(key)) })
    }
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFETIME
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let key = self.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(self.bound);
        let nonce_used = Nonce::assume_unique_for_key(nonce);
        key.sealing.seal_in_place_append_tag(nonce_used, aad, &mut sealed).ok()?;
        Some([&key.name[..], &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = self.keys.iter().find(|key| key.name == *name)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut sealed = sealed.to_vec();
        let plain = key.sealing.open_in_place(nonce, Aad::from(self.bound), &mut sealed).ok()?;
        let length = plain.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

/// `session_timeout` unless it's set: two hours, in seconds.
pub(super) const LIFETIME: u32 = 7200;

/// Sessions of at most so many seconds, whoever keeps them.
#[derive(Debug)]
pub(super) struct Timed<T: ?Sized> {
    pub(super) lifetime: u32,
    pub(super) inner: Arc<T>,
}

impl<T: ?Sized> Timed<T> {
    fn stamped(&self, session: &[u8]) -> Vec<u8> {
        [&seconds().to_be_bytes()[..], session].concat()
    }

    fn fresh(&self, stamped: &[u8]) -> Option<Vec<u8>> {
        let (made, session) = stamped.split_first_chunk()?;
        let age = seconds().saturating_sub(u64::from_be_bytes(*made));
        (age <= u64::from(self.lifetime)).then(|| session.to_vec())
    }
}

/// Since 1970: tickets go from process to process.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl ProducesTickets for Timed<dyn ProducesTickets> {
    fn enabled(&self) -> bool {
        self.inner.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.lifetime
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.inner.encrypt(&self.stamped(plain))
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.inner.decrypt(ticket)?)
    }
}

impl StoresServerSessions for Timed<dyn StoresServerSessions> {
    fn put(&self, key: Vec<u8>, session: Vec<u8>) -> bool {
        self.inner.put(key, self.stamped(&session))
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.inner.get(key)?)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.fresh(&self.inner.take(key)?)
    }

    fn can_cache(&self) -> bool {
        self.inner.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use dragoman_proto::pb::envoy::config::core::v3::{DataSource, data_source::Specifier};

    use super::*;

    fn keys(names: &[u8], bound: u8) -> TicketKeys {
        let source = |byte: &u8| DataSource {
            specifier: Some(Specifier::InlineBytes(vec![*byte; KEY])),
            ..Default::default()
        };
        let message = TlsSessionTicketKeys { keys: names.iter().map(source).collect() };
        let mut faults = Faults::new();
        let keys = TicketKeys::compile(&message, [bound; 32], &mut faults);
        assert!(faults.is_empty());
        keys.expect("the keys are good")
    }

    #[test]
    fn all_keys_open_and_the_first_seals() {
        let ticket = keys(b"a", 0).encrypt(b"session").expect("it seals");
        assert_eq!(keys(b"ba", 0).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(keys(b"b", 0).decrypt(&ticket), None, "the key is gone");
        assert_eq!(keys(b"a", 1).decrypt(&ticket), None, "made where other clients are let in");
        let newer = keys(b"ba", 0).encrypt(b"session").expect("it seals");
        assert_eq!(keys(b"a", 0).decrypt(&newer), None);
    }

    #[test]
    fn bytes_that_are_no_ticket_are_none() {
        let keys = keys(b"a", 0);
        let ticket = keys.encrypt(b"session").expect("it seals");
        for length in 0..ticket.len() {
            assert_eq!(keys.decrypt(&ticket[..length]), None);
        }
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(keys.decrypt(&changed), None, "{at}");
        }
    }

    #[test]
    fn sessions_have_an_end() {
        let inner: Arc<dyn ProducesTickets> = Arc::new(keys(b"a", 0));
        let timed = Timed { lifetime: 10, inner: inner.clone() };
        let ticket = timed.encrypt(b"session").expect("it seals");
        assert_eq!(timed.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let old = [&(seconds() - 20).to_be_bytes()[..], b"session"].concat();
        assert_eq!(timed.decrypt(&inner.encrypt(&old).expect("it seals")), None);
    }
}
