//! Who answers the questions of `everycall decide`: nobody, a fixed answer, or a real policy
//! decision point.

use std::str::FromStr;

use everycall_core::http::Failure;
use everycall_core::{Call, Reply};

use crate::cases::{spoken, PdpAnswer};

#[cfg(feature = "server")]
use http::Http;

/// The value of `--pdp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pdp {
    Allow,
    Deny,
    Down,
    Url(String),
}

impl FromStr for Pdp {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "allow" => Ok(Self::Allow),
            "deny" => Ok(Self::Deny),
            "down" => Ok(Self::Down),
            url if url.starts_with("http://") => Ok(Self::Url(url.to_owned())),
            _ => Err("expected `allow`, `deny`, `down` or a URL that starts with `http://`".to_owned()),
        }
    }
}

/// Answers calls.
pub(super) enum Answers {
    /// Yes or no, in the protocol of each call.
    Says(bool),
    Down,
    #[cfg(feature = "server")]
    Http(Box<Http>),
}

impl Answers {
    pub(super) fn new(pdp: &Pdp) -> anyhow::Result<Self> {
        Ok(match pdp {
            Pdp::Allow => Self::Says(true),
            Pdp::Deny => Self::Says(false),
            Pdp::Down => Self::Down,
            #[cfg(feature = "server")]
            Pdp::Url(url) => Self::Http(Box::new(Http::new(url)?)),
            #[cfg(not(feature = "server"))]
            Pdp::Url(_) => anyhow::bail!("this build makes no calls: it lacks the feature `server`"),
        })
    }

    /// One reply for each call, in their order.
    pub(super) fn replies(&self, calls: Vec<Call>) -> Vec<Reply> {
        match self {
            Self::Says(yes) => {
                let answer = if *yes { PdpAnswer::Allow } else { PdpAnswer::Deny };
                calls.iter().map(|call| answer.reply(spoken(call))).collect()
            }
            Self::Down => calls.iter().map(|_| Reply::Failed(Failure::Unavailable)).collect(),
            #[cfg(feature = "server")]
            Self::Http(http) => http.replies(calls),
        }
    }
}

/// Calls over HTTP, with the answers that Envoy would make of what goes wrong.
#[cfg(feature = "server")]
mod http {
    use std::time::Duration;

    use anyhow::Context as _;
    use everycall_core::http::Failure;
    use everycall_core::{Call, Reply};
    use reqwest::{Client, Url};

    pub(in crate::commands) struct Http {
        runtime: tokio::runtime::Runtime,
        client: Client,
        url: Url,
    }

    impl Http {
        pub(super) fn new(url: &str) -> anyhow::Result<Self> {
            let url = Url::parse(url).with_context(|| format!("`{url}` is not a URL"))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            // As Envoy: no redirects, and the proxy of this machine has no say.
            let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build()?;
            Ok(Self { runtime, client, url })
        }

        /// Makes all calls at once.
        pub(super) fn replies(&self, calls: Vec<Call>) -> Vec<Reply> {
            self.runtime.block_on(async {
                let running = calls.into_iter().map(|call| {
                    let timeout = Duration::from_millis(call.timeout_ms.into());
                    let max_body = call.max_body;
                    let request = self.request(call);
                    tokio::spawn(async move {
                        let reply = tokio::time::timeout(timeout, send(request, max_body)).await;
                        reply.unwrap_or_else(|_| Reply::http(504, "upstream request timeout"))
                    })
                });
                let running: Vec<_> = running.collect();
                let mut replies = Vec::with_capacity(running.len());
                for reply in running {
                    replies.push(reply.await.unwrap_or(Reply::Failed(Failure::Unavailable)));
                }
                replies
            })
        }

        /// The call's own path, unless the URL has one.
        fn request(&self, call: Call) -> reqwest::RequestBuilder {
            let header =
                |name: &str| call.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value);
            let mut url = self.url.clone();
            if let Some(path) = header(":path").filter(|_| url.path() == "/") {
                let (path, query) =
                    path.split_once('?').map_or((path.as_str(), None), |(path, query)| (path, Some(query)));
                url.set_path(path);
                url.set_query(query);
            }
            let mut request = self.client.post(url);
            if let Some(host) = header(":authority") {
                request = request.header("host", host);
            }
            for (name, value) in call.headers.iter().filter(|(name, _)| !name.starts_with(':')) {
                request = request.header(name, value);
            }
            request.body(call.body)
        }
    }

    async fn send(request: reqwest::RequestBuilder, max_body: usize) -> Reply {
        let Ok(mut response) = request.send().await else { return Reply::Failed(Failure::Unavailable) };
        let status = response.status().as_u16();
        let mut body = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len().saturating_add(chunk.len()) > max_body => {
                    return Reply::Failed(Failure::TooLarge);
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => return Reply::http(status, body),
                Err(_) => return Reply::Failed(Failure::Unavailable),
            }
        }
    }
}
