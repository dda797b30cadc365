//! Matchers of Envoy's configuration, compiled once and asked per request: strings, headers, query
//! parameters, cookies and fractions. Knows nothing of routes, filters or connections; allocates
//! nothing when asked.

mod fraction;
mod range;
mod rbac;
mod request;
mod string;

pub use fraction::FractionalPercent;
pub use range::CidrRange;
pub use rbac::{Decision, Rbac, Subject, SubjectKind};
pub use request::{CookieMatcher, HeaderMatcher, QueryParameterMatcher, cookie_value, query_value};
pub use string::StringMatcher;
