//! Regular expressions as the data plane reads them, for the control side too.

pub use dragoman_proto::regex as compile;
pub use regex::bytes::Regex as Compiled;
