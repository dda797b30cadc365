//! A response head on its way to the client: what concerns one hop only goes, what names us comes.

use dragoman_types::{IdSet, RequestHead, ResponseHead, id};

use crate::accept::{Scratch, is_dropped};
use crate::config::{Config, ServerHeader};
use crate::hop_by_hop;
use crate::ids::join_repeated;

/// What Envoy's header table joins in responses.
const JOINED: IdSet = IdSet::of(&[
    id::CACHE_CONTROL,
    id::CONTENT_TYPE,
    id::DATE,
    id::ETAG,
    id::GRPC_MESSAGE,
    id::GRPC_STATUS,
    id::LAST_MODIFIED,
    id::LOCATION,
    id::SERVER,
    id::VARY,
    id::VIA,
    id::X_ENVOY_ATTEMPT_COUNT,
    id::X_ENVOY_RATELIMITED,
    id::X_ENVOY_UPSTREAM_CANARY,
    id::X_ENVOY_UPSTREAM_SERVICE_TIME,
    id::X_REQUEST_ID,
]);

const HOP_BY_HOP: IdSet = IdSet::of(&[
    id::CONNECTION,
    id::UPGRADE,
    id::TRANSFER_ENCODING,
    id::KEEP_ALIVE,
    id::PROXY_CONNECTION,
]);
const HOP_BY_HOP_UPGRADED: IdSet =
    IdSet::of(&[id::TRANSFER_ENCODING, id::KEEP_ALIVE, id::PROXY_CONNECTION]);

impl Config {
    /// Repeated fields of an origin's response that Envoy's header table joins with commas become
    /// one; edits, logs and the client then see one.
    pub fn join_response(&self, response: &mut ResponseHead, scratch: &mut Scratch) {
        let twice = response.headers.repeated();
        if twice.meets(JOINED) {
            join_repeated(&mut response.headers, twice, JOINED, scratch.text());
        }
    }

    /// Makes a response ready for the client's codec. `date` (the whole line) is
    /// used where the origin gave none.
    /// Fields that `Connection` nominates stay, as in Envoy.
    pub fn finish_response(
        &self,
        response: &mut ResponseHead,
        request: Option<&RequestHead>,
        date: &[u8],
    ) {
        let headers = &mut response.headers;
        let any = headers.present();
        if !any.has(id::DATE) {
            headers.append_line(id::DATE, date);
        }
        match self.server {
            ServerHeader::Overwrite => headers.set_line(id::SERVER, &self.server_line),
            ServerHeader::AppendIfAbsent if !any.has(id::SERVER) => {
                headers.append_line(id::SERVER, &self.server_line);
            }
            ServerHeader::AppendIfAbsent | ServerHeader::PassThrough => {}
        }
        if any.meets(HOP_BY_HOP) {
            let upgraded = hop_by_hop::is_upgrade(headers)
                && request.is_some_and(|request| hop_by_hop::is_upgrade(&request.headers));
            let drop = if upgraded { HOP_BY_HOP_UPGRADED } else { HOP_BY_HOP };
            headers.retain(|id, _, _| !is_dropped(drop, id));
        }
        if let Some(request) = request
            && (self.request_id.always_in_response
                || request.headers.contains(id::X_ENVOY_FORCE_TRACE))
            && let Some(value) = request.headers.get(id::X_REQUEST_ID)
        {
            headers.set(id::X_REQUEST_ID, value);
        }
        self.append_via(headers);
    }
}
