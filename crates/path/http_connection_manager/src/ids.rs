//! What a head holds at a glance: one pass tells which steps have nothing to do.

use dragoman_types::{Headers, IdSet};

/// Which names a head had when it came. Steps that remove fields leave this as it is: "seen" means
/// "worth looking", "not seen" means "not there unless a step added it".
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Seen {
    pub(crate) any: IdSet,
    pub(crate) twice: IdSet,
}

impl Seen {
    pub(crate) fn in_request(headers: &Headers) -> Seen {
        Seen { any: headers.present(), twice: headers.repeated() }
    }
}

/// Joins the values of each repeated field of `which` with a comma, as Envoy's header table does.
/// Matchers, formatters and the origin then see one field.
pub(crate) fn join_repeated(
    headers: &mut Headers,
    twice: IdSet,
    which: IdSet,
    joined: &mut Vec<u8>,
) {
    for id in twice.intersection(which).iter() {
        joined.clear();
        for (nth, value) in headers.get_all(id).enumerate() {
            if nth > 0 {
                joined.push(b',');
            }
            joined.extend_from_slice(value);
        }
        headers.set(id, joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragoman_types::id;

    #[test]
    fn repeated_fields_become_one_and_cookies_stay() {
        let mut headers = Headers::new();
        for (name, value) in [("Accept", "1"), ("x-y", "a"), ("cookie", "a"), ("accept", "2")] {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers.push(b"COOKIE", b"b");
        let seen = Seen::in_request(&headers);
        join_repeated(&mut headers, seen.twice, IdSet::of(&[id::ACCEPT]), &mut Vec::new());
        let all: Vec<_> = headers.iter().map(|(_, n, v)| [n, b"=", v].concat()).collect();
        assert_eq!(all, [&b"accept=1,2"[..], b"x-y=a", b"cookie=a", b"cookie=b"]);
    }
}
