//! What is known of a connection before its filter chain is chosen. Listener filters fill it in.

use dragoman_types::{Address, Metadata};

/// How the connection's first bytes look. Envoy starts with "not detected" and takes that for
/// `raw_buffer` once the listener filters are through, so no third value is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Transport {
    #[default]
    Raw,
    Tls,
}

impl Transport {
    /// The name in `FilterChainMatch.transport_protocol`.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Raw => "raw_buffer",
            Transport::Tls => "tls",
        }
    }
}

/// A type-length-value of PROXY protocol version 2: its type and its value.
pub type Tlv = (u8, Box<[u8]>);

/// What a PROXY protocol header said: Envoy's filter state `envoy.network.proxy_protocol_options`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyHeader {
    /// 1 or 2.
    pub version: u8,
    /// The addresses of the header; of the socket, where the header has none.
    pub source: Address,
    pub destination: Address,
    /// What `pass_through_tlvs` lets through, in the order of the header.
    pub tlvs: Vec<Tlv>,
    /// Key and value by the `rules`, where `tlv_location` is `FILTER_STATE`: Envoy's filter state
    /// `envoy.network.proxy_protocol.tlv`.
    pub named: Vec<(Box<str>, Box<str>)>,
}

/// A connection that has no filter chain yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// Our end: the socket's, the one that the PROXY protocol names, or where the connection was
    /// redirected from.
    /// An IPv4 peer of a dual-stack socket must come as IPv4, not as `::ffff:…`.
    pub destination: Address,
    /// Where the connection was redirected from, if a filter asks and it was.
    pub original_destination: Option<Address>,
    /// The socket's peer.
    pub direct_source: Address,
    /// The peer: the socket's, or the one that the PROXY protocol names.
    pub source: Address,
    pub transport: Transport,
    /// In lower case, at most 255 bytes.
    pub server_name: Option<Box<str>>,
    /// What the client offers (ALPN), or what the first bytes show, most wanted first.
    pub applications: Vec<Box<[u8]>>,
    /// 32 hexadecimal digits.
    pub ja3: Option<Box<str>>,
    /// `a_b_c`.
    pub ja4: Option<Box<str>>,
    /// `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub transport_failure: Option<&'static str>,
    /// Each (namespace, key) at most once.
    pub metadata: Vec<Metadata>,
    pub proxy: Option<Box<ProxyHeader>>,
}

impl Arrival {
    /// What the socket alone tells.
    pub fn new(destination: Address, source: Address) -> Arrival {
        Arrival {
            destination,
            original_destination: None,
            direct_source: source.clone(),
            source,
            transport: Transport::default(),
            server_name: None,
            applications: Vec::new(),
            ja3: None,
            ja4: None,
            transport_failure: None,
            metadata: Vec::new(),
            proxy: None,
        }
    }

    /// Adds to the dynamic metadata; what is there under this name already stays.
    pub fn add_metadata(&mut self, namespace: &str, key: &str, value: &str) {
        let known = |m: &Metadata| &*m.namespace == namespace && &*m.key == key;
        if !self.metadata.iter().any(known) {
            let (namespace, key) = (namespace.into(), key.into());
            self.metadata.push(Metadata { namespace, key, value: value.into() });
        }
    }
}
