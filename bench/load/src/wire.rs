//! One HTTP/1.1 connection seen as a buffer: find a head, then pass its body by. Both sides of the
//! benchmark use it. Strict where counting depends on it (framing), blind to everything else.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::body::Check;

const MAX_HEADERS: usize = 100;

/// Names that the two sides of the benchmark exchange end to end through the proxy.
pub(crate) const SERIAL: &str = "x-bench-serial";
pub(crate) const RECEIVED: &str = "x-bench-received";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// What the benchmark wants to know of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// 0 for a request.
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) close: bool,
    pub(crate) serial: Option<u64>,
    pub(crate) received: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Origin,
    Driver,
}

pub(crate) struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, buffer_bytes: usize) -> Self {
        Self { stream, buffer: vec![0; buffer_bytes], start: 0, end: 0 }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Bytes that came after the last message: a driver that finds some has met a framing fault.
    pub(crate) fn surplus(&self) -> usize {
        self.end - self.start
    }

    async fn fill(&mut self) -> io::Result<usize> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "head or chunk line too long"));
        }
        let count = self.stream.read(&mut self.buffer[self.end..]).await?;
        self.end += count;
        Ok(count)
    }

    async fn fill_some(&mut self) -> io::Result<()> {
        match self.fill().await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The next head; `None` when the peer closed between messages.
    pub(crate) async fn head(&mut self, side: Side) -> io::Result<Option<Head>> {
        loop {
            if self.start < self.end
                && let Some((length, head)) = parse(side, &self.buffer[self.start..self.end])?
            {
                self.start += length;
                return Ok(Some(head));
            }
            let waiting = self.start == self.end;
            if self.fill().await? == 0 {
                if waiting {
                    return Ok(None);
                }
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Passes a body by and returns its length.
    pub(crate) async fn body(
        &mut self,
        framing: Framing,
        check: &mut Option<Check<'_>>,
    ) -> io::Result<u64> {
        match framing {
            Framing::Length(length) => self.pass(length, check).await,
            Framing::Chunked => self.chunks(check).await,
            Framing::UntilClose => {
                let mut total = 0;
                loop {
                    total += self.pass((self.end - self.start) as u64, check).await?;
                    if self.fill().await? == 0 {
                        return Ok(total);
                    }
                }
            }
        }
    }

    async fn pass(&mut self, length: u64, check: &mut Option<Check<'_>>) -> io::Result<u64> {
        let mut left = length;
        while left > 0 {
            if self.start == self.end {
                self.fill_some().await?;
            }
            let here = left.min((self.end - self.start) as u64) as usize;
            if let Some(check) = check {
                check.piece(&self.buffer[self.start..self.start + here]);
            }
            self.start += here;
            left -= here as u64;
        }
        Ok(length)
    }

    async fn chunks(&mut self, check: &mut Option<Check<'_>>) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let line = self.line().await?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(digits)
                .ok()
                .and_then(|text| u64::from_str_radix(text.trim(), 16).ok())
                .ok_or_else(|| invalid("chunk size"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(total);
            }
            total += self.pass(size, check).await?;
            if !self.line().await?.is_empty() {
                return Err(invalid("chunk end"));
            }
        }
    }

    async fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let unread = &self.buffer[self.start..self.end];
            if let Some(at) = unread.windows(2).position(|pair| pair == b"\r\n") {
                let line = unread[..at].to_vec();
                self.start += at + 2;
                return Ok(line);
            }
            self.fill_some().await?;
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

/// A complete head and its length in bytes; `None` when more bytes are needed.
fn parse(side: Side, bytes: &[u8]) -> io::Result<Option<(usize, Head)>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let (parsed, status) = match side {
        Side::Driver => {
            let mut response = httparse::Response::new(&mut headers);
            (response.parse(bytes), response.code.unwrap_or(0))
        }
        Side::Origin => (httparse::Request::new(&mut headers).parse(bytes), 0),
    };
    let httparse::Status::Complete(length) =
        parsed.map_err(|error| invalid(&format!("head: {error}")))?
    else {
        return Ok(None);
    };
    let no_body = side == Side::Origin || matches!(status, 204 | 304);
    let framing = if no_body { Framing::Length(0) } else { Framing::UntilClose };
    let mut head = Head { status, framing, close: false, serial: None, received: None };
    for header in headers.iter().take_while(|header| !header.name.is_empty()) {
        head.note(header.name, header.value)?;
    }
    Ok(Some((length, head)))
}

impl Head {
    fn note(&mut self, name: &str, value: &[u8]) -> io::Result<()> {
        let is = |wanted: &str| name.eq_ignore_ascii_case(wanted);
        // The length first: it tells most headers apart without reading their names.
        match name.len() {
            10 if is("connection") => self.close = value.eq_ignore_ascii_case(b"close"),
            14 if is("content-length") => self.framing = Framing::Length(decimal(value)?),
            14 if is(SERIAL) => self.serial = Some(decimal(value)?),
            16 if is(RECEIVED) => self.received = Some(decimal(value)?),
            17 if is("transfer-encoding") => self.framing = Framing::Chunked,
            _ => {}
        }
        Ok(())
    }
}

fn decimal(value: &[u8]) -> io::Result<u64> {
    let text = std::str::from_utf8(value).map_err(|_| invalid("number"))?;
    text.parse().map_err(|_| invalid("number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &'static [u8]) -> io::Result<(Head, u64, usize)> {
        let stream = tokio::io::join(bytes, tokio::io::sink());
        let mut wire = Wire::new(stream, 64);
        let head = wire.head(Side::Driver).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let length = wire.body(head.framing, &mut None).await?;
        Ok((head, length, wire.surplus()))
    }

    fn run(bytes: &'static [u8]) -> io::Result<(Head, u64, usize)> {
        tokio::runtime::Builder::new_current_thread().build()?.block_on(read(bytes))
    }

    #[test]
    fn every_framing_gives_the_length() {
        let cases: [(&[u8], u64, usize); 4] = [
            (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 5, 0),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello", 2, 3),
            (b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nt: 1\r\n\r\n", 3, 0),
            (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", 13, 0),
        ];
        for (bytes, length, surplus) in cases {
            let (head, got, left) = run(bytes).expect("a good response");
            assert_eq!((head.status, got, left), (200, length, surplus));
        }
    }

    #[test]
    fn a_cut_answer_is_a_fault() {
        let cases: [&[u8]; 4] = [
            b"",
            b"HTTP/1.1 200 OK\r\ncontent-le",
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ];
        for bytes in cases {
            assert!(run(bytes).is_err(), "{bytes:?}");
        }
    }
}
