//! Whom a certificate of Fulcio names.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Whom a certificate was issued to, by kind: a mail address is not the URI that is written alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Name {
    /// `rfc822Name`: a person's mail address.
    Mail(String),
    /// `uniformResourceIdentifier`: a workload, such as a workflow file at a ref.
    Uri(String),
    /// Fulcio's `otherName`: a user name.
    User(String),
}

impl Name {
    /// The name without its kind.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Mail(name) | Self::Uri(name) | Self::User(name) => name,
        }
    }

    /// The kind: `mail`, `uri` or `user`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mail(_) => "mail",
            Self::Uri(_) => "uri",
            Self::User(_) => "user",
        }
    }
}

/// Everything that a certificate says of its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Its one name.
    pub name: Name,
    /// The OpenID Connect issuer that vouched for it.
    pub issuer: Option<String>,
    /// What Fulcio wrote of the workload.
    pub claims: BTreeMap<Claim, String>,
}

macro_rules! claims {
    ($($variant:ident $number:literal $name:literal $doc:literal;)*) => {
        /// A claim that Fulcio writes into a certificate: an extension below `1.3.6.1.4.1.57264.1` (fulcio,
        /// docs/oid-info.md). The issuer and the name are no such claims; every holder has them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Claim {
            $(#[doc = $doc] $variant,)*
        }

        impl Claim {
            /// Every claim, by its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// What it is called in policies and on the command line.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The last number of its object identifier.
            #[must_use]
            pub fn number(self) -> u32 {
                match self { $(Self::$variant => $number),* }
            }
        }
    };
}

claims! {
    GithubWorkflowTrigger 2 "githubWorkflowTrigger" "The event that started the workflow. Deprecated.";
    GithubWorkflowSha 3 "githubWorkflowSha" "The commit that the workflow ran on. Deprecated.";
    GithubWorkflowName 4 "githubWorkflowName" "The workflow's display name. Deprecated.";
    GithubWorkflowRepository 5 "githubWorkflowRepository" "`owner/repository` of the workflow. Deprecated.";
    GithubWorkflowRef 6 "githubWorkflowRef" "The ref that the workflow ran on. Deprecated.";
    BuildSignerUri 9 "buildSignerUri" "The build instructions that signed, with their ref.";
    BuildSignerDigest 10 "buildSignerDigest" "The commit of the build instructions that signed.";
    RunnerEnvironment 11 "runnerEnvironment" "`github-hosted`, `self-hosted`, or another provider's word.";
    SourceRepository 12 "sourceRepository" "URI of the repository that was built.";
    SourceRepositoryDigest 13 "sourceRepositoryDigest" "The commit that was built.";
    SourceRepositoryRef 14 "sourceRepositoryRef" "The ref that was built.";
    SourceRepositoryId 15 "sourceRepositoryId" "The repository's lasting identifier.";
    SourceRepositoryOwner 16 "sourceRepositoryOwner" "URI of the repository's owner.";
    SourceRepositoryOwnerId 17 "sourceRepositoryOwnerId" "The owner's lasting identifier.";
    BuildConfigUri 18 "buildConfigUri" "The top-level build instructions, with their ref.";
    BuildConfigDigest 19 "buildConfigDigest" "The commit of the top-level build instructions.";
    BuildTrigger 20 "buildTrigger" "The event that started the build.";
    RunInvocationUri 21 "runInvocationUri" "The run that signed.";
    SourceRepositoryVisibility 22 "sourceRepositoryVisibility" "`public`, `private` or `internal`, when signed.";
    DeploymentEnvironment 23 "deploymentEnvironment" "The environment that the build deploys to.";
    TokenSubject 24 "tokenSubject" "`sub` of the identity token.";
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Claim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|claim| claim.name() == text);
        known.copied().ok_or_else(|| format!("no claim `{text}`"))
    }
}

impl Serialize for Signer {
    /// As reports have it: `{name, kind, issuer, claims{}}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let claims: BTreeMap<&str, &str> =
            self.claims.iter().map(|(claim, value)| (claim.name(), value.as_str())).collect();
        let mut fields = serializer.serialize_struct("Signer", 4)?;
        fields.serialize_field("name", self.name.as_str())?;
        fields.serialize_field("kind", self.name.kind())?;
        fields.serialize_field("issuer", &self.issuer)?;
        fields.serialize_field("claims", &claims)?;
        fields.end()
    }
}
