//! The model of a key: a value that is read, written, compared and set, and appended to.
//!
//! A value is nothing, a number or a text, and nothing is the empty text. Values are compared as
//! values: the number 1 is the number 1.0 and not the text `1`. Appending makes a text of what is
//! there and of what is added, whatever they are, and puts one after the other: nothing becomes the
//! empty text, a whole number its decimal digits (`7`, `-7`; `7.0` is whole), any other number what
//! Rust writes for it (`0.5`). So once something has been appended, what is read is a text: after
//! 1 and then 2 it is `12`, not the number 12.
//!
//! What the model keeps of a text is how far it agrees with texts that some answer is compared with.
//! A text that is no beginning of any of those can never become one of them by appending, and all
//! such texts behave alike: they are one state. So a state is a few bytes, and values that nobody
//! reads multiply nothing.

use super::{Model, Step};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

/// A value as clients know it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// Nothing, which is the empty text: what a key holds that was never written.
    Nothing,
    /// A whole number.
    Whole(i128),
    /// A number with a fraction, or a huge one, as the bits of an `f64`.
    Fraction(u64),
    /// A text that is not empty.
    Text(Box<str>),
}

/// What a client asks of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To say its value.
    Read,
    /// To take this value.
    Write(Value),
    /// To take the second value if it has the first.
    Cas(Value, Value),
    /// To put this after what it has.
    Append(Value),
}

/// What a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// This was its value.
    Value(Value),
    /// It has done so.
    Done,
    /// It has not, for its value was another: only to a compare and set.
    Another,
}

/// A key, for a history in which these values are compared with what it holds.
#[derive(Clone, Debug)]
pub struct Register {
    texts: Texts,
    /// Numbers that are compared, or can become a text that is; and what each is as a text.
    numbers: BTreeMap<Value, u32>,
    number_texts: Vec<Held>,
}

/// What a key holds, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Held {
    /// A text that some compared text begins with.
    Text(u32),
    /// A number.
    Number(u32),
    /// Another value.
    Other,
}

/// A call with its values as the model knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// See [`Ask::Read`].
    Read,
    /// See [`Ask::Write`].
    Write(Held),
    /// See [`Ask::Cas`].
    Cas(Held, Held),
    /// See [`Ask::Append`]. It is a text by now.
    Append(Box<str>),
}

/// An answer with its value as the model knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// See [`Say::Value`].
    Value(Held),
    /// See [`Say::Done`].
    Done,
    /// See [`Say::Another`].
    Another,
}

impl Value {
    /// A text, which is nothing if it is empty.
    #[must_use]
    pub fn text(text: &str) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Text(text.into()) }
    }

    /// A number, which is whole if it can be.
    #[must_use]
    pub fn number(number: f64) -> Self {
        // Below this, a whole `f64` is an `i128`.
        const END: f64 = 1e38;
        if number.fract() == 0.0 && number.abs() < END {
            Self::Whole(number as i128)
        } else {
            Self::Fraction(number.to_bits())
        }
    }

    /// What appending makes of it.
    fn as_text(&self) -> Box<str> {
        match self {
            Self::Nothing => "".into(),
            Self::Whole(number) => number.to_string().into(),
            Self::Fraction(bits) => f64::from_bits(*bits).to_string().into(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl fmt::Display for Value {
    /// As JSON, so that a number is told from a text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("null"),
            Self::Whole(number) => number.fmt(f),
            Self::Fraction(bits) => f64::from_bits(*bits).fmt(f),
            Self::Text(text) => {
                f.write_char('"')?;
                for c in text.chars() {
                    match c {
                        '"' | '\\' => write!(f, "\\{c}")?,
                        c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
                        c => f.write_char(c)?,
                    }
                }
                f.write_char('"')
            }
        }
    }
}

impl Register {
    /// The key of a history in which these things are asked and said.
    pub fn of<'a>(talk: impl Iterator<Item = (&'a Ask, Option<&'a Say>)> + Clone) -> Self {
        let mut register =
            Self { texts: Texts::new(), numbers: BTreeMap::new(), number_texts: Vec::new() };
        let compared = talk.clone().filter_map(|(ask, say)| match (ask, say) {
            (_, Some(Say::Value(value))) | (Ask::Cas(value, _), _) => Some(value),
            _ => None,
        });
        for value in compared.clone() {
            if let Value::Text(text) = value {
                register.texts.add(text);
            }
        }
        for value in compared {
            register.add_number(value, true);
        }
        for (ask, _) in talk {
            if let Ask::Write(value) | Ask::Cas(_, value) = ask {
                register.add_number(value, false);
            }
        }
        register
    }

    /// Adds a number that is compared, or that can become a text that is.
    fn add_number(&mut self, value: &Value, is_compared: bool) {
        if !matches!(value, Value::Whole(_) | Value::Fraction(_))
            || self.numbers.contains_key(value)
        {
            return;
        }
        let text = self.texts.extend(Held::Text(ROOT), &value.as_text());
        if is_compared || text != Held::Other {
            // More than 2^32 numbers do not fit into the file that they come from.
            let number = u32::try_from(self.number_texts.len()).unwrap_or(u32::MAX);
            self.numbers.insert(value.clone(), number);
            self.number_texts.push(text);
        }
    }

    /// A value as the model knows it.
    #[must_use]
    pub fn held(&self, value: &Value) -> Held {
        match value {
            Value::Nothing => Held::Text(ROOT),
            Value::Text(text) => self.texts.extend(Held::Text(ROOT), text),
            number => self.numbers.get(number).map_or(Held::Other, |number| Held::Number(*number)),
        }
    }

    /// What is asked, as the model knows it.
    #[must_use]
    pub fn call(&self, ask: &Ask) -> Call {
        match ask {
            Ask::Read => Call::Read,
            Ask::Write(value) => Call::Write(self.held(value)),
            Ask::Cas(old, new) => Call::Cas(self.held(old), self.held(new)),
            Ask::Append(value) => Call::Append(value.as_text()),
        }
    }

    /// What is said, as the model knows it.
    #[must_use]
    pub fn answer(&self, say: &Say) -> Answer {
        match say {
            Say::Value(value) => Answer::Value(self.held(value)),
            Say::Done => Answer::Done,
            Say::Another => Answer::Another,
        }
    }
}

