//! Which drive a request is about, and what it wants: the paths of Graph's pages, and no others.

use crate::{fault::Route, text};

/// The four ways to a drive. (`/drives/{id}/root/…` and `/drives/{id}/list/…` are the same drive.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Me,
    Drive(String),
    Group(String),
    List(String, String),
}

/// A request that Graph's pages know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    pub(crate) route: Route,
    pub(crate) resource: Resource,
    /// `delta(token='…')`: the token, not decoded.
    pub(crate) token: Option<&'a str>,
}

/// Reads a path without its `/v1.0`, not decoded; `Err` holds the segment that nobody knows.
pub(crate) fn parse(path: &str) -> Result<Asked<'_>, String> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let id = |raw: &str| match text::percent_decode(raw) {
        Some(id) if !id.is_empty() => Ok(id),
        _ => Err(raw.to_owned()),
    };
    let (resource, rest) = match segments.as_slice() {
        ["me", "drive", rest @ ..] => (Resource::Me, rest),
        ["drives", drive, rest @ ..] => (Resource::Drive(id(drive)?), rest),
        ["groups", group, "drive", rest @ ..] => (Resource::Group(id(group)?), rest),
        ["sites", site, "lists", list, "drive", rest @ ..] => (Resource::List(id(site)?, id(list)?), rest),
        other => return Err(other.first().copied().unwrap_or_default().to_owned()),
    };
    let (route, token) = match rest {
        [] => (Route::Drive, None),
        ["root", "subscriptions", "socketIo"] => (Route::Endpoint, None),
        ["list", "subscriptions", "socketIo"] if matches!(resource, Resource::Drive(_)) => (Route::Endpoint, None),
        ["root", "delta"] => (Route::Delta, None),
        ["root", call] => match call.strip_prefix("delta(token='").and_then(|rest| rest.strip_suffix("')")) {
            Some(token) => (Route::Delta, Some(token)),
            None => return Err((*call).to_owned()),
        },
        other => return Err(other.last().copied().unwrap_or_default().to_owned()),
    };
    Ok(Asked { route, resource, token })
}

#[cfg(test)]
mod tests {
    use super::{Resource, parse};
    use crate::fault::Route;

    #[test]
    fn the_five_endpoint_paths_are_those_of_graphs_page() {
        let drive = || Resource::Drive("b!a".to_owned());
        for (path, resource) in [
            ("/me/drive/root/subscriptions/socketIo", Resource::Me),
            ("/drives/b!a/root/subscriptions/socketIo", drive()),
            ("/drives/b%21a/list/subscriptions/socketIo", drive()),
            ("/groups/g/drive/root/subscriptions/socketIo", Resource::Group("g".to_owned())),
            ("/sites/h,1,2/lists/l/drive/root/subscriptions/socketIo", Resource::List("h,1,2".to_owned(), "l".to_owned())),
        ] {
            let asked = parse(path).unwrap();
            assert_eq!((asked.route, asked.resource), (Route::Endpoint, resource), "{path}");
        }
    }

    #[test]
    fn every_other_path_is_refused_by_the_segment_that_is_wrong() {
        for (path, segment) in [
            ("/users/u/drive", "users"),
            ("/drives//root/delta", ""),
            ("/me/drive/list/subscriptions/socketIo", "socketIo"),
            ("/me/drive/root/subscriptions/socketio", "socketio"),
            ("/groups/g/drive/list/subscriptions/socketIo", "socketIo"),
            ("/sites/s/lists/l/items/delta", "sites"),
            ("/me/drive/root/delta()", "delta()"),
        ] {
            assert_eq!(parse(path).unwrap_err(), segment, "{path}");
        }
    }
}
