//! Words for a request that got no answer.

use std::io;

use crate::model::path::escape;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What happened and what to do: a lowercase fragment.
    pub(crate) message: String,
    /// TLS failed: asking again cannot help.
    pub(crate) is_tls: bool,
}

impl Failure {
    /// The failure that an error of the HTTP library tells of.
    pub(crate) fn of(error: &reqwest::Error) -> Self {
        let mut last = error.to_string();
        let mut is_tls = false;
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(cause) = next {
            // What rustls finds comes as invalid data of the connection: nobody else has data to judge by then.
            let io = cause.downcast_ref::<io::Error>();
            is_tls |= error.is_connect() && io.is_some_and(is_invalid_data);
            last = cause.to_string();
            next = cause.source();
        }
        let cause = escape(last.as_bytes());
        let message = if is_tls {
            format!("TLS failed: {cause}")
        } else if error.is_dns() {
            format!(
                "the name of the host cannot be resolved: {cause}; check the name of the host, and whether this \
                 machine resolves names or needs a proxy"
            )
        } else if error.is_timeout() && error.is_connect() {
            "no connection comes about in time: check the name, the port and the network, or name a proxy"
                .to_owned()
        } else if error.is_timeout() {
            "the host does not answer in time: check the network and the proxy, or try again later".to_owned()
        } else if error.is_connect() {
            format!("no connection: {cause}; check the name, the port and the network, or name a proxy")
        } else {
            format!("the connection failed: {cause}")
        };
        Self { message, is_tls }
    }
}

fn is_invalid_data(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    error.kind() == io::ErrorKind::InvalidData || inner.is_some_and(is_invalid_data)
}
