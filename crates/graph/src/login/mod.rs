//! Signing in: a person consents once, and drivetap stays signed in.
//!
//! - [`Application`] is what signs in, and where: a public client, a tenant, a login host, scopes.
//! - `IdentityPlatform` (feature `login`) is the conversation: device code, authorisation code with PKCE, refresh. One attempt a call, but
//!   for the waiting that the device code is.
//! - [`Login`] is what is kept, [`LoginStore`] where: [`FileStore`], a file an account, or a file that names a key of the keyring ([`Keep`]).
//! - `LoginToken` (feature `login`) is the token source: what is stored, refreshed before it expires.
//!
//! Nothing here prints a token, a code or a body; a refusal is told by what a person does about it ([`LoginError`]).

mod application;
mod error;
#[cfg(feature = "login")]
mod http;
#[cfg(feature = "login")]
mod platform;
mod record;
#[cfg(feature = "login")]
mod source;
mod store;

pub use application::{Application, ClientId, LoginUrl, LoginUrlError, NotAClientId, NotAScope, NotATenant, Scope, Tenant};
pub use error::LoginError;
#[cfg(feature = "login")]
pub use http::LoginNetwork;
#[cfg(feature = "login")]
pub use platform::{BrowserLogin, Code, DeviceLogin, Grant, IdentityPlatform};
pub use record::Login;
#[cfg(feature = "login")]
pub use source::LoginToken;
pub use store::{FileStore, Held, Keep, LoginStore, StoreError, UnknownKeep};
