//! Fields that concern one connection only: what `Connection` nominates, `TE`, upgrades.

use dragoman_types::{Headers, IdSet, id};

/// Envoy refuses a head that nominates this many fields or more.
const MAX_NOMINATED: usize = 10;
/// Envoy refuses a nominated `TE` of this length or more.
const MAX_TE: usize = 256;

/// Always taken off a request.
pub(crate) const REQUEST: IdSet =
    IdSet::of(&[id::KEEP_ALIVE, id::PROXY_CONNECTION, id::TRANSFER_ENCODING]);
/// Taken off too, unless the head asks for an upgrade.
pub(crate) const NOT_UPGRADE: IdSet = IdSet::of(&[id::CONNECTION, id::UPGRADE]);

/// `Connection` nominates something that must not be removed, or too much.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Rejected;

/// The members of a comma-separated list, without blanks around them; empty ones are left out.
pub(crate) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').filter(|part| !part.is_empty()).map(<[u8]>::trim_ascii)
}

pub(crate) fn has_member(value: &[u8], name: &[u8]) -> bool {
    members(value).any(|member| member.eq_ignore_ascii_case(name))
}

/// The head asks for an upgrade: `Connection: upgrade` with an `Upgrade`.
pub fn is_upgrade(headers: &Headers) -> bool {
    headers.contains(id::UPGRADE)
        && headers.get(id::CONNECTION).is_some_and(|value| has_member(value, b"upgrade"))
}

