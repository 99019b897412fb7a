//! Installed Ruby gems: the specifications that RubyGems writes beside them (guides.rubygems.org,
//! "Specification Reference"; `Gem::StubSpecification` for the stub line). They are Ruby programs, which
//! are read by pattern: nothing is executed.

use std::collections::BTreeSet;

use crate::model::layer::{Facts, FoundPackage, Requirement};
use crate::model::path::{ImagePath, escape};

use super::words::word;
use super::{Cataloger, Unreadable};

/// Catalogs `specifications/NAME-VERSION[-PLATFORM].gemspec`, those of Ruby's default gems included.
pub(super) struct Gem;

/// The platform of gems that run everywhere; it is in no file name and no purl.
const ANY: &str = "ruby";

impl Cataloger for Gem {
    fn id(&self) -> &'static str {
        "gem"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        let mut parts = path.components().rev();
        parts.next().is_some_and(|name| name.ends_with(b".gemspec"))
            && parts.any(|part| part == b"specifications")
    }

    /// 16 MiB; real ones have a few kilobytes.
    fn limit(&self) -> u64 {
        16 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        // Old gems name their authors in Latin-1. Names and versions are ASCII, or are refused.
        let text = String::from_utf8_lossy(bytes);
        let file = String::from_utf8_lossy(path.file_name());
        let stem = file.strip_suffix(".gemspec").unwrap_or(&file);
        let body = Body::of(&text).map_err(Unreadable)?;
        let mut facts = Facts::default();
        let stub = stub(&text);
        let (id, guessed) = match (stub, body.id()) {
            (Some(stub), Some(body)) if stub != body => {
                // Attack: RubyGems lists what the stub says and loads what the program says.
                facts.blame(format!("its stub says {}, and its program {}", stub.shown(), body.shown()));
                (stub, false)
            }
            (Some(stub), _) => (stub, false),
            (None, Some(body)) => (body, false),
            (None, None) => (body.guess(stem).ok_or_else(|| Unreadable(UNTOLD.into()))?, true),
        };
        if id.full_name() != stem {
            facts.blame(format!("it says {} in a file named `{}`", id.shown(), escape(file.as_bytes())));
        }
        let name = gem_word("name", id.name)?;
        let version = gem_word("version", id.version)?;
        let platform = gem_word("platform", id.platform)?;
        facts.add(FoundPackage {
            kind: "gem",
            name,
            version,
            licenses: body.licenses,
            guessed,
            qualifiers: (platform != ANY).then_some(("platform", platform)).into_iter().collect(),
            requires: body.requires,
            ..FoundPackage::default()
        });
        Ok(facts)
    }
}

/// The cause where name and version are computed, and the file's name does not tell them either.
const UNTOLD: &str = "its name and version are computed, and its file's name does not tell them";

/// A name, version or platform: of ASCII letters, digits, `.`, `-` and `_`, as RubyGems itself demands.
fn gem_word(field: &str, text: &str) -> Result<String, Unreadable> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let text = word(field, Some(text)).map_err(Unreadable)?;
    if text.chars().all(fits) {
        return Ok(text);
    }
    Err(Unreadable(format!("its {field} is no {field} of a gem: `{}`", escape(text.as_bytes()))))
}

/// What tells a gem from others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Id<'a> {
    name: &'a str,
    version: &'a str,
    platform: &'a str,
}

impl Id<'_> {
    fn full_name(&self) -> String {
        match self.platform {
            ANY => format!("{}-{}", self.name, self.version),
            platform => format!("{}-{}-{platform}", self.name, self.version),
        }
    }

    /// For a cause: cut and without control characters.
    fn shown(&self) -> String {
        let name = self.full_name();
        format!("`{}`", escape(name.as_bytes().get(..200).unwrap_or(name.as_bytes())))
    }
}

/// `# stub: NAME VERSION PLATFORM PATHS`: in the first line, or in the second after one for editors.
fn stub(text: &str) -> Option<Id<'_>> {
    let mut lines = text.lines();
    let first = lines.next()?;
    let line = if first.starts_with("# -*-") { lines.next()? } else { first };
    let mut words = line.strip_prefix("# stub: ")?.split(' ');
    Some(Id { name: words.next()?, version: words.next()?, platform: words.next()? })
}

/// What the program assigns.
#[derive(Default)]
struct Body<'a> {
    name: Said<'a>,
    version: Said<'a>,
    platform: Said<'a>,
    licenses: Vec<String>,
    requires: Option<Vec<Requirement>>,
}

/// What is assigned to an attribute.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Said<'a> {
    #[default]
    Nothing,
    Text(&'a str),
    /// An expression that only Ruby can evaluate.
    Computed,
}

