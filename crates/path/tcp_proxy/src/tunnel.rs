//! `TcpProxy.tunneling_config`: the request whose body, or whose tunnel, carries the bytes.
//! Sources: RFC 9110 section 9.3.6 (CONNECT), `TcpProxy.TunnelingConfig`.

use dragoman_edits::{Edits, Mutations, Scratch, Side};
use dragoman_format::Format;
use dragoman_proto::pb::envoy::extensions::filters::network::tcp_proxy::v3::tcp_proxy::TunnelingConfig;
use dragoman_types::{Facts, Faults, RequestHead, id};

/// A frozen `TunnelingConfig`.
#[derive(Debug)]
pub struct Tunnel {
    hostname: Format,
    /// Of a POST; `None`: it's a CONNECT.
    path: Option<Box<str>>,
    headers: Edits,
}

impl Tunnel {
    pub(crate) fn compile(message: &TunnelingConfig, faults: &mut Faults) -> Tunnel {
        if message.hostname.is_empty() {
            faults.add_at("hostname", "empty", "must not be empty");
        }
        if !message.post_path.is_empty() && !message.use_post {
            faults.add_at("post_path", "conflict", "only a POST has a path: set use_post");
        }
        let path = if message.post_path.is_empty() { "/" } else { &message.post_path };
        let fields = ("headers_to_add", "");
        Tunnel {
            hostname: faults.field("hostname", |f| Format::parse(&message.hostname, f)),
            path: message.use_post.then(|| path.into()),
            headers: Mutations::compile(
                Side::Request,
                fields,
                &message.headers_to_add,
                &[],
                faults,
            ),
        }
    }

    /// Whether what follows the head is bytes without framing, where HTTP has no streams.
    pub fn is_connect(&self) -> bool {
        self.path.is_none()
    }

    /// The request's head; `secure`: it goes through TLS.
    pub fn request(&self, facts: &Facts<'_>, secure: bool, scratch: &mut Scratch) -> RequestHead {
        let mut head = RequestHead::default();
        let headers = &mut head.headers;
        let mut authority = Vec::new();
        self.hostname.write(facts, &mut scratch.format, &mut authority);
        // What would end the field would begin another.
        authority.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
        headers.set(id::METHOD, if self.is_connect() { b"CONNECT" } else { b"POST" });
        headers.set(id::AUTHORITY, &authority);
        if let Some(path) = &self.path {
            headers.set(id::PATH, path.as_bytes());
            headers.set(id::SCHEME, if secure { b"https" } else { b"http" });
        }
        if let Some(edits) = &self.headers {
            edits.edit_request(&mut head, facts, scratch);
        }
        head
    }
}
