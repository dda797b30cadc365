//! Role-based access control: which policy lets a connection or a request through, or keeps it out.
//! Source: `envoy.config.rbac.v3.RBAC`.

use dragoman_proto::pb::envoy::config::rbac::v3 as pb;
use dragoman_proto::pb::envoy::r#type::matcher::v3::{PathMatcher, path_matcher};
use dragoman_types::tls::Certificate;
use dragoman_types::{Address, Connection, Faults, Headers, id};

use crate::{CidrRange, HeaderMatcher, StringMatcher};
use pb::permission::Rule;
use pb::principal::Identifier;

/// What policies are asked about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SubjectKind {
    Connection,
    Request,
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub connection: &'a Connection,
    /// None of a connection.
    pub headers: &'a Headers,
}

/// What the policies say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision<'a> {
    pub allowed: bool,
    /// The policy that matched.
    pub policy: Option<&'a str>,
}

/// The policies, in the order of their names: the first that matches counts.
#[derive(Debug)]
pub struct Rbac {
    action: pb::rbac::Action,
    policies: Vec<(Box<str>, Policy)>,
}

/// Any of the permissions, for any of the principals.
#[derive(Debug)]
struct Policy {
    permissions: Vec<Test>,
    principals: Vec<Test>,
}

/// A permission or a principal.
#[derive(Debug)]
enum Test {
    Any,
    All(Vec<Test>),
    OneOf(Vec<Test>),
    Not(Box<Test>),
    Header(HeaderMatcher),
    UrlPath(StringMatcher),
    Destination(CidrRange),
    /// Both ends are in it.
    DestinationPort(u16, u16),
    ServerName(StringMatcher),
    /// The socket's peer.
    DirectRemote(CidrRange),
    Remote(CidrRange),
    /// By the certificate; `None`: it is whoever TLS lets in, with one or without.
    Authenticated(Option<StringMatcher>),
    /// Stands for a test that was refused.
    Never,
}

impl Rbac {
    /// Faults: `missing`, `empty`, `out-of-range`, `bad-cidr`, `unsupported`, and those of the matchers.
    ///
    /// `of`: what will be asked about.
    pub fn compile(message: &pb::Rbac, of: SubjectKind, faults: &mut Faults) -> Rbac {
        let mut policies: Vec<_> = message
            .policies
            .iter()
            .map(|(name, policy)| {
                let path = format!("policies[{name}]");
                let policy = faults.field(&path, |faults| Policy::compile(policy, of, faults));
                (Box::<str>::from(&**name), policy)
            })
            .collect();
        policies.sort_by(|(a, _), (b, _)| a.cmp(b));
        if message.audit_logging_options.is_some() {
            faults.add_at("audit_logging_options", "unsupported", "there are no audit loggers");
        }
        Rbac { action: message.action(), policies }
    }

    pub fn decide(&self, subject: &Subject<'_>) -> Decision<'_> {
        let found = self.policies.iter().find(|(_, policy)| policy.matches(subject));
        let policy = found.map(|(name, _)| &**name);
        let allowed = match self.action {
            pb::rbac::Action::Allow => policy.is_some(),
            pb::rbac::Action::Deny => policy.is_none(),
            pb::rbac::Action::Log => true,
        };
        Decision { allowed, policy }
    }
}

impl Policy {
    fn compile(message: &pb::Policy, of: SubjectKind, faults: &mut Faults) -> Policy {
        if message.condition.is_some() || message.checked_condition.is_some() {
            faults.add_at("condition", "unsupported", "conditions in CEL aren't evaluated yet");
        }
        Policy {
            permissions: all("permissions", &message.permissions, permission, of, faults),
            principals: all("principals", &message.principals, principal, of, faults),
        }
    }

