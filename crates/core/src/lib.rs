//! The part of drivetap that can lose data, without anything that makes it hard to test.
//!
//! - [`Resource`]: what a person writes down (`me`, `drive:b!…`) and the Graph path built from it.
//! - [`Subscription`], [`NotificationUrl`], [`Notification`]: what Graph and its socket.io service answer.
//! - [`Event`]: what a consumer receives, a CloudEvent with a deterministic id.
//! - [`Feed`]: the state machine of one drive: endpoint, session, renewal, walk, cursor, gap.
//!
//! *Invariant:* no runtime, no socket, no clock, no environment. Time comes in as [`Now`], randomness as a seed.

mod backoff;
mod delta;
mod drive;
pub mod escape;
mod event;
mod failure;
pub mod feed;
mod item;
mod json;
mod notification;
mod notification_url;
mod proxy;
mod request_id;
mod resource;
pub mod schema;
mod subscription;
mod time;

pub use backoff::{Backoff, BackoffError};
pub use delta::{Link, LinkError, Page, PageEnd, PageFrom};
pub use drive::{AccountName, AccountNameError, Drive, DriveId, DriveType, FeedId};
pub use event::{Event, EventType, GapData, GapReason, Origin, Position, ResyncPhase, Sequence};
pub use failure::{Failure, Remedy};
pub use feed::Feed;
pub use item::{Entry, Item, ItemError};
pub use notification::{Notification, NotificationError};
pub use notification_url::{NotificationHosts, NotificationHostsError, NotificationUrl, NotificationUrlError};
pub use proxy::{ProxySettings, ProxyUrlError};
pub use request_id::RequestId;
pub use resource::{GraphId, IdFault, Resource, ResourceError};
pub use subscription::{Endpoint, Subscription, SubscriptionError};
pub use time::Now;
