//! WordPress, its plugins and its themes (developer.wordpress.org, "Header Requirements" of plugins and "Main
//! Stylesheet" of themes; `get_file_data` for how a header is read).

use crate::model::layer::{Facts, FoundPackage};
use crate::model::path::ImagePath;

use super::words::word;
use super::{Cataloger, Unreadable};

/// Catalogs `wp-includes/version.php`, `wp-content/plugins/NAME/*.php` (also single files, and
/// `mu-plugins`), and `wp-content/themes/NAME/style.css`; also where the folder has another name of [`CONTENT`].
pub(super) struct Wordpress;

/// Names of the folder for what is no part of WordPress. A site may give it any (`WP_CONTENT_DIR`): Bedrock calls
/// it `app`, other skeletons `content`.
const CONTENT: &[&[u8]] = &[b"wp-content", b"app", b"content"];

/// Bytes in which WordPress looks for a header.
const HEADER: usize = 8 << 10;

/// Which file of an installation a path is; the name is that of its directory or file.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Core,
    Plugin(String),
    Theme(String),
}

impl Cataloger for Wordpress {
    fn id(&self) -> &'static str {
        "wordpress"
    }

    fn wants(&self, path: &ImagePath, _: &[u8]) -> bool {
        part(path).is_some()
    }

    fn reads_alike(&self, a: &ImagePath, b: &ImagePath) -> bool {
        is_own(a) == is_own(b)
    }

    /// 64 MiB: of a file of a plugin only the front is read.
    fn limit(&self) -> u64 {
        64 << 20
    }

    fn parse(&self, path: &ImagePath, bytes: &[u8]) -> Result<Facts, Unreadable> {
        let text = String::from_utf8_lossy(bytes.get(..HEADER).unwrap_or(bytes)).replace('\r', "\n");
        let (name, version, cpe) = match part(path) {
            Some(Part::Core) => {
                let version = text.lines().find_map(|line| {
                    let rest =
                        line.trim_start().strip_prefix("$wp_version")?.trim_start().strip_prefix('=')?;
                    rest.trim_start().strip_prefix(['\'', '"'])?.split(['\'', '"']).next()
                });
                let cpe = "cpe:2.3:a:wordpress:wordpress";
                ("core/wordpress".to_owned(), version.map(str::to_owned), Some(cpe))
            }
            // Other files of a plugin have no header, and WordPress does not list them.
            Some(Part::Plugin(_)) if header(&text, "Plugin Name").is_none() => return Ok(Facts::default()),
            Some(Part::Plugin(name)) => (format!("plugins/{name}"), header(&text, "Version"), None),
            // Only the folder's own name says that a style sheet is a theme's.
            Some(Part::Theme(_)) if !is_own(path) && header(&text, "Theme Name").is_none() => {
                return Ok(Facts::default());
            }
            Some(Part::Theme(name)) => (format!("themes/{name}"), header(&text, "Version"), None),
            None => return Err(Unreadable("no file of WordPress".into())),
        };
        let version = word("version", version.as_deref()).map_err(Unreadable)?;
        let cpe = cpe.map(|cpe| format!("{cpe}:{}:*:*:*:*:*:*:*", version.replace('-', "\\-")));
        let package = FoundPackage {
            kind: "wordpress",
            name: word("name", Some(&name)).map_err(Unreadable)?,
            version,
            licenses: header(&text, "License").into_iter().collect(),
            cpe,
            location: path.parent(),
            ..FoundPackage::default()
        };
        Ok(Facts { packages: vec![package], ..Facts::default() })
    }
}

/// Whether a theme lies in the folder that only WordPress has.
fn is_own(path: &ImagePath) -> bool {
    path.components().rev().nth(3) == Some(b"wp-content")
}

fn part(path: &ImagePath) -> Option<Part> {
    let mut parts = path.components().rev();
    let (file, directory, above) = (parts.next()?, parts.next()?, parts.next());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let is_content = |part: Option<&[u8]>| part.is_some_and(|part| CONTENT.contains(&part));
    let is_plugins = |part: &[u8]| matches!(part, b"plugins" | b"mu-plugins");
    match (file, directory) {
        (b"version.php", b"wp-includes") => return Some(Part::Core),
        (b"style.css", name) if above == Some(b"themes") && is_content(parts.next()) => {
            return Some(Part::Theme(text(name)));
        }
        _ => {}
    }
    let plugin = file.strip_suffix(b".php")?;
    if is_plugins(directory) && is_content(above) {
        return Some(Part::Plugin(text(plugin)));
    }
    (above.is_some_and(is_plugins) && is_content(parts.next())).then(|| Part::Plugin(text(directory)))
}

