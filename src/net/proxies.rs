//! Proxies, as the environment names them.

use reqwest::{ClientBuilder, NoProxy, Proxy};

/// Proxies. A proxy resolves the names of hosts: whoever judges addresses then sees only names and literal
/// addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// For `https` (`HTTPS_PROXY`).
    pub https: Option<String>,
    /// For `http` (`HTTP_PROXY`).
    pub http: Option<String>,
    /// Hosts that are reached without (`NO_PROXY`).
    pub none: Option<String>,
}

impl Proxies {
    /// Has a client use them.
    ///
    /// # Errors
    /// Where one of them is no URL.
    pub(crate) fn apply(&self, mut builder: ClientBuilder) -> reqwest::Result<ClientBuilder> {
        let none = self.none.as_deref().and_then(NoProxy::from_string);
        if let Some(proxy) = &self.https {
            builder = builder.proxy(Proxy::https(proxy)?.no_proxy(none.clone()));
        }
        if let Some(proxy) = &self.http {
            builder = builder.proxy(Proxy::http(proxy)?.no_proxy(none));
        }
        Ok(builder)
    }
}