/// Takes off the fields that `Connection` nominates, and their names out of it. Forwarding fields
/// and pseudo-headers can't be nominated away, so that a client can't hide where it came from.
pub(crate) fn remove_nominated(
    headers: &mut Headers,
    names: &mut Vec<u8>,
    kept: &mut Vec<u8>,
) -> Result<(), Rejected> {
    let Some(value) = headers.get(id::CONNECTION) else { return Ok(()) };
    if members(value).count() >= MAX_NOMINATED {
        return Err(Rejected);
    }
    names.clear();
    kept.clear();
    for member in members(value) {
        let keep = matches_any(member, &[b"close", b"http2-settings", b"keep-alive", b"upgrade"])
            || keeps_te(headers, member)?;
        if matches_any(member, &[b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"])
            || member.starts_with(b":")
        {
            return Err(Rejected);
        }
        let list = if keep { &mut *kept } else { &mut *names };
        if !list.is_empty() {
            list.push(b',');
        }
        list.extend_from_slice(member);
    }
    if headers.get(id::TE).is_some() && has_member(kept, b"te") {
        headers.set(id::TE, b"trailers");
    }
    if names.is_empty() {
        return Ok(());
    }
    headers.retain(|id, name, _| {
        let name = if id == id::AUTHORITY { b"host" } else { name };
        id.is_pseudo() && id != id::AUTHORITY || !has_member(names, name)
    });
    match kept.is_empty() {
        true => drop(headers.remove(id::CONNECTION)),
        false => headers.set(id::CONNECTION, kept),
    }
    Ok(())
}

fn matches_any(member: &[u8], names: &[&[u8]]) -> bool {
    names.iter().any(|name| member.eq_ignore_ascii_case(name))
}

/// A nominated `TE` stays where it accepts trailers.
fn keeps_te(headers: &Headers, member: &[u8]) -> Result<bool, Rejected> {
    if !member.eq_ignore_ascii_case(b"te") {
        return Ok(false);
    }
    let Some(value) = headers.get(id::TE) else { return Ok(false) };
    if value.len() >= MAX_TE {
        return Err(Rejected);
    }
    Ok(members(value).any(|coding| {
        let end = coding.iter().position(|b| *b == b';').unwrap_or(coding.len());
        coding[..end].trim_ascii().eq_ignore_ascii_case(b"trailers")
    }))
}

/// Envoy speaks no HTTP/2 on an upgraded connection: such an offer is dropped, not refused.
pub(crate) fn ignore_h2c(headers: &mut Headers, kept: &mut Vec<u8>) {
    if !headers.get(id::UPGRADE).is_some_and(|value| value.eq_ignore_ascii_case(b"h2c")) {
        return;
    }
    headers.remove(id::UPGRADE);
    headers.remove(&b"http2-settings"[..]);
    kept.clear();
    for member in headers.get(id::CONNECTION).into_iter().flat_map(members) {
        if !matches_any(member, &[b"upgrade", b"http2-settings"]) {
            if !kept.is_empty() {
                kept.push(b',');
            }
            kept.extend_from_slice(member);
        }
    }
    match kept.is_empty() {
        true => drop(headers.remove(id::CONNECTION)),
        false => headers.set(id::CONNECTION, kept),
    }
}

/// `TE` goes on as `trailers` or not at all. An empty one stays, as in Envoy.
pub(crate) fn sanitize_te(headers: &mut Headers) {
    let Some(value) = headers.get(id::TE) else { return };
    if value.is_empty() || value == b"trailers" {
        return;
    }
    if members(value).any(|coding| coding == b"trailers") {
        headers.set(id::TE, b"trailers");
    } else {
        headers.remove(id::TE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        headers.append(id::PATH, b"/");
        headers.append(id::AUTHORITY, b"h");
        for (name, value) in fields {
            headers.push(name.as_bytes(), value.as_bytes());
        }
        headers
    }

    fn text(headers: &Headers) -> String {
        let lossy = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        let all: Vec<_> = headers
            .iter()
            .filter(|(id, ..)| *id != id::PATH)
            .map(|(_, n, v)| format!("{}={}", lossy(n), lossy(v)))
            .collect();
        all.join(" ")
    }

    fn nominate(connection: &str) -> Result<String, Rejected> {
        let mut headers = head(&[
            ("connection", connection),
            ("x-a", "1"),
            ("te", "trailers"),
            ("cookie", "c"),
            ("x-forwarded-port", "3"),
        ]);
        remove_nominated(&mut headers, &mut Vec::new(), &mut Vec::new())?;
        Ok(text(&headers))
    }

    #[test]
    fn nominated_fields_go() {
        let rest = "x-forwarded-port=3";
        let table = [
            ("close", format!(":authority=h connection=close x-a=1 te=trailers cookie=c {rest}")),
            ("X-A", format!(":authority=h te=trailers cookie=c {rest}")),
            ("close, x-a", format!(":authority=h connection=close te=trailers cookie=c {rest}")),
            ("cookie,x-forwarded-port", ":authority=h x-a=1 te=trailers".into()),
            ("te", format!(":authority=h connection=te x-a=1 te=trailers cookie=c {rest}")),
            ("connection", format!(":authority=h x-a=1 te=trailers cookie=c {rest}")),
            ("host", format!("x-a=1 te=trailers cookie=c {rest}")),
            ("x-a x-b", format!(":authority=h x-a=1 te=trailers cookie=c {rest}")),
            ("a,,,,,,,,,,,b", format!(":authority=h x-a=1 te=trailers cookie=c {rest}")),
        ];
        for (connection, wanted) in table {
            assert_eq!(nominate(connection).unwrap(), wanted, "{connection}");
        }
    }

    #[test]
    fn some_nominations_are_refused() {
        let many = "a,b,c,d,e,f,g,h,i,j";
        for bad in ["x-forwarded-for", "X-Forwarded-Proto", "x-forwarded-host", ":path", many] {
            assert_eq!(nominate(bad), Err(Rejected), "{bad}");
        }
        assert!(nominate("a,b,c,d,e,f,g,h,i,").is_ok());
        let long = "g".repeat(300);
        let mut headers = head(&[("connection", "te"), ("te", &long)]);
        let answer = remove_nominated(&mut headers, &mut Vec::new(), &mut Vec::new());
        assert_eq!(answer, Err(Rejected));
    }

    #[test]
    fn te_goes_on_as_trailers_or_not_at_all() {
        let table = [
            ("trailers", "te=trailers"),
            ("gzip", ""),
            ("gzip, trailers", "te=trailers"),
            ("trailers;q=0.5", ""),
            ("TRAILERS", ""),
            ("gzip;q=1,trailers , deflate", "te=trailers"),
            ("", "te="),
        ];
        for (te, wanted) in table {
            let mut headers = head(&[("te", te)]);
            sanitize_te(&mut headers);
            assert_eq!(text(&headers), format!(":authority=h {wanted}").trim_end(), "{te}");
        }
    }

    #[test]
    fn h2c_is_ignored_and_other_upgrades_stay() {
        let mut headers = head(&[
            ("connection", "Upgrade, HTTP2-Settings, x"),
            ("upgrade", "H2C"),
            ("http2-settings", "AA"),
        ]);
        assert!(is_upgrade(&headers));
        ignore_h2c(&mut headers, &mut Vec::new());
        assert_eq!(text(&headers), ":authority=h connection=x");
        let mut headers = head(&[("connection", "upgrade"), ("upgrade", "h2c, websocket")]);
        ignore_h2c(&mut headers, &mut Vec::new());
        assert!(is_upgrade(&headers));
        assert!(!is_upgrade(&head(&[("upgrade", "websocket")])));
        assert!(!is_upgrade(&head(&[("connection", "upgrade")])));
    }
}
