//! Believable activity: the same people, names and moves for the same seed.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    emulator::{Emulator, Service},
    model::{Change, Drive},
};

/// What happens on its own, and how fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Animation {
    /// Changes per second, on average, over all drives. Not positive, or not a number: none.
    pub rate: f64,
    /// The drives that change; empty means all there are.
    pub drives: Vec<String>,
    /// The same seed makes the same changes.
    pub seed: u64,
}

impl Default for Animation {
    fn default() -> Self {
        Self { rate: 1.0, drives: Vec::new(), seed: 1 }
    }
}

/// No drive grows beyond this by itself: then people tidy up.
const CROWDED: usize = 400;

impl Emulator {
    /// Makes changes at random moments (a Poisson process), until the emulator stops or the future is dropped. Cancel
    /// safe: a change is made as a whole or not at all.
    pub async fn animate(&self, animation: Animation) {
        let mut rng = fastrand::Rng::with_seed(animation.seed);
        let service = self.service();
        let mut due = Instant::now();
        loop {
            let Some(pause) = pause(animation.rate, &mut rng) else {
                return service.stop.cancelled().await;
            };
            // Against the plan, not against now: a high rate is kept whatever a change costs.
            due += pause;
            tokio::select! {
                () = service.stop.cancelled() => return,
                () = tokio::time::sleep_until(due) => {}
            }
            one_change(service, &animation.drives, &mut rng);
        }
    }
}

/// The time to the next change; `None` where there is none.
fn pause(rate: f64, rng: &mut fastrand::Rng) -> Option<Duration> {
    // `1 - f64()` is never zero, so the logarithm is finite.
    let seconds = -(1.0 - rng.f64()).ln() / rate;
    (rate > 0.0).then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

fn one_change(service: &Service, drives: &[String], rng: &mut fastrand::Rng) {
    service.with(|world| {
        let all: Vec<String> =
            if drives.is_empty() { world.drives().map(|drive| drive.id.clone()).collect() } else { drives.to_vec() };
        let Some(id) = rng.choice(&all) else {
            return;
        };
        // A name that is taken, or a folder that went: somebody else was faster. The next change comes soon.
        if let Some(change) = world.drive(id).and_then(|drive| idea(drive, rng)) {
            drop(world.change(id, &change, Instant::now()));
        }
    });
    service.wake_clock();
}

/// What somebody does next with this drive.
fn idea(drive: &Drive, rng: &mut fastrand::Rng) -> Option<Change> {
    let (folders, files): (Vec<_>, Vec<_>) = drive.living_items().partition(|item| item.is_folder());
    let folder = rng.choice(&folders).map_or_else(|| drive.root.clone(), |folder| folder.id.clone());
    let name = file_name(rng);
    let Some(file) = rng.choice(&files).map(|file| file.id.clone()) else {
        return Some(Change::Create { name, parent: Some(folder), size: None });
    };
    let deletes = if drive.living() > CROWDED { 60 } else { 10 };
    Some(match rng.u32(0..100) {
        roll if roll < deletes => Change::Delete { item: file },
        roll if roll < deletes + 35 => Change::Update { item: file, size: None },
        0..55 => Change::Rename { item: file, name },
        55..65 => Change::Move { item: file, parent: Some(folder) },
        65..68 if folders.len() < 20 => {
            Change::CreateFolder { name: rng.choice(FOLDERS).map(|name| (*name).to_owned())?, parent: None }
        }
        68..70 => {
            let bin: Vec<_> = drive.bin().collect();
            Change::Restore { item: rng.choice(&bin)?.id.clone() }
        }
        _ => Change::Create { name, parent: Some(folder), size: None },
    })
}

const FOLDERS: &[&str] = &[
    "Contracts",
    "Design",
    "Finance",
    "Hiring",
    "Invoices",
    "Launch",
    "Marketing",
    "Minutes",
    "Photos",
    "Research",
    "Roadmap",
    "Sales",
    "Support",
    "Templates",
    "Travel",
    "Workshops",
];
const TOPICS: &[&str] = &[
    "Budget",
    "Campaign",
    "Contract",
    "Customer survey",
    "Forecast",
    "Hiring plan",
    "Invoice",
    "Kick-off",
    "Launch plan",
    "Meeting notes",
    "Offsite agenda",
    "Price list",
    "Press release",
    "Product brief",
    "Quarterly review",
    "Roadmap",
    "Sales pipeline",
    "Style guide",
    "Travel expenses",
    "Vendor list",
];
const TAILS: &[&str] = &["", " (draft)", " (final)", " 2026", " v2", " v3", " - Contoso", " - Fabrikam", " Q3", " Q4"];
const ENDINGS: &[&str] = &["docx", "docx", "xlsx", "xlsx", "pptx", "pdf", "md", "csv", "png"];

fn file_name(rng: &mut fastrand::Rng) -> String {
    let mut one_of = |words: &[&'static str]| rng.choice(words).copied().unwrap_or_default();
    let (topic, tail, ending) = (one_of(TOPICS), one_of(TAILS), one_of(ENDINGS));
    format!("{topic}{tail}.{ending}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{CROWDED, idea, pause};
    use crate::model::{Drive, Limits, NewDrive};

    #[test]
    fn the_same_seed_makes_the_same_changes_and_a_drive_stays_of_a_size() {
        let lived = || {
            let mut rng = fastrand::Rng::with_seed(5);
            let mut drive = Drive::new(NewDrive::default(), Limits::default(), rng.fork());
            let made = (0..4_000).filter(|_| idea(&drive, &mut rng).is_some_and(|change| drive.apply(&change).is_ok()));
            let made = made.count();
            let names: Vec<_> = drive.changes(0, drive.head()).map(|item| (item.name.clone(), item.deleted)).collect();
            (made, drive.living(), names)
        };
        let (made, living, names) = lived();
        assert!(made > 3_000, "most ideas come true: {made}");
        assert!((50..=CROWDED + 50).contains(&living), "{living}");
        assert_eq!(lived(), (made, living, names));
    }

    #[test]
    fn a_rate_that_means_nothing_makes_no_change() {
        let mut rng = fastrand::Rng::with_seed(1);
        for rate in [0.0, -1.0, f64::NAN] {
            assert_eq!(pause(rate, &mut rng), None, "{rate}");
        }
    }

    #[test]
    fn pauses_keep_the_rate_on_average() {
        let mut rng = fastrand::Rng::with_seed(1);
        let total: Duration = (0..4_000).filter_map(|_| pause(100.0, &mut rng)).sum();
        assert!((35..45).contains(&total.as_secs()), "4,000 changes at 100 a second took {total:?}");
    }
}
