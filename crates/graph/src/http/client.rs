use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use drivetap_core::{
    Drive, DriveId, Endpoint, Failure, NotificationHosts, Page, PageFrom, Remedy, RequestId, Resource, Subscription,
    SubscriptionError,
};
use jiff::Timestamp;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER, USER_AGENT,
    WWW_AUTHENTICATE,
};
use reqwest::tls::TlsInfo;
use reqwest::{Response, StatusCode};
use uuid::Uuid;

use super::answer::{self, AnswerFault, ErrorBody};
use super::config::{ConfigError, GraphConfig};
use super::error::{Error, Refused, What};
use super::look::Look;
use super::pool::Pool;
use super::retry_after;
use crate::base_url::BaseUrl;
use crate::token::{AccessToken, TokenError, TokenSource};
use crate::{Graph, Share};

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const DIAGNOSTIC: HeaderName = HeaderName::from_static("x-ms-ags-diagnostic");
const DELTA_EXCLUDE_PARENT: HeaderName = HeaderName::from_static("deltaexcludeparent");

/// Graph over HTTPS, for one account.
///
/// - One attempt a call. The one exception is a 401: the token source is asked once more, and when it has another token, the request is
///   sent once more.
/// - The token goes to `base_url`'s origin, under its version prefix, and nowhere else: no redirect is followed, and a link is checked
///   when Graph sends it and again when it is used.
/// - A body is read up to its limit: 256 KiB for an endpoint or a drive, what its share allows for a page (32 MiB at most; both after
///   decompression), 64 KiB of an error. The time limit of the request goes on while a large page waits for its share.
/// - After a 503 or a timeout the next request goes over a new connection.
///
/// **Cancel safe:** a dropped future ends its request. Cheap to share: `Arc<GraphClient>`; many calls may run at once.
///
/// A failure carries Graph's `request-id`, from the header, else from the error's body. What is logged carries it and `client-request-id`.
/// Neither holds a URL, a token or a body.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use drivetap_core::Resource;
/// use drivetap_graph::{EnvToken, Graph, GraphClient, GraphConfig};
///
/// # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
/// // Once in a process, by `main`.
/// let _ = rustls::crypto::ring::default_provider().install_default();
///
/// let token = EnvToken::new("DRIVETAP_TOKEN", |name| std::env::var(name).ok());
/// let graph = GraphClient::new(GraphConfig::default(), Arc::new(token))?;
/// let endpoint = graph.endpoint(&Resource::Me).await.map_err(|failure| failure.code)?;
/// println!("{} for {:?}", endpoint.subscription.notification_url, endpoint.lifetime);
/// # Ok(())
/// # }
/// ```
pub struct GraphClient {
    base_url: BaseUrl,
    hosts: NotificationHosts,
    user_agent: HeaderValue,
    tokens: Arc<dyn TokenSource>,
    pool: Pool,
}

impl GraphClient {
    const SMALL: usize = 256 * 1024;
    const ERROR: usize = 64 * 1024;
    /// What an event takes beside its item.
    const ITEM: usize = 512;

    /// A client that has connected to nothing yet. Needs rustls' process-wide crypto provider to be installed.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting.
    pub fn new(config: GraphConfig, tokens: Arc<dyn TokenSource>) -> Result<Self, ConfigError> {
        let base_url = config.base_url.clone();
        let hosts = NotificationHosts::new(&config.notification_hosts, base_url.is_loopback())?;
        let user_agent = HeaderValue::from_str(&config.user_agent).map_err(|_| ConfigError::UserAgent)?;
        Ok(Self { base_url, hosts, user_agent, tokens, pool: Pool::new(config)? })
    }

    /// Where this client sends its requests: what an event's `source` starts with.
    #[must_use]
    pub fn base_url(&self) -> &BaseUrl {
        &self.base_url
    }

    /// Asks the token source, and sends nothing: for a start that wants to say early that sign-in is needed.
    ///
    /// # Errors
    /// As the source says.
    pub async fn token(&self) -> Result<AccessToken, TokenError> {
        self.tokens.token(None).await
    }

