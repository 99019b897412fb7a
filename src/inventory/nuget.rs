//! Libraries of a .NET application or shared framework (dotnet/sdk, "runtime-configuration-file.md").

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::model::layer::{Facts, FoundPackage, Requirement, Scope};
use crate::model::path::{ImagePath, escape};

use super::words::{Pairs, is_word, json, word};
use super::{Cataloger, Unreadable};

/// Catalogs `*.deps.json`.
pub(super) struct Nuget;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    runtime_target: Option<RuntimeTarget>,
    targets: Option<Pairs<Pairs<Assets>>>,
    libraries: Option<Pairs<Library>>,
}

/// The name of the target that the host reads; old tools wrote the name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum RuntimeTarget {
    Named { name: String },
    Name(String),
}

#[derive(Deserialize)]
struct Library {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// What a library has in one target.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Assets {
    dependencies: Option<Pairs<String>>,
    runtime: Option<Pairs<IgnoredAny>>,
    runtime_targets: Option<Pairs<IgnoredAny>>,
    native: Option<Pairs<IgnoredAny>>,
    resources: Option<Pairs<IgnoredAny>>,
}

impl Cataloger for Nuget {
    fn id(&self) -> &'static str {
        "nuget"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        path.file_name().ends_with(b".deps.json")
    }

    /// 16 MiB; large applications have a few hundred kilobytes.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, _: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let manifest: Manifest = json("a .NET dependency manifest", bytes)?;
        let targets = manifest.targets.ok_or_else(|| Unreadable("it has no targets".into()))?.0;
        let libraries = manifest.libraries.ok_or_else(|| Unreadable("it has no libraries".into()))?.0;
        let mut facts = Facts::default();
        let target = match manifest.runtime_target {
            Some(RuntimeTarget::Named { name } | RuntimeTarget::Name(name)) => {
                let found = targets.iter().find(|(key, _)| *key == name);
                if found.is_none() {
                    facts.blame("it has no target of its runtime target's name".into());
                }
                found
            }
            None => targets.first(),
        };
        let assets: std::collections::BTreeMap<&str, &Assets> = target
            .into_iter()
            .flat_map(|(_, target)| &target.0)
            .map(|(key, assets)| (key.as_str(), assets))
            .collect();
        let stated: std::collections::BTreeSet<&str> =
            libraries.iter().map(|(key, _)| key.as_str()).collect();
        let bare = assets.keys().filter(|key| !stated.contains(*key)).map(|key| (*key, None));
        let all = libraries.iter().map(|(key, library)| (key.as_str(), library.kind.as_deref())).chain(bare);
        for (key, kind) in all {
            match package(key, kind, assets.get(key).copied(), target.is_some()) {
                Ok(package) => facts.add(package),
                Err(cause) => {
                    let shown = escape(key.as_bytes().get(..100).unwrap_or(key.as_bytes()));
                    facts.blame(format!("library `{shown}`: {cause}"));
                }
            }
        }
        Ok(facts)
    }
}

/// A library of `NAME/VERSION`. One without files in the target that runs is not there itself: the SDK
/// found the same in the shared framework, or it was for the compiler only. `compileOnly` itself says nothing:
/// the host does not read it, and loads whatever files a library has.
fn package(
    key: &str,
    kind: Option<&str>,
    assets: Option<&Assets>,
    targeted: bool,
) -> Result<FoundPackage, String> {
    let (name, version) = key.rsplit_once('/').ok_or("it has no version")?;
    let application = matches!(kind, Some("project" | "msbuildproject"));
    let has_files = assets.is_some_and(Assets::any);
    let is_there = has_files || application || !targeted;
    let dependencies = assets.map(|assets| assets.dependencies.iter().flat_map(|pairs| &pairs.0));
    Ok(FoundPackage {
        kind: "nuget",
        name: word("name", Some(plain(name)))?,
        version: word("version", Some(version))?,
        application,
        scope: if is_there { Scope::Runtime } else { Scope::Build },
        // A reference is an assembly that no package manager brought; its name is that of its file.
        guessed: !matches!(kind, Some("package" | "project" | "msbuildproject" | "runtimepack")),
        requires: dependencies
            .map(|pairs| pairs.filter_map(|(name, version)| requirement(name, version)).collect()),
        ..FoundPackage::default()
    })
}

