//! One request's way through the proxy, top-down.
//!
//! `run` is the list of steps; each step decides by a path crate and either goes on or stops with a
//! local reply. After a stop nothing of the way runs on: only the reply and the conclusion do.

mod conclude;
mod edits;
mod failure;
mod filtered;
mod filters;
mod hosts;
mod kept;
mod leg;
mod patience;
mod replies;
mod retry;
mod route;
mod tunnel;
mod upgrade;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use dragoman_codec::{Framing, Request, Response};
use dragoman_filter::{Chain, Hold};
use dragoman_http_connection_manager::Arrival;
use dragoman_net::Deadline;
use dragoman_router::{Forward, Route};
use dragoman_types::{Connection, Facts, Flags, LocalReply, Moment, Priority, StreamInfo};

use crate::connect::take;
use crate::context::{Scratch, Worker, WorkerRoutes};
use crate::dial::Speaks;
use crate::downstream::Downstream;
use crate::h1::ResponseContext;
use crate::lease::Leased;
use crate::manager::{Manager, WorkerListener};
use crate::stream::Sink;
use crate::upstream::{WorkerCluster, WorkerHost, describe};
use failure::Failure;
use filtered::Filtering;
use kept::Kept;
use patience::Patience;
pub(crate) use replies::{headers_timeout, malformed, too_large};
use retry::Attempts;
use upgrade::Upgraded;

/// Why a request leaves its way early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Answer this and nothing else.
    Reply(Box<LocalReply>),
    /// The client is gone: nobody to answer.
    Gone,
    /// The response had begun and can't be completed: the connection's end has to tell.
    Cut,
}

/// The connection that has an answer, and its head; `None`: what was to be had was a connection.
type Answer = (Leased, Option<Response>);

/// How a connection goes on after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum After {
    /// It may serve another.
    Keep,
    /// It ends in good order.
    Close,
    /// The client left while its request was served.
    Gone,
    /// It ends at once: the response is incomplete.
    Cut,
}

impl From<LocalReply> for Stop {
    fn from(reply: LocalReply) -> Stop {
        Stop::Reply(Box::new(reply))
    }
}