impl<'a> Body<'a> {
    fn of(text: &'a str) -> Result<Self, String> {
        let mut body = Self::default();
        let (mut runtime, mut development) = (BTreeSet::new(), BTreeSet::new());
        let (mut either, mut is_specification) = (BTreeSet::new(), false);
        for line in text.lines().map(str::trim_start) {
            is_specification |= line.starts_with("Gem::Specification.new");
            let Some((variable, rest)) = line.split_once('.') else { continue };
            if variable.is_empty() || !variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                continue;
            }
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (attribute, rest) = rest.split_at_checked(end).unwrap_or_default();
            let rest = rest.trim_start();
            let dependencies = match attribute {
                "add_runtime_dependency" => Some(&mut runtime),
                "add_development_dependency" => Some(&mut development),
                "add_dependency" => Some(&mut either),
                _ => None,
            };
            if let Some(dependencies) = dependencies {
                let argument = rest.strip_prefix('(').unwrap_or(rest);
                dependencies.extend(literal(argument).map(|(name, _)| name));
                continue;
            }
            // Not `==`.
            let value = rest.strip_prefix('=').filter(|rest| !rest.starts_with('=')).map(str::trim_start);
            let Some(value) = value else { continue };
            match attribute {
                "name" => body.name = body.name.and(attribute, value)?,
                "version" => body.version = body.version.and(attribute, value)?,
                "platform" => body.platform = body.platform.and(attribute, value)?,
                "license" | "licenses" => body.licenses.extend(literals(value).map(str::to_owned)),
                _ => {}
            }
        }
        // For RubyGems before 1.2 a specification repeats everything as `add_dependency`, with what only
        // development needs among it.
        runtime.extend(either.difference(&development));
        let needs = runtime.into_iter().filter(|name| super::words::is_word(name));
        body.requires = is_specification.then(|| needs.map(|name| vec![name.to_owned()]).collect());
        Ok(body)
    }

    /// What the program says in plain text.
    fn id(&self) -> Option<Id<'a>> {
        let platform = match self.platform {
            Said::Text(platform) => platform,
            Said::Nothing => ANY,
            Said::Computed => return None,
        };
        match (self.name, self.version) {
            (Said::Text(name), Said::Text(version)) => Some(Id { name, version, platform }),
            _ => None,
        }
    }

    /// Where the program computes something: what the file's name says, which RubyGems finds it by.
    fn guess(&self, stem: &'a str) -> Option<Id<'a>> {
        let starts = |at: &usize| {
            stem.get(at + 1..).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let split = match self.name {
            Said::Text(name) => {
                Some(name.len()).filter(|at| stem.starts_with(name) && stem.get(*at..*at + 1) == Some("-"))
            }
            // The version starts at the first hyphen before a digit, if there is one only.
            Said::Nothing | Said::Computed => {
                let mut splits = stem.match_indices('-').map(|(at, _)| at).filter(starts);
                splits.next().filter(|_| splits.next().is_none())
            }
        };
        let (name, rest) = (stem.get(..split?)?, stem.get(split? + 1..)?);
        let (version, platform) = rest.split_once('-').unwrap_or((rest, ANY));
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(Id { name, version, platform })
    }
}

impl<'a> Said<'a> {
    /// With one more assignment of the same attribute.
    fn and(self, attribute: &str, value: &'a str) -> Result<Self, String> {
        let value =
            value.strip_prefix("Gem::Version.new").map_or(value, |rest| rest.trim_start_matches(['(', ' ']));
        let said = match literal(value) {
            Some((text, rest)) if ends(rest) => Self::Text(text),
            _ if value.starts_with("Gem::Platform::RUBY") => Self::Text(ANY),
            _ => Self::Computed,
        };
        match self {
            Self::Nothing => Ok(said),
            earlier if earlier == said => Ok(said),
            Self::Text(_) | Self::Computed => Err(format!("its {attribute} is assigned twice")),
        }
    }
}

/// Whether an expression that began with a literal says nothing else: `"1.0" + x` does.
fn ends(rest: &str) -> bool {
    let rest = rest.strip_prefix(".freeze").unwrap_or(rest).trim_start();
    let rest = rest.strip_prefix(')').unwrap_or(rest);
    let rest = rest.strip_prefix(".freeze").unwrap_or(rest).trim();
    rest.is_empty() || rest.starts_with('#') || rest.starts_with(';') || rest.starts_with("if ")
}

/// The string literal at the start of a text, without escapes or interpolation, and what follows it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let (close, inner) = match text.strip_prefix(['"', '\'']) {
        Some(inner) => (if text.starts_with('"') { '"' } else { '\'' }, inner),
        None => ('>', text.strip_prefix("%q<")?),
    };
    let (inner, rest) = inner.split_once(close)?;
    let is_computed = inner.contains('\\') || close == '"' && inner.contains("#{");
    (!is_computed).then_some((inner, rest))
}