impl Assets {
    /// Whether it has a file. `lib/net6.0/_._` stands for none, and the host leaves it out.
    fn any(&self) -> bool {
        let any = |pairs: &Option<Pairs<IgnoredAny>>| {
            pairs.iter().flat_map(|pairs| &pairs.0).any(|(path, _)| !path.ends_with("/_._"))
        };
        any(&self.runtime) || any(&self.runtime_targets) || any(&self.native) || any(&self.resources)
    }
}

/// The package of a self-contained application's runtime is written with a prefix.
fn plain(name: &str) -> &str {
    name.strip_prefix("runtimepack.").unwrap_or(name)
}

fn requirement(name: &str, version: &str) -> Option<Requirement> {
    let exact = format!("{}@{version}", plain(name));
    is_word(&exact).then(|| vec![exact])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Result<Facts, Unreadable> {
        Nuget.parse(&"app/demo.deps.json".into(), bytes)
    }

    #[test]
    fn libraries_of_the_target_that_runs_have_edges() {
        let facts = parse(include_bytes!("../../testdata/inventory/nuget/demo.deps.json")).unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> = facts
            .packages
            .iter()
            .map(|p| (p.name.as_str(), p.version.as_str(), p.application, p.scope, p.guessed))
            .collect();
        let want = [
            ("Demo", "1.0.0", true, Scope::Runtime, false),
            ("Microsoft.NETCore.App.Runtime.linux-x64", "6.0.10", false, Scope::Runtime, false),
            ("Acme.Json", "13.0.1", false, Scope::Runtime, false),
            ("NETStandard.Library", "2.0.3", false, Scope::Build, false),
            ("Local", "2.0.0.0", false, Scope::Runtime, true),
        ];
        assert_eq!(found, want);
        let requires = facts.packages[0].requires.clone().unwrap().concat();
        assert_eq!(requires, ["Acme.Json@13.0.1", "Microsoft.NETCore.App.Runtime.linux-x64@6.0.10"]);
        assert_eq!(facts.packages[2].requires, Some(vec![]));
    }

    #[test]
    fn what_was_for_the_compiler_only_is_of_the_build() {
        let facts = parse(
            br#"{"runtimeTarget":{"name":"t"},"targets":{"t":{
                "Refs/1":{"compile":{"ref/net6.0/a.dll":{}},"compileOnly":true},
                "Meta/1":{"dependencies":{"Refs":"1"}},
                "Empty/1":{"runtime":{"lib/netstandard1.0/_._":{}},"resources":{}},
                "Lies/1":{"runtime":{"lib/net6.0/b.dll":{}},"compileOnly":true},
                "Local/1":{"native":{"x_._":{}}}}},
              "libraries":{"Refs/1":{"type":"package"},"Meta/1":{"type":"package"},"Empty/1":{"type":"package"},
                "Lies/1":{"type":"package"},"Local/1":{"type":"package"},"Analyzer/1":{"type":"package"}}}"#,
        )
        .unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        let found: Vec<_> = facts.packages.iter().map(|p| (p.name.as_str(), p.scope)).collect();
        let want = [
            ("Refs", Scope::Build),
            ("Meta", Scope::Build),
            ("Empty", Scope::Build),
            ("Lies", Scope::Runtime),
            ("Local", Scope::Runtime),
            ("Analyzer", Scope::Build),
        ];
        assert_eq!(found, want);
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_kept() {
        let facts = parse(
            br#"{"targets":{"t":{"B/2":{"runtime":{"b.dll":{}}}}},"libraries":{"A":{},"A/ ":{},"A/1":{}}}"#,
        )
        .unwrap();
        assert_eq!(facts.packages.iter().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
        assert_eq!(
            facts.unreadable,
            ["library `A`: it has no version", "library `A/ `: its version is no word: ` `"]
        );
        let facts =
            parse(br#"{"runtimeTarget":{"name":"x"},"targets":{},"libraries":{"A/1":{"type":"package"}}}"#)
                .unwrap();
        assert_eq!(facts.unreadable, ["it has no target of its runtime target's name"]);
        assert_eq!(facts.packages[0].scope, Scope::Runtime);
        for bytes in
            [&b""[..], b"{}", b"[]", b"{\"targets\":{}}", b"{\"targets\":{},\"libraries\":{\"\xff\":{}}}"]
        {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        assert!(parse("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn only_dependency_manifests_are_wanted() {
        assert!(Nuget.wants(
            &"usr/share/dotnet/shared/Microsoft.NETCore.App/6.0.1/Microsoft.NETCore.App.deps.json".into(),
            b""
        ));
        assert!(!Nuget.wants(&"app/demo.runtimeconfig.json".into(), b""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes).is_ok();
        }
    }
}
