//! One route and one virtual host, compiled.

use dragoman_types::RequestHead;

use crate::answer::{Direct, Redirect};
use crate::condition::Conditions;
use crate::forward::{Forward, Target};
use crate::index::PathIndex;
use crate::path::PathMatcher;
use dragoman_edits::Edits;

#[derive(Debug)]
pub struct Route {
    pub(crate) index: usize,
    pub(crate) virtual_host: usize,
    pub(crate) name: Box<str>,
    pub(crate) label: Box<str>,
    pub(crate) path: PathMatcher,
    pub(crate) conditions: Option<Box<Conditions>>,
    pub(crate) request: Edits,
    pub(crate) response: Edits,
    pub(crate) action: Action,
}

/// What happens to a request that takes the route.
#[derive(Debug)]
pub enum Action {
    /// In place: it's needed with nearly every request.
    Forward(Forward),
    Redirect(Box<Redirect>),
    Direct(Box<Direct>),
}

#[derive(Debug)]
pub struct VirtualHost {
    pub(crate) name: Box<str>,
    /// Its routes' places in the table's flat list.
    pub(crate) first_route: usize,
    pub(crate) routes: PathIndex,
    pub(crate) require_tls: RequireTls,
    pub(crate) request: Edits,
    pub(crate) response: Edits,
    pub(crate) timeout_retry_in_request: bool,
    pub(crate) attempt_count_in_request: bool,
    pub(crate) attempt_count_in_response: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RequireTls {
    No,
    /// Except for internal requests.
    External,
    All,
}

impl Route {
    /// Its place in [`crate::RouteTable::routes`].
    pub fn index(&self) -> usize {
        self.index
    }

    /// `%ROUTE_NAME%`; empty if it has none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names the route in statistics: its name, or else `virtual host#place in its list`.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its virtual host's place in [`crate::RouteTable::virtual_hosts`].
    pub fn virtual_host(&self) -> usize {
        self.virtual_host
    }

    pub fn action(&self) -> &Action {
        &self.action
    }

    /// Where a request that is forwarded goes; `None` for routes that answer themselves.
    pub fn target<'t, 'r>(
        &'t self,
        request: &'r RequestHead,
        random: u64,
    ) -> Option<Target<'t, 'r>> {
        match &self.action {
            Action::Forward(forward) => Some(forward.target(request, random)),
            Action::Redirect(_) | Action::Direct(_) => None,
        }
    }
}

impl VirtualHost {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `x-envoy-is-timeout-retry` goes upstream with each further attempt.
    pub fn include_is_timeout_retry_header(&self) -> bool {
        self.timeout_retry_in_request
    }

    /// `x-envoy-attempt-count` goes upstream.
    pub fn include_request_attempt_count(&self) -> bool {
        self.attempt_count_in_request
    }

    /// `x-envoy-attempt-count` goes to the client.
    pub fn include_attempt_count_in_response(&self) -> bool {
        self.attempt_count_in_response
    }
}