/// The string literals of a list.
fn literals(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(['"', '\''])?;
        let (text, after) = literal(rest.get(start..)?)?;
        rest = after;
        Some(text)
    })
    .filter(|text| !text.is_empty() && text.len() <= 200)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATH: &str = "usr/lib/ruby/gems/3.0.0/specifications/demo-1.2.gemspec";

    fn parse(file: &str, text: &str) -> Result<Facts, Unreadable> {
        Gem.parse(&format!("gems/specifications/{file}").as_str().into(), text.as_bytes())
    }

    fn one(file: &str, text: &str) -> FoundPackage {
        let mut facts = parse(file, text).unwrap();
        assert_eq!(facts.unreadable, [""; 0]);
        facts.packages.remove(0)
    }

    #[test]
    fn a_specification_names_gem_licences_and_dependencies() {
        let text = include_str!("../../testdata/inventory/gem/demo-1.2-x86_64-linux.gemspec");
        let found = one("demo-1.2-x86_64-linux.gemspec", text);
        assert_eq!((found.name.as_str(), found.version.as_str()), ("demo", "1.2"));
        assert_eq!(found.qualifiers.get("platform").map(String::as_str), Some("x86_64-linux"));
        assert_eq!(found.licenses, ["MIT", "Ruby"]);
        assert_eq!(found.requires, Some(vec![vec!["rack".to_owned()], vec!["tilt".to_owned()]]));
        assert!(!found.guessed);
    }

    #[test]
    fn a_stub_or_plain_assignments_are_enough() {
        let found = one("a-b-1.gemspec", "# stub: a-b 1 ruby lib\n");
        assert_eq!((found.name.as_str(), found.version.as_str(), found.requires), ("a-b", "1", None));
        let text = "Gem::Specification.new do |spec|\n spec.name = 'a'\n spec.version = Gem::Version.new(\"2\")\nend";
        let found = one("a-2.gemspec", text);
        assert_eq!((found.version.as_str(), found.requires), ("2", Some(vec![])));
    }

    #[test]
    fn what_is_computed_is_told_by_the_file_name_or_unreadable() {
        let computed = "s.name = \"bundler\"\ns.version = Bundler::VERSION\n";
        let found = one("bundler-1.17.2.gemspec", computed);
        assert_eq!((found.version.as_str(), found.guessed), ("1.17.2", true));
        let found = one("x-1.0-java.gemspec", "s.name = \"x#{1}\"\n");
        assert_eq!((found.name.as_str(), found.qualifiers.len()), ("x", 1));
        assert_eq!(parse("bundler.gemspec", computed).unwrap_err().0, UNTOLD);
        assert_eq!(parse("a-1-2.gemspec", "").unwrap_err().0, UNTOLD);
        assert_eq!(parse("a-1.gemspec", "s.name = 'b'\ns.version = V").unwrap_err().0, UNTOLD);
    }

    #[test]
    fn statements_that_disagree_are_named() {
        let text = "# stub: a 1 ruby lib\ns.name = \"b\"\ns.version = \"1\"\n";
        assert_eq!(
            parse("a-1.gemspec", text).unwrap().unreadable,
            ["its stub says `a-1`, and its program `b-1`"]
        );
        let facts = parse("z-9.gemspec", "# stub: a 1 ruby lib\n").unwrap();
        assert_eq!(facts.unreadable, ["it says `a-1` in a file named `z-9.gemspec`"]);
        assert_eq!(facts.packages.len(), 1);
        let twice = "s.name = \"a\"\ns.name = \"b\"\ns.version = \"1\"\n";
        assert_eq!(parse("a-1.gemspec", twice).unwrap_err().0, "its name is assigned twice");
        assert!(parse("a-1.gemspec", "# stub: a\u{7} 1 ruby lib\n").is_err());
    }

    #[test]
    fn only_specifications_are_wanted() {
        let wants = |path: &str| Gem.wants(&path.into(), b"");
        assert!(wants(PATH) && wants("usr/lib/ruby/gems/3.0.0/specifications/default/json-2.0.gemspec"));
        assert!(!wants("srv/demo.gemspec") && !wants("specifications/a.rb"));
        assert!(Gem.wants(&ImagePath::normalise(b"\xff/specifications/a-1.gemspec").unwrap(), b""));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[#a-z.='\"%<>({\\\\\n 0-9-]{0,80}") {
            let _ = Gem.parse(&PATH.into(), &bytes).is_ok();
            let _ = parse(&format!("{}.gemspec", text.replace(['\n', '/'], "")), &format!("s.name = {text}\n# stub: {text}")).is_ok();
        }
    }
}
