//! The HTTP filters' step: what they make of the request, and of its response.

use std::future::poll_fn;
use std::sync::atomic::Ordering;
use std::task::Poll;

use dragoman_codec::{Framing, Response};
use dragoman_filter::{Chain, Hold, Streams, Surroundings};
use dragoman_http_connection_manager::upgrade_kind;
use dragoman_router::{Action, Found};
use dragoman_types::{Connection, Headers, LocalReply, id};

use super::failure::Failure;
use super::filtered::{Filtering, framing};
use super::route::Chosen;
use super::{Exchange, Stop};
use crate::context::Worker;
use crate::lease::Leased;
use crate::stream::{Body, Source};
use crate::upstream::WorkerCluster;

/// What filters may ask besides the heads.
fn surroundings<'a>(
    worker: &'a Worker,
    connection: &'a Connection,
    cluster: Option<&'a WorkerCluster>,
) -> Surroundings<'a> {
    Surroundings {
        connection,
        worker: worker.index,
        service_cluster: &worker.shared.service_cluster,
        cluster: cluster.map_or("", |cluster| &cluster.config().stat_name),
        health_failed: worker.shared.health_failed.load(Ordering::Relaxed),
    }
}

impl<'a> Exchange<'a> {
    /// An upgrade of a kind may have other filters than requests have, if it is allowed.
    fn filters_of_upgrade(&self, chosen: Option<&Chosen<'_>>) -> &'a Chain {
        let shared = &self.manager.shared;
        let kind = upgrade_kind(&self.x.request);
        let own =
            shared.upgrade_filters.iter().find(|(k, _)| k.as_bytes().eq_ignore_ascii_case(kind));
        let Some((_, own)) = own else { return &shared.filters };
        let of_route = match chosen.map(|chosen| chosen.found) {
            Some(Found::Route(route, _)) => match route.action() {
                Action::Forward(forward) => forward.upgrade(kind),
                _ => None,
            },
            _ => None,
        };
        match shared.config.allows_upgrade(kind, of_route) {
            true => own,
            false => &shared.filters,
        }
    }

    pub(super) fn filter_request(&mut self, chosen: Option<&Chosen<'_>>) -> Result<(), Stop> {
        let filters = match self.wants_upgrade {
            true => self.filters_of_upgrade(chosen),
            false => &self.manager.shared.filters,
        };
        if filters.0.is_empty() {
            return Ok(());
        }
        self.filtered = Some(filters);
        let around = surroundings(self.worker, self.connection, self.cluster.as_deref());
        let mut streams = Streams::default();
        let done = filters.request(&mut self.x.request, &mut self.info, &around, &mut streams);
        if !streams.is_empty() {
            let makes_body = streams.makes_body();
            self.filtering = Some(Box::new(Filtering { streams, ..Filtering::default() }));
            let found = framing(&self.x.request.headers, self.incoming.framing);
            self.incoming.framing = match found {
                Framing::None | Framing::Length(0) if makes_body => Framing::Chunked,
                found => found,
            };
        }
        if self.info.health_check {
            self.manager.stats.tracing_health_check.inc();
        }
        Ok(done?)
    }

    /// `bare`: the response has no body. Says whether it waits for its body.
    pub(super) fn filter_response(&mut self, filters: &Chain, bare: bool) -> Hold {
        let around = surroundings(self.worker, self.connection, self.cluster.as_deref());
        let streams = self.filtering.as_mut().map(|filtering| &mut filtering.streams);
        filters.response(&mut self.x.response, &self.x.request, &around, streams, bare)
    }

    /// A response whose head waits for its body.
    pub(super) async fn pass_on_whole(
        &mut self,
        mut leased: Leased,
        held: Hold,
    ) -> Result<(), Stop> {
        self.x.body.clear();
        self.collect(&mut leased, held).await?;
        let mut trailers = leased.client().trailers().cloned().unwrap_or_default();
        self.shape_whole(&mut trailers)?;
        self.respond_with_body().await;
        self.completed(leased);
        Ok(())
    }

    /// A response whose head waits for the first bytes of its body.
    pub(super) async fn pass_on_late(
        &mut self,
        mut leased: Leased,
        response: Response,
    ) -> Result<(), Stop> {
        let mut woken = false;
        let outcome = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            if let Err(failure) = self.poll_request(cx, leased.client()) {
                return Poll::Ready(Err(failure));
            }
            let Some(filtering) = &mut self.filtering else { return Poll::Ready(Ok(())) };
            match filtering.response(leased.client()).poll_body(cx) {
                Poll::Ready(found) => {
                    return Poll::Ready(found.map(|_| ()).map_err(Failure::Upstream));
                }
                Poll::Pending => {}
            }
            self.poll_patience(cx, None).map(|f| Err(f.unwrap_or(Failure::ClientGone)))
        })
        .await;
        if let Err(failure) = outcome {
            leased.fate = failure.fate();
            return Err(self.stop_for(failure));
        }
        if let Some(filtering) = &mut self.filtering {
            filtering.streams.response_started(&mut self.x.response);
        }
        self.pass_on(leased, response).await
    }

    /// What the filters make of a body that is here as a whole, in `x.body`.
    ///
    /// # Errors
    /// A filter's answer in its stead.
    pub(super) fn shape_whole(&mut self, trailers: &mut Headers) -> Result<(), LocalReply> {
        let Some(filtering) = &mut self.filtering else { return Ok(()) };
        let (response, body) = (&mut self.x.response, &mut self.x.body);
        filtering.streams.response_whole(response, body, trailers)?;
        let mut digits = itoa::Buffer::new();
        response.headers.set(id::CONTENT_LENGTH, digits.format(body.len()).as_bytes());
        Ok(())
    }

    /// The request is another since its filters saw it.
    pub(super) fn is_rerouted(&self) -> bool {
        self.filtering.as_ref().is_some_and(|filtering| filtering.streams.reroutes())
    }

    /// Reads the host's body into `x.body`, as far as it is kept.
    async fn collect(&mut self, leased: &mut Leased, held: Hold) -> Result<(), Stop> {
        let (limit, all) = match held {
            Hold::Nothing | Hold::Start => (0, false),
            Hold::Body(limit) => (limit, false),
            Hold::All(limit) => (limit, true),
        };
        let mut woken = false;
        let outcome = poll_fn(|cx| {
            self.worker.clock.read_when_woken(&mut woken);
            if let Err(failure) = self.poll_request(cx, leased.client()) {
                return Poll::Ready(Err(failure));
            }
            loop {
                let client = leased.client();
                match client.poll_body(cx) {
                    Poll::Ready(Ok(Body::Data)) => {
                        let data = client.data();
                        let room = limit.saturating_sub(self.x.body.len()).min(data.len());
                        if all && room < data.len() {
                            return Poll::Ready(Err(Failure::TooLarge));
                        }
                        self.x.body.extend_from_slice(&data[..room]);
                        let length = data.len();
                        client.consume(length);
                        self.patience.moved(self.worker.clock.now());
                    }
                    Poll::Ready(Ok(Body::End)) => {
                        self.response_finished = true;
                        return Poll::Ready(Ok(()));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(Failure::Upstream(error))),
                    Poll::Pending => break,
                }
            }
            self.poll_patience(cx, None).map(|f| Err(f.unwrap_or(Failure::ClientGone)))
        })
        .await;
        outcome.map_err(|failure| {
            leased.fate = failure.fate();
            self.stop_for(failure)
        })
    }
}

/// How a body that is here as a whole is told of.
pub(super) fn framing_of(body: &[u8]) -> Framing {
    match body.len() {
        0 => Framing::None,
        length => Framing::Length(length as u64),
    }
}