/// The value of a header's field: behind whatever marks of a comment, up to the end of the comment or line.
fn header(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let line = line.trim_start_matches([' ', '\t']);
        let line = line.strip_prefix("<?php").unwrap_or(line);
        let line = line.trim_start_matches([' ', '\t', '/', '*', '#', '@']);
        let (_, value) = line.split_once(':').filter(|(field, _)| field.eq_ignore_ascii_case(name))?;
        let value = value.split("*/").next()?.split("?>").next()?.trim();
        (!value.is_empty()).then(|| value.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PLUGIN: &str = "var/www/html/wp-content/plugins/demo/demo.php";

    fn parse(path: &str, text: &[u8]) -> Result<Facts, Unreadable> {
        Wordpress.parse(&path.into(), text)
    }

    fn one(path: &str, text: &str) -> (String, String) {
        let package = parse(path, text.as_bytes()).unwrap().packages.remove(0);
        (package.name, package.version)
    }

    #[test]
    fn core_plugins_and_themes_are_named_by_their_directories() {
        let plugin = include_str!("../../testdata/inventory/wordpress/demo.php");
        assert_eq!(one(PLUGIN, plugin), ("plugins/demo".into(), "1.2.3".into()));
        assert_eq!(
            one("wp-content/mu-plugins/a.php", "<?php /* Plugin Name: A */ \n# Version: 2 ?>"),
            ("plugins/a".into(), "2".into())
        );
        assert_eq!(
            one("wp-content/themes/t/style.css", "/*\r\nTheme Name: T\r\nVersion: 3\r\n*/"),
            ("themes/t".into(), "3".into())
        );
        let core = parse("srv/wp-includes/version.php", b"<?php\n$wp_version = '6.4.2';\n").unwrap();
        assert_eq!(core.packages[0].version, "6.4.2");
        assert_eq!(
            core.packages[0].cpe.as_deref(),
            Some("cpe:2.3:a:wordpress:wordpress:6.4.2:*:*:*:*:*:*:*")
        );
    }

    #[test]
    fn the_folder_of_plugins_and_themes_may_have_another_name() {
        for (path, text, want) in [
            ("srv/web/app/plugins/demo/demo.php", "Plugin Name: A\nVersion: 1", "plugins/demo"),
            ("srv/web/app/mu-plugins/load.php", "Plugin Name: A\nVersion: 1", "plugins/load"),
            ("app/mu-plugins/demo/demo.php", "Plugin Name: A\nVersion: 1", "plugins/demo"),
            ("content/themes/demo/style.css", "Theme Name: A\nVersion: 1", "themes/demo"),
        ] {
            assert!(Wordpress.wants(&path.into(), b""), "{path}");
            assert_eq!(one(path, text), (want.into(), "1".into()), "{path}");
        }
        for path in ["app/plugins/demo/demo.php", "app/themes/demo/style.css"] {
            assert_eq!(parse(path, b"/* another framework */ Version: 1"), Ok(Facts::default()), "{path}");
        }
        assert!(parse("app/plugins/demo/demo.php", b"Plugin Name: A").is_err());
        assert!(parse("app/themes/demo/style.css", b"Theme Name: A").is_err());
        assert!(parse("wp-content/themes/demo/style.css", b"").is_err());
    }

    #[test]
    fn other_files_of_a_plugin_say_nothing() {
        assert_eq!(parse(PLUGIN, b"<?php // Version: 1"), Ok(Facts::default()));
        assert_eq!(
            parse(PLUGIN, &[b" ".repeat(HEADER).as_slice(), b"Plugin Name: A"].concat()),
            Ok(Facts::default())
        );
    }

    #[test]
    fn what_has_no_version_is_unreadable() {
        assert_eq!(parse(PLUGIN, b"Plugin Name: A").unwrap_err().0, "it has no version");
        assert_eq!(
            parse(PLUGIN, b"Plugin Name: A\nVersion: 1 2").unwrap_err().0,
            "its version is no word: `1 2`"
        );
        assert_eq!(parse("wp-includes/version.php", b"\xff").unwrap_err().0, "it has no version");
        assert!(parse("wp-content/plugins/a b/c.php", b"Plugin Name: A\nVersion: 1").is_err());
    }

    #[test]
    fn only_files_with_headers_are_wanted() {
        let wants = |path: &str| Wordpress.wants(&path.into(), b"");
        assert!(wants(PLUGIN) && wants("wp-content/plugins/hello.php") && wants("wp-includes/version.php"));
        for path in [
            "wp-content/plugins/demo/inc/a.php",
            "plugins/demo/demo.php",
            "srv/plugins/demo/demo.php",
            "version.php",
            "wp-content/themes/style.css",
        ] {
            assert!(!wants(path), "{path}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[ \t/*#@:.a-zA-Z?><\r\n]{0,80}") {
            for path in [PLUGIN, "wp-includes/version.php", "wp-content/themes/t/style.css"] {
                let _ = parse(path, &bytes).is_ok();
                let _ = parse(path, format!("Plugin Name:{text}\n$wp_version = '{text}").as_bytes()).is_ok();
            }
        }
    }
}
