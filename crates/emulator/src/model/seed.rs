//! The drives that are there before anyone asks.

use super::{Change, Drive, DriveKind, Limits, NewDrive};

/// The drive of `me` in the standard seed.
pub const ME_DRIVE: &str = "b!-RIj2DuyvEyV1T4NlOaMHk8XkS_I8MdFlUCq1BlcjgmhRfAj3-Z8RY2VpuvV_tpd";
/// A consumer's drive in the standard seed, shared with `me`.
pub const PERSONAL_DRIVE: &str = "5a0b9e159b3310ad";
/// The group of the standard seed.
pub const GROUP: &str = "02bd9fd6-8f93-4758-87c3-1fb73740a315";
/// The group's drive.
pub const GROUP_DRIVE: &str = "b!t18F8ybsHUq1z3LTz8xvZqP8zaSWjkFNhsME-Fepo75dTf9vQKfeRblBZjoSQrd7";
/// The site of the standard seed.
pub const SITE: &str = "contoso.sharepoint.com,2c712604-1370-44e7-a1f5-426573fda80a,2d2244c3-251a-49ea-93a8-39e1c3a060fe";
/// The list (a document library) on that site.
pub const LIST: &str = "b57af081-936c-4803-a120-d94887b03864";
/// The drive of that list.
pub const LIST_DRIVE: &str = "b!BCZxLHATZ0Sh9UJlc_2oCsNEIi0aJepJk6g54cOgYP6B8Hq1bJMDSKEg2UiHsDhk";

/// Four drives with a few items each.
pub(crate) fn standard(limits: Limits, rng: &mut fastrand::Rng) -> Vec<Drive> {
    let seeds = [
        (ME_DRIVE, DriveKind::Business, "Documents"),
        (PERSONAL_DRIVE, DriveKind::Personal, "OneDrive"),
        (GROUP_DRIVE, DriveKind::DocumentLibrary, "Documents"),
        (LIST_DRIVE, DriveKind::DocumentLibrary, "Specifications"),
    ];
    let mut drives = Vec::new();
    for (id, kind, name) in seeds {
        let new = NewDrive { id: Some(id.to_owned()), kind, name: Some(name.to_owned()) };
        let mut drive = Drive::new(new, limits, rng.fork());
        for change in contents() {
            // Names in the list below are distinct and folders come first; a limit of zero items leaves drives empty.
            drop(drive.apply(&change));
        }
        drives.push(drive);
    }
    drives
}

fn contents() -> Vec<Change> {
    let folder = |name: &str| Change::CreateFolder { name: name.to_owned(), parent: None };
    let file = |name: &str, parent: &str| Change::Create { name: name.to_owned(), parent: Some(parent.to_owned()), size: None };
    vec![
        folder("Plans"),
        folder("Reports"),
        folder("Archive"),
        file("Launch plan.docx", "/Plans"),
        file("Budget.xlsx", "/Plans"),
        file("Quarterly review.pptx", "/Reports"),
        file("Notes.md", "/"),
    ]
}
