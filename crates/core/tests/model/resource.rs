use drivetap_core::{GraphId, IdFault, Resource, ResourceError};
use proptest::prelude::*;

const TAIL: &str = "/subscriptions/socketIo";

#[test]
fn each_form_has_graphs_endpoint_and_drive() {
    let table = [
        ("me", "/me/drive/root", "/me/drive"),
        ("drive:b!-RIj2DuyvEyV1T4NlOaMHk8XkS_I8MdFlUCq1BlcjgmhRfAj3-Z8RY2VpuvV_tpd", "", ""),
        ("drive:0a0b9e159b3310ad", "/drives/0a0b9e159b3310ad/root", "/drives/0a0b9e159b3310ad"),
        ("drive:b!a", "/drives/b!a/root", "/drives/b!a"),
        ("drive-list:b!a", "/drives/b!a/list", "/drives/b!a"),
        ("group:6f04", "/groups/6f04/drive/root", "/groups/6f04/drive"),
        ("site:h.example,1,2/list:3", "/sites/h.example,1,2/lists/3/drive/root", "/sites/h.example,1,2/lists/3/drive"),
        (
            "site:root/list:Shared Documents",
            "/sites/root/lists/Shared%20Documents/drive/root",
            "/sites/root/lists/Shared%20Documents/drive",
        ),
        // Legal, and encoded: what a URL would read as structure stays inside its segment.
        ("drive:a%2Fb", "/drives/a%252Fb/root", "/drives/a%252Fb"),
        ("drive:%2e%2e", "/drives/%252e%252e/root", "/drives/%252e%252e"),
        ("drive:a?b#c:d@e\\f", "/drives/a%3Fb%23c%3Ad%40e%5Cf/root", "/drives/a%3Fb%23c%3Ad%40e%5Cf"),
        ("drive:!$&'()*+,;=-._~", "/drives/!$&'()*+,;=-._~/root", "/drives/!$&'()*+,;=-._~"),
        ("group:übung-日本", "/groups/%C3%BCbung-%E6%97%A5%E6%9C%AC/drive/root", "/groups/%C3%BCbung-%E6%97%A5%E6%9C%AC/drive"),
        ("drive:...", "/drives/.../root", "/drives/..."),
    ];
    for (written, endpoint, drive) in table {
        let resource: Resource = written.parse().unwrap();
        assert_eq!(resource.to_string(), written);
        if !endpoint.is_empty() {
            assert_eq!(resource.endpoint_path(), format!("{endpoint}{TAIL}"), "{written}");
            assert_eq!(resource.drive_path(), drive, "{written}");
        }
        assert_eq!(resource.endpoint_path().parse::<Resource>().unwrap(), resource, "{written}");
    }
}

#[test]
fn a_path_may_spell_an_id_in_any_encoding() {
    for spelling in ["b!a,b", "b%21a%2Cb", "b%21a%2cb", "%62!a,b"] {
        let written = format!("/drives/{spelling}/root{TAIL}");
        assert_eq!(written.parse::<Resource>().unwrap().to_string(), "drive:b!a,b", "{written}");
    }
}

#[test]
fn what_is_none_of_the_five_is_refused_whole() {
    let long = "x".repeat(100_000);
    let table = [
        "",
        " ",
        "Me",
        "me ",
        "me/",
        "/me",
        "/me/drive",
        "drive",
        "drives:b!a",
        "Drive:b!a",
        "user:someone",
        "site:h",
        "site:h/",
        "site:h/list",
        "site:h/lists:l",
        "list:l",
        "me/drive/root/subscriptions/socketIo",
        "//me/drive/root/subscriptions/socketIo",
        "/me/drive/root/subscriptions/socketIo/",
        "/me/drive/root/subscriptions/socketio",
        "/me/drive/root/subscriptions/socketIo?x=1",
        "/me/drive/root/subscriptions/socketIo#x",
        "/me/drive/list/subscriptions/socketIo",
        "/drives/a/items/b/subscriptions/socketIo",
        "/drives/a?b/root/subscriptions/socketIo",
        "/groups/a/drive/list/subscriptions/socketIo",
        "/sites/h/drive/root/subscriptions/socketIo",
        "/sites/h/lists/l/subscriptions/socketIo",
        "/v1.0/me/drive/root/subscriptions/socketIo",
        "https://graph.microsoft.com/v1.0/me/drive/root/subscriptions/socketIo",
        long.as_str(),
    ];
    for written in table {
        let error = written.parse::<Resource>().unwrap_err();
        assert_eq!(error, ResourceError::Shape(written.chars().take(80).collect()), "{written:?}");
        assert!(error.to_string().contains("drive:{driveId}") && error.to_string().len() < 400, "{error}");
    }
}

