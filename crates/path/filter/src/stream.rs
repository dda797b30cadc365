//! Filters that look at bodies: a part of their own in each request.

use std::time::Duration;

use std::fmt::Debug;

use dragoman_types::{Headers, LocalReply, ResponseHead};

/// One filter's part in one request. Who changes a body takes `content-length` off its head.
pub trait StreamFilter: Debug {
    /// Whether a request without a body gets one.
    fn makes_body(&self) -> bool {
        false
    }

    /// Whether the request is another now, so that another route may be its.
    fn reroutes(&self) -> bool {
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

    /// The first bytes of a response that waited for them went through, or its end.
    fn response_started(&mut self, response: &mut ResponseHead) {
        let _ = response;
    }

    /// The whole body of a response that was held; it and the head may still be changed.
    ///
    /// # Errors
    /// The answer in its stead.
    fn response_whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        trailers: &Headers,
    ) -> Result<(), LocalReply> {
        let _ = (response, body, trailers);
        Ok(())
    }

    /// The answer instead of a response of which all was to be kept, and that was longer.
    fn response_too_large(&mut self) -> LocalReply {
        LocalReply::new(500, "response_payload_too_large")
            .body("Internal Server Error")
            .cause("the response is longer than what a filter keeps of it")
    }

    /// As [`StreamFilter::request_data`].
    ///
    /// # Errors
    /// The response, which has begun, can't go on.
    fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        out.extend_from_slice(piece);
        Ok(())
    }

    /// As [`StreamFilter::request_end`].
    ///
    /// # Errors
    /// As [`StreamFilter::response_data`].
    fn response_end(&mut self, trailers: &mut Headers, out: &mut Vec<u8>) -> Result<(), Broken> {
        let _ = (trailers, out);
        Ok(())
    }

    /// The host's answer came as a whole, so long after the request's last byte went there.
    fn host_took(&mut self, time: Duration) {
        let _ = time;
    }
}

/// Why a filter ends a response that has begun: `%RESPONSE_CODE_DETAILS%`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken(pub &'static str);

/// Whether a response's head waits for its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Hold {
    #[default]
    Nothing,
    /// For its first bytes, which go through the filters before it: [`StreamFilter::response_started`].
    Start,
    /// The first so many bytes of it are kept for [`StreamFilter::response_whole`], the rest is dropped.
    Body(usize),
    /// All of it is kept for [`StreamFilter::response_whole`], its trailers too; one that has more bytes is none
    /// that can be passed on.
    All(usize),
}

impl Hold {
    /// What is asked of a response of which two filters ask something: all of it weighs more than a part.
    #[must_use]
    pub fn and(self, other: Hold) -> Hold {
        match (self, other) {
            (Hold::All(one), Hold::All(other)) => Hold::All(one.min(other)),
            (Hold::All(most), _) | (_, Hold::All(most)) => Hold::All(most),
            (Hold::Body(one), Hold::Body(other)) => Hold::Body(one.max(other)),
            (Hold::Body(most), _) | (_, Hold::Body(most)) => Hold::Body(most),
            (Hold::Start, _) | (_, Hold::Start) => Hold::Start,
            (Hold::Nothing, Hold::Nothing) => Hold::Nothing,
        }
    }
}

/// One filter's part.
#[derive(Debug)]
struct Part {
    /// The filter's in its chain.
    place: usize,
    stream: Box<dyn StreamFilter>,
    /// What it waits for.
    hold: Hold,
}

/// The parts of all filters in one request, in the filters' order.
#[derive(Debug, Default)]
pub struct Streams {
    all: Vec<Part>,
    /// Between one filter and the next.
    between: [Vec<u8>; 2],
}

