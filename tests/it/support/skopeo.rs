//! `skopeo`, the other client.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use super::tool;

/// The program, with a home of its own.
pub struct Skopeo {
    program: PathBuf,
    home: TempDir,
}

/// How a registry is entered.
#[derive(Clone, Default)]
pub struct Access {
    /// `user:password`.
    pub password: Option<String>,
    /// A folder with `ca.crt`; without it TLS is not checked, and HTTP will do.
    pub certificates: Option<PathBuf>,
}

impl Access {
    /// The options, which skopeo prefixes by the side they are for.
    fn options(&self, side: &str) -> Vec<String> {
        let mut options = match &self.certificates {
            Some(folder) => vec![format!("--{side}cert-dir={}", folder.display())],
            None => vec![format!("--{side}tls-verify=false")],
        };
        options.extend(self.password.iter().map(|password| format!("--{side}creds={password}")));
        options
    }
}

/// Where skopeo is not installed the test says so, as [`tool`].
pub fn skopeo() -> Option<Skopeo> {
    Some(Skopeo { program: tool("skopeo")?, home: tempfile::tempdir().unwrap() })
}

impl Skopeo {
    pub fn run(&self, arguments: &[String]) -> Output {
        let mut command = Command::new(&self.program);
        command.arg("--insecure-policy").arg("--tmpdir").arg(self.home.path()).args(arguments);
        command.env_clear().env("HOME", self.home.path()).env("XDG_RUNTIME_DIR", self.home.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).output().unwrap()
    }

    fn succeed(&self, arguments: &[String]) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// Copies a tagged image of a layout, all platforms, to a registry.
    pub fn push(&self, layout: &Path, tag: &str, to: &str, access: &Access) {
        let mut arguments = vec!["copy".to_owned(), "--all".to_owned()];
        arguments.extend(access.options("dest-"));
        arguments.extend([format!("oci:{}:{tag}", layout.display()), format!("docker://{to}")]);
        self.succeed(&arguments);
    }

    /// Copies an image, all platforms, from a registry to a layout.
    pub fn pull(&self, from: &str, access: &Access, layout: &Path, tag: &str) {
        let mut arguments = vec!["copy".to_owned(), "--all".to_owned()];
        arguments.extend(access.options("src-"));
        arguments.extend([format!("docker://{from}"), format!("oci:{}:{tag}", layout.display())]);
        self.succeed(&arguments);
    }

    /// The bytes of a manifest or an index.
    pub fn inspect_raw(&self, reference: &str, access: &Access) -> Vec<u8> {
        let mut arguments = vec!["inspect".to_owned(), "--raw".to_owned()];
        arguments.extend(access.options(""));
        arguments.push(format!("docker://{reference}"));
        self.succeed(&arguments)
    }
}
