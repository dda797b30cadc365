//! Filters that look at bodies: a part of their own in each request.

use std::fmt::Debug;

use dragoman_types::{Headers, LocalReply, ResponseHead};

/// One filter's part in one request. Who changes a body takes `content-length` off its head.
pub trait StreamFilter: Debug {
    /// Whether a request without a body gets one.
    fn makes_body(&self) -> bool {
        false
    }

    /// A piece of the request's body; what goes on is added to `out`. Default: all of it.
    ///
    /// # Errors
    /// The answer that ends the request.
    fn request_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), LocalReply> {
        out.extend_from_slice(piece);
        Ok(())
    }

    /// The request's body is over; what is still to go before the trailers is added to `out`.
    ///
    /// # Errors
    /// The answer that ends the request.
    fn request_end(&mut self, trailers: &mut Headers, out: &mut Vec<u8>) -> Result<(), LocalReply> {
        let _ = (trailers, out);
        Ok(())
    }

    /// The response's head is about to be written; `bare`: without a body. Of local replies too.
    fn response(&mut self, response: &mut ResponseHead, bare: bool) -> Hold {
        let _ = (response, bare);
        Hold::Nothing
    }

    /// The whole body of a response that was held; it and the head may still be changed.
    fn response_whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        trailers: &Headers,
    ) {
        let _ = (response, body, trailers);
    }

    /// As [`StreamFilter::request_data`].
    fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(piece);
    }

    /// As [`StreamFilter::request_end`].
    fn response_end(&mut self, trailers: &mut Headers, out: &mut Vec<u8>) {
        let _ = (trailers, out);
    }
}

/// Whether a response's head waits for its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hold {
    #[default]
    Nothing,
    /// The first so many bytes of it are kept for [`StreamFilter::response_whole`], the rest is dropped.
    Body(usize),
    /// All of it is kept for [`StreamFilter::response_whole`], its trailers too; one that has more bytes is none
    /// that can be passed on.
    All(usize),
}

/// The parts of all filters in one request, in the filters' order.
#[derive(Debug, Default)]
pub struct Streams {
    all: Vec<(usize, Box<dyn StreamFilter>)>,
    /// Who holds the response.
    holder: Option<usize>,
    /// Between one filter and the next.
    between: [Vec<u8>; 2],
}

impl Streams {
    /// `place`: the filter's in its chain.
    pub(crate) fn add(&mut self, place: usize, stream: Box<dyn StreamFilter>) {
        self.all.push((place, stream));
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether any makes a body for a request that has none.
    pub fn makes_body(&self) -> bool {
        self.all.iter().any(|(_, stream)| stream.makes_body())
    }

    /// The part of the filter at `place` in the chain.
    pub(crate) fn of(&mut self, place: usize) -> Option<&mut Box<dyn StreamFilter>> {
        self.all.iter_mut().find(|(at, _)| *at == place).map(|(_, stream)| stream)
    }

    pub(crate) fn hold(&mut self, place: usize) {
        self.holder = Some(place);
    }

    /// Hands a held response's body to who holds it.
    pub fn response_whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        trailers: &Headers,
    ) {
        if let Some(place) = self.holder.take()
            && let Some(stream) = self.of(place)
        {
            stream.response_whole(response, body, trailers);
        }
    }

    /// A piece of the request's body through all parts, the first one first.
    ///
    /// # Errors
    /// The first answer that one gives.
    pub fn request_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), LocalReply> {
        self.request_from(0, piece, out)
    }

    /// The request's body is over.
    ///
    /// # Errors
    /// The first answer that one gives.
    pub fn request_end(
        &mut self,
        trailers: &mut Headers,
        out: &mut Vec<u8>,
    ) -> Result<(), LocalReply> {
        for at in 0..self.all.len() {
            let mut last = Vec::new();
            self.all[at].1.request_end(trailers, &mut last)?;
            // What one still gives is a piece to those behind it.
            if !last.is_empty() {
                self.request_from(at + 1, &last, out)?;
            }
        }
        Ok(())
    }

    fn request_from(
        &mut self,
        first: usize,
        piece: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), LocalReply> {
        let [mut taken, mut given] = std::mem::take(&mut self.between);
        taken.clear();
        taken.extend_from_slice(piece);
        for (_, stream) in &mut self.all[first..] {
            given.clear();
            stream.request_data(&taken, &mut given)?;
            std::mem::swap(&mut taken, &mut given);
        }
        out.extend_from_slice(&taken);
        self.between = [taken, given];
        Ok(())
    }

    /// A piece of the response's body through all parts, the last one first.
    pub fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.response_from(self.all.len(), piece, out);
    }

    /// The response's body is over.
    pub fn response_end(&mut self, trailers: &mut Headers, out: &mut Vec<u8>) {
        for at in (0..self.all.len()).rev() {
            let mut last = Vec::new();
            self.all[at].1.response_end(trailers, &mut last);
            if !last.is_empty() {
                self.response_from(at, &last, out);
            }
        }
    }

    fn response_from(&mut self, end: usize, piece: &[u8], out: &mut Vec<u8>) {
        let [mut taken, mut given] = std::mem::take(&mut self.between);
        taken.clear();
        taken.extend_from_slice(piece);
        for (_, stream) in self.all[..end].iter_mut().rev() {
            given.clear();
            stream.response_data(&taken, &mut given);
            std::mem::swap(&mut taken, &mut given);
        }
        out.extend_from_slice(&taken);
        self.between = [taken, given];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes its name before each piece and after the end.
    #[derive(Debug)]
    struct Marks(u8);

    impl StreamFilter for Marks {
        fn request_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), LocalReply> {
            out.push(self.0);
            out.extend_from_slice(piece);
            if piece == b"bad" { Err(LocalReply::new(400, "bad")) } else { Ok(()) }
        }
        fn request_end(&mut self, _: &mut Headers, out: &mut Vec<u8>) -> Result<(), LocalReply> {
            out.push(self.0);
            Ok(())
        }
        fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) {
            out.push(self.0);
            out.extend_from_slice(piece);
        }
        fn response_end(&mut self, _: &mut Headers, out: &mut Vec<u8>) {
            out.push(self.0);
        }
    }

    #[test]
    fn a_body_passes_all_parts_in_their_order_and_back() {
        let mut streams = Streams::default();
        for (place, name) in [(0, b'a'), (2, b'b'), (3, b'c')] {
            streams.add(place, Box::new(Marks(name)));
        }
        let (mut out, mut trailers) = (Vec::new(), Headers::new());
        streams.request_data(b"1", &mut out).expect("no answer");
        assert_eq!(out, b"cba1");
        out.clear();
        streams.request_end(&mut trailers, &mut out).expect("no answer");
        assert_eq!(out, b"cbacbc");
        out.clear();
        streams.response_data(b"1", &mut out);
        assert_eq!(out, b"abc1");
        out.clear();
        streams.response_end(&mut trailers, &mut out);
        assert_eq!(out, b"abcaba");
        assert!(streams.request_data(b"bad", &mut out).is_err());
    }
}