impl Streams {
    /// `place`: the filter's in its chain.
    pub(crate) fn add(&mut self, place: usize, stream: Box<dyn StreamFilter>) {
        self.all.push(Part { place, stream, hold: Hold::Nothing });
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether any makes a body for a request that has none.
    pub fn makes_body(&self) -> bool {
        self.all.iter().any(|part| part.stream.makes_body())
    }

    /// Whether the request is to be routed again.
    pub fn reroutes(&self) -> bool {
        self.all.iter().any(|part| part.stream.reroutes())
    }

    /// Shows the response's head to the part of the filter at `place` in the chain.
    pub(crate) fn response(
        &mut self,
        place: usize,
        response: &mut ResponseHead,
        bare: bool,
    ) -> Hold {
        let Some(part) = self.all.iter_mut().find(|part| part.place == place) else {
            return Hold::Nothing;
        };
        part.hold = part.stream.response(response, bare);
        part.hold
    }

    /// A response's body that is here as a whole through all parts, the last one first.
    ///
    /// # Errors
    /// The answer in its stead.
    pub fn response_whole(
        &mut self,
        response: &mut ResponseHead,
        body: &mut Vec<u8>,
        trailers: &mut Headers,
    ) -> Result<(), LocalReply> {
        for Part { stream, hold, .. } in self.all.iter_mut().rev() {
            if matches!(hold, Hold::Body(_) | Hold::All(_)) {
                stream.response_whole(response, body, trailers)?;
                continue;
            }
            let mut out = Vec::with_capacity(body.len());
            let passed = stream.response_data(body, &mut out);
            let passed = passed.and_then(|()| stream.response_end(trailers, &mut out));
            passed.map_err(|Broken(details)| LocalReply::new(502, details))?;
            if *hold == Hold::Start {
                stream.response_started(response);
            }
            *body = out;
        }
        Ok(())
    }

    /// Lets who waited for it change the response's head, now that the first bytes went through.
    pub fn response_started(&mut self, response: &mut ResponseHead) {
        let waiting = self.all.iter_mut().rev().filter(|part| part.hold == Hold::Start);
        waiting.for_each(|part| part.stream.response_started(response));
    }

    /// Tells all parts how long the host took.
    pub fn host_took(&mut self, time: Duration) {
        self.all.iter_mut().for_each(|part| part.stream.host_took(time));
    }

    /// The answer instead of a held response that was too long.
    pub fn response_too_large(&mut self) -> Option<LocalReply> {
        let wants_all = |part: &&mut Part| matches!(part.hold, Hold::All(_));
        let part = self.all.iter_mut().rev().find(wants_all);
        part.map(|part| part.stream.response_too_large())
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
            self.all[at].stream.request_end(trailers, &mut last)?;
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
        for Part { stream, .. } in &mut self.all[first..] {
            given.clear();
            stream.request_data(&taken, &mut given)?;
            std::mem::swap(&mut taken, &mut given);
        }
        out.extend_from_slice(&taken);
        self.between = [taken, given];
        Ok(())
    }

    /// A piece of the response's body through all parts, the last one first.
    ///
    /// # Errors
    /// It can't go on.
    pub fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        self.response_from(self.all.len(), piece, out)
    }

    /// The response's body is over.
    ///
    /// # Errors
    /// It can't end well.
    pub fn response_end(
        &mut self,
        trailers: &mut Headers,
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        for at in (0..self.all.len()).rev() {
            let mut last = Vec::new();
            self.all[at].stream.response_end(trailers, &mut last)?;
            if !last.is_empty() {
                self.response_from(at, &last, out)?;
            }
        }
        Ok(())
    }

    fn response_from(&mut self, end: usize, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
        let [mut taken, mut given] = std::mem::take(&mut self.between);
        taken.clear();
        taken.extend_from_slice(piece);
        for Part { stream, .. } in self.all[..end].iter_mut().rev() {
            given.clear();
            stream.response_data(&taken, &mut given)?;
            std::mem::swap(&mut taken, &mut given);
        }
        out.extend_from_slice(&taken);
        self.between = [taken, given];
        Ok(())
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
        fn response_data(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Result<(), Broken> {
            out.push(self.0);
            out.extend_from_slice(piece);
            Ok(())
        }
        fn response_end(&mut self, _: &mut Headers, out: &mut Vec<u8>) -> Result<(), Broken> {
            out.push(self.0);
            Ok(())
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
        streams.response_data(b"1", &mut out).expect("it goes on");
        assert_eq!(out, b"abc1");
        out.clear();
        streams.response_end(&mut trailers, &mut out).expect("it ends well");
        assert_eq!(out, b"abcaba");
        assert!(streams.request_data(b"bad", &mut out).is_err());
    }

    /// Keeps so much of a response, and writes its name behind it.
    #[derive(Debug)]
    struct Holds(u8, Hold);

    impl StreamFilter for Holds {
        fn response(&mut self, _: &mut ResponseHead, _: bool) -> Hold {
            self.1
        }
        fn response_whole(
            &mut self,
            _: &mut ResponseHead,
            body: &mut Vec<u8>,
            _: &Headers,
        ) -> Result<(), LocalReply> {
            body.push(self.0);
            Ok(())
        }
    }

    #[test]
    fn each_that_waits_for_a_response_gets_it() {
        let mut streams = Streams::default();
        streams.add(0, Box::new(Holds(b'a', Hold::Body(3))));
        streams.add(1, Box::new(Marks(b'b')));
        streams.add(2, Box::new(Holds(b'c', Hold::All(9))));
        let mut head = ResponseHead::default();
        let held = (0..3)
            .fold(Hold::Nothing, |held, place| held.and(streams.response(place, &mut head, false)));
        assert_eq!(held, Hold::All(9));
        let (mut body, mut trailers) = (b"1".to_vec(), Headers::new());
        streams.response_whole(&mut head, &mut body, &mut trailers).expect("no answer");
        assert_eq!(body, b"b1cba");
    }
}
