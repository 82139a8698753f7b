//! Rows: one figure of ours, with a peer's beside it and what it must be.

use std::fmt::Write;

/// Which figures are better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Better {
    /// Lower ones.
    Less,
    /// Higher ones.
    More,
}

/// One figure.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The target that it belongs to.
    pub(crate) id: &'static str,
    /// What was done: nodes, batch, depth, and whether messages were encoded.
    pub(crate) shape: String,
    /// What was counted.
    pub(crate) metric: &'static str,
    pub(crate) better: Better,
    pub(crate) ours: f64,
    /// A peer's figure of the same metric.
    pub(crate) peer: Option<(String, f64)>,
    /// What ours must be, and where we want it, in the unit of the metric.
    pub(crate) must: Option<f64>,
    pub(crate) reach: Option<f64>,
    /// What ours is known to come to, if that is not yet what it must be.
    pub(crate) stands_at: Option<f64>,
    /// Whether it is the same on every run, so that it decides whether the program succeeds.
    pub(crate) is_gate: bool,
}

impl Row {
    /// A row of a gate that has neither peer nor target yet. Lower is better.
    pub(crate) fn new(
        id: &'static str,
        shape: impl Into<String>,
        metric: &'static str,
        ours: f64,
    ) -> Self {
        Self {
            id,
            shape: shape.into(),
            metric,
            better: Better::Less,
            ours,
            peer: None,
            must: None,
            reach: None,
            stands_at: None,
            is_gate: true,
        }
    }

    pub(crate) fn beside(mut self, peer: Option<(String, f64)>) -> Self {
        self.peer = peer;
        self
    }

    pub(crate) const fn must(mut self, must: f64) -> Self {
        self.must = Some(must);
        self
    }

    pub(crate) const fn reach(mut self, reach: f64) -> Self {
        self.reach = Some(reach);
        self
    }

    pub(crate) const fn stands_at(mut self, known: f64) -> Self {
        self.stands_at = Some(known);
        self
    }

    /// How many times better than the peer's. None if there is no peer, or if ours is nothing at all.
    fn ratio(&self) -> Option<f64> {
        let theirs = self.peer.as_ref()?.1;
        let ratio = match self.better {
            Better::Less => theirs / self.ours,
            Better::More => self.ours / theirs,
        };
        ratio.is_finite().then_some(ratio)
    }

    /// Whether it is what it must be. None if nothing is asked of it.
    pub(crate) fn met(&self) -> Option<bool> {
        self.must.map(|must| match self.better {
            Better::Less => self.ours <= must,
            Better::More => self.ours >= must,
        })
    }

    /// Whether it is what it must be, or no more than a twentieth above what it is known to come to.
    pub(crate) fn holds(&self) -> bool {
        let is_known = |known: f64| self.ours <= 1.05 * known;
        self.met() != Some(false) || self.stands_at.is_some_and(is_known)
    }

    /// The row as one JSON object.
    pub(crate) fn json(&self) -> String {
        let number = |it: Option<f64>| it.map_or("null".to_owned(), exact);
        let peer = self.peer.as_ref().map_or("null".to_owned(), |(name, _)| format!("{name:?}"));
        let met = self.met().map_or("null".to_owned(), |met| met.to_string());
        let mut line = String::new();
        let _ = write!(
            line,
            r#"{{"id":{:?},"shape":{:?},"metric":{:?},"ours":{},"peer":{peer},"theirs":{},"ratio":{},"must":{},"reach":{},"met":{met}}}"#,
            self.id,
            self.shape,
            self.metric,
            exact(self.ours),
            number(self.peer.as_ref().map(|(_, theirs)| *theirs)),
            number(self.ratio()),
            number(self.must),
            number(self.reach),
        );
        line
    }

    /// The row as a line of the table, and the line above all rows.
    pub(crate) fn line(&self) -> String {
        let (peer, theirs) = match &self.peer {
            Some((name, theirs)) => (name.as_str(), plain(*theirs)),
            None => ("-", String::new()),
        };
        let bound = |it: Option<f64>| it.map_or(String::new(), plain);
        let verdict = match (self.met(), self.is_gate) {
            (Some(true), _) => "met",
            (Some(false), true) => "NOT MET",
            (Some(false), false) => "not met",
            (None, _) => "",
        };
        let ratio = self.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}x"));
        columns([
            self.id,
            &self.shape,
            self.metric,
            &plain(self.ours),
            peer,
            &theirs,
            &ratio,
            &bound(self.must),
            &bound(self.reach),
            verdict,
        ])
    }
}

/// The line above the table.
pub(crate) fn heading() -> String {
    columns(["id", "shape", "metric", "ours", "peer", "theirs", "ratio", "must", "reach", ""])
}

fn columns([id, shape, metric, ours, peer, theirs, ratio, must, reach, met]: [&str; 10]) -> String {
    let line = format!(
        "{id:3} {shape:34} {metric:27} {ours:>12}  {peer:28} {theirs:>12} {ratio:>8} {must:>12} {reach:>12}  {met}"
    );
    line.trim_end().to_owned()
}

/// A number for a reader: as many digits as say something.
fn plain(number: f64) -> String {
    if number == 0.0 || (number.fract() == 0.0 && number < 1e6) || number.abs() >= 1_000.0 {
        format!("{number:.0}")
    } else if number.abs() >= 10.0 {
        format!("{number:.1}")
    } else {
        format!("{number:.4}")
    }
}

/// A number for a program.
fn exact(number: f64) -> String {
    let text = format!("{number:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
