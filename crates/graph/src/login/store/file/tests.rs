use std::os::unix::fs::PermissionsExt as _;

use secrecy::ExposeSecret as _;

use super::super::super::record::tests::login;
use super::*;

fn store() -> (tempfile::TempDir, FileStore, AccountName) {
    let dir = tempfile::tempdir().expect("a folder");
    let store = FileStore::new(dir.path().join("state/logins"));
    (dir, store, "work".parse().expect("a name"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_login_is_kept_for_its_owner_alone_and_forgotten_when_asked() {
    let (_dir, store, account) = store();
    assert!(store.load(&account).await.expect("readable").is_none());
    assert!(store.accounts().await.expect("readable").is_empty());
    let held = store.lock(&account).await.expect("free");
    // A crash may leave one, with whatever mode.
    fs::write(store.dir.join(".work.new"), "half").expect("writable");
    store.save(&held, &account, &login()).await.expect("writable");
    let path = store.path(&account);
    assert_eq!((mode(&path), mode(&store.dir)), (0o600, 0o700));
    let read = store.load(&account).await.expect("readable").expect("there");
    assert_eq!(read.access(), login().access());
    assert_eq!(store.accounts().await.expect("readable"), std::slice::from_ref(&account));
    assert!(store.remove(&held, &account).await.expect("writable"));
    assert!(!store.remove(&held, &account).await.expect("writable"));
    assert!(store.load(&account).await.expect("readable").is_none());
}

#[tokio::test]
async fn a_file_that_must_not_be_used_is_named_with_what_helps() {
    let (_dir, store, account) = store();
    let held = store.lock(&account).await.expect("free");
    store.save(&held, &account, &login()).await.expect("writable");
    let path = store.path(&account);
    let whole = fs::read_to_string(&path).expect("readable");
    let said = |text: String, mode: u32| {
        fs::write(&path, text).expect("writable");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("settable");
        let (store, account) = (store.clone(), account.clone());
        async move { store.load(&account).await.expect_err("of no use").to_string() }
    };
    for mode in [0o640, 0o604, 0o666, 0o610] {
        let words = said(whole.clone(), mode).await;
        assert!(words.contains(&format!("mode {mode:04o}")) && words.contains("chmod 600"), "{words}");
    }
    for text in [&whole[..whole.len() / 2], "", "{}", "[]", "null", "{\"version\":1}", "{\"version\":2}"] {
        let words = said(text.to_owned(), 0o600).await;
        assert!(words.contains("is damaged"), "{text}: {words}");
    }
    let words = said(" ".repeat(300 * 1024), 0o600).await;
    assert!(words.contains("is damaged"), "{words}");
    let words = said("{\"version\":3,\"keys\":\"of another shape\"}".to_owned(), 0o600).await;
    assert!(words.contains("is of version 3, and this drivetap knows version 2"), "{words}");
    assert!(!words.contains("shape"), "{words}");
    // Whatever is there, signing in again replaces it.
    store.save(&held, &account, &login()).await.expect("writable");
    assert!(store.load(&account).await.expect("readable").is_some());
}

#[tokio::test]
async fn an_account_is_held_by_one_at_a_time() {
    let (_dir, store, account) = store();
    let first = store.lock(&account).await.expect("free");
    let other = store.clone();
    let name = account.clone();
    let second = tokio::spawn(async move { other.lock(&name).await.map(drop) });
    store.lock(&"home".parse().expect("a name")).await.expect("another account is another lock");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    drop(first);
    second.await.expect("no panic").expect("free");
}

/// One that nobody can use.
#[derive(Debug)]
struct LockedKeyring;

impl Keyring for LockedKeyring {
    fn name(&self) -> &'static str {
        "the keyring of this test"
    }

    fn get(&self, _: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        Err("it is locked".to_owned())
    }

    fn set(&self, _: &str, _: &[u8]) -> Result<(), String> {
        Err("it is locked".to_owned())
    }

    fn remove(&self, _: &str) -> Result<(), String> {
        Err("it is locked".to_owned())
    }
}

fn secrets_in(store: &FileStore, account: &AccountName) -> usize {
    let text = fs::read_to_string(store.path(account)).expect("readable");
    ["EwB4", "M.C5", "Adele"].iter().filter(|secret| text.contains(**secret)).count()
}

#[cfg(target_os = "linux")]
const OTHER_PROCESS: &str = "DRIVETAP_TEST_OTHER_PROCESS";

/// On the kernel's own keyring. The other process is this test again.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_login_in_the_keyring_is_renewed_there_by_another_process_and_gone_after_logout() {
    const TEST: &str =
        "login::store::file::tests::a_login_in_the_keyring_is_renewed_there_by_another_process_and_gone_after_logout";
    let (_dir, mut store, account) = store();
    if let Some(dir) = std::env::var_os(OTHER_PROCESS) {
        // It was not told where: the file says so.
        store.dir = dir.into();
        let held = store.lock(&account).await.expect("free");
        let mut login = store.load(&account).await.expect("readable").expect("there");
        login.refresh = Some("M.C5-the-next".to_owned().into());
        return store.save(&held, &account, &login).await.expect("writable");
    }

    let signing_in = store.clone().keeping(Keep::Keyring);
    signing_in.check(&account).await.expect("keyutils work here");
    let held = store.lock(&account).await.expect("free");
    signing_in.save(&held, &account, &login()).await.expect("writable");
    drop(held);
    assert_eq!((mode(&store.path(&account)), secrets_in(&store, &account)), (0o600, 0));
    assert_eq!(store.accounts().await.expect("readable"), std::slice::from_ref(&account));

    let other = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", TEST, "--test-threads=1"])
        .env(OTHER_PROCESS, &store.dir)
        .output()
        .expect("it runs");
    assert!(other.status.success(), "{other:?}");
    let read = store.load(&account).await.expect("readable").expect("there");
    assert_eq!(read.refresh.map(|token| token.expose_secret().to_owned()).as_deref(), Some("M.C5-the-next"));
    assert_eq!(secrets_in(&store, &account), 0);

    let key = Place::of(&store, &account).marker().expect("it says where").keyring;
    let kept = || Place::of(&store, &account).keyring().expect("there").get(&key).expect("usable").is_some();
    assert!(kept());
    let held = store.lock(&account).await.expect("free");
    // To the file and back: nothing stays where it was.
    store.clone().keeping(Keep::File).save(&held, &account, &login()).await.expect("writable");
    assert_eq!((kept(), secrets_in(&store, &account)), (false, 3));
    signing_in.save(&held, &account, &login()).await.expect("writable");
    assert_eq!(secrets_in(&store, &account), 0);
    let key = Place::of(&store, &account).marker().expect("it says where").keyring;
    assert!(store.remove(&held, &account).await.expect("writable"));
    assert!(store.load(&account).await.expect("readable").is_none());
    assert!(Place::of(&store, &account).keyring().expect("there").get(&key).expect("usable").is_none());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_the_keyring_forgot_is_said_and_signed_in_again_as_the_last_time() {
    let (_dir, store, account) = store();
    let held = store.lock(&account).await.expect("free");
    store.clone().keeping(Keep::Keyring).save(&held, &account, &login()).await.expect("writable");
    let place = Place::of(&store, &account);
    let old = place.marker().expect("it says where").keyring;
    place.keyring().expect("there").remove(&old).expect("usable");
    let words = store.load(&account).await.expect_err("forgotten").to_string();
    assert!(words.contains("is no longer in the kernel's keyring") && words.contains("sign in again"), "{words}");
    assert_eq!(store.last(&account).await, Some((login().application, login().graph)));
    store.check(&account).await.expect("it can be kept there");
    store.save(&held, &account, &login()).await.expect("writable");
    assert!(store.load(&account).await.expect("readable").is_some());
    assert_ne!(place.marker().expect("it says where").keyring, old);
    assert!(store.remove(&held, &account).await.expect("writable"));
}

#[tokio::test]
async fn without_a_keyring_its_login_is_neither_read_nor_forgotten_nor_put_into_a_file_unasked() {
    let without = "this drivetap has none: build it with the feature \"keyring\"";
    let locked = "the keyring of this test, which cannot be used: it is locked";
    let a_locked_one: Arc<dyn Keyring> = Arc::new(LockedKeyring);
    for (keyring, said) in [(None, without), (Some(a_locked_one), locked)] {
        let (_dir, mut store, account) = store();
        store.keyring = keyring;
        let held = store.lock(&account).await.expect("free");
        let marker = serde_json::to_string(&Marker::new("drivetap:work:1".to_owned(), &login())).expect("JSON");
        Place::of(&store, &account).write(marker.as_bytes()).expect("writable");
        for words in [
            store.load(&account).await.expect_err("no keyring").to_string(),
            store.check(&account).await.expect_err("no keyring").to_string(),
            store.save(&held, &account, &login()).await.expect_err("no keyring").to_string(),
            store.remove(&held, &account).await.expect_err("no keyring").to_string(),
            store.clone().keeping(Keep::Keyring).check(&"new".parse().expect("a name")).await.expect_err("none").to_string(),
        ] {
            assert!(words.contains(said) && words.contains("--store file"), "{words}");
        }
        assert_eq!(secrets_in(&store, &account), 0);
        // Who asks for a file gets one.
        let store = store.keeping(Keep::File);
        store.check(&account).await.expect("a file needs no keyring");
        store.save(&held, &account, &login()).await.expect("writable");
        assert!(store.load(&account).await.expect("readable").is_some());
    }
}