    pub(super) fn under_base(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base_url)
    }

    pub(super) async fn look_at(&self, url: &str) -> Result<Look, Failure> {
        let ask = async {
            let answer = self.get(What::Look, url, &mut Share::own(Self::LOOK)).await?;
            self.looked(&answer.body, answer.date, answer.certificate.clone()).map_err(|fault| answer.useless(fault))
        };
        ask.await.map_err(|failed: Failed| failed.report(What::Look))
    }

    async fn get(&self, what: What, url: &str, share: &mut Share) -> Result<Answer, Failed> {
        let token = self.tokens.token(None).await?;
        match self.send(what, url, &token, share).await {
            Err(refusal) if refusal.error.is_unauthorized() => {
                let other = self.tokens.token(Some(&token)).await?;
                if other == token { Err(refusal) } else { self.send(what, url, &other, share).await }
            }
            outcome => outcome,
        }
    }

    async fn send(&self, what: What, url: &str, token: &AccessToken, share: &mut Share) -> Result<Answer, Failed> {
        let mut ids = Ids { client_request_id: Uuid::new_v4().to_string(), ..Ids::default() };
        let headers = self.headers(what, token, &ids.client_request_id)?;
        let lease = self.pool.lease();
        let started = Instant::now();
        let outcome = match lease.client.get(url).headers(headers).send().await {
            Ok(response) => {
                ids.take(response.headers());
                let status = response.status().as_u16();
                let ms = started.elapsed().as_millis();
                tracing::debug!(?what, status, ids.client_request_id, request_id = ids.graphs(), ms, "Graph answered");
                let certificate = certificate(&response).filter(|_| what == What::Look);
                self.read(response, share).await.map(|(body, date)| (body, date, certificate))
            }
            Err(error) => Err(Error::Network(error.without_url())),
        };
        match outcome {
            Ok((body, date, certificate)) => Ok(Answer { body, date, certificate, ids }),
            Err(error) => {
                if error.spends_connection() {
                    self.pool.renew(&lease);
                }
                if let Error::Refused(refused) = &error {
                    ids.request_id = ids.request_id.or_else(|| refused.request_id.clone());
                }
                Err(Failed { error, ids })
            }
        }
    }

    fn headers(&self, what: What, token: &AccessToken, client_request_id: &str) -> Result<HeaderMap, Error> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| TokenError::Characters)?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        // On a GET, and yet the endpoint's page lists it as required.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Ok(id) = HeaderValue::from_str(client_request_id) {
            headers.insert(CLIENT_REQUEST_ID, id);
        }
        if matches!(what, What::Page | What::Cursor) {
            headers.insert(DELTA_EXCLUDE_PARENT, HeaderValue::from_static("true"));
        }
        Ok(headers)
    }

    async fn read(&self, response: Response, share: &mut Share) -> Result<(Vec<u8>, Option<Timestamp>), Error> {
        let date = header(response.headers(), &DATE).and_then(retry_after::http_date);
        if response.status() != StatusCode::OK {
            return Err(Error::Refused(self.refused(response, date).await));
        }
        Ok((body(response, share).await?, date))
    }

    async fn refused(&self, response: Response, date: Option<Timestamp>) -> Refused {
        let headers = response.headers();
        let claims =
            headers.get_all(WWW_AUTHENTICATE).iter().any(|value| value.to_str().is_ok_and(|v| v.contains("insufficient_claims")));
        let mut refused = Refused {
            status: response.status().as_u16(),
            retry_after: header(headers, &RETRY_AFTER).and_then(|value| retry_after::parse(value, date)),
            // A Location that leads elsewhere or to nothing is as good as none: the walk starts from the root.
            location: header(headers, &LOCATION).and_then(|value| self.base_url.link(value).ok()),
            claims,
            ..Refused::default()
        };
        // An error's body says more where it can be read; where it cannot, the status is the error.
        if let Ok(body) = body(response, &mut Share::own(Self::ERROR)).await {
            let ErrorBody { codes, request_id } = answer::error(&body);
            (refused.codes, refused.request_id) = (codes, request_id);
        }
        refused
    }
}

#[async_trait]
impl Graph for GraphClient {
    async fn endpoint(&self, resource: &Resource) -> Result<Endpoint, Failure> {
        let ask = async {
            let answer =
                self.get(What::Endpoint, &self.under_base(&resource.endpoint_path()), &mut Share::own(Self::SMALL)).await?;
            let subscription = Subscription::parse(&answer.body, &self.hosts).map_err(|fault| match fault {
                SubscriptionError::NotAnObject => answer.useless(answer::not_json(&answer.body)),
                fault => answer.useless(fault),
            })?;
            Ok(Endpoint::new(subscription, answer.date))
        };
        ask.await.map_err(|failed: Failed| failed.report(What::Endpoint))
    }

