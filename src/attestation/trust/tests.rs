use super::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

fn without(id: RootId, removed: &[&str]) -> Result<Root, UnusableRoot> {
    let text = SigstoreInstance::PublicGood.embedded_trusted_root_json();
    let mut root: serde_json::Value = serde_json::from_str(text).unwrap();
    for key in removed {
        root[key] = serde_json::json!([]);
    }
    Root::read(id, root.to_string().as_bytes())
}

#[test]
fn every_embedded_root_can_be_used_and_only_github_s_has_no_logs() {
    for id in [RootId::PublicGood, RootId::GitHub, RootId::Staging] {
        let root = Root::embedded(id.clone()).unwrap();
        assert_eq!(
            (root.logless(), root.logs.is_empty()),
            (id == RootId::GitHub, id == RootId::GitHub),
            "{id}"
        );
    }
    assert_eq!(Trust::embedded().unwrap().roots().count(), 2);
    assert!(Root::embedded(RootId::Custom("x".into())).is_err());
}

#[test]
fn logs_are_waived_only_where_a_root_has_none_at_all_and_timestamps_instead() {
    let custom = || RootId::Custom("ours".into());
    assert!(without(custom(), &["tlogs", "ctlogs"]).unwrap().logless());
    for removed in [&[][..], &["tlogs"], &["ctlogs"], &["tlogs", "ctlogs", "timestampAuthorities"]] {
        assert!(!without(custom(), removed).unwrap().logless(), "{removed:?}");
    }
    // Attack: a refreshed root of an instance that has logs, without them.
    for id in [RootId::PublicGood, RootId::Staging] {
        assert!(!without(id, &["tlogs", "ctlogs"]).unwrap().logless());
    }
}

#[test]
fn what_is_no_root_is_told() {
    let text = SigstoreInstance::PublicGood.embedded_trusted_root_json();
    for bad in [
        "",
        "{}",
        "[]",
        &text.replace("trustedroot+json", "other+json"),
        &text.replacen("\"tlogs\"", "\"Tlogs\"", 1),
        &text.replacen("\"rawBytes\": \"", "\"rawBytes\": \"A", 1),
    ] {
        assert!(Root::read(RootId::Custom("x".into()), bad.as_bytes()).is_err());
    }
    assert!(without(RootId::Custom("x".into()), &["tlogs", "certificateAuthorities"]).is_err());
    assert!(Root::read(RootId::PublicGood, &vec![b' '; ROOT + 1]).is_err());
}

#[test]
fn keys_of_cosign_are_read_and_nothing_else() {
    for (kind, algorithm) in [
        (&PKCS_ECDSA_P256_SHA256, KeyAlgorithm::EcdsaP256),
        (&PKCS_ECDSA_P384_SHA384, KeyAlgorithm::EcdsaP384),
        (&PKCS_ED25519, KeyAlgorithm::Ed25519),
    ] {
        let pem = KeyPair::generate_for(kind).unwrap().public_key_pem();
        assert_eq!(PublicKey::read_pem(pem.as_bytes()).unwrap().algorithm, algorithm);
        assert!(PublicKey::read_pem(format!("{pem}{pem}").as_bytes()).is_err(), "two keys");
        assert!(PublicKey::read_pem(pem.replace("PUBLIC", "PRIVATE").as_bytes()).is_err());
    }
    for bad in ["", "x", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        assert!(PublicKey::read_pem(bad.as_bytes()).is_err());
    }
}
