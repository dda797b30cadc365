//! `%COALESCE({"operators": [...]})%`: the first of several operators that has a value. Its parameters
//! are JSON.

use crate::op::Step;
use crate::parse::step;
use crate::reader::Json;

/// Reads `{"operators": ["NAME", {"command": ..., "param": ..., "max_length": ...}]}`.
pub(crate) fn compile(parameters: &str) -> Result<Box<[Step]>, String> {
    let config = Json::read(parameters).ok_or("its parameters aren't JSON")?;
    let Some(Json::List(operators)) = config.get("operators") else {
        return Err("its JSON must have an \"operators\" list".into());
    };
    if operators.is_empty() {
        return Err("the \"operators\" list is empty".into());
    }
    let compiled = operators
        .iter()
        .enumerate()
        .map(|(index, operator)| one(operator).map_err(|why| format!("operator {index}: {why}")));
    compiled.collect()
}

fn one(operator: &Json) -> Result<Step, String> {
    let (command, parameters, length) = match operator {
        Json::Text(command) => (command.as_str(), "", None),
        Json::Map(_) => {
            let Some(Json::Text(command)) = operator.get("command") else {
                return Err("needs a \"command\"".into());
            };
            let parameters = match operator.get("param") {
                None => "",
                Some(Json::Text(param)) => param,
                Some(_) => return Err("\"param\" must be a string".into()),
            };
            let length = match operator.get("max_length") {
                None => None,
                Some(Json::Number(n)) if *n >= 1.0 => Some(*n as usize),
                Some(_) => return Err("\"max_length\" must be a positive number".into()),
            };
            (command.as_str(), parameters, length)
        }
        _ => return Err("must be a name or an object".into()),
    };
    step(command, parameters, length).map_err(|(_, why)| format!("{command}: {why}"))
}
