//! The arguments of what a person types once: `check`, `discover`, `trigger`, `record`, `replay`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

use crate::cli::Connection;

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
    Create {
        /// Such as /Plans/Agenda.docx
        path: String,
    },
    /// Give a file or a folder another name
    Rename {
        /// Its path, or its id
        item: String,
        /// The new name, without a folder
        name: String,
    },
    /// Delete a file, or a folder with what is in it
    Delete {
        /// Its path, or its id
        item: String,
    },
    /// Make many files in the root at once
    Burst {
        /// How many
        #[arg(value_parser = clap::value_parser!(u16).range(1..=10_000))]
        files: u16,
    },
}
