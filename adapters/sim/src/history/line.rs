//! One line of a history: a JSON object with what a client did.

use super::register::Value;
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

/// What a line says.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Its number in the file, from 1.
    pub(super) number: usize,
    pub(super) process: Value,
    pub(super) kind: Kind,
    /// What is asked, if it says so. What this is nobody needs to know on an info line.
    pub(super) what: Option<Result<What, String>>,
    /// No key is a key like any other.
    pub(super) key: Option<Value>,
    pub(super) value: Argument,
    pub(super) time: Option<Time>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invoke,
    Ok,
    Fail,
    Info,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Read,
    Write,
    Cas,
    Append,
}

impl What {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Cas => "cas",
            Self::Append => "append",
        }
    }
}

/// The value of a line, as far as it could be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Missing,
    One(Value),
    Two(Value, Value),
    /// Something else: this.
    Odd(&'static str),
}

/// A time in whatever unit: a whole number and a fraction of 64 bits, as one number.
pub(super) type Time = i128;

#[derive(Deserialize)]
struct Fields {
    process: Option<Json>,
    #[serde(rename = "type")]
    kind: Option<Json>,
    f: Option<Json>,
    key: Option<Json>,
    #[serde(default, deserialize_with = "present")]
    value: Option<Json>,
    time: Option<Json>,
}

/// A value that is there, even if it is null.
fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(from).map(Some)
}

/// Reads a line that is not blank.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(number: usize, text: &[u8]) -> Result<Line, String> {
    // Otherwise a list of these things in this order would do as well.
    if !text.starts_with(b"{") {
        return Err("this is not a JSON object; write one on each line".to_owned());
    }
    let fields: Fields = serde_json::from_slice(text).map_err(|error| complaint(&error))?;
    let process = match fields.process.as_ref().map(scalar) {
        Some(Ok(process)) if process != Value::Nothing => process,
        None | Some(Ok(_)) => {
            return Err("there is no process; write its number or name".to_owned());
        }
        Some(Err(odd)) => return Err(format!("process is {odd}; write a number or a text")),
    };
    let kind = match name("type", fields.kind.as_ref())? {
        Some("invoke") => Kind::Invoke,
        Some("ok") => Kind::Ok,
        Some("fail") => Kind::Fail,
        Some("info") => Kind::Info,
        Some(other) => {
            return Err(format!("type {other:?} is not known; write invoke, ok, fail or info"));
        }
        None => return Err("there is no type; write invoke, ok, fail or info".to_owned()),
    };
    let what = name("f", fields.f.as_ref()).map(|name| {
        Some(Ok(match name? {
            "read" => What::Read,
            "write" => What::Write,
            "cas" => What::Cas,
            "append" => What::Append,
            other => {
                let advice = "write read, write, cas or append";
                return Some(Err(format!("f {other:?} is not known; {advice}")));
            }
        }))
    });
    let what = what.unwrap_or_else(|odd| Some(Err(odd)));
    let key = match fields.key.as_ref().map(key).transpose() {
        Err(odd) if kind != Kind::Info => {
            return Err(format!("key is {odd}; write a number or a text"));
        }
        key => key.unwrap_or(None),
    };
    let time = fields.time.as_ref().map(time).transpose()?;
    let value = fields.value.as_ref().map_or(Argument::Missing, argument);
    Ok(Line { number, process, kind, what, key, value, time })
}

/// What the reader of JSON complains of, in the terms of the line.
fn complaint(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    format!("this is not a JSON object of a history: {words}, at column {}", error.column())
}

fn name<'a>(field: &str, json: Option<&'a Json>) -> Result<Option<&'a str>, String> {
    match json {
        None => Ok(None),
        Some(Json::String(name)) => Ok(Some(name)),
        Some(odd) => Err(format!("{field} is {}; write a text", kind_of(odd))),
    }
}

fn argument(json: &Json) -> Argument {
    if let Json::Array(pair) = json
        && let [old, new] = pair.as_slice()
        && let (Ok(old), Ok(new)) = (scalar(old), scalar(new))
    {
        return Argument::Two(old, new);
    }
    scalar(json).map_or_else(Argument::Odd, Argument::One)
}

/// A key, for which the empty text is a text.
fn key(json: &Json) -> Result<Value, &'static str> {
    match json {
        Json::String(text) => Ok(Value::Text(text.as_str().into())),
        json => scalar(json),
    }
}

fn scalar(json: &Json) -> Result<Value, &'static str> {
    match json {
        Json::Null => Ok(Value::Nothing),
        Json::String(text) => Ok(Value::text(text)),
        Json::Number(number) => {
            let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            let fraction = || number.as_f64().map(Value::number);
            whole.map(Value::Whole).or_else(fraction).ok_or("a number out of range")
        }
        odd => Err(kind_of(odd)),
    }
}

fn time(json: &Json) -> Result<Time, String> {
    const ONE: i128 = 1 << 64;
    match scalar(json) {
        Ok(Value::Whole(whole)) => whole.checked_mul(ONE).ok_or("time is out of range".to_owned()),
        Ok(Value::Fraction(bits)) if f64::from_bits(bits).abs() < ONE as f64 => {
            let time = f64::from_bits(bits);
            // Both are exact: a fraction is left only where the whole has few bits.
            Ok(time.floor() as i128 * ONE + ((time - time.floor()) * ONE as f64) as i128)
        }
        Ok(Value::Fraction(_)) => Err("time is out of range".to_owned()),
        Ok(_) => Err("time is not a number; write one in any unit".to_owned()),
        Err(odd) => Err(format!("time is {odd}; write a number in any unit")),
    }
}

const fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "a truth value",
        Json::Number(_) => "a number",
        Json::String(_) => "a text",
        Json::Array(_) => "a list",
        Json::Object(_) => "an object",
    }
}
