use drivetap_core::{AccountName, Drive, DriveType, FeedId, GraphId};

fn drive(drive_type: &str, id: &str) -> Drive {
    Drive::new(&GraphId::new("driveId", id).unwrap(), DriveType::from(drive_type))
}

#[test]
fn every_spelling_of_a_personal_drive_is_one_id_and_others_are_opaque() {
    let table = [
        ("personal", "0A0B9E159B3310AD", "0a0b9e159b3310ad"),
        ("personal", "0a0b9e159b3310ad", "0a0b9e159b3310ad"),
        ("personal", "A0B9E159B3310AD", "0a0b9e159b3310ad"),
        ("personal", "a0b9e159b3310ad", "0a0b9e159b3310ad"),
        ("personal", "5a0b9e159b3310ad", "5a0b9e159b3310ad"),
        ("personal", "1", "0000000000000001"),
        // Not 16 hexadecimal digits: a newer form, left alone.
        ("personal", "b!AbC", "b!AbC"),
        ("personal", "A0B9E159B3310ADFF", "A0B9E159B3310ADFF"),
        ("personal", "A0B9E159B3310AG", "A0B9E159B3310AG"),
        ("business", "A0B9E159B3310AD", "A0B9E159B3310AD"),
        ("documentLibrary", "b!AbC", "b!AbC"),
        ("Personal", "A0B9", "A0B9"),
        ("", "A0B9", "A0B9"),
    ];
    for (drive_type, written, canonical) in table {
        let found = drive(drive_type, written);
        assert_eq!((found.id.as_str(), found.drive_type.to_string().as_str()), (canonical, drive_type), "{written}");
        assert_eq!(drive(drive_type, canonical), found, "canonical twice is canonical");
    }
}

#[test]
fn a_drives_path_is_one_segment_below_drives() {
    assert_eq!(drive("business", "b!a,b").id.root_path(), "/drives/b!a,b/root");
    assert_eq!(drive("business", "a b?#%2Fü").id.root_path(), "/drives/a%20b%3F%23%252F%C3%BC/root");
}

#[test]
fn two_feeds_never_share_a_key() {
    let feed = |account: &str, id: &str| FeedId { account: account.parse().unwrap(), drive: drive("business", id).id };
    let feeds =
        [feed("a", "b"), feed("a", "B"), feed("b", "a"), feed("ab", "c"), feed("a", "bc"), feed("a.b", "c"), feed("a", "b.c")];
    for (n, one) in feeds.iter().enumerate() {
        for other in &feeds[..n] {
            assert_ne!(one.key(), other.key());
        }
        assert_eq!(one.key(), one.to_string());
    }
}

#[test]
fn an_account_name_is_a_plain_word() {
    let long = "x".repeat(65);
    for good in ["default", "a", "Contoso-EU_2.prod", &long[..64]] {
        assert_eq!(good.parse::<AccountName>().unwrap().as_str(), good);
    }
    for bad in ["", " ", "a b", "a/b", ".", "..", ".hidden", "ü", "a\n", "a:b", &long] {
        let error = bad.parse::<AccountName>().unwrap_err().to_string();
        assert!(error.contains(&format!("{bad:?}")), "{error}");
        assert!(serde_json::from_value::<AccountName>(bad.into()).is_err());
    }
    assert_eq!(AccountName::default().as_str(), "default");
}
