//! The driver's connections: plain bytes or TLS, HTTP/1.1 or HTTP/2.

use std::io;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::either::Either;

use crate::args::Args;

pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// Whom the proxy's certificate must name.
const NAME: &str = "bench.example.com";

/// Where connections go, and what is spoken on them before HTTP.
pub(crate) struct Door {
    port: u16,
    tls: Option<TlsConnector>,
}

impl Door {
    pub(crate) fn new(args: &Args) -> io::Result<Self> {
        let tls = args.ca.as_deref().map(|ca| connector(ca, args.streams > 0)).transpose()?;
        Ok(Self { port: args.port, tls })
    }

    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return Ok(Either::Left(stream)) };
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        Ok(Either::Right(tls.connect(name, stream).await?))
    }
}

/// Without resumption: a connection costs its whole handshake, as a new client's does.
fn connector(ca: &str, http2: bool) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(io::Error::other)? {
        roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(TlsConnector::from(Arc::new(config)))
}
