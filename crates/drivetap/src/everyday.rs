//! The arguments of what a person types once: `check`, `discover`, `trigger`, `record`, `replay`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use drivetap_bridge::core::Resource;

use crate::cli::Connection;
use crate::config::OutputFormat;
use crate::sink_url::SinkUrl;

pub(crate) const DISCOVER_EXAMPLES: &str = "\
Examples:
  drivetap discover
  drivetap discover --search launch
  drivetap discover --json | jq -r .resource";

/// `discover`.
#[derive(Debug, Args)]
pub struct Discover {
    /// Show what has this in its name; sites are searched by Graph, which looks further than the name
    #[arg(long, value_name = "WORDS")]
    pub search: Option<String>,
    /// The most entries of each kind: drives, groups, libraries
    #[arg(long, value_name = "N", default_value = "200", value_parser = clap::value_parser!(u16).range(1..))]
    pub limit: u16,
    /// Print a JSON object a line
    #[arg(long)]
    pub json: bool,
    /// How Graph is reached.
    #[command(flatten)]
    pub connection: Connection,
}

pub(crate) const TRIGGER_EXAMPLES: &str = "\
Examples:
  drivetap trigger create /Plans/Agenda.docx
  drivetap trigger rename /Plans/Agenda.docx Minutes.docx
  drivetap trigger delete /Plans/Minutes.docx
  drivetap trigger burst 300 --drive 5a0b9e159b3310ad";

/// `trigger`.
#[derive(Debug, Args)]
pub struct Trigger {
    /// What to do.
    #[command(subcommand)]
    pub change: TriggerChange,
    /// Where the emulator listens
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:4010", global = true)]
    pub emulator: SocketAddr,
    /// In which drive (default: the one that `me` is)
    #[arg(long, value_name = "ID", global = true)]
    pub drive: Option<String>,
}

/// What `trigger` does.
#[derive(Debug, Subcommand)]
pub enum TriggerChange {
    /// Make a file; its folder has to be there
    #[command(after_help = "Example:\n  drivetap trigger create /Plans/Agenda.docx")]
    Create {
        /// Such as /Plans/Agenda.docx
        path: String,
    },
    /// Give a file or a folder another name
    #[command(after_help = "Example:\n  drivetap trigger rename /Plans/Agenda.docx Minutes.docx")]
    Rename {
        /// Its path, or its id
        item: String,
        /// The new name, without a folder
        name: String,
    },
    /// Delete a file, or a folder with what is in it
    #[command(after_help = "Example:\n  drivetap trigger delete /Plans/Minutes.docx")]
    Delete {
        /// Its path, or its id
        item: String,
    },
    /// Make many files in the root at once
    #[command(after_help = "Example:\n  drivetap trigger burst 300 --drive 5a0b9e159b3310ad")]
    Burst {
        /// How many
        #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
        files: u16,
    },
}

pub(crate) const CHECK_EXAMPLES: &str = "\
Examples:
  drivetap check
  drivetap check drive:b!abc --sink kafka://localhost:9092/drive-events
  drivetap check -c drivetap.toml --json | jq 'select(.ok | not)'";

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// What would be watched (default: what the configuration watches, else me)
    #[arg(value_name = "RESOURCE")]
    pub resources: Vec<Resource>,
    /// Where events would go, as for listen (default: the configuration's sinks)
    #[arg(long, value_name = "URL")]
    pub sink: Option<SinkUrl>,
    /// Print a JSON object a line
    #[arg(long)]
    pub json: bool,
    /// How Graph is reached.
    #[command(flatten)]
    pub connection: Connection,
}

pub(crate) const RECORD_EXAMPLES: &str = "\
Examples:
  drivetap record report.jsonl                       my drive, until Ctrl-C; no token, no name
  drivetap record report.jsonl drive:b!abc --for 10m
  drivetap replay report.jsonl | jq .type            what drivetap makes of it";

/// `record`.
#[derive(Debug, Args)]
pub struct Record {
    /// Where it is written; it must not be there yet
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What is recorded
    #[arg(value_name = "RESOURCE", default_value = "me")]
    pub resource: Resource,
    /// End by itself after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = crate::cli::duration)]
    pub lasts: Option<Duration>,
    /// Keep names, ids, addresses, places and hosts as they are
    #[arg(long)]
    pub names: bool,
    /// How Graph is reached.
    #[command(flatten)]
    pub connection: Connection,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// What `record` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How a line looks; text on a terminal, JSON elsewhere
    #[arg(long)]
    pub format: Option<OutputFormat>,
}
