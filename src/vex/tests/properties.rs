//! What holds of any statements.

use proptest::prelude::*;

use super::*;

/// Products of generated statements, and whether each certainly is of the finding.
fn a_product() -> impl Strategy<Value = (Value, bool)> {
    let by_tag = json!({"@id": "pkg:oci/app?tag=v1"});
    prop_oneof![
        Just((json!({"@id": OPENSSL}), true)),
        Just((json!({"@id": "pkg:deb/debian/openssl?arch=amd64"}), true)),
        Just((json!({"@id": "pkg:deb/debian/openssl?arch=arm64"}), false)),
        Just((json!({"@id": "pkg:deb/debian/zlib1g"}), false)),
        Just((image(), true)),
        Just((openssl_in(image()), true)),
        Just((by_tag.clone(), false)),
        Just((openssl_in(by_tag), false)),
    ]
}

/// A statement, and whether it could set the finding aside.
fn a_statement() -> impl Strategy<Value = (Value, bool)> {
    let id = prop_oneof![
        3 => Just((CVE, true)),
        1 => Just(("DSA-CVE-2026-1", true)),
        1 => Just(("CVE-2026-2", false)),
    ];
    let status = prop_oneof![
        3 => Just(("not_affected", true)),
        1 => Just(("fixed", true)),
        1 => Just(("affected", false)),
        1 => Just(("under_investigation", false)),
    ];
    (id, status, 1..4_u8, a_product()).prop_map(
        |((id, is_ours), (status, clears), day, (product, certain))| {
            let mut statement = cleared(&product);
            statement["vulnerability"]["name"] = json!(id);
            statement["status"] = json!(status);
            statement["timestamp"] = json!(format!("2026-03-0{day}T00:00:00Z"));
            (statement, is_ours && clears && certain)
        },
    )
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(bytes in any::<Vec<u8>>()) {
        let _ = read(&bytes, "x");
    }

    #[test]
    fn only_a_certain_statement_sets_aside_and_the_order_does_not_matter(
        statements in prop::collection::vec(a_statement(), 0..5),
    ) {
        let values: Vec<Value> = statements.iter().map(|(statement, _)| statement.clone()).collect();
        let mut evidence = applied(|_| {}, &[openvex(&json!(values))]);
        let aside = is_set_aside(&mut evidence);
        prop_assert!(!aside || statements.iter().any(|(_, could)| *could));
        let one_each: Vec<Value> = values.iter().rev().map(|value| openvex(&json!([value]))).collect();
        let apart = is_set_aside(&mut applied(|_| {}, &one_each));
        prop_assert_eq!(apart, aside);
        // Whatever was said before, a later word on this very image keeps the finding.
        let mut kept = cleared(&image());
        kept["status"] = json!("affected");
        kept["timestamp"] = json!("2026-04-01T00:00:00Z");
        let more = [values.as_slice(), &[kept]].concat();
        let after = is_set_aside(&mut applied(|_| {}, &[openvex(&json!(more))]));
        prop_assert!(!after);
        // Every statement is accounted for.
        let told = |outcomes: &[VexOutcome]| outcomes.iter().map(|o| o.statement.clone()).collect::<Vec<_>>();
        let report = &evidence.vex;
        let mut all = [told(&report.used), told(&report.unused), told(&report.refused)].concat();
        all.sort();
        all.dedup();
        prop_assert_eq!(all.len(), values.len());
    }
}
