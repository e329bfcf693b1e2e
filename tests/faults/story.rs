//! What people do to the drives before, during and after a fault.

use std::time::Duration;

use drivetap_emulator::DriveHandle;
use tokio::time::sleep;

/// Long enough, mostly, for a walk between two changes.
const PAUSE: Duration = Duration::from_millis(600);

/// The changes to a few drives, chapter by chapter.
pub(crate) struct Story {
    drives: Vec<DriveHandle>,
    chapter: u32,
}

impl Story {
    pub(crate) fn of(drives: Vec<DriveHandle>) -> Self {
        Self { drives, chapter: 0 }
    }

    /// One file more in each drive.
    pub(crate) fn postscript(&self) {
        self.drives.iter().for_each(|drive| drop(drive.burst(1).unwrap()));
    }

    /// In each drive: a folder, files in it, a rename, a move, new content, a deletion; then a file that is deleted, restored and
    /// deleted again, with time for a walk between.
    pub(crate) async fn chapter(&mut self) {
        self.chapter += 1;
        let number = self.chapter;
        let fleeting: Vec<_> = self.drives.iter().map(|drive| begin(drive, number)).collect();
        let each = || self.drives.iter().zip(&fleeting);
        sleep(PAUSE).await;
        each().for_each(|(drive, file)| drop(drive.delete(file).unwrap()));
        sleep(PAUSE).await;
        each().for_each(|(drive, file)| drop(drive.restore(file).unwrap()));
        sleep(PAUSE).await;
        each().for_each(|(drive, file)| drop(drive.delete(file).unwrap()));
    }
}

/// Answers the file that goes and comes.
fn begin(drive: &DriveHandle, number: u32) -> String {
    let folder = drive.create_folder("/", &format!("Chapter {number}")).unwrap();
    let file = |name: &str| drive.create(&folder, &format!("{name} {number}.docx")).unwrap();
    let [renamed, moved, rewritten, deleted] = ["Renamed", "Moved", "Rewritten", "Deleted"].map(file);
    drive.rename(&renamed, &format!("New name {number}.docx")).unwrap();
    drive.move_to(&moved, "/").unwrap();
    drive.update(&rewritten).unwrap();
    drive.delete(&deleted).unwrap();
    file("Fleeting")
}