impl Model for Register {
    type State = Held;
    type Call = Call;
    type Answer = Answer;

    fn initial(&self) -> Held {
        Held::Text(ROOT)
    }

    fn step(&self, held: &Held, call: &Call, answer: Option<&Answer>) -> Step<Held> {
        match (call, answer) {
            (Call::Read, Some(Answer::Value(value))) if value != held => Step::Impossible,
            (Call::Read, _) => Step::Unchanged,
            (Call::Write(value), _) => Step::Becomes(*value),
            (Call::Cas(old, _), Some(Answer::Another)) if old == held => Step::Impossible,
            (Call::Cas(old, new), answer) => match answer {
                _ if old == held => Step::Becomes(*new),
                Some(Answer::Done) => Step::Impossible,
                _ => Step::Unchanged,
            },
            (Call::Append(text), _) => {
                let held = match held {
                    Held::Number(number) => self.number_texts[*number as usize],
                    held => *held,
                };
                Step::Becomes(self.texts.extend(held, text))
            }
        }
    }

    fn only_reads(&self, _call: &Call, answer: &Answer) -> bool {
        matches!(answer, Answer::Value(_) | Answer::Another)
    }

    fn overwrites(&self, call: &Call) -> bool {
        matches!(call, Call::Write(_))
    }
}

/// The empty text.
const ROOT: u32 = 0;
/// No text.
const NONE: u32 = u32::MAX;

/// All beginnings of some texts, as a tree of bytes.
#[derive(Clone, Debug)]
struct Texts {
    nodes: Vec<Letter>,
}

#[derive(Clone, Copy, Debug)]
struct Letter {
    byte: u8,
    /// The first of those that come after it.
    first: u32,
    /// The next that comes after the same.
    sibling: u32,
}

impl Texts {
    fn new() -> Self {
        Self { nodes: vec![Letter { byte: 0, first: NONE, sibling: NONE }] }
    }

    fn after(&self, node: u32, byte: u8) -> Option<u32> {
        let mut child = self.nodes[node as usize].first;
        while child != NONE && self.nodes[child as usize].byte != byte {
            child = self.nodes[child as usize].sibling;
        }
        (child != NONE).then_some(child)
    }

    fn add(&mut self, text: &str) {
        let mut node = ROOT;
        for byte in text.bytes() {
            node = self.after(node, byte).unwrap_or_else(|| {
                // More than 2^32 letters do not fit into the memory that the file is in.
                let child = u32::try_from(self.nodes.len()).unwrap_or(NONE);
                let sibling = std::mem::replace(&mut self.nodes[node as usize].first, child);
                self.nodes.push(Letter { byte, first: NONE, sibling });
                child
            });
        }
    }

    /// What a text becomes when another is put after it.
    fn extend(&self, held: Held, text: &str) -> Held {
        let Held::Text(node) = held else {
            return held;
        };
        let end = text.bytes().try_fold(node, |node, byte| self.after(node, byte));
        end.map_or(Held::Other, Held::Text)
    }
}
