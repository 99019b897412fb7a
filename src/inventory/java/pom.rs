//! `pom.xml`, as far as it speaks plainly (Maven, "POM Reference"): nothing is looked up in parents, and
//! no entity is expanded but XML's own five.

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use crate::model::layer::Requirement;

use super::{Coordinates, is_coordinate};

/// How deep elements nest in what is read: 64; real ones have ten levels.
const NESTING: usize = 64;

/// What stands for an entity that is not expanded: no name or version may have it.
const UNKNOWN: char = '\0';

/// What a project says of itself.
#[derive(Debug, Default)]
pub(super) struct Pom {
    own: Stated,
    parent: Stated,
    dependencies: Vec<Dependency>,
    /// Names of its licences.
    pub(super) licenses: Vec<String>,
    read: bool,
}

#[derive(Debug, Default)]
struct Stated {
    group: Option<String>,
    artifact: Option<String>,
    version: Option<String>,
}

#[derive(Debug, Default)]
struct Dependency {
    of: Stated,
    scope: Option<String>,
    optional: Option<String>,
}

/// Reads a project.
pub(super) fn parse(bytes: &[u8]) -> Result<Pom, String> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(&text));
    let mut pom = Pom { read: true, ..Pom::default() };
    let (mut path, mut value): (Vec<String>, _) = (Vec::new(), String::new());
    loop {
        match reader.read_event().map_err(|error| format!("not XML: {error}"))? {
            Event::Start(start) => {
                // Attack: a million open elements.
                if path.len() >= NESTING {
                    return Err(format!("nested deeper than {NESTING}"));
                }
                path.push(AsRef::<str>::as_ref(&start.local_name()).to_owned());
                value.clear();
                pom.open(&path);
            }
            Event::End(_) => {
                pom.close(&path, value.trim());
                path.pop();
                value.clear();
            }
            Event::Text(text) => value.push_str(&text.xml10_content()),
            Event::CData(text) => value.push_str(&text.xml10_content()),
            // Attack: an entity that expands to gigabytes, or to the content of a file.
            Event::GeneralRef(name) => value.push(known(&name)),
            Event::Eof if path.is_empty() => return Ok(pom),
            Event::Eof => return Err("cut short".into()),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn known(reference: &quick_xml::events::BytesRef<'_>) -> char {
    match AsRef::<str>::as_ref(reference) {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => reference.resolve_char_ref().ok().flatten().unwrap_or(UNKNOWN),
    }
}

impl Pom {
    fn open(&mut self, path: &[String]) {
        if parts(path) == ["project", "dependencies", "dependency"] {
            self.dependencies.push(Dependency::default());
        }
    }

    fn close(&mut self, path: &[String], value: &str) {
        let dependency = self.dependencies.last_mut();
        let field = match (parts(path).as_slice(), dependency) {
            (["project", "groupId"], _) => &mut self.own.group,
            (["project", "artifactId"], _) => &mut self.own.artifact,
            (["project", "version"], _) => &mut self.own.version,
            (["project", "parent", "groupId"], _) => &mut self.parent.group,
            (["project", "parent", "artifactId"], _) => &mut self.parent.artifact,
            (["project", "parent", "version"], _) => &mut self.parent.version,
            (["project", "dependencies", "dependency", "groupId"], Some(dependency)) => {
                &mut dependency.of.group
            }
            (["project", "dependencies", "dependency", "artifactId"], Some(dependency)) => {
                &mut dependency.of.artifact
            }
            (["project", "dependencies", "dependency", "scope"], Some(dependency)) => &mut dependency.scope,
            (["project", "dependencies", "dependency", "optional"], Some(dependency)) => {
                &mut dependency.optional
            }
            (["project", "licenses", "license", "name"], _) => {
                if !value.is_empty() && value.len() <= 200 && !value.contains(char::is_control) {
                    self.licenses.push(value.to_owned());
                }
                return;
            }
            _ => return,
        };
        *field = Some(value.to_owned());
    }

    /// Its coordinates, where they are plain. Group and version are the parent's where it has none.
    pub(super) fn coordinates(&self) -> Result<Coordinates, String> {
        let or = |own: &Option<String>, parent: &Option<String>| own.clone().or_else(|| parent.clone());
        Coordinates::new(
            or(&self.own.group, &self.parent.group),
            self.own.artifact.clone(),
            or(&self.own.version, &self.parent.version),
        )
    }

    /// What it needs at runtime, by name; `project` has the coordinates that its references mean. None
    /// where only a parent could say.
    pub(super) fn requires(&self, project: &Coordinates) -> Option<Vec<Requirement>> {
        if !self.read || self.dependencies.is_empty() && self.parent.artifact.is_some() {
            return None;
        }
        let is_needed = |dependency: &&Dependency| {
            dependency.scope.as_deref().is_none_or(|scope| matches!(scope, "" | "compile" | "runtime"))
                && dependency.optional.as_deref() != Some("true")
        };
        let name = |dependency: &Dependency| {
            let group = match dependency.of.group.as_deref()? {
                "${project.groupId}" | "${pom.groupId}" | "${groupId}" => project.group.as_str(),
                "${project.parent.groupId}" | "${parent.groupId}" => self.parent.group.as_deref()?,
                group => group,
            };
            let artifact = dependency.of.artifact.as_deref()?;
            (is_coordinate(group) && is_coordinate(artifact)).then(|| vec![format!("{group}:{artifact}")])
        };
        Some(self.dependencies.iter().filter(is_needed).filter_map(name).collect())
    }
}

fn parts(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POM: &str = r#"<?xml version="1.0"?>
        <!DOCTYPE project [<!ENTITY v "9">]>
        <project xmlns="http://maven.apache.org/POM/4.0.0"><!-- <version>0</version> -->
          <parent><groupId>org.a</groupId><artifactId>up</artifactId><version>1.0</version></parent>
          <artifactId> b </artifactId><name>B &amp; C</name>
          <licenses><license><name>MIT</name><url>x</url></license></licenses>
          <build><plugins><plugin><artifactId>p</artifactId><version>3</version></plugin></plugins></build>
          <dependencies>
            <dependency><groupId>${project.groupId}</groupId><artifactId>c</artifactId>
              <exclusions><exclusion><artifactId>no</artifactId></exclusion></exclusions></dependency>
            <dependency><groupId>x</groupId><artifactId>t</artifactId><scope>test</scope></dependency>
            <dependency><groupId>x</groupId><artifactId>o</artifactId><optional>true</optional></dependency>
            <dependency><groupId>${x}</groupId><artifactId>o</artifactId></dependency>
            <dependency><groupId>org.d</groupId><artifactId>d</artifactId><scope>runtime</scope></dependency>
          </dependencies>
        </project>"#;

    #[test]
    fn a_plain_project_states_its_coordinates_needs_and_licences() {
        let pom = parse(POM.as_bytes()).unwrap();
        let own = pom.coordinates().unwrap();
        assert_eq!((own.group.as_str(), own.artifact.as_str(), own.version.as_str()), ("org.a", "b", "1.0"));
        assert_eq!(pom.licenses, ["MIT"]);
        assert_eq!(pom.requires(&own).unwrap(), [["org.a:c"], ["org.d:d"]]);
    }

    #[test]
    fn what_is_not_plain_is_no_statement() {
        let cause = |text: String| parse(text.as_bytes()).and_then(|pom| pom.coordinates()).unwrap_err();
        let project = |version: &str| {
            cause(format!("<project><groupId>a</groupId><artifactId>b</artifactId>{version}</project>"))
        };
        assert_eq!(project("<version>${revision}</version>"), "its version is no word: `${revision}`");
        assert_eq!(project("<version>1&v;</version>"), "its version is no word: `1\\u{0}`");
        assert_eq!(project(""), "it has no version");
        assert!(project("<version>1</versio>").starts_with("not XML"));
        assert_eq!(cause(format!("<project>{}", "<a>".repeat(100))), "nested deeper than 64");
        assert_eq!(cause("<project>".into()), "cut short");
    }

    #[test]
    fn only_a_parent_could_say_what_a_project_without_dependencies_needs() {
        let own = Coordinates::default();
        let requires = |text: &str| parse(text.as_bytes()).unwrap().requires(&own);
        assert_eq!(requires("<project><parent><artifactId>a</artifactId></parent></project>"), None);
        assert_eq!(requires("<project></project>"), Some(Vec::new()));
        assert_eq!(Pom::default().requires(&own), None);
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[<>/a&;!\\[\\]CDAT?\"= -]{0,80}") {
            let _ = parse(format!("<project>{text}").as_bytes()).is_ok();
        }
    }
}
