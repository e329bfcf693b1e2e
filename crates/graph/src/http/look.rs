use drivetap_core::{Failure, Link};
use jiff::Timestamp;
use serde_json::Value;

use super::answer;
use super::client::GraphClient;

/// One answer of Graph's to a [`look`](GraphClient::look).
#[derive(Clone, Debug)]
pub struct Look {
    /// The JSON object, as Graph sent it. Untrusted: it can hold names and pre-signed links.
    pub body: Value,
    /// `@odata.nextLink`, where there is one that leads to the same Graph.
    pub next: Option<Link>,
    /// Graph's clock, as its `Date` header tells it.
    pub date: Option<Timestamp>,
    /// The certificate that Graph's end of the TLS connection showed, as DER. `None` without TLS.
    pub certificate: Option<Vec<u8>>,
}

impl Look {
    /// The entries of a collection; none where it is no collection.
    #[must_use]
    pub fn entries(&self) -> &[Value] {
        self.body.get("value").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

impl GraphClient {
    /// The most that a look reads, in bytes.
    pub(super) const LOOK: usize = 1024 * 1024;

    /// `GET` of `path_and_query` below the version prefix: what a person wants to know once (whose drive it is, which sites there are).
    /// One attempt, at most 1 MiB.
    ///
    /// # Errors
    /// [`Failure`] says what helps.
    pub async fn look(&self, path_and_query: &str) -> Result<Look, Failure> {
        self.look_at(&self.under_base(path_and_query)).await
    }

    /// The next page of a collection.
    ///
    /// # Errors
    /// [`Failure`] says what helps; a link that is not under this client's address is not followed.
    pub async fn look_on(&self, next: &Link) -> Result<Look, Failure> {
        match self.base_url().at(next) {
            Some(url) => self.look_at(&url).await,
            None => Err(Failure::retry("the next page is not under base_url's version prefix, so it is not asked for")),
        }
    }

    /// Reads the body of an answer to a look.
    pub(super) fn looked(
        &self,
        body: &[u8],
        date: Option<Timestamp>,
        certificate: Option<Vec<u8>>,
    ) -> Result<Look, answer::AnswerFault> {
        let body: Value = serde_json::from_slice(body).map_err(|_| answer::not_json(body))?;
        if !body.is_object() {
            return Err(answer::AnswerFault::NotJson);
        }
        let next = body.get("@odata.nextLink").and_then(Value::as_str);
        let next = next.map(|written| self.base_url().link(written)).transpose().map_err(answer::AnswerFault::Link)?;
        Ok(Look { body, next, date, certificate })
    }
}
