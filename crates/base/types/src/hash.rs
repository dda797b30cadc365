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

/// MurmurHash64A as GNU's C++ library seeds it: what Envoy's `MURMUR_HASH_2` is.
pub fn murmur_hash_of(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xc70f_6907;
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    let mix = |word: u64| word ^ (word >> 47);
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let word = mix(u64::from_le_bytes(*word).wrapping_mul(FACTOR)).wrapping_mul(FACTOR);
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    }
    mix(mix(hash).wrapping_mul(FACTOR))
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
        // What `std::hash` of GNU's C++ library says.
        assert_eq!(murmur_hash_of(b""), 6_142_509_188_972_423_790);
        assert_eq!(murmur_hash_of(b"a"), 4_993_892_634_952_068_459);
        assert_eq!(murmur_hash_of(b"hello world"), 5_577_293_430_985_752_569);
    }
}
