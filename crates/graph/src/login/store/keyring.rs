//! The keyring: where a login is when its file only says so.

use std::fmt;
use std::sync::Arc;

use drivetap_core::AccountName;
use jiff::Timestamp;
use secrecy::zeroize::Zeroizing;

/// Keeps bytes under a name. What is wrong with it is said in words, which hold none of the bytes.
pub(super) trait Keyring: fmt::Debug + Send + Sync {
    /// As a person calls it.
    fn name(&self) -> &'static str;

    /// `None` where there is nothing (any more).
    fn get(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String>;

    /// All or nothing: who reads meanwhile gets the old bytes or the new ones.
    fn set(&self, key: &str, secret: &[u8]) -> Result<(), String>;

    /// No mistake where there is nothing.
    fn remove(&self, key: &str) -> Result<(), String>;
}

/// A name that no sign-in had before: two folders may each have a login of this account's name.
pub(super) fn new_key(account: &AccountName) -> String {
    format!("drivetap:{account}:{}-{}", Timestamp::now().as_nanosecond(), std::process::id())
}

/// The keyring of this build, on this system.
#[cfg(all(feature = "keyring", target_os = "linux"))]
pub(super) fn of_the_system() -> Option<Arc<dyn Keyring>> {
    Some(Arc::new(kernel::Kernel))
}

#[cfg(not(all(feature = "keyring", target_os = "linux")))]
pub(super) fn of_the_system() -> Option<Arc<dyn Keyring>> {
    None
}

#[cfg(all(feature = "keyring", target_os = "linux"))]
mod kernel {
    use linux_keyutils::{Key, KeyError, KeyRing, KeyRingIdentifier};
    use secrecy::zeroize::Zeroizing;

    use super::Keyring;

    /// Linux's own, the user's persistent keyring (persistent-keyring(7)): in the memory of the kernel, never on a disk, the same for all
    /// sessions and services of the user. It is over three days (`/proc/sys/kernel/keys/persistent_keyring_expiry`) after its last use.
    ///
    /// Not the session's, where `linux-keyutils-keyring-store` puts a key first: a container and cron have none of their own, and then the
    /// kernel refused the link from there with EACCES.
    #[derive(Debug)]
    pub(super) struct Kernel;

    impl Kernel {
        /// The kernel's own limit for a key of type `user`.
        const LARGEST: usize = 32_767;

        /// The thread has to hold it to read what is in it; that it asks again is what its expiry counts from.
        fn ring() -> Result<KeyRing, String> {
            KeyRing::get_persistent(KeyRingIdentifier::Thread).map_err(words)
        }

        fn find(ring: KeyRing, key: &str) -> Result<Option<Key>, String> {
            there(ring.search(key))
        }
    }

    impl Keyring for Kernel {
        fn name(&self) -> &'static str {
            "the kernel's keyring"
        }

        fn get(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
            let Some(key) = Self::find(Self::ring()?, key)? else {
                return Ok(None);
            };
            Ok(there(key.read_to_vec())?.map(Zeroizing::new))
        }

        fn set(&self, key: &str, secret: &[u8]) -> Result<(), String> {
            if secret.len() > Self::LARGEST {
                return Err(format!("the login has {} bytes, and a key {} at most", secret.len(), Self::LARGEST));
            }
            // One of this name is given these bytes.
            Self::ring()?.add_key(key, secret).map(drop).map_err(words)
        }

        fn remove(&self, key: &str) -> Result<(), String> {
            match Self::find(Self::ring()?, key)? {
                Some(key) => there(key.invalidate()).map(drop),
                None => Ok(()),
            }
        }
    }

    /// A key that is going is gone.
    fn there<T>(found: Result<T, KeyError>) -> Result<Option<T>, String> {
        match found {
            Ok(found) => Ok(Some(found)),
            Err(KeyError::KeyDoesNotExist | KeyError::KeyRevoked | KeyError::KeyExpired) => Ok(None),
            Err(error) => Err(words(error)),
        }
    }

    /// With what it means, where that is known.
    fn words(error: KeyError) -> String {
        match error {
            KeyError::QuotaExceeded => "it is full: a user has /proc/sys/kernel/keys/maxbytes for all keys".to_owned(),
            KeyError::AccessDenied | KeyError::PermissionDenied => {
                format!("{error}: a container's default seccomp profile forbids it")
            }
            KeyError::OperationNotSupported => format!("{error}: this kernel has no persistent keyrings"),
            error => error.to_string(),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_key_is_read_as_it_was_set_last_and_gone_when_removed() {
            let account = "work".parse().expect("a name");
            let (keyring, key) = (Kernel, super::super::new_key(&account));
            let get = || keyring.get(&key).expect("keyutils work here").map(|secret| secret.to_vec());
            assert_eq!(get(), None);
            keyring.set(&key, b"one").expect("there is room");
            keyring.set(&key, b"the other").expect("there is room");
            assert_eq!(get().as_deref(), Some(&b"the other"[..]));
            keyring.remove(&key).expect("it is ours");
            keyring.remove(&key).expect("no mistake");
            assert_eq!(get(), None);
            let words = keyring.set(&key, &vec![b'x'; 40_000]).expect_err("too large");
            assert_eq!(words, "the login has 40000 bytes, and a key 32767 at most");
        }
    }
}
