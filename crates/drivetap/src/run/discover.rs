//! `discover`: what the account can see, as resources ready to paste.

use drivetap_bridge::core::escape::{for_json, for_text};
use drivetap_bridge::core::{Failure as Refusal, GraphId, PageFrom, Remedy, Resource};
use drivetap_bridge::graph::{Graph as _, GraphClient, Share};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::connect::connect;
use super::ready::Spinner;
use super::{print, sign_in, whose};
use crate::config::{Account, Config};
use crate::env::Env;
use crate::everyday::Discover;
use crate::exit::Failure;
use crate::logs::say;
use crate::wiring::graph_client;

/// What stays as it is in an id: `contoso.sharepoint.com,1f2e,3d4c`.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b',').remove(b'.').remove(b'-').remove(b'_').remove(b'~').remove(b'!');

/// What was asked for, and the way to Graph.
pub(super) struct Discovery {
    config: Config,
    account: Account,
    env: Env,
    search: Option<String>,
    limit: usize,
    json: bool,
}

impl Discovery {
    pub(super) fn new(args: Discover, env: &Env) -> Result<Self, Failure> {
        let Discover { search, limit, json, connection } = args;
        let config = connect(connection, env)?;
        let account = config.accounts.first().cloned().ok_or_else(|| Failure::config("there is no account"))?;
        let search = search.map(|words| words.trim().to_lowercase()).filter(|words| !words.is_empty());
        Ok(Self { config, account, env: env.clone(), search, limit: limit.into(), json })
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        let client = graph_client(&self.config, &self.account, &self.env)?;
        let spinner = Spinner::new("asking Graph");
        let mut search = Search { client, given: self, spinner, found: 0, refused: Vec::new() };
        search.drives().await?;
        search.groups().await?;
        search.libraries().await?;
        search.conclude()
    }
}

struct Search {
    client: GraphClient,
    given: Discovery,
    spinner: Spinner,
    found: usize,
    /// What could not be listed at all.
    refused: Vec<Refusal>,
}

/// A resource that was found.
struct Found {
    resource: Resource,
    words: String,
    web_url: Option<String>,
}

impl Search {
    async fn drives(&mut self) -> Result<(), Failure> {
        let mut mine = None;
        let shown = self.client.look("/me/drive?$select=id,driveType,name,owner,webUrl").await;
        match shown {
            Ok(shown) => {
                mine = shown.body["id"].as_str().map(str::to_owned);
                let found =
                    Found { resource: Resource::Me, words: drive_words(&shown.body), web_url: text(&shown.body, "webUrl") };
                self.tell(found).await?;
            }
            Err(refusal) => self.not_listed("your own drive", "Files.Read", refusal)?,
        }
        for drive in self.all("/me/drives", "drives", "Files.Read").await? {
            let id = drive["id"].as_str().filter(|id| Some(*id) != mine.as_deref());
            if let Some(Ok(id)) = id.map(|id| GraphId::new("driveId", id)) {
                let found = Found { resource: Resource::Drive(id), words: drive_words(&drive), web_url: text(&drive, "webUrl") };
                self.tell(found).await?;
            }
        }
        Ok(())
    }

    /// Microsoft 365 groups: no other group has a drive.
    async fn groups(&mut self) -> Result<(), Failure> {
        for group in self.all("/me/memberOf", "groups", "GroupMember.Read.All").await? {
            let unified = group["groupTypes"].as_array().is_some_and(|types| types.iter().any(|kind| kind == "Unified"));
            let Some(Ok(id)) = group["id"].as_str().filter(|_| unified).map(|id| GraphId::new("groupId", id)) else {
                continue;
            };
            let words = format!("group {}", text(&group, "displayName").unwrap_or_default());
            self.tell(Found { resource: Resource::Group(id), words, web_url: None }).await?;
        }
        Ok(())
    }

    async fn libraries(&mut self) -> Result<(), Failure> {
        let words = self
            .given
            .search
            .as_deref()
            .map_or_else(|| "*".to_owned(), |words| utf8_percent_encode(words, NON_ALPHANUMERIC).to_string());
        for site in self.all(&format!("/sites?search={words}"), "sites", "Sites.Read.All").await? {
            let Some(Ok(site_id)) = site["id"].as_str().map(|id| GraphId::new("siteId", id)) else {
                continue;
            };
            let name = text(&site, "displayName").or_else(|| text(&site, "name")).unwrap_or_default();
            self.spinner.waits_for(&format!("asking for the libraries of {name}"));
            let path = format!("/sites/{}/lists", utf8_percent_encode(site_id.as_str(), SEGMENT));
            let what = format!("libraries of {name}");
            for list in self.all(&path, &what, "Sites.Read.All").await? {
                let library = list["list"]["template"] == "documentLibrary" && list["list"]["hidden"] != true;
                let Some(Ok(list_id)) = list["id"].as_str().filter(|_| library).map(|id| GraphId::new("listId", id)) else {
                    continue;
                };
                let words = format!("library {} of {name}", text(&list, "displayName").unwrap_or_default());
                let resource = Resource::SiteList { site: site_id.clone(), list: list_id };
                self.tell(Found { resource, words, web_url: text(&list, "webUrl") }).await?;
            }
        }
        Ok(())
    }