/// One request being served.
pub(crate) struct Exchange<'a> {
    pub(crate) worker: &'a Rc<Worker>,
    pub(crate) listener: &'a WorkerListener,
    pub(crate) manager: &'a Manager,
    pub(crate) connection: &'a Connection,
    pub(crate) server: Downstream<'a>,
    pub(crate) deadline: &'a mut Deadline,
    pub(crate) x: &'a mut Scratch,
    pub(crate) incoming: Request,
    pub(crate) info: StreamInfo,
    /// The connection ends behind this response.
    pub(crate) close: bool,
    active: Option<Active<'a>>,
    routes: Option<Rc<WorkerRoutes>>,
    route: Option<usize>,
    cluster: Option<Rc<WorkerCluster>>,
    host: Option<Rc<WorkerHost>>,
    patience: Patience,
    /// Filters that look at the bodies.
    filtering: Option<Box<Filtering>>,
    /// The request's body, for another attempt.
    kept: Option<Box<Kept>>,
    /// The filters that saw the request, so they see its response.
    filtered: Option<&'a Chain>,
    /// `set-cookie` fields that the response has besides the host's.
    cookies: Vec<Box<str>>,
    /// The client asks for another protocol on this connection.
    wants_upgrade: bool,
    /// It may have it, if the host agrees.
    upgraded: Option<Upgraded<'a>>,
    /// What the client's connection had (taken, sent) before this request.
    wire_before: (u64, u64),
    /// Interim responses of the host so far.
    interims: u32,
    /// The request went to the host as a whole.
    request_sent: bool,
    /// The request's end was handed to the host's codec.
    request_finished: bool,
    /// The host stopped taking the request.
    request_refused: bool,
    /// The response's head was written.
    responded: bool,
    response_finished: bool,
    /// What answers is the connection manager, so the cluster has no part in it.
    by_manager: bool,
    /// Counted and logged.
    concluded: bool,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        worker: &'a Rc<Worker>,
        (listener, manager): (&'a WorkerListener, &'a Manager),
        connection: &'a Connection,
        (server, deadline): (Downstream<'a>, &'a mut Deadline),
        x: &'a mut Scratch,
        incoming: Request,
        start: Moment,
    ) -> Exchange<'a> {
        let mut info = StreamInfo::new(worker.next_id(), start);
        info.version = Some(x.request.version);
        info.downstream_header_received = incoming.field_bytes;
        let (taken, sent) = server.wire_bytes();
        let wire_before = (taken - incoming.consumed as u64, sent);
        Exchange {
            worker,
            listener,
            manager,
            connection,
            server,
            deadline,
            x,
            info,
            close: !incoming.keep_alive,
            incoming,
            active: None,
            routes: None,
            route: None,
            cluster: None,
            host: None,
            patience: Patience::new(start, &manager.shared.config),
            filtering: None,
            kept: None,
            filtered: None,
            cookies: Vec::new(),
            wants_upgrade: false,
            upgraded: None,
            wire_before,
            interims: 0,
            request_sent: false,
            request_finished: false,
            request_refused: false,
            responded: false,
            response_finished: false,
            by_manager: false,
            concluded: false,
        }
    }

    /// Serves the request and says how the connection goes on.
    pub(crate) async fn serve(&mut self) -> After {
        self.begin();
        let mut after = After::Keep;
        match self.run().await {
            Ok(()) => {}
            Err(Stop::Reply(reply)) => self.reply(*reply).await,
            Err(Stop::Gone) => after = After::Gone,
            Err(Stop::Cut) => {
                // The client may have what came before the cut.
                poll_fn(|cx| Poll::Ready(self.server.poll_flush(cx).is_ready())).await;
                after = After::Cut;
            }
        }
        let close = self.conclude();
        if after == After::Keep && close { After::Close } else { after }
    }

    /// Answers a request whose head could not be read.
    pub(crate) async fn refuse(&mut self, reply: LocalReply) {
        self.begin();
        self.reply(reply.close()).await;
        self.conclude();
    }

    /// A request that gets no answer: its peer broke the protocol, and its stream is reset.
    pub(crate) fn break_off(&mut self, details: &'static str) {
        self.begin();
        self.info.flags.insert(Flags::DOWNSTREAM_PROTOCOL_ERROR);
        self.info.details = Some(details.into());
        self.conclude();
    }

    async fn run(&mut self) -> Result<(), Stop> {
        let snapshot = self.worker.snapshot();
        // What the client sent becomes what everybody behind may rely on.
        self.accept()?;
        // Routed before the filters run: what they answer is logged with its route, as in Envoy.
        let routes = self.find_routes(&snapshot);
        let mut chosen = routes.as_deref().map(|routes| self.choose(routes, &snapshot));
        // The filters, in their order; one may answer, or make another request of it.
        self.filter_request(chosen.as_ref())?;
        if self.is_rerouted() {
            chosen = routes.as_deref().map(|routes| self.choose_again(routes, &snapshot));
        }
        self.manager.stats.rq_total.inc();
        let (Some(routes), Some(chosen)) = (routes.as_deref(), chosen) else {
            return Err(self.no_route("no route configuration has come yet"));
        };
        let route = self.find_route(chosen.found)?;
        // Redirects and direct responses end here.
        let forward = self.answer_or_forward(routes, route)?;
        let Some(cluster) = self.cluster.clone() else {
            return Err(self.no_cluster(forward, chosen.cluster));
        };
        self.check_upgrade(forward)?;
        // Retries and timeouts are read from the request before the edits may hide them.
        let mut attempts = self.plan_attempts(forward);
        self.plan_timeouts(forward, cluster.config());
        self.edit_request(routes, route, chosen.entry);
        let mut admitted = Some(self.admit(&cluster, forward.priority)?);
        let first = self.attempt(&cluster, forward, attempts.as_deref_mut()).await;
        let (mut leased, response) = match first {
            Ok(answer) if attempts.is_none() => answer,
            Err(failure) if attempts.is_none() => return Err(self.stop_for(failure)),
            // Boxed: most requests have but one.
            first => {
                let means = (&*cluster, forward, (routes, route), &mut admitted);
                Box::pin(self.until_accepted(first, attempts, means)).await?
            }
        };
        let Some(response) = response else {
            self.agree(&leased);
            self.edit_response(routes, route, chosen.entry, true);
            return self.tunnel(leased).await;
        };
        self.answered(&leased);
        self.decline(&mut leased);
        let bare = self.is_bare(&response);
        let held = self.edit_response(routes, route, chosen.entry, bare);
        if self.switches() {
            return self.tunnel(leased).await;
        }
        match held {
            Hold::Nothing => self.pass_on(leased, response).await,
            Hold::Start => self.pass_on_late(leased, response).await,
            held => self.pass_on_whole(leased, held).await,
        }
    }

    /// One attempt: a host, a connection to it, and the request, until the answer's head is here. (Of bytes
    /// that aren't HTTP there is no head: the connection is all.)
    async fn attempt(
        &mut self,
        cluster: &WorkerCluster,
        forward: &Forward,
        attempts: Option<&mut Attempts<'_>>,
    ) -> Result<Answer, Failure> {
        let priority = forward.priority;
        let limits = &cluster.config().thresholds[priority as usize];
        let host = self.pick(cluster, forward, attempts)?;
        if self.ends_here(forward) {
            let leased = self.connect_raw(cluster, host, forward).await?;
            return Ok((leased, None));
        }
        let speaks = Speaks::http(cluster.config(), self.info.version);
        let mut leased = match take(self, cluster, &host, (priority, limits), speaks) {
            Ok(leased) => leased,
            // Boxed: waiting needs much state, and most requests never do.
            Err(found) => Box::pin(self.obtain(cluster, host, found, (priority, speaks))).await?,
        };
        loop {
            self.send_head(&mut leased);
            match self.until_answer(&mut leased).await {
                Ok(response) => return Ok((leased, Some(response))),
                Err(failure) if self.may_resend(&leased, &failure) => {
                    leased = self.reconnect(cluster, leased, &failure).await?;
                }
                Err(failure) => return Err(self.failed(leased, failure)),
            }
        }
    }

    fn accept(&mut self) -> Result<(), Stop> {
        let worker = self.worker;
        let mut random = || worker.random();
        let config = &self.manager.shared.config;
        let arrival = Arrival {
            connection: self.connection,
            local_interface: worker.shared.local_interface.as_deref(),
            internal_only_headers: &[],
        };
        let (request, scratch) = (&mut self.x.request, &mut self.x.hcm);
        let accepted = config
            .accept(request, &arrival, &mut self.info, &mut random, scratch)
            .inspect_err(|reply| {
                if reply.details == "http1.unexpected_underscore" {
                    self.manager.codec.requests_rejected_with_underscores_in_headers.inc();
                }
            })?;
        let dropped = u64::from(accepted.dropped_underscores);
        if dropped > 0 {
            self.manager.codec.dropped_headers_with_underscores.add(dropped);
        }
        self.wants_upgrade = accepted.upgrade;
        if accepted.send_100_continue {
            self.server.send_continue();
        }
        Ok(())
    }

    /// Counts the request against its cluster until it is over.
    fn admit(&mut self, cluster: &WorkerCluster, priority: Priority) -> Result<Admitted, Stop> {
        let limits = &cluster.config().thresholds[priority as usize];
        let active = cluster.cells.sum(priority, |load| &load.requests);
        if active >= u64::from(limits.max_requests) {
            cluster.cells.stats.upstream_rq_active_overflow.inc();
            return Err(self.overflow("max_requests", limits.max_requests));
        }
        Ok(Admitted::new(cluster, priority))
    }

    /// The response's head goes on to the client, then what is left of both bodies.
    pub(super) async fn pass_on(
        &mut self,
        mut leased: Leased,
        response: Response,
    ) -> Result<(), Stop> {
        let context = self.response_context();
        let framing = match &self.filtering {
            None => response.framing,
            Some(_) => {
                self.info.response_code = Some(self.x.response.status);
                filtered::framing(&self.x.response.headers, response.framing)
            }
        };
        self.close = self.server.respond(&mut self.x.response, framing, context);
        self.responded = true;
        self.until_complete(&mut leased).await?;
        self.completed(leased);
        Ok(())
    }

    /// Whether no body follows the response's head.
    fn is_bare(&self, response: &Response) -> bool {
        matches!(response.framing, Framing::None | Framing::Length(0)) || self.x.request.is_head()
    }

    fn response_context(&mut self) -> ResponseContext {
        if !self.close && self.worker.drain_close(self.listener, self.manager.draining_since.get())
        {
            self.manager.stats.downstream_cx_drain_close.inc();
            self.close = true;
        }
        ResponseContext {
            to_head: self.x.request.is_head(),
            http10: self.info.version == Some(dragoman_types::Version::Http10),
            // What is left of a request that was answered early is nobody's.
            close: self.close || self.is_left_over(),
            tunnel: false,
        }
    }

    fn route(&self) -> Option<&Route> {
        self.routes.as_ref()?.route(self.route?)
    }

    /// Everything known of the request, for formatters.
    pub(crate) fn facts(&self) -> Facts<'_> {
        let mut facts = Facts::new(self.connection, &self.info);
        facts.request = Some(&self.x.request);
        facts.response = self.responded.then_some(&self.x.response);
        let trailers = self.response_finished.then_some(&self.x.trailers);
        facts.response_trailers = trailers.filter(|fields| !fields.is_empty());
        facts.route_name = self.route().map(Route::name).filter(|name| !name.is_empty());
        describe(&mut facts, self.cluster.as_deref(), self.host.as_deref());
        facts
    }
}

