//! The methods that a descriptor set has, and how HTTP names them.
//! Source: google/api/http.proto.

use std::sync::Arc;

use dragoman_proto::pb::google::api::{HttpRule, http_rule::Pattern};
use dragoman_types::Faults;
use prost::Message;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor};

use super::field::{FieldPath, resolve};
use super::template::{Template, Tree, Variable};

/// What an HTTP request calls, and what of it is which part of the message.
#[derive(Debug)]
pub(super) struct Rule {
    /// `/package.Service/Method`
    pub(super) path: String,
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
    pub(super) takes_stream: bool,
    pub(super) gives_stream: bool,
    pub(super) variables: Vec<(Variable, FieldPath)>,
    pub(super) body: Body,
    /// Where the answer's `HttpBody` is; `None`: the answer is JSON.
    pub(super) raw_answer: Option<FieldPath>,
}

/// What a request's body is.
#[derive(Debug)]
pub(super) enum Body {
    /// Nothing is looked for in it.
    None,
    /// JSON for a field, or for the whole message where the path is empty.
    Json(FieldPath),
    /// The data of the `HttpBody` there.
    Raw(FieldPath),
}

/// The options of a method, without what nobody asks for here.
#[derive(Clone, PartialEq, Message)]
struct Options {
    #[prost(message, optional, tag = "72295728")]
    http: Option<HttpRule>,
}

/// Every rule of the services. `auto`: methods without a rule have their gRPC path.
pub(super) fn compile(
    pool: &DescriptorPool,
    services: &[String],
    auto: bool,
    any_verb: bool,
    faults: &mut Faults,
) -> Tree<Arc<Rule>> {
    let mut tree = Tree::new(any_verb);
    for (at, name) in services.iter().enumerate() {
        let path = format!("services[{at}]");
        let Some(service) = pool.get_service_by_name(name) else {
            let known: Vec<_> = pool.services().map(|s| s.full_name().to_owned()).collect();
            let known = known.join(", ");
            faults.add_at(&path, "unknown", format!("the descriptor has no {name}, but: {known}"));
            continue;
        };
        for method in service.methods() {
            if let Err(why) = add_method(&mut tree, &method, auto) {
                faults.add_at(&path, "bad-rule", format!("{}: {why}", method.full_name()));
            }
        }
    }
    tree
}

fn add_method(
    tree: &mut Tree<Arc<Rule>>,
    method: &MethodDescriptor,
    auto: bool,
) -> Result<(), String> {
    let options = method.options().encode_to_vec();
    let options = Options::decode(options.as_slice()).map_err(|error| error.to_string())?;
    let Some(first) = options.http else {
        if !auto {
            return Ok(());
        }
        let path = Rule::path_of(method);
        let rule = HttpRule {
            body: "*".to_owned(),
            pattern: Some(Pattern::Post(path)),
            ..HttpRule::default()
        };
        return add_rule(tree, method, &rule);
    };
    add_rule(tree, method, &first)?;
    first.additional_bindings.iter().try_for_each(|rule| add_rule(tree, method, rule))
}

fn add_rule(
    tree: &mut Tree<Arc<Rule>>,
    method: &MethodDescriptor,
    rule: &HttpRule,
) -> Result<(), String> {
    let (verb, path) = match &rule.pattern {
        Some(Pattern::Get(path)) => ("GET", path),
        Some(Pattern::Put(path)) => ("PUT", path),
        Some(Pattern::Post(path)) => ("POST", path),
        Some(Pattern::Delete(path)) => ("DELETE", path),
        Some(Pattern::Patch(path)) => ("PATCH", path),
        Some(Pattern::Custom(custom)) => (custom.kind.as_str(), &custom.path),
        // It names no path: nothing is bound to it.
        None => return Ok(()),
    };
    let template = Template::parse(path).map_err(|why| format!("{path}: {why}"))?;
    let compiled = Arc::new(Rule::new(method, rule, &template)?);
    match tree.add(verb, &template, compiled) {
        true => Ok(()),
        false => Err(format!("another method has {verb} {path} too")),
    }
}

impl Rule {
    fn path_of(method: &MethodDescriptor) -> String {
        format!("/{}/{}", method.parent_service().full_name(), method.name())
    }

    fn new(
        method: &MethodDescriptor,
        rule: &HttpRule,
        template: &Template,
    ) -> Result<Rule, String> {
        let (input, output) = (method.input(), method.output());
        let variables = template.variables.iter().map(|variable| {
            let path = resolve(&input, &variable.field)?;
            match path.iter().any(FieldDescriptor::is_list) {
                true => Err(format!("{} repeats, so no path can be bound to it", variable.field)),
                false => Ok((variable.clone(), path)),
            }
        });
        let body = match rule.body.as_str() {
            "" => Body::None,
            "*" if is_raw(&input) => Body::Raw(Vec::new()),
            "*" => Body::Json(Vec::new()),
            field => {
                let path = resolve(&input, field)?;
                match path.last().is_some_and(holds_raw) {
                    true => Body::Raw(path),
                    false => Body::Json(path),
                }
            }
        };
        let raw_answer = match rule.response_body.as_str() {
            "" => is_raw(&output).then(Vec::new),
            field => {
                let path = resolve(&output, field)?;
                if !path.last().is_some_and(holds_raw) {
                    return Err(format!(
                        "response_body {field:?} is no google.api.HttpBody: others aren't supported"
                    ));
                }
                Some(path)
            }
        };
        Ok(Rule {
            path: Rule::path_of(method),
            variables: variables.collect::<Result<_, String>>()?,
            body,
            raw_answer,
            takes_stream: method.is_client_streaming(),
            gives_stream: method.is_server_streaming(),
            input,
            output,
        })
    }
}

fn is_raw(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}

fn holds_raw(field: &FieldDescriptor) -> bool {
    !field.is_list() && matches!(field.kind(), Kind::Message(message) if is_raw(&message))
}