#[test]
fn an_error_shows_no_password_of_a_url_that_stands_in_the_wrong_place() {
    for written in ["redis://me:hunter2@h", "drive:redis://h?channel=c&password=hunter2", "/drives/redis://me:hunter2@h/x"] {
        let Err(error) = written.parse::<Resource>() else {
            continue;
        };
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
}

#[test]
fn a_bad_id_is_named_with_its_part_and_its_fault() {
    type Form = fn(&str) -> String;
    let long = "x".repeat(GraphId::MAX + 1);
    let forms: [(Form, &str); 10] = [
        (|id| format!("drive:{id}"), "driveId"),
        (|id| format!("drive-list:{id}"), "driveId"),
        (|id| format!("group:{id}"), "groupId"),
        (|id| format!("site:{id}/list:ok"), "siteId"),
        (|id| format!("site:ok/list:{id}"), "listId"),
        (|id| format!("/drives/{id}/root{TAIL}"), "driveId"),
        (|id| format!("/drives/{id}/list{TAIL}"), "driveId"),
        (|id| format!("/groups/{id}/drive/root{TAIL}"), "groupId"),
        (|id| format!("/sites/{id}/lists/ok/drive/root{TAIL}"), "siteId"),
        (|id| format!("/sites/ok/lists/{id}/drive/root{TAIL}"), "listId"),
    ];
    let ids = [
        ("", IdFault::Empty),
        (".", IdFault::DotSegment),
        ("..", IdFault::DotSegment),
        ("a\u{0}b", IdFault::Control),
        ("a\nb", IdFault::Control),
        ("a\u{7f}", IdFault::Control),
        ("a\u{85}", IdFault::Control),
        (long.as_str(), IdFault::TooLong),
    ];
    let in_short_form = [("a/b", IdFault::Slash), ("/", IdFault::Slash)];
    let in_a_path = [
        ("a%2Fb", IdFault::Slash),
        ("a%2fb", IdFault::Slash),
        ("%2e", IdFault::DotSegment),
        ("%2E%2e", IdFault::DotSegment),
        (".%2e", IdFault::DotSegment),
        ("a%00", IdFault::Control),
        ("a%C2%85", IdFault::Control),
        ("a%ff", IdFault::NotUtf8),
        ("a%zz", IdFault::Escape),
        ("a%2", IdFault::Escape),
        ("a%", IdFault::Escape),
    ];
    for (form, part) in forms {
        let special: &[_] = if form("").starts_with('/') { &in_a_path } else { &in_short_form };
        for (id, fault) in ids.iter().chain(special) {
            let written = form(id);
            match written.parse::<Resource>().unwrap_err() {
                ResourceError::Id { part: named, fault: found, .. } => assert_eq!((named, found), (part, *fault), "{written:?}"),
                other @ ResourceError::Shape(_) => panic!("{written:?}: {other}"),
            }
            let shown = written.parse::<Resource>().unwrap_err().to_string();
            assert!(shown.starts_with(part) && shown.len() < 600 && !shown.contains(char::is_control), "{shown:?}");
        }
    }
}

#[test]
fn serde_takes_and_gives_the_written_form() {
    let resource: Resource = serde_json::from_str(r#""site:h,1,2/list:ü""#).unwrap();
    assert_eq!(serde_json::to_string(&resource).unwrap(), r#""site:h,1,2/list:ü""#);
    let error = serde_json::from_str::<Resource>(r#""drive:a/b""#).unwrap_err().to_string();
    assert!(error.contains("driveId"), "{error}");
}

/// What people paste and attackers try, more often than chance would have it.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        "[a-zA-Z0-9!,._~-]{1,8}",
        prop::sample::select(vec![
            "/",
            "%",
            "%2F",
            "%2f",
            "%5c",
            "%25",
            "%00",
            "%2e",
            ".",
            "..",
            "../",
            "\\",
            "?",
            "#",
            ":",
            "@",
            ";",
            "\u{0}",
            "\n",
            "\r\n",
            "\u{202e}",
            "\u{feff}",
            "é",
            "e\u{301}",
            "日本",
            "🦀",
            "/list:",
            "/list/",
            "/lists/",
            "/root",
            "me",
            "drive:",
            "site:",
            "/drives/",
            "/subscriptions/socketIo",
            " ",
        ])
        .prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn written() -> impl Strategy<Value = String> {
    prop_oneof![
        hostile(),
        hostile().prop_map(|id| format!("drive:{id}")),
        hostile().prop_map(|id| format!("drive-list:{id}")),
        hostile().prop_map(|id| format!("group:{id}")),
        (hostile(), hostile()).prop_map(|(site, list)| format!("site:{site}/list:{list}")),
        hostile().prop_map(|id| format!("/drives/{id}/root{TAIL}")),
        hostile().prop_map(|id| format!("/drives/{id}/list{TAIL}")),
        hostile().prop_map(|id| format!("/groups/{id}/drive/root{TAIL}")),
        (hostile(), hostile()).prop_map(|(site, list)| format!("/sites/{site}/lists/{list}/drive/root{TAIL}")),
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    let id = || hostile().prop_filter_map("no id", |id| GraphId::new("id", &id).ok());
    prop_oneof![
        Just(Resource::Me),
        id().prop_map(Resource::Drive),
        id().prop_map(Resource::DriveList),
        id().prop_map(Resource::Group),
        (id(), id()).prop_map(|(site, list)| Resource::SiteList { site, list }),
    ]
}

/// The oracle: shares nothing with the path builder.
fn is_one_of_the_five(path: &str) -> bool {
    let id = |s: &str| {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&b);
        let escapes = s.split('%').skip(1).all(|e| e.len() >= 2 && e[..2].bytes().all(|b| b.is_ascii_hexdigit()));
        !s.is_empty() && s != "." && s != ".." && escapes && s.bytes().all(|b| unreserved(b) || b == b'%')
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "me", "drive", "root", "subscriptions", "socketIo"] => true,
        ["", "drives", drive, "root" | "list", "subscriptions", "socketIo"] => id(drive),
        ["", "groups", group, "drive", "root", "subscriptions", "socketIo"] => id(group),
        ["", "sites", site, "lists", list, "drive", "root", "subscriptions", "socketIo"] => id(site) && id(list),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_what_was_printed_is_the_identity(resource in resource()) {
        prop_assert_eq!(&resource.to_string().parse::<Resource>().unwrap(), &resource);
        prop_assert_eq!(&resource.endpoint_path().parse::<Resource>().unwrap(), &resource);
    }

    #[test]
    fn no_input_makes_a_path_outside_the_five(written in written()) {
        match written.parse::<Resource>() {
            Ok(resource) => {
                let path = resource.endpoint_path();
                prop_assert!(is_one_of_the_five(&path), "{written:?} made {path}");
                prop_assert!(path.starts_with(&resource.drive_path()));
                prop_assert_eq!(resource.to_string().parse::<Resource>().unwrap(), resource);
            }
            Err(error) => {
                let shown = error.to_string();
                prop_assert!(!shown.contains(char::is_control) && shown.len() < 2_000);
            }
        }
    }

    #[test]
    fn a_url_parser_finds_the_path_as_it_was_built(resource in resource()) {
        let url = url::Url::parse(&format!("https://graph.microsoft.com/v1.0{}", resource.endpoint_path())).unwrap();
        prop_assert_eq!(url.path(), format!("/v1.0{}", resource.endpoint_path()));
        prop_assert_eq!((url.query(), url.fragment()), (None, None));
    }
}
