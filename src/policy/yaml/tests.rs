use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

fn first_error(text: &str) -> PolicyError {
    parse(text.as_bytes()).unwrap_err().into_iter().next().unwrap()
}

/// Whatever a document holds, as JSON-like text.
fn show(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".into(),
        Value::Scalar { text, plain } => format!("{text}{}", if *plain { "" } else { "!" }),
        Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(",")),
        Value::Map(entries) => {
            let fields = entries.iter().map(|entry| format!("{}:{}", entry.key, show(&entry.value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
    }
}

#[test]
fn a_document_becomes_a_tree_in_its_own_order() {
    let text = "b: 1\na: [x, 'true', {k: ~}]\nc:\n- d: |\n    text\n- \"\"\n";
    assert_eq!(show(&parse(text.as_bytes()).unwrap()), "{b:1,a:[x,true!,{k:null}],c:[{d:text\n!},!]}");
}

#[test]
fn positions_count_lines_columns_and_bytes() {
    for text in ["é: x\nkey: [a, wörd]\n", "\u{feff}é: x\nkey: [a, wörd]\n", "é: x\r\nkey: [a, wörd]\r\n"]
    {
        let root = parse(text.as_bytes()).unwrap();
        let Value::Map(entries) = &root.value else { panic!("no mapping") };
        let Value::List(items) = &entries[1].value.value else { panic!("no list") };
        let word = &items[1].span;
        assert_eq!((word.line, word.column), (2, 10));
        assert_eq!(&text[word.start..word.end], "wörd", "{text:?}");
        assert_eq!(&text[entries[1].span.start..entries[1].span.end], "key");
    }
}

#[test]
fn the_same_key_twice_is_an_error_at_the_second() {
    let error = first_error("rules: [a]\nname: x\nrules: []\n");
    assert_eq!((error.line, error.column), (3, 1));
    assert_eq!(error.message, "the key `rules` stands twice");
    assert_eq!(error.help.as_deref(), Some("it stands first in line 1"));
    assert_eq!(first_error("{a: 1, \"a\": 2}").message, "the key `a` stands twice");
}

#[test]
fn an_alias_bomb_is_refused_at_its_first_alias() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..20 {
        let refs = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{refs}]").unwrap();
    }
    let errors = parse(bomb.as_bytes()).unwrap_err();
    assert!(errors.iter().any(|error| error.message == "aliases are not allowed" && error.line == 2));
    assert!(errors.iter().any(|error| error.message == "anchors are not allowed" && error.line == 1));
    assert!(errors.len() < 5, "reading stops there");
}

#[test]
fn tags_several_documents_and_odd_keys_are_refused() {
    for (text, message) in [
        ("a: !!str 1", "tags"),
        ("a: 1\n---\nb: 1\n", "one document"),
        ("a: 1\n...\nb: 1\n", ""),
        ("[a]: 1", "a key must be a string"),
        ("? {a: 1}\n: 1", "a key must be a string"),
        ("\"\": 1", "a key must be a string"),
        ("", "the document is empty"),
        ("# only a comment\n", "the document is empty"),
        ("~", "the document is empty"),
        ("a: [1", ""),
        ("a: 1\n b: 2\n", ""),
    ] {
        let error = first_error(text);
        assert!(error.message.contains(message), "{text:?}: {error}");
    }
}

#[test]
fn what_follows_a_nul_is_not_dropped_in_silence() {
    let error = first_error("rules: [a]\n\0strict: [b]\n");
    assert_eq!((error.line, error.column), (2, 1));
    assert!(error.message.contains("U+0000"), "{error}");
    assert!(parse(b"a: \xff").is_err());
    assert!(parse("a: \u{7}".as_bytes()).is_err());
}

#[test]
fn text_that_is_shown_otherwise_than_it_reads_is_refused() {
    assert!(first_error("a: \"\\e[31m\"").message.contains("U+001B"), "a terminal escape");
    assert!(first_error("a: x\u{202e}y").message.contains("U+202E"), "right to left");
    assert!(first_error("\"\\u202e\": x").message.contains("U+202E"));
    assert!(parse("a: \"tab\\tline\\n\"".as_bytes()).is_ok());
}

#[test]
fn many_keys_that_stand_twice_do_not_take_forever() {
    let distinct: String = (0..60_000).map(|n| format!("k{n}: 1\n")).collect();
    let text = format!("{distinct}{}", "k59999: 1\n".repeat(40_000));
    assert_eq!(parse(text.as_bytes()).unwrap_err().len(), 40_000);
}

#[test]
fn nesting_and_length_are_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
    assert!(first_error(&nested(MAX_DEPTH + 1)).message.contains("nested deeper"));
    assert!(parse("- ".repeat(MAX_BYTES / 2).as_bytes()).is_err());
    assert!(parse("[".repeat(MAX_BYTES).as_bytes()).is_err());
    assert!(parse("? ".repeat(MAX_BYTES / 2).as_bytes()).is_err());
    assert!(first_error(&"#".repeat(MAX_BYTES + 1)).message.contains("more than the limit"));
}

proptest! {
    #[test]
    fn no_document_makes_the_parser_panic(text in "[ \\n\\t\\[\\]{}:,?&*!|>'\"%@`#~a-c0-2.\\\\-]{0,80}") {
        let _ = parse(text.as_bytes());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
