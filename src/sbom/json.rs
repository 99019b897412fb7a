//! JSON that is safe to print.

use serde::Serialize;

use crate::model::path::is_printable;

/// A document for a person and a machine: indented, with a newline at its end, and with every character
/// that a terminal would obey written as `\uNNNN`. A reader gets the very names that stood in the image;
/// a terminal shows them and does nothing else.
///
/// # Errors
/// Where `value` has no form in JSON, such as a map by other keys than text.
pub(super) fn document(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = printable(&serde_json::to_string_pretty(value)?);
    text.push('\n');
    Ok(text.into_bytes())
}

/// The same in one line, to stand as text inside another document.
///
/// # Errors
/// As [`document`].
pub(super) fn line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(|text| printable(&text))
}

/// `json` is what serde_json wrote: in its strings characters below a space are escaped already, and
/// outside of them there is only ASCII. So a newline is layout, and all else that cannot be printed
/// stands in a string.
fn printable(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || is_printable(c) {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_reads_back() {
        let name = "a\u{1b}[31m\n\u{9b}\u{7f}\u{202e}\u{e0041}ü\\\"";
        let text = String::from_utf8(document(&[name]).unwrap()).unwrap();
        assert_eq!(text, "[\n  \"a\\u001b[31m\\n\\u009b\\u007f\\u202e\\udb40\\udc41ü\\\\\\\"\"\n]\n");
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [name]);
    }

    proptest! {
        #[test]
        fn every_text_reads_back_and_stands_in_one_line(text in any::<String>()) {
            let written = line(&text).unwrap();
            prop_assert!(written.chars().all(is_printable));
            prop_assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
    }
}