/// A request that counts as active at its connection manager, however it ends.
struct Active<'a>(&'a Worker, &'a Manager);

impl<'a> Active<'a> {
    fn new(worker: &'a Worker, manager: &'a Manager) -> Active<'a> {
        manager.stats.downstream_rq_active.inc();
        worker.requests.set(worker.requests.get() + 1);
        Active(worker, manager)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.1.stats.downstream_rq_active.dec();
        self.0.requests.set(self.0.requests.get() - 1);
    }
}

/// A request that counts as active at its cluster.
pub(crate) struct Admitted(Rc<crate::upstream::ClusterCells>, Priority);

impl Admitted {
    pub(crate) fn new(cluster: &WorkerCluster, priority: Priority) -> Admitted {
        cluster.cells.stats.upstream_rq_active.inc();
        cluster.cells.load(priority).requests.inc();
        Admitted(cluster.cells.clone(), priority)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.stats.upstream_rq_active.dec();
        self.0.load(self.1).requests.dec();
    }
}

/// What [`Exchange::failed`] and the resend rule ask of a failure.
impl Exchange<'_> {
    /// A reused connection of HTTP/1 may have been closed by its host at the very moment we used it. If the
    /// host can't have begun to answer, and the request may be repeated (RFC 9110 section 9.2.2) and
    /// nothing of its body is lost, it's sent again on another connection. A host of HTTP/2 says what it
    /// has not looked at.
    fn may_resend(&self, leased: &Leased, failure: &Failure) -> bool {
        let idempotent = matches!(
            self.x.request.method(),
            b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE"
        );
        let raced = leased.reused
            && !leased.is_http2()
            && idempotent
            && failure.is_unanswered_close(leased);
        // Once: a request that kills its host must not go round all of them.
        (raced || failure.is_unseen())
            && self.info.attempts == 1
            && self.info.bytes_received == 0
            && self.server.is_received()
    }
}
