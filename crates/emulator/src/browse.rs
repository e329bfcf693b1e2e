//! What an account can look around in: its drives, the sites, their libraries, its groups. Collections, page by page.

use serde_json::{Value, json};

use crate::{
    accounts::Account,
    graph::{Refusal, show_drive},
    model::Drive,
    text,
    world::World,
};

/// A collection that Graph's pages know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Browse {
    /// `/me/drives`
    Drives,
    /// `/me/memberOf`
    Groups,
    /// `/sites?search=…`
    Sites,
    /// `/sites/{id}/lists`
    Lists(String),
}

impl Browse {
    /// Reads a path with its `/v1.0`, not decoded.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1.0/")?.split('/').collect();
        match segments.as_slice() {
            ["me", "drives"] => Some(Self::Drives),
            ["me", "memberOf"] => Some(Self::Groups),
            ["sites"] => Some(Self::Sites),
            ["sites", site, "lists"] => Some(Self::Lists(text::percent_decode(site)?)),
            _ => None,
        }
    }

    /// The page that the query asks for.
    pub(crate) fn answer(&self, world: &World, origin: &str, account: &Account, query: &str) -> Result<Value, Refusal> {
        let sees = |drive: &Drive| account.sees.as_ref().is_none_or(|seen| seen.contains(&drive.id));
        let (path, entries) = match self {
            Self::Drives => {
                let drives = world.drives().filter(|drive| sees(drive) && !world.is_bound(&drive.id));
                ("me/drives".to_owned(), drives.map(|drive| show_drive(world, drive, "")).collect::<Result<_, _>>()?)
            }
            Self::Groups => ("me/memberOf".to_owned(), world.groups().map(|(id, drive)| group(id, drive)).collect()),
            Self::Sites => {
                let search = text::field(query, "search").filter(|words| !words.is_empty());
                let search = search.ok_or_else(|| Refusal::new(400, "invalidRequest", "Provide a search term."))?;
                let found = |name: &str| search == "*" || name.to_lowercase().contains(&search.to_lowercase());
                let mut sites: Vec<(&str, &Drive)> = world.lists().map(|(site, _, drive)| (site, drive)).collect();
                sites.dedup_by_key(|(site, _)| *site);
                let sites = sites.into_iter().filter(|(_, drive)| found(site_name(drive)));
                ("sites".to_owned(), sites.map(|(id, drive)| site(id, drive)).collect())
            }
            Self::Lists(site) => {
                let lists: Vec<Value> = world
                    .lists()
                    .filter(|(of, ..)| of == site)
                    .map(|(_, id, drive)| list(id, drive))
                    .chain([json!({
                        "id": "a1f9c9f1-26b5-4f4e-9d0a-4d2f7f5d3a10", "displayName": "Tasks",
                        "list": { "contentTypesEnabled": false, "hidden": false, "template": "tasks" },
                    })])
                    .collect();
                if lists.len() == 1 {
                    return Err(Refusal::new(404, "itemNotFound", "Requested site could not be found"));
                }
                (format!("sites/{}/lists", text::segment(site)), lists)
            }
        };
        Ok(page(world, &format!("{origin}/v1.0/{path}"), entries, query))
    }
}

/// As many entries as a page has, and the link to the rest.
fn page(world: &World, base: &str, entries: Vec<Value>, query: &str) -> Value {
    let top = text::field(query, "$top").and_then(|top| top.parse::<usize>().ok()).unwrap_or(200);
    let top = top.clamp(1, usize::from(world.switches.page_size.max(1)));
    let skip = text::field(query, "$skiptoken").and_then(|skip| skip.parse::<usize>().ok()).unwrap_or_default();
    let more = entries.len() > skip.saturating_add(top);
    let value: Vec<Value> = entries.into_iter().skip(skip).take(top).collect();
    let mut page = json!({ "value": value });
    if more {
        let kept: String = query.split('&').filter(|pair| !pair.starts_with("$skiptoken") && !pair.is_empty()).fold(
            String::new(),
            |mut kept, pair| {
                kept.push_str(pair);
                kept.push('&');
                kept
            },
        );
        page["@odata.nextLink"] = json!(format!("{base}?{kept}$skiptoken={}", skip + top));
    }
    page
}

fn group(id: &str, drive: &Drive) -> Value {
    json!({
        "@odata.type": "#microsoft.graph.group",
        "id": id,
        "displayName": format!("{} team", site_name(drive)),
        "groupTypes": ["Unified"],
    })
}

fn site(id: &str, drive: &Drive) -> Value {
    json!({
        "id": id,
        "name": site_name(drive),
        "displayName": site_name(drive),
        "webUrl": format!("https://contoso.sharepoint.com{}", drive.site_url),
    })
}

fn list(id: &str, drive: &Drive) -> Value {
    json!({
        "id": id,
        "name": drive.name,
        "displayName": drive.name,
        "webUrl": format!("https://contoso.sharepoint.com{}/{}", drive.site_url, text::segment(&drive.name)),
        "list": { "contentTypesEnabled": false, "hidden": false, "template": "documentLibrary" },
    })
}

fn site_name(drive: &Drive) -> &str {
    drive.site_url.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Browse;

    #[test]
    fn a_collection_is_known_by_its_path_and_nothing_else_is() {
        for (path, known) in [
            ("/v1.0/me/drives", Some(Browse::Drives)),
            ("/v1.0/me/memberOf", Some(Browse::Groups)),
            ("/v1.0/sites", Some(Browse::Sites)),
            ("/v1.0/sites/h,1,2/lists", Some(Browse::Lists("h,1,2".to_owned()))),
            ("/v1.0/sites/h,1,2/lists/l", None),
            ("/v1.0/me/drive", None),
            ("/me/drives", None),
        ] {
            assert_eq!(Browse::of(path), known, "{path}");
        }
    }
}
