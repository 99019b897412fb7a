//! Secrets, as the families of documents ask for them.

use crate::inventory::secrets;

/// The kind of the first secret that a text holds, such as `a GitHub token`; never its value.
#[must_use]
pub fn in_text(text: &str) -> Option<&'static str> {
    secrets::in_text(text)
}

/// Whether a variable's name says that its value is a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    secrets::is_secret_name(name)
}