    async fn drive(&self, resource: &Resource) -> Result<Drive, Failure> {
        let ask = async {
            let url = self.under_base(&format!("{}?$select=id,driveType", resource.drive_path()));
            let answer = self.get(What::Drive, &url, &mut Share::own(Self::SMALL)).await?;
            answer::drive(&answer.body).map_err(|fault| answer.useless(fault))
        };
        ask.await.map_err(|failed| failed.report(What::Drive))
    }

    async fn page(&self, drive: &DriveId, from: &PageFrom, share: &mut Share) -> Result<Page, Failure> {
        let what = if let PageFrom::Link(_) = from { What::Cursor } else { What::Page };
        let ask = async {
            let url = match from {
                PageFrom::Latest => self.under_base(&format!("{}/delta?token=latest", drive.root_path())),
                PageFrom::Root => self.under_base(&format!("{}/delta", drive.root_path())),
                PageFrom::Link(stored) => self.base_url.at(stored).ok_or(Error::ForeignCursor)?,
            };
            let answer = self.get(what, &url, share).await?;
            let page = answer::page(&answer.body, &self.base_url).map_err(|fault| answer.useless(fault))?;
            drop(answer);
            // An item that is small in the body is an event of a certain size all the same.
            let taken: usize = page.items.iter().map(|item| item.json().len() + Self::ITEM).sum();
            let taken = taken.min(share.most());
            share.grow(taken).await;
            share.settle(taken);
            Ok(page)
        };
        ask.await.map_err(|failed: Failed| failed.report(what))
    }
}

impl fmt::Debug for GraphClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GraphClient").field("base_url", &self.base_url).field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

/// A 200.
struct Answer {
    body: Vec<u8>,
    date: Option<Timestamp>,
    certificate: Option<Vec<u8>>,
    ids: Ids,
}

impl Answer {
    fn useless(&self, fault: impl Into<Error>) -> Failed {
        Failed { error: fault.into(), ids: self.ids.clone() }
    }
}

/// An error and what support asks for.
struct Failed {
    error: Error,
    ids: Ids,
}

impl Failed {
    fn report(self, what: What) -> Failure {
        let Self { error, ids } = self;
        let failure = error.failure(what).of_request(ids.request_id.clone());
        // Not the remedy itself: a resync holds a link.
        let remedy = match failure.remedy {
            Remedy::Retry { .. } => "retry",
            Remedy::RetrySlowly { .. } => "retry slowly",
            Remedy::RetryThenResync { .. } => "retry, then resync",
            Remedy::SignIn => "sign in",
            Remedy::Resync { .. } => "resync",
        };
        // Who is told of the failure logs it. This is for whoever asks Microsoft's support, which wants all three.
        let Ids { client_request_id, diagnostic, .. } = &ids;
        tracing::debug!(?what, %error, remedy, client_request_id, request_id = ids.graphs(), diagnostic, "why Graph did not give it");
        failure
    }
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { error: error.into(), ids: Ids::default() }
    }
}

/// Ours, and Graph's own (<https://learn.microsoft.com/en-us/graph/best-practices-concept>). A text is empty where there is none.
#[derive(Clone, Default)]
struct Ids {
    client_request_id: String,
    request_id: Option<RequestId>,
    diagnostic: String,
}

impl Ids {
    /// The diagnostic comes from outside, too: visible ASCII, and no more of it than Graph's has.
    fn take(&mut self, headers: &HeaderMap) {
        self.request_id = header(headers, &REQUEST_ID).and_then(RequestId::new);
        self.diagnostic = header(headers, &DIAGNOSTIC).unwrap_or_default().chars().take(300).collect();
    }

    fn graphs(&self) -> Option<&str> {
        self.request_id.as_ref().map(RequestId::as_str)
    }
}

fn certificate(response: &Response) -> Option<Vec<u8>> {
    Some(response.extensions().get::<TlsInfo>()?.peer_certificate()?.to_owned())
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The body, as far as the share allows after decompression; not a byte more is kept.
async fn body(mut response: Response, share: &mut Share) -> Result<Vec<u8>, Error> {
    let most = share.most();
    let too_large = || Error::from(AnswerFault::TooLarge(most));
    let announced = response.content_length().and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
    if announced > most {
        return Err(too_large());
    }
    share.grow(announced).await;
    let mut body = Vec::with_capacity(announced);
    while let Some(chunk) = response.chunk().await.map_err(|error| Error::Network(error.without_url()))? {
        let read = body.len() + chunk.len();
        if read > most {
            return Err(too_large());
        }
        share.grow(read).await;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
