//! Events as a consumer sees them: JSON, and the published schema.

use std::fmt;
use std::process::Command;
use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

use super::drivetap;

pub(crate) const SIGNAL: &str = "io.drivetap.signal.v1";
pub(crate) const CHANGE: &str = "io.drivetap.change.v1";
pub(crate) const GAP: &str = "io.drivetap.gap.v1";
pub(crate) const RESYNC: &str = "io.drivetap.resync.v1";

/// A structured CloudEvent.
#[derive(Clone, PartialEq)]
pub(crate) struct Event(pub(crate) Value);

impl Event {
    pub(crate) fn parse(text: &str) -> Self {
        Self(serde_json::from_str(text).unwrap_or_else(|error| panic!("not an event ({error}): {text}")))
    }

    /// An attribute, which every event of its type has.
    pub(crate) fn text(&self, attribute: &str) -> &str {
        self.0[attribute].as_str().unwrap_or_else(|| panic!("no {attribute} in {self:?}"))
    }

    pub(crate) fn is(&self, kind: &str) -> bool {
        self.text("type") == kind
    }

    pub(crate) fn id(&self) -> &str {
        self.text("id")
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.text("sequence").parse().unwrap()
    }

    pub(crate) fn data(&self) -> &Value {
        &self.0["data"]
    }

    /// The name of the item that changed; empty where Graph omits it.
    pub(crate) fn item_name(&self) -> &str {
        self.data()["item"]["name"].as_str().unwrap_or_default()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Those of one type, in their order.
pub(crate) fn of_type<'a>(events: &'a [Event], kind: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event.is(kind)).collect()
}

/// Each is what `drivetap schema event` says that an event is.
#[track_caller]
pub(crate) fn assert_valid(events: &[Event]) {
    for event in events {
        let errors = schema().iter_errors(&event.0).map(|error| format!("{}: {error}", error.instance_path()));
        let errors: Vec<_> = errors.collect();
        assert!(errors.is_empty(), "not valid by `drivetap schema event`: {event:?}\n{errors:#?}");
    }
}

fn schema() -> &'static Validator {
    static SCHEMA: OnceLock<Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let printed = Command::new(drivetap()).args(["schema", "event"]).output().unwrap();
        assert!(printed.status.success(), "`drivetap schema event`: {printed:?}");
        let schema = serde_json::from_slice(&printed.stdout).unwrap();
        jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
    })
}
