//! The hash by which hosts are chosen: Envoy's, or one client would have another host at each kind of proxy.

use twox_hash::XxHash64;

use crate::address::Address;

/// xxHash64 without a seed.
pub fn hash_of(bytes: &[u8]) -> u64 {
    hash_with(0, bytes)
}

/// xxHash64 with `seed`.
pub fn hash_with(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}

/// Of a client's address without its port; `None`: it has no IP address.
pub fn hash_of_client(remote: &Address) -> Option<u64> {
    match remote {
        Address::Ip(address) => Some(hash_of(address.ip().to_string().as_bytes())),
        Address::Pipe(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        // From the xxHash specification's reference implementation.
        assert_eq!(hash_of(b""), 0xef46_db37_51d8_e999);
        assert_eq!(hash_of(b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_ne!(hash_with(1, b"a"), hash_of(b"a"));
    }
}
