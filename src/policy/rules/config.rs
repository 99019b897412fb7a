//! `config`: what the image's configuration says of how it runs.

use crate::model::config::{Execution, ImageConfig};
use crate::model::fact::Fact;
use crate::model::path::escape;
use crate::model::platform::Platform;
use crate::policy::checked::{checked, describe};
use crate::policy::fields::Fields;
use crate::policy::rule::{Decided, Reading, Rule, Sealed, Settings, Subject};

/// The kind `config`.
pub(crate) struct ConfigRule;

impl Rule for ConfigRule {
    fn kind(&self) -> &'static str {
        "config"
    }

    fn summary(&self) -> &'static str {
        "the image runs as a user other than root, without privileged ports, set-id files or secrets in its environment"
    }

    fn timed(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct ConfigSettings {
    user_nonroot: bool,
    low_ports_denied: bool,
    env_secrets_denied: bool,
    setuid_denied: bool,
}

/// The checks that find files that run with another's rights: set-id bits, and capabilities.
const SETUID: &[&str] = &["LYR-010", "LYR-011"];

impl Sealed for ConfigRule {
    fn settings(&self, document: &mut Reading<'_>) -> Option<Box<dyn Settings>> {
        let errors = &mut *document.errors;
        let mut fields = errors.keep(Fields::of(document.node, "`config`"))?;
        let users = [("nonroot", true), ("any", false)];
        let verdicts = [("deny", true), ("allow", false)];
        let user_nonroot = fields.read("user", errors, |node| node.word(&users)).unwrap_or(false);
        let mut denied = |key| fields.read(key, errors, |node| node.word(&verdicts)).unwrap_or(false);
        let low_ports_denied = denied("exposedPortsBelow1024");
        let env_secrets_denied = denied("envSecrets");
        let setuid_denied = denied("setuid");
        fields.finish_some(&[], errors);
        Some(Box::new(ConfigSettings { user_nonroot, low_ports_denied, env_secrets_denied, setuid_denied }))
    }
}

impl Settings for ConfigSettings {
    fn decide(&self, subject: &Subject<'_>) -> Decided {
        let mut decided = Decided::default();
        for platform in subject.platforms(&mut decided) {
            let place = &platform.platform;
            match &platform.config {
                Fact::Known(config) => self.check(config, place, &mut decided),
                Fact::Absent => decided.undecided(Some(place), "the image has no configuration"),
                Fact::Unknown(cause) => decided
                    .undecided(Some(place), format!("the image configuration could not be read: {cause}")),
            }
        }
        if self.setuid_denied {
            let checked = checked(subject, &mut decided);
            let violations = checked.into_iter().flat_map(|checked| &checked.violations);
            for violation in violations.filter(|violation| SETUID.contains(&violation.check)) {
                decided.violate(violation.platform.as_ref(), describe(violation));
            }
        }
        decided
    }

    fn needs_checks(&self) -> bool {
        self.setuid_denied
    }
}

impl ConfigSettings {
    fn check(&self, config: &ImageConfig, place: &Platform, decided: &mut Decided) {
        let nothing = Execution::default();
        let execution = config.config.as_ref().unwrap_or(&nothing);
        if self.user_nonroot {
            check_user(execution.user.as_deref().unwrap_or_default(), place, decided);
        }
        if self.low_ports_denied {
            for port in execution.exposed_ports.iter().flatten().map(|(port, _)| port) {
                check_port(port, place, decided);
            }
        }
        if self.env_secrets_denied {
            for variable in execution.env.iter().flatten() {
                let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
                if is_secret(name, value) {
                    // The value stays out of the message: reports are read by more people than images.
                    let text =
                        format!("the environment variable `{}` holds a secret", escape(name.as_bytes()));
                    decided.violate(Some(place), text);
                }
            }
        }
    }
}

/// OCI config.md: `User` is `user`, `uid`, `user:group`, `uid:gid`, …, and empty means root.
fn check_user(user: &str, place: &Platform, decided: &mut Decided) {
    let name = user.split_once(':').map_or(user, |(name, _)| name).trim();
    let shown = escape(user.as_bytes());
    match name.parse::<u32>() {
        _ if name.is_empty() => decided.violate(Some(place), "it runs as root: no user is set"),
        _ if name == "root" => {
            decided.violate(Some(place), format!("it runs as root: the user is `{shown}`"))
        }
        Ok(0) => decided.violate(Some(place), format!("it runs as root: the user is `{shown}`")),
        Ok(_) => {}
        // Any name may have the uid 0 in the image's /etc/passwd; the kubelet refuses names for the
        // same reason (runAsNonRoot).
        Err(_) => decided.undecided(
            Some(place),
            format!(
                "the user `{shown}` is a name, which may stand for uid 0: set a number, such as `USER 10001`"
            ),
        ),
    }
}

/// OCI config.md: `port`, `port/tcp`, `port/udp`; a range as Docker writes it is looked at by its start.
fn check_port(text: &str, place: &Platform, decided: &mut Decided) {
    let number = text.split_once('/').map_or(text, |(number, _)| number);
    let first = number.split_once('-').map_or(number, |(first, _)| first);
    let shown = escape(text.as_bytes());
    match first.parse::<u16>() {
        Ok(port) if port < 1024 => {
            decided.violate(Some(place), format!("it exposes the privileged port `{shown}`"));
        }
        Ok(_) => {}
        Err(_) => decided.undecided(Some(place), format!("the exposed port `{shown}` is no number")),
    }
}

/// Words that, as a part of a variable's name, say that its value is a secret.
const SECRET_WORDS: &[&str] =
    &["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "APIKEY", "CREDENTIALS"];

/// The same in two words.
const SECRET_PAIRS: &[(&str, &str)] =
    &[("API", "KEY"), ("ACCESS", "KEY"), ("PRIVATE", "KEY"), ("SIGNING", "KEY"), ("ENCRYPTION", "KEY")];

/// Last words of names that say where a secret is or how it is made, not what it is.
const POINTERS: &[&str] =
    &["FILE", "PATH", "DIR", "URL", "URI", "NAME", "ID", "TTL", "LENGTH", "EXPIRY", "ISSUER"];

/// How the values of well-known secrets begin.
const SECRET_VALUES: &[&str] = &[
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "npm_",
    "pypi-",
    "dckr_pat_",
    "AKIA",
    "-----BEGIN",
];

fn is_secret(name: &str, value: &str) -> bool {
    if value.trim().is_empty() {
        return false;
    }
    if SECRET_VALUES.iter().any(|start| value.starts_with(start) && value.len() >= start.len() + 8) {
        return true;
    }
    let name = name.to_ascii_uppercase();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    if words.last().is_some_and(|last| POINTERS.contains(last)) {
        return false;
    }
    words.iter().any(|word| SECRET_WORDS.contains(word))
        || words.windows(2).any(|pair| matches!(pair, [a, b] if SECRET_PAIRS.contains(&(*a, *b))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::verdict::Outcome::{self, Hold, Undecided, Violate};
    use crate::model::violation::CheckSeverity;
    use crate::policy::fixture::{Case, checked, on_first, violation};

    fn case(rule: &str, change: impl Fn(&mut Execution) + Clone + 'static) -> Case {
        Case::rule(rule).with(on_first(move |p| {
            if let Fact::Known(config) = &mut p.0.config {
                change(config.config.get_or_insert_default());
            }
        }))
    }

    fn user(name: &str) -> Outcome {
        let name = name.to_owned();
        case("config: {user: nonroot}", move |config| config.user = Some(name.clone())).outcome()
    }

    #[test]
    fn only_a_number_other_than_zero_is_certainly_not_root() {
        for (name, want) in [
            ("1000", Hold),
            ("65532:65532", Hold),
            ("10001:0", Hold),
            ("", Violate),
            (":1000", Violate),
            ("0", Violate),
            ("00:5", Violate),
            ("root", Violate),
            ("root:app", Violate),
            ("app", Undecided),
            ("4294967296", Undecided),
            ("-0", Undecided),
            ("toor", Undecided),
        ] {
            assert_eq!(user(name), want, "{name:?}");
        }
        let unset = case("config: {user: nonroot}", |config| config.user = None);
        assert_eq!(unset.outcome(), Violate);
    }

    #[test]
    fn ports_below_1024_are_privileged() {
        for (port, want) in [
            ("8080/tcp", Hold),
            ("1024", Hold),
            ("443/tcp", Violate),
            ("80-8080/tcp", Violate),
            ("0x50/tcp", Undecided),
            ("", Undecided),
        ] {
            let set = move |config: &mut Execution| {
                config.exposed_ports = Some([(port.to_owned(), serde_json::json!({}))].into());
            };
            assert_eq!(case("config: {exposedPortsBelow1024: deny}", set).outcome(), want, "{port:?}");
        }
    }

    #[test]
    fn secrets_in_the_environment_are_found_and_not_shown() {
        for (variable, want) in [
            ("DB_PASSWORD=hunter2-hunter2", Violate),
            ("AWS_SECRET_ACCESS_KEY=abc", Violate),
            ("api-key=abc", Violate),
            ("HARMLESS=ghp_0123456789abcdef", Violate),
            ("DB_PASSWORD=", Hold),
            ("DB_PASSWORD", Hold),
            ("DB_PASSWORD_FILE=/run/secrets/db", Hold),
            ("GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568", Hold),
            ("PATH=/usr/bin", Hold),
            ("TOKENIZERS_PARALLELISM=false", Hold),
        ] {
            let set = move |config: &mut Execution| config.env = Some(vec![variable.to_owned()]);
            let case = case("config: {envSecrets: deny}", set);
            assert_eq!(case.outcome(), want, "{variable}");
            assert!(!case.texts().iter().any(|text| text.contains("hunter2")), "the value is shown");
        }
    }

    #[test]
    fn a_configuration_that_is_not_known_is_undecided() {
        for fact in [Fact::Absent, Fact::Unknown("x".to_owned())] {
            let case =
                Case::rule("config: {envSecrets: deny}").with(on_first(move |p| p.0.config = fact.clone()));
            assert_eq!(case.outcome(), Undecided);
        }
    }

    #[test]
    fn files_that_run_with_anothers_rights_are_found_by_the_checks() {
        let rule = "config: {setuid: deny}";
        for id in SETUID {
            let found = violation(id, CheckSeverity::Medium);
            assert_eq!(Case::rule(rule).with(checked([found])).outcome(), Violate, "{id}");
        }
        assert_eq!(Case::rule(rule).with(checked([])).outcome(), Hold);
        assert_eq!(Case::rule(rule).with(|e| e.checked = Fact::Absent).outcome(), Undecided);
    }

    #[test]
    fn a_word_that_is_misspelt_is_an_error() {
        assert_eq!(Case::error("config: {user: nonrot}").help.as_deref(), Some("did you mean `nonroot`?"));
    }
}
