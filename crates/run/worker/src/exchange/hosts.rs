//! The request's host, and its connection there.

use std::future::poll_fn;
use std::rc::Rc;

use dragoman_router::Forward;
use dragoman_types::{Moment, Priority, StreamInfo};

use super::failure::Failure;
use super::retry::Attempts;
use super::{Exchange, Stop, replies};
use crate::connect::{self, FromPool, NoConnection, Waits};
use crate::context::Worker;
use crate::dial::Speaks;
use crate::lease::Leased;
use crate::stream::{Sink, StreamError};
use crate::upstream::{MAX_NAMES, WorkerCluster, WorkerHost};

impl Exchange<'_> {
    /// The host that serves the request, as the request means it.
    pub(super) fn pick(
        &mut self,
        cluster: &WorkerCluster,
        forward: &Forward,
        attempts: Option<&mut Attempts<'_>>,
    ) -> Result<Rc<WorkerHost>, Stop> {
        let worker = self.worker;
        let headers = &self.x.request.headers;
        let mut hash = None;
        if let Some(policy) = &forward.hash {
            let (remote, local) = (&self.connection.remote, &self.connection.local);
            let hashed = policy.hash(headers, remote, local);
            (hash, self.cookies) = (hashed.hash, hashed.cookies);
        }
        let pick = |passed_over| {
            let by = (hash, passed_over);
            cluster.pick(self.connection, Some(headers), by, &mut || worker.random())
        };
        let mut found = pick(0);
        if let Some(attempts) = attempts {
            let mut looked = 0;
            while found.as_ref().is_some_and(|host| attempts.passes_over(host, looked)) {
                looked += 1;
                found = pick(looked);
            }
            found.iter().for_each(|host| attempts.tries(host));
        }
        let Some(host) = found else {
            self.info.attempts += 1;
            return Err(self.no_host(cluster));
        };
        self.host = Some(host.clone());
        if forward.auto_host_rewrite && !host.host.hostname.is_empty() {
            let keep = self.envoy_headers();
            let mut edits = self.worker.edits();
            let request = &mut self.x.request;
            forward.use_host_name(request, &host.host.hostname, keep, &mut edits);
        }
        match (&cluster.config().http.names, &cluster.entry.proxy_protocol) {
            (None, None) => Ok(host),
            _ => self.meant(cluster, &host),
        }
    }

    /// The host with the connections that are for such requests, or for this client, alone.
    fn meant(
        &self,
        cluster: &WorkerCluster,
        host: &Rc<WorkerHost>,
    ) -> Result<Rc<WorkerHost>, Stop> {
        // Only TLS asks a host for a name.
        let names = cluster.config().http.names.as_ref().filter(|_| cluster.entry.tls.is_some());
        let name = names.and_then(|names| Some((names.of(&self.x.request)?, names)));
        let header = cluster.header(self.connection);
        if name.is_none() && header.is_empty() {
            return Ok(host.clone());
        }
        let meant = host.meant(name, header);
        meant.ok_or_else(|| self.overflowed(format!("requests call a host by {MAX_NAMES} names")))
    }

    /// A connection to `host` that isn't there yet, as the pool said.
    pub(super) async fn obtain(
        &mut self,
        cluster: &WorkerCluster,
        host: Rc<WorkerHost>,
        found: FromPool,
        (priority, speaks): (Priority, Speaks),
    ) -> Result<Leased, Failure> {
        let leased = connect::obtain(self, cluster, host, found, (priority, speaks)).await;
        leased.map_err(|no| self.no_connection(cluster, priority, no))
    }

    /// A connection to `host` for bytes that aren't HTTP: always a new one.
    pub(super) async fn connect_raw(
        &mut self,
        cluster: &WorkerCluster,
        host: Rc<WorkerHost>,
        forward: &Forward,
    ) -> Result<Leased, Failure> {
        let priority = forward.priority;
        let limits = &cluster.config().thresholds[priority as usize];
        let now = self.worker.clock.now();
        self.info.phases.upstream_connect_begin.get_or_insert(now);
        self.info.attempts += 1;
        if !host.has_room(priority, limits) {
            cluster.cells.stats.upstream_cx_overflow.inc();
            return Err(self.overflow("max_connections", limits.max_connections).into());
        }
        host.take_place(priority);
        cluster.cells.stats.upstream_rq_pending_total.inc();
        let leased = connect::opened(self, cluster, host, priority, Speaks::Anything).await;
        let mut leased = leased.map_err(|no| self.no_connection(cluster, priority, no))?;
        self.note_connection(&mut leased);
        if let (Some(told), Some(wire)) = (forward.proxy_protocol(), leased.client().wire()) {
            let client = self.connection;
            let tlvs = client.hello.as_ref().map_or(&[][..], |hello| &hello.tlvs);
            wire.out().extend(told.header(&client.remote, &client.local, tlvs));
            // A tunnel's bytes pass by what waits to be written.
            let flushing = poll_fn(|cx| wire.poll_flush(cx));
            let Some(Ok(())) = self.patiently(flushing, None).await? else {
                return Err(Failure::Upstream(StreamError::Closed));
            };
        }
        Ok(leased)
    }

    /// Another connection to the same host, in the place of one that proved dead.
    pub(super) async fn reconnect(
        &mut self,
        cluster: &WorkerCluster,
        mut dead: Leased,
        failure: &Failure,
    ) -> Result<Leased, Failure> {
        dead.fate = failure.fate();
        self.patience.attempt_over();
        let (priority, host) = (dead.priority, dead.host.clone());
        let leased = match dead.into_place() {
            Some(host) => {
                self.info.attempts += 1;
                connect::opened(self, cluster, host, priority, Speaks::Http1).await
            }
            None => {
                let limits = &cluster.config().thresholds[priority as usize];
                let speaks = Speaks::http(cluster.config(), self.info.version);
                connect::pooled(self, cluster, host, (priority, limits), speaks).await
            }
        };
        leased.map_err(|no| self.no_connection(cluster, priority, no))
    }

    fn no_connection(
        &mut self,
        cluster: &WorkerCluster,
        priority: Priority,
        why: NoConnection<Stop>,
    ) -> Failure {
        let cluster = cluster.config();
        if !matches!(why, NoConnection::Stopped(_) | NoConnection::Gone | NoConnection::Terminated)
            && let Some(host) = &self.host
        {
            host.stats.rq_error.inc();
        }
        let reply = match why {
            NoConnection::Stopped(stop) => return stop.into(),
            NoConnection::Overflow => {
                let most = cluster.thresholds[priority as usize].max_pending_requests;
                return self.overflow("max_pending_requests", most).into();
            }
            NoConnection::Failed { reason, text } => {
                self.info.upstream_transport_failure = reason.clone().map(Into::into);
                replies::connect_failed(cluster, reason.as_deref(), &text)
            }
            NoConnection::OthersFailed => {
                let text = "the connection that it waited for could not be opened";
                replies::connect_failed(cluster, None, text)
            }
            NoConnection::TimedOut => replies::connect_timeout(cluster),
            NoConnection::Terminated => return Failure::Upstream(StreamError::Closed),
            NoConnection::Gone => return Stop::Gone.into(),
        };
        Failure::Unconnected(Box::new(reply))
    }
}

impl Waits for Exchange<'_> {
    type Stop = Stop;

    fn worker(&self) -> &Rc<Worker> {
        self.worker
    }

    fn info(&mut self) -> &mut StreamInfo {
        &mut self.info
    }

    async fn wait<F: Future>(
        &mut self,
        future: F,
        until: Option<Moment>,
    ) -> Result<Option<F::Output>, Stop> {
        self.patiently(future, until).await
    }
}
