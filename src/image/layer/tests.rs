use std::io::Write as _;

use super::*;
use crate::image::compression::Compression;
use crate::model::descriptor::Descriptor;
use crate::model::fault::FaultKind;

fn tar_of(size: usize) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    let mut header = ::tar::Header::new_gnu();
    header.set_size(size as u64);
    builder.append_data(&mut header, "file", vec![0; size].as_slice()).unwrap();
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn layer(blob: &[u8], tar: &[u8]) -> LayerBlob {
    LayerBlob {
        blob: BlobName::Descriptor(Descriptor {
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".into(),
            digest: Digest::sha256(blob),
            size: blob.len() as u64,
            platform: None,
            annotations: Default::default(),
        }),
        compression: Some(Compression::Gzip),
        diff_id: Digest::sha256(tar),
    }
}

fn pass(blob: &[u8], layer: &LayerBlob) -> Result<(Verified, u64), Fault> {
    let mut bytes = 0;
    let verified = read(blob, layer, "layer 0", &Limits::default(), |_, content| {
        bytes += io::copy(content, &mut io::sink())?;
        Ok(())
    })?;
    Ok((verified, bytes))
}

fn refused(blob: &[u8], layer: &LayerBlob) -> (FaultKind, String) {
    let fault = pass(blob, layer).unwrap_err();
    (fault.kind, fault.message)
}

#[test]
fn a_sound_layer_is_verified_and_read_whole() {
    let tar = tar_of(5000);
    let blob = gzip(&tar);
    let (verified, bytes) = pass(&blob, &layer(&blob, &tar)).unwrap();
    assert_eq!((verified.digest, verified.size, bytes), (Digest::sha256(&blob), blob.len() as u64, 5000));
    assert!(verified.trailing.is_empty());
}

#[test]
fn a_changed_byte_is_a_wrong_digest_even_where_the_stream_breaks_first() {
    let tar = tar_of(5000);
    let blob = gzip(&tar);
    for position in [0, 12, blob.len() - 6] {
        let mut changed = blob.clone();
        changed[position] ^= 1;
        let (kind, message) = refused(&changed, &layer(&blob, &tar));
        assert_eq!(kind, FaultKind::Lie);
        assert!(message.starts_with("digest mismatch"), "{message}");
    }
}

#[test]
fn a_blob_longer_or_shorter_than_its_descriptor_lies() {
    let tar = tar_of(5000);
    let blob = gzip(&tar);
    let stated = layer(&blob, &tar);
    assert!(refused(&[blob.clone(), vec![0]].concat(), &stated).1.starts_with("size mismatch: more"));
    assert!(refused(&blob[..blob.len() - 1], &stated).1.starts_with("size mismatch: fewer"));
}

#[test]
fn a_wrong_diff_id_lies() {
    let tar = tar_of(10);
    let blob = gzip(&tar);
    let (kind, message) = refused(&blob, &layer(&blob, b"other"));
    assert_eq!(kind, FaultKind::Lie);
    assert!(message.starts_with("diff ID mismatch"), "{message}");
}

#[test]
fn a_stream_that_ends_too_early_lies() {
    let tar = tar_of(5000);
    let whole = gzip(&tar);
    let cut = &whole[..whole.len() / 2];
    let (kind, message) = refused(cut, &layer(cut, &tar));
    assert_eq!(kind, FaultKind::Lie);
    assert!(message.contains("end"), "{message}");
}

#[test]
fn a_decompression_bomb_is_refused_by_its_limit() {
    let tar = tar_of(200 << 20);
    let blob = gzip(&tar);
    let (kind, message) = refused(&blob, &layer(&blob, &tar));
    assert_eq!(kind, FaultKind::Unreadable);
    assert!(message.contains("limit `ratio`"), "{message}");
}

#[test]
fn bytes_behind_the_archive_and_behind_the_stream_are_reported() {
    let tar = [tar_of(10), tar_of(20)].concat();
    let blob = [gzip(&tar), b"tail".to_vec()].concat();
    assert_eq!(pass(&blob, &layer(&blob, &tar)).unwrap().0.trailing.len(), 2);
}

#[test]
fn a_store_that_fails_is_unknown_and_no_lie() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection lost"))
        }
    }
    let tar = tar_of(10);
    let blob = gzip(&tar);
    let fault = read(Failing, &layer(&blob, &tar), "layer 0", &Limits::default(), |_, _| Ok(())).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Unreadable);
    assert!(fault.message.contains("connection lost"));
}