    fn matches(&self, subject: &Subject<'_>) -> bool {
        self.permissions.iter().any(|test| test.holds(subject))
            && self.principals.iter().any(|test| test.holds(subject))
    }
}

/// Compiles a list that mustn't be empty.
fn all<M>(
    field: &str,
    messages: &[M],
    compile: fn(&M, SubjectKind, &mut Faults) -> Test,
    of: SubjectKind,
    faults: &mut Faults,
) -> Vec<Test> {
    if messages.is_empty() {
        faults.add_at(field, "empty", "at least one is needed");
    }
    let tests = messages.iter().enumerate();
    tests.map(|(index, one)| faults.item(field, index, |faults| compile(one, of, faults))).collect()
}

#[expect(deprecated, reason = "what configurations still say is refused by its name")]
fn permission(message: &pb::Permission, of: SubjectKind, faults: &mut Faults) -> Test {
    let Some(rule) = &message.rule else { return missing(faults) };
    match rule {
        Rule::Any(_) => Test::Any,
        Rule::AndRules(set) => {
            Test::All(faults.field("and_rules", |f| all("rules", &set.rules, permission, of, f)))
        }
        Rule::OrRules(set) => {
            Test::OneOf(faults.field("or_rules", |f| all("rules", &set.rules, permission, of, f)))
        }
        Rule::NotRule(one) => {
            Test::Not(Box::new(faults.field("not_rule", |f| permission(one, of, f))))
        }
        Rule::Header(_) | Rule::UrlPath(_) if of == SubjectKind::Connection => no_request(faults),
        Rule::Header(matcher) => {
            Test::Header(faults.field("header", |f| HeaderMatcher::compile(matcher, f)))
        }
        Rule::UrlPath(matcher) => faults.field("url_path", |faults| url_path(matcher, faults)),
        Rule::DestinationIp(range) => {
            let range = faults.field("destination_ip", |faults| CidrRange::compile(range, faults));
            range.map_or(Test::Never, Test::Destination)
        }
        Rule::DestinationPort(port) => match u16::try_from(*port) {
            Ok(port) => Test::DestinationPort(port, port),
            Err(_) => refused(faults, "destination_port", "out-of-range", "is at most 65535"),
        },
        Rule::DestinationPortRange(range) => {
            // The end isn't in it.
            let last = range.end.checked_sub(1).and_then(|last| u16::try_from(last).ok());
            let ends = (u16::try_from(range.start).ok(), last);
            match ends {
                (Some(first), Some(last)) if first <= last => Test::DestinationPort(first, last),
                _ => {
                    let why = "start must be less than end, and both be ports";
                    refused(faults, "destination_port_range", "out-of-range", why)
                }
            }
        }
        Rule::RequestedServerName(matcher) => Test::ServerName(
            faults.field("requested_server_name", |f| StringMatcher::compile(matcher, f)),
        ),
        Rule::Metadata(_) | Rule::SourcedMetadata(_) => {
            refused(faults, "metadata", "unsupported", "metadata isn't matched yet")
        }
        Rule::Matcher(_) | Rule::UriTemplate(_) => {
            refused(faults, "matcher", "unsupported", "extension matchers aren't supported")
        }
    }
}

#[expect(deprecated, reason = "configurations still say `source_ip`")]
fn principal(message: &pb::Principal, of: SubjectKind, faults: &mut Faults) -> Test {
    let Some(identifier) = &message.identifier else { return missing(faults) };
    let range = |field, range, make: fn(CidrRange) -> Test, faults: &mut Faults| {
        let range = faults.field(field, |faults| CidrRange::compile(range, faults));
        range.map_or(Test::Never, make)
    };
    match identifier {
        Identifier::Any(_) => Test::Any,
        Identifier::AndIds(set) => {
            Test::All(faults.field("and_ids", |f| all("ids", &set.ids, principal, of, f)))
        }
        Identifier::OrIds(set) => {
            Test::OneOf(faults.field("or_ids", |f| all("ids", &set.ids, principal, of, f)))
        }
        Identifier::NotId(one) => {
            Test::Not(Box::new(faults.field("not_id", |f| principal(one, of, f))))
        }
        Identifier::Header(_) | Identifier::UrlPath(_) if of == SubjectKind::Connection => {
            no_request(faults)
        }
        Identifier::Header(matcher) => {
            Test::Header(faults.field("header", |f| HeaderMatcher::compile(matcher, f)))
        }
        Identifier::UrlPath(matcher) => faults.field("url_path", |f| url_path(matcher, f)),
        // Envoy's name for the connection's peer, before it had two of them.
        Identifier::SourceIp(cidr) => range("source_ip", cidr, Test::Remote, faults),
        Identifier::RemoteIp(cidr) => range("remote_ip", cidr, Test::Remote, faults),
        Identifier::DirectRemoteIp(cidr) => {
            range("direct_remote_ip", cidr, Test::DirectRemote, faults)
        }
        Identifier::Authenticated(who) => {
            let name = who.principal_name.as_ref().map(|name| {
                faults.field("authenticated.principal_name", |f| StringMatcher::compile(name, f))
            });
            Test::Authenticated(name)
        }
        Identifier::Metadata(_) | Identifier::SourcedMetadata(_) => {
            refused(faults, "metadata", "unsupported", "metadata isn't matched yet")
        }
        Identifier::FilterState(_) => {
            refused(faults, "filter_state", "unsupported", "filter state isn't kept")
        }
        Identifier::Custom(_) => {
            refused(faults, "custom", "unsupported", "extension principals aren't supported")
        }
    }
}

fn url_path(message: &PathMatcher, faults: &mut Faults) -> Test {
    match &message.rule {
        Some(path_matcher::Rule::Path(matcher)) => {
            Test::UrlPath(faults.field("path", |f| StringMatcher::compile(matcher, f)))
        }
        None => missing(faults),
    }
}

fn no_request(faults: &mut Faults) -> Test {
    faults.add("unsupported", "a connection has neither headers nor a path");
    Test::Never
}

fn missing(faults: &mut Faults) -> Test {
    faults.add("missing", "nothing is said of what it matches");
    Test::Never
}

fn refused(faults: &mut Faults, field: &str, code: &'static str, why: &str) -> Test {
    faults.add_at(field, code, why);
    Test::Never
}

impl Test {
    fn holds(&self, subject: &Subject<'_>) -> bool {
        let connection = subject.connection;
        match self {
            Test::Any => true,
            Test::All(tests) => tests.iter().all(|test| test.holds(subject)),
            Test::OneOf(tests) => tests.iter().any(|test| test.holds(subject)),
            Test::Not(test) => !test.holds(subject),
            Test::Header(matcher) => matcher.matches(subject.headers),
            Test::UrlPath(matcher) => {
                let path = subject.headers.get(id::PATH);
                let end = |path: &[u8]| memchr::memchr2(b'?', b'#', path).unwrap_or(path.len());
                path.is_some_and(|path| matcher.matches(&path[..end(path)]))
            }
            Test::Destination(range) => holds(range, &connection.local),
            Test::DestinationPort(first, last) => match &connection.local {
                Address::Ip(local) => (*first..=*last).contains(&local.port()),
                Address::Pipe(_) => false,
            },
            Test::ServerName(matcher) => {
                matcher.matches(server_name(connection).unwrap_or_default().as_bytes())
            }
            Test::DirectRemote(range) => holds(range, &connection.direct_remote),
            Test::Remote(range) => holds(range, &connection.remote),
            Test::Authenticated(name) => {
                let Some(tls) = &connection.tls else { return false };
                let Some(name) = name else { return true };
                match &tls.peer {
                    Some(peer) => names(peer).any(|one| name.matches(one.as_bytes())),
                    // Envoy's subject of nobody.
                    None => name.matches(b""),
                }
            }
            Test::Never => false,
        }
    }
}

fn holds(range: &CidrRange, address: &Address) -> bool {
    address.ip().is_some_and(|ip| range.contains(ip))
}

/// The name that the client asks for as the tls_inspector has read it. Where TLS ends here, Envoy asks no
/// other source either.
fn server_name(connection: &Connection) -> Option<&str> {
    connection.hello.as_ref().and_then(|hello| hello.server_name.as_deref())
}

/// Who a certificate is for: its URIs, its DNS names and its subject.
fn names(peer: &Certificate) -> impl Iterator<Item = &str> {
    let names = peer.uri_sans.iter().chain(&peer.dns_sans).chain([&peer.subject]);
    names.map(|name| &**name)
}
