use std::path::PathBuf;

use drivetap_bridge::graph::login::FileStore;

use crate::env::Env;
use crate::exit::Failure;

/// The folder of the logins: `DRIVETAP_LOGIN_DIR`, else `drivetap/logins` in the state folder of the XDG base directory specification
/// (<https://specifications.freedesktop.org/basedir-spec/latest/>): tokens are neither configuration nor a cache.
pub(crate) fn store(env: &Env) -> Result<FileStore, Failure> {
    // The specification has relative paths ignored.
    let absolute = |name| env.filled(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let dir = env.filled("DRIVETAP_LOGIN_DIR").map(PathBuf::from);
    let dir = dir.or_else(|| Some(absolute("XDG_STATE_HOME")?.join("drivetap/logins")));
    let dir = dir.or_else(|| Some(absolute("HOME")?.join(".local/state/drivetap/logins")));
    dir.map(FileStore::new).ok_or_else(|| {
        Failure::config("there is no place for sign-ins: neither DRIVETAP_LOGIN_DIR nor XDG_STATE_HOME nor HOME is set")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_follows_the_environment() {
        let check = |set: &'static [(&str, &str)], want: Option<&str>| {
            let env = Env::new(move |name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
            let path = store(&env).ok().map(|store| store.path(&"a".parse().expect("a name")));
            assert_eq!(path.as_deref(), want.map(std::path::Path::new), "{set:?}");
        };
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s"), ("DRIVETAP_LOGIN_DIR", "/d")], Some("/d/a.json"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")], Some("/s/drivetap/logins/a.json"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")], Some("/h/.local/state/drivetap/logins/a.json"));
        check(&[("HOME", "/h"), ("XDG_STATE_HOME", "")], Some("/h/.local/state/drivetap/logins/a.json"));
        check(&[], None);
    }
}
