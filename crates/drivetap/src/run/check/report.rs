use drivetap_bridge::core::escape::{for_json, for_text};
use serde_json::json;

use crate::exit::{Failure, Kind};
use crate::run::print;

/// What was found, a line each as it is found.
pub(super) struct Report {
    json: bool,
    checks: usize,
    failed: Vec<Kind>,
}

/// What stands in the way, and what a person does about it.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) kind: Kind,
    pub(super) detail: String,
    pub(super) fix: String,
}

impl Problem {
    pub(super) fn new(kind: Kind, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), fix: fix.into() }
    }
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, checks: 0, failed: Vec::new() }
    }

    /// Prints a line. `of` is what the check is about: a host, an account, a resource, a sink.
    pub(super) fn add(&mut self, check: &str, of: &str, found: Result<String, Problem>) -> Result<(), Failure> {
        self.checks += 1;
        let line = if self.json {
            let (ok, detail, fix) = match &found {
                Ok(detail) => (true, detail, None),
                Err(problem) => (false, &problem.detail, Some(&problem.fix)),
            };
            for_json(&json!({"check": check, "of": of, "ok": ok, "detail": detail, "fix": fix}).to_string()).into_owned()
        } else {
            match &found {
                Ok(detail) => for_text(&format!("✓ {check:<9}{of}: {detail}")).into_owned(),
                Err(problem) => {
                    let Problem { detail, fix, .. } = problem;
                    format!("{}\n           {}", for_text(&format!("✗ {check:<9}{of}: {detail}")), for_text(fix))
                }
            }
        };
        self.failed.extend(found.err().map(|problem| problem.kind));
        print(&line)
    }

    /// The kind that a person deals with first: the configuration, then the sign-in, then what cannot be reached.
    pub(super) fn conclude(self) -> Result<(), Failure> {
        let words = format!("{} of {} checks failed", self.failed.len(), self.checks);
        match [Kind::Config, Kind::SignIn, Kind::Unavailable].into_iter().find(|kind| self.failed.contains(kind)) {
            Some(kind) => Err(Failure { kind, message: words }),
            None => Ok(()),
        }
    }
}