    /// A collection to its end, or as far as `--limit` goes.
    async fn all(&mut self, path: &str, what: &str, scope: &str) -> Result<Vec<Value>, Failure> {
        /// In a row, of a collection that goes on: as everywhere where Graph's links are followed.
        const EMPTY_PAGES: u32 = 1_000;

        let (mut entries, mut empty): (Vec<Value>, u32) = (Vec::new(), 0);
        let mut answer = self.client.look(path).await;
        loop {
            let look = match answer {
                Ok(look) => look,
                Err(refusal) => {
                    self.not_listed(what, scope, refusal)?;
                    return Ok(entries);
                }
            };
            entries.extend_from_slice(look.entries());
            let more = look.next.is_some() || entries.len() > self.given.limit;
            if entries.len() >= self.given.limit {
                entries.truncate(self.given.limit);
                if more {
                    self.spinner.say(&format!("{what}: there are more than {}; --limit shows more", self.given.limit));
                }
                return Ok(entries);
            }
            let Some(next) = &look.next else {
                return Ok(entries);
            };
            empty = if look.entries().is_empty() { empty + 1 } else { 0 };
            if empty == EMPTY_PAGES {
                return Err(Failure::unavailable(format_args!("{what}: Graph gave {EMPTY_PAGES} empty pages in a row")));
            }
            answer = self.client.look_on(next).await;
        }
    }

    /// Sign-in ends it. Anything else is said, and the rest is listed all the same.
    fn not_listed(&mut self, what: &str, scope: &str, refusal: Refusal) -> Result<(), Failure> {
        if refusal.remedy == Remedy::SignIn {
            let helps = sign_in::hints(std::slice::from_ref(&self.given.account));
            return Err(Failure::sign_in(format_args!("sign-in is needed: {refusal}\n{helps}")));
        }
        let needs = match refusal.remedy {
            Remedy::RetrySlowly { .. } => format!("; the token needs {scope} for this"),
            _ => String::new(),
        };
        self.spinner.say(&format!("{what}: not listed: {refusal}{needs}"));
        self.refused.push(refusal);
        Ok(())
    }

    /// Prints a resource that fits the search, and what it allows.
    async fn tell(&mut self, found: Found) -> Result<(), Failure> {
        let Found { resource, words, web_url } = found;
        let fits =
            |search: &String| words.to_lowercase().contains(search) || resource.to_string().to_lowercase().contains(search);
        let by_site = matches!(resource, Resource::SiteList { .. });
        if !by_site && !self.given.search.as_ref().is_none_or(fits) {
            return Ok(());
        }
        self.spinner.waits_for(&format!("looking at {words}"));
        let allows = self.allows(&resource).await;
        self.found += 1;
        let line = if self.given.json {
            let (allowed, refusal) = match &allows {
                Ok(allowed) => (allowed.clone(), None),
                Err(refusal) => (Vec::new(), Some(refusal)),
            };
            let line = json!({
                "resource": resource.to_string(),
                "name": words,
                "web_url": web_url,
                "allows": allowed,
                "refused": refusal.map(|refusal| &refusal.code),
                "request_id": refusal.and_then(|refusal| Some(refusal.request_id.as_ref()?.as_str())),
            });
            for_json(&line.to_string()).into_owned()
        } else {
            let allows = match &allows {
                Ok(allowed) => allowed.join(", "),
                Err(refusal) => format!("refused: {refusal}"),
            };
            for_text(&format!("{resource}  {words}  [{allows}]")).into_owned()
        };
        self.spinner.suspend(|| print(&line))
    }

    /// Signals need no more than what shows the drive; changes need its delta, which is asked for its end.
    async fn allows(&self, resource: &Resource) -> Result<Vec<&'static str>, Refusal> {
        let drive = self.client.drive(resource).await?;
        let delta = self.client.page(&drive.id, &PageFrom::Latest, &mut Share::alone()).await;
        Ok(if delta.is_ok() { vec!["signals", "changes"] } else { vec!["signals"] })
    }

    fn conclude(self) -> Result<(), Failure> {
        let Self { found, refused, spinner, given, .. } = self;
        drop(spinner);
        match (found, refused.first()) {
            (0, Some(refusal)) => {
                let base_url = &given.config.graph.base_url;
                Err(Failure::unavailable(format_args!("Graph at {base_url} shows nothing: {refusal}")))
            }
            (0, None) => {
                say("nothing was found");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn drive_words(shown: &Value) -> String {
    whose::words(&shown["driveType"].as_str().unwrap_or_default().into(), shown)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}
