//! What the HTTP connection manager decides about heads; no sockets, no clocks.
