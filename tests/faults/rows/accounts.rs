//! Faults of tokens and accounts.

use std::fs;
use std::time::Duration;

use drivetap_emulator::{Account, GROUP_DRIVE, ME_DRIVE};

use super::{Row, together};
use crate::setup::TOKEN;
use crate::stage::Stage;

/// A refused account's source is read again every 60 s; then there is a walk.
const ASKED_AGAIN_S: u64 = 90;

pub(super) fn rows() -> Vec<Row> {
    vec![
        together(
            "token-expired-then-refused",
            "the token expires and its file has a new one; that is refused for 10 s; then the file has a good one",
            ASKED_AGAIN_S,
            |stage| Box::pin(token(stage)),
        ),
        together(
            "two-accounts-one-revoked",
            "one of two accounts is refused for 12 s; the other goes on",
            ASKED_AGAIN_S,
            |stage| Box::pin(one_revoked(stage, 2)),
        ),
        together("64-accounts-one-revoked", "one of 64 accounts is refused for 12 s; 63 go on", ASKED_AGAIN_S, |stage| {
            Box::pin(one_revoked(stage, 64))
        }),
    ]
}

async fn token(stage: &mut Stage) {
    stage.setup.emulator.accounts = vec![Account::new("default", ME_DRIVE).token(TOKEN)];
    stage.start().await;
    let account = || Account::new("default", ME_DRIVE);

    // The new token is good before the file has it, and the old one for as long: whoever is refused finds a good one.
    stage.graph().set_accounts(vec![account().token(TOKEN).token("second")]);
    stage.write_token("second");
    stage.graph().set_accounts(vec![account().token("second")]);
    stage.keeps_up(Duration::from_secs(30)).await;

    stage.graph().set_accounts(vec![account().token("third")]);
    stage.holds(Duration::from_secs(10)).await;
    stage.write_token("third");
    stage.fault_ends();
}

/// Account and drive `n`; the first two are the standard seed's.
fn feed(number: usize) -> (String, String) {
    let drive = match number {
        0 => ME_DRIVE.to_owned(),
        1 => GROUP_DRIVE.to_owned(),
        _ => format!("{:016x}", 0xd1d0_0000_0000 + number),
    };
    (format!("account-{number}"), drive)
}

fn users(count: usize) -> Vec<Account> {
    (0..count).map(feed).map(|(name, drive)| Account::new(&name, &drive).token(&format!("token-of-{name}"))).collect()
}

async fn one_revoked(stage: &mut Stage, count: usize) {
    stage.setup.feeds = (0..count).map(feed).collect();
    stage.setup.emulator.accounts = users(count);
    let names = || (0..count).map(|number| feed(number).0);
    let account = |name: String| format!("[account.{name}]\ntoken = {{ file = \"{name}\" }}\n");
    let subscription = |name| format!("[[subscription]]\nresource = \"me\"\naccount = \"{name}\"\nstart = \"beginning\"\n");
    stage.setup.accounts = names().map(account).collect();
    stage.setup.subscriptions = names().map(subscription).collect();
    names().for_each(|name| fs::write(stage.dir.path().join(&name), format!("token-of-{name}")).unwrap());
    stage.start().await;

    // The last one; its token is nobody's any more.
    let mut left = users(count);
    let revoked = left.pop().unwrap();
    left.push(Account::new(&revoked.name, &revoked.drive).token("another"));
    stage.graph().set_accounts(left);
    stage.others_keep_up(&feed(count - 1), Duration::from_secs(12)).await;
    stage.graph().set_accounts(users(count));
    stage.fault_ends();
}
