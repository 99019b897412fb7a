//! The Merkle tree of a log (RFC 6962, section 2.1).

use super::keys::sha256;

type Hash = [u8; 32];

/// A tree that grows.
#[derive(Default)]
pub struct Tree(Vec<Hash>);

pub fn leaf(body: &[u8]) -> Hash {
    sha256(&[&[0], body].concat())
}

fn node(left: &Hash, right: &Hash) -> Hash {
    sha256(&[&[1], left.as_slice(), right.as_slice()].concat())
}

impl Tree {
    /// The place of the new leaf.
    pub fn push(&mut self, body: &[u8]) -> usize {
        self.0.push(leaf(body));
        self.0.len() - 1
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The root over the first `size` leaves.
    pub fn root(&self, size: usize) -> Hash {
        root(&self.0[..size])
    }

    /// The hashes that lead from a leaf to the root over the first `size` leaves, from the bottom.
    pub fn proof(&self, place: usize, size: usize) -> Vec<Hash> {
        path(place, &self.0[..size])
    }
}

/// The largest power of two below a number above one.
fn split(length: usize) -> usize {
    length.next_power_of_two() / 2
}

fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

fn path(place: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() < 2 {
        return Vec::new();
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut below, beside) = if place < middle {
        (path(place, left), root(right))
    } else {
        (path(place - middle, right), root(left))
    };
    below.push(beside);
    below
}

/// The published vectors of Certificate Transparency, and all proofs of trees up to 40 leaves walked up.
#[test]
fn the_tree_is_that_of_rfc_6962() {
    let bodies: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let mut tree = Tree::default();
    for body in bodies {
        tree.push(body);
    }
    let hex = super::keys::hex;
    assert_eq!(hex(&tree.root(0)), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(hex(&tree.root(1)), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(hex(&tree.root(8)), "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    for number in 8..40u8 {
        tree.push(&[number]);
    }
    for size in 1..=40 {
        for place in 0..size {
            let (mut at, mut last, mut hash) = (place, size - 1, tree.0[place]);
            for beside in tree.proof(place, size) {
                if at % 2 == 1 || at == last {
                    hash = node(&beside, &hash);
                    while at % 2 == 0 && at != 0 {
                        (at, last) = (at / 2, last / 2);
                    }
                } else {
                    hash = node(&hash, &beside);
                }
                (at, last) = (at / 2, last / 2);
            }
            assert_eq!((hash, last), (tree.root(size), 0), "{place} of {size}");
        }
    }
}
