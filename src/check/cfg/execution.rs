//! What the configuration makes a runtime do: `config` of OCI config.md.

use serde_json::Value;

use crate::check::json_scan::join;
use crate::check::look::Look;
use crate::model::violation::CheckSeverity;

use super::table::{CFG_007, CFG_008, CFG_009, CFG_010, CFG_012, CFG_013};
use crate::inventory::secrets;

/// Paths that a container must not have as a volume.
const SENSITIVE: &[&str] = &[
    "/",
    "/etc",
    "/root",
    "/proc",
    "/sys",
    "/dev",
    "/boot",
    "/bin",
    "/sbin",
    "/usr",
    "/lib",
    "/home",
    "/var/run",
    "/run",
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
];

/// Directories that everybody can write to.
const WRITABLE: &[&str] = &["/tmp", "/var/tmp", "/dev/shm", "/run/lock"];

/// Variables with paths that programs and libraries are searched in.
const SEARCHED: &[&str] = &["PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "LD_AUDIT"];

/// Programs that are shells.
pub(super) const SHELLS: &[&str] = &["sh", "bash", "ash", "dash", "zsh", "ksh", "fish", "busybox", "pwsh"];

/// CFG-007 to CFG-010, CFG-012 and CFG-013.
pub(super) fn look(look: &mut Look<'_, '_>) {
    let windows = look.text("/os") == Some("windows");
    user(look, windows);
    variables(look, windows);
    for key in ["/author", "/comment", "/config/WorkingDir"] {
        let text = look.text(key).unwrap_or_default().to_owned();
        secret_in(look, key, key, &text);
    }
    for (index, argument) in look.list("/config/Healthcheck/Test").to_vec().iter().enumerate() {
        let text = argument.as_str().unwrap_or_default();
        secret_in(look, &format!("/config/Healthcheck/Test/{index}"), "Healthcheck", text);
    }
    for key in ["Entrypoint", "Cmd", "OnBuild", "Shell"] {
        for (index, argument) in look.list(&format!("/config/{key}")).iter().enumerate() {
            let text = argument.as_str().unwrap_or_default();
            secret_in(look, &format!("/config/{key}/{index}"), key, text);
            if let Some((name, value)) = text.split_once('=') {
                named_secret(look, &format!("/config/{key}/{index}"), name.trim_start_matches('-'), value);
            }
        }
    }
    let labels = look.value().and_then(|value| value.pointer("/config/Labels")).and_then(Value::as_object);
    for (name, value) in labels.into_iter().flatten() {
        let (at, text) = (join("/config/Labels", name), value.as_str().unwrap_or_default());
        if !named_secret(look, &at, name, text) {
            secret_in(look, &at, name, text);
        }
    }
    exposed(look);
    shell(look);
}

/// CFG-008 and CFG-010.
fn user(look: &mut Look<'_, '_>, windows: bool) {
    let user = look.text("/config/User").unwrap_or_default();
    let name = user.split(':').next().unwrap_or_default();
    let root = name.is_empty() || name == "root" || name.parse::<u64>() == Ok(0);
    if root && !windows {
        let message = if name.is_empty() { "no user is set: it runs as root" } else { "it runs as root" };
        look.say(&CFG_008, "/config/User", message);
    }
    let check = look.value().and_then(|value| value.pointer("/config/Healthcheck"));
    let test = check.and_then(|check| check.get("Test")).and_then(Value::as_array);
    let none =
        test.is_none_or(|test| test.is_empty() || test.first().and_then(Value::as_str) == Some("NONE"));
    if none {
        look.say(&CFG_010, "/config", "there is no health check");
    }
}

fn variables(look: &mut Look<'_, '_>, windows: bool) {
    for (index, variable) in look.list("/config/Env").iter().enumerate() {
        let at = format!("/config/Env/{index}");
        let Some((name, value)) = variable.as_str().and_then(|text| text.split_once('=')) else { continue };
        if !named_secret(look, &at, name, value) {
            secret_in(look, &at, name, value);
        }
        if !windows && SEARCHED.contains(&name) {
            searched(look, &at, name, value);
        }
    }
}

/// CFG-013.
fn searched(look: &mut Look<'_, '_>, at: &str, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    // The loader also takes spaces between the files of LD_PRELOAD.
    let preload = name == "LD_PRELOAD";
    for element in value.split(|c| c == ':' || (preload && c == ' ')) {
        let writable = WRITABLE
            .iter()
            .any(|dir| element.strip_prefix(dir).is_some_and(|r| r.is_empty() || r.starts_with('/')));
        let cause = match element {
            "" if preload => continue,
            "" => "an empty element, which is the working directory",
            _ if writable => "an element that everybody can write to",
            // A library without a slash is searched for in trusted directories.
            _ if preload && !element.contains('/') => continue,
            _ if !element.starts_with('/') => "a relative element",
            _ => continue,
        };
        look.show(&CFG_013, CFG_013.severity, at, format!("{name} has {cause}"), Some(element));
    }
}

/// CFG-007 by what a text holds.
pub(super) fn secret_in(look: &mut Look<'_, '_>, at: &str, name: &str, text: &str) {
    if let Some(kind) = secrets::in_text(text) {
        look.show(&CFG_007, CFG_007.severity, at, format!("{kind} in `{name}`"), Some(&masked(name, text)));
    }
}

/// CFG-007 by what a variable is called; whether it fires.
pub(super) fn named_secret(look: &mut Look<'_, '_>, at: &str, name: &str, value: &str) -> bool {
    let found = secrets::is_secret_name(name) && is_literal(value);
    if found {
        let message = format!("the value of `{name}`, which is called a secret");
        look.show(&CFG_007, CFG_007.severity, at, message, Some(&masked(name, value)));
    }
    found
}

/// The name, and how long the value is: never a part of it.
fn masked(name: &str, value: &str) -> String {
    let name: String = name.chars().take(60).collect();
    format!("{name}=*** ({} characters)", value.chars().count())
}

/// Whether a value could be a secret itself: no reference to one, no path, no placeholder, no setting.
fn is_literal(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    let lower = value.to_ascii_lowercase();
    let setting =
        ["true", "false", "yes", "no", "none", "null", "changeme", "redacted", "required", "optional"];
    !value.is_empty()
        && !value.contains('$')
        && !value.starts_with(['/', '<', '{', '%', '*', '.'])
        && !lower.starts_with("file:")
        && !lower.starts_with("http://")
        && !lower.starts_with("https://")
        && !setting.contains(&lower.as_str())
        && !value.bytes().all(|b| b.is_ascii_digit() && value.len() < 6)
        && !value.bytes().all(|b| b == b'x' || b == b'X' || b == b'*')
        && !is_fingerprint(value)
}

/// Fingerprints of public keys and checksums: 40, 64 or more hexadecimal digits, which a secret could be
/// too; but a name that only says TOKEN is asked, so only upper-case fingerprints pass.
fn is_fingerprint(value: &str) -> bool {
    value.len() == 40 && value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
}

/// CFG-009.
fn exposed(look: &mut Look<'_, '_>) {
    let keys = |at: &str| look.value().and_then(|v| v.pointer(at)).and_then(Value::as_object);
    let (volumes, ports) = (keys("/config/Volumes"), keys("/config/ExposedPorts"));
    for (path, _) in volumes.into_iter().flatten() {
        let trimmed = path.trim_end_matches('/');
        let trimmed = if trimmed.is_empty() { "/" } else { trimmed };
        if SENSITIVE.contains(&trimmed) {
            let at = join("/config/Volumes", path);
            look.show(&CFG_009, CFG_009.severity, &at, "a volume over a system path", Some(path));
        }
    }
    for (port, _) in ports.into_iter().flatten() {
        if port == "22" || port == "22/tcp" {
            let at = join("/config/ExposedPorts", port);
            look.show(&CFG_009, CFG_009.severity, &at, "the port of SSH is exposed", Some(port));
        }
    }
}

/// CFG-012.
fn shell(look: &mut Look<'_, '_>) {
    let key = if look.list("/config/Entrypoint").is_empty() { "Cmd" } else { "Entrypoint" };
    let [only] = look.list(&format!("/config/{key}")) else { return };
    let program = only.as_str().unwrap_or_default();
    if SHELLS.contains(&program.rsplit('/').next().unwrap_or_default()) {
        let at = format!("/config/{key}");
        look.show(&CFG_012, CheckSeverity::Info, &at, "it starts a shell", Some(program));
    }
}
