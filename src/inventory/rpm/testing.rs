//! Writers of small databases for tests.

use super::header::tag;
use super::ndb::adler32;

/// A tag's value.
#[derive(Clone, Copy)]
pub(super) enum Value<'v> {
    Text(&'v str),
    Texts(&'v [&'v str]),
    Numbers(&'v [u32]),
}

/// A header blob; the first `region` values, if any, are in an immutable region.
pub(super) fn header(values: &[(u32, Value<'_>)], region: Option<usize>) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    let enter =
        |index: &mut Vec<u8>, entry: [u32; 4]| index.extend(entry.iter().flat_map(|n| n.to_be_bytes()));
    let mut trailer = None;
    for (number, (tag, value)) in values.iter().enumerate() {
        if region == Some(number) {
            trailer = Some(data.len());
            data.extend_from_slice(&[0; 16]);
        }
        let kind_and_count = match value {
            Value::Text(_) => (6, 1),
            Value::Texts(texts) => (8, texts.len()),
            Value::Numbers(numbers) => {
                data.resize(data.len().next_multiple_of(4), 0);
                (4, numbers.len())
            }
        };
        enter(&mut index, [*tag, kind_and_count.0, data.len() as u32, kind_and_count.1 as u32]);
        let mut text = |text: &str| {
            data.extend_from_slice(text.as_bytes());
            data.push(0);
        };
        match value {
            Value::Text(value) => text(value),
            Value::Texts(values) => values.iter().for_each(|value| text(value)),
            Value::Numbers(numbers) => data.extend(numbers.iter().flat_map(|number| number.to_be_bytes())),
        }
    }
    if let Some(region) = region {
        let at = trailer.unwrap_or(data.len());
        data.resize(data.len().max(at + 16), 0);
        let back = -(16 * (region as i32 + 1));
        let entry: Vec<u8> = [63, 7, back as u32, 16].iter().flat_map(|n: &u32| n.to_be_bytes()).collect();
        data[at..at + 16].copy_from_slice(&entry);
        let mut whole = Vec::new();
        enter(&mut whole, [63, 7, at as u32, 16]);
        whole.append(&mut index);
        index = whole;
    }
    let numbers = [index.len() as u32 / 16, data.len() as u32].map(u32::to_be_bytes).concat();
    [numbers, index, data].concat()
}

/// A package with everything.
pub(super) fn bash() -> Vec<(u32, Value<'static>)> {
    vec![
        (tag::NAME, Value::Text("bash")),
        (tag::VERSION, Value::Text("4.4")),
        (tag::RELEASE, Value::Text("19.6.1")),
        (tag::EPOCH, Value::Numbers(&[1])),
        (tag::ARCH, Value::Text("x86_64")),
        (tag::SOURCERPM, Value::Text("bash-src-4.4-19.6.1.src.rpm")),
        (tag::LICENSE, Value::Text("GPL-3.0-or-later")),
        (tag::VENDOR, Value::Text("Acme <https://acme.example/>")),
        (tag::MODULARITYLABEL, Value::Text("shell:1:2:3")),
        (
            tag::REQUIRENAME,
            Value::Texts(&["rpmlib(X)", "/bin/sh", "libc.so.6()(64bit)", "/bin/sh", "hint", "feature"]),
        ),
        (tag::REQUIREFLAGS, Value::Numbers(&[0, 0, 0, 8, 1 << 19, 1 << 24])),
        (tag::PROVIDENAME, Value::Texts(&["sh", "bash", "bash"])),
        (tag::DIRNAMES, Value::Texts(&["/usr/bin/", "/etc/"])),
        (tag::BASENAMES, Value::Texts(&["bash", "bashrc"])),
        (tag::DIRINDEXES, Value::Numbers(&[0, 1])),
    ]
}

/// [`bash`] with another value of that tag, or none.
pub(super) fn with(tag: u32, value: Option<Value<'_>>) -> Vec<(u32, Value<'_>)> {
    let mut values: Vec<(u32, Value<'_>)> = bash();
    values.retain(|(other, _)| *other != tag);
    values.extend(value.map(|value| (tag, value)));
    values
}

/// A package with the least.
pub(super) fn second() -> Vec<(u32, Value<'static>)> {
    vec![
        (tag::NAME, Value::Text("zlib")),
        (tag::VERSION, Value::Text("1.3")),
        (tag::RELEASE, Value::Text("1")),
    ]
}

/// One sample of each container, with its path.
pub(super) fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let headers = [header(&bash(), Some(3)), header(&second(), None)];
    vec![
        ("var/lib/rpm/Packages", bdb(&headers, false)),
        ("usr/lib/sysimage/rpm/Packages.db", ndb(&headers)),
        ("var/lib/rpm/rpmdb.sqlite", sqlite(&headers)),
        ("var/lib/rpm/Packages", bdb(&headers, true)),
    ]
}

/// `BerkeleyDB` with pages of 512 bytes: page 1 has the entries, then the overflow pages, one free page last.
pub(super) fn bdb(headers: &[Vec<u8>], big: bool) -> Vec<u8> {
    const PAGE: usize = 512;
    let n32 = |number: u32| if big { number.to_be_bytes() } else { number.to_le_bytes() };
    let n16 = |number: usize| {
        let number = number as u16;
        if big { number.to_be_bytes() } else { number.to_le_bytes() }
    };
    let page = |number: u32, kind: u8| {
        let mut page = vec![0; PAGE];
        page[8..12].copy_from_slice(&n32(number));
        page[25] = kind;
        page
    };
    let mut items: Vec<Vec<u8>> = vec![[&[1][..], &n32(0)].concat(), [&[1][..], &n32(99)].concat()];
    let mut overflow = Vec::new();
    for (number, header) in headers.iter().enumerate() {
        items.push([&[1][..], &n32(number as u32 + 1)].concat());
        if header.len() < 150 {
            items.push([&[1][..], header].concat());
            continue;
        }
        let first = overflow.len() as u32 + 2;
        items.push([&[3, 0, 0, 0][..], &n32(first), &n32(header.len() as u32)].concat());
        let chunks = header.chunks(PAGE - 26).count();
        for (part, chunk) in header.chunks(PAGE - 26).enumerate() {
            let number = first + part as u32;
            let mut page = page(number, 7);
            let next = if part + 1 < chunks { number + 1 } else { 0 };
            page[16..20].copy_from_slice(&n32(next));
            page[22..24].copy_from_slice(&n16(chunk.len()));
            page[26..26 + chunk.len()].copy_from_slice(chunk);
            overflow.push(page);
        }
    }
    let mut hash = page(1, 13);
    hash[20..22].copy_from_slice(&n16(items.len()));
    let mut end = PAGE;
    for (number, item) in items.iter().enumerate() {
        hash[end - item.len()..end].copy_from_slice(item);
        end -= item.len();
        hash[26 + number * 2..28 + number * 2].copy_from_slice(&n16(end));
    }
    let mut meta = page(0, 8);
    let last = overflow.len() as u32 + 2;
    let fields = [(12, 0x0006_1561), (16, 9), (20, PAGE as u32), (32, last), (88, headers.len() as u32 + 1)];
    for (at, number) in fields {
        meta[at..at + 4].copy_from_slice(&n32(number));
    }
    [meta, hash, overflow.concat(), page(last, 0)].concat()
}

/// NDB with one page of slots.
pub(super) fn ndb(headers: &[Vec<u8>]) -> Vec<u8> {
    let numbers =
        |numbers: &[u32]| -> Vec<u8> { numbers.iter().flat_map(|number| number.to_le_bytes()).collect() };
    let mut slots = [&b"RpmP"[..], &numbers(&[0, 1, 1, headers.len() as u32 + 1, 0, 0, 0])].concat();
    let mut blobs = Vec::new();
    for (number, header) in headers.iter().enumerate() {
        let key = number as u32 + 1;
        let start = (4096 + blobs.len()) / 16;
        let length = (16 + header.len() + 12).next_multiple_of(16);
        let mut blob = [&b"BlbS"[..], &numbers(&[key, 1, header.len() as u32]), header].concat();
        blob.resize(length - 12, 0);
        let sum = adler32(&blob);
        blob.extend(numbers(&[sum, header.len() as u32]));
        blob.extend(b"BlbE");
        slots.extend([&b"Slot"[..], &numbers(&[key, start as u32, length as u32 / 16])].concat());
        blobs.extend(blob);
    }
    while slots.len() < 4096 {
        slots.extend([&b"Slot"[..], &[0; 12]].concat());
    }
    [slots, blobs].concat()
}

/// `SQLite` with pages of 512 bytes: the schema, the root, a leaf for each header, then overflow pages.
pub(super) fn sqlite(headers: &[Vec<u8>]) -> Vec<u8> {
    let sql = "CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT,blob BLOB NOT NULL)";
    sqlite_with(headers, "table", "Packages", sql)
}

/// Bytes of a page.
const PAGE: usize = 512;

fn varint(number: usize) -> Vec<u8> {
    match number {
        0..128 => vec![number as u8],
        _ => vec![0x80 | (number >> 7) as u8, (number & 0x7f) as u8],
    }
}

/// A leaf page with one cell; its header begins at `start`.
fn leaf(start: usize, cell: &[u8]) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    let at = PAGE - cell.len();
    page[start] = 13;
    page[start + 4] = 1;
    page[start + 8..start + 10].copy_from_slice(&(at as u16).to_be_bytes());
    page[at..].copy_from_slice(cell);
    page
}

/// [`sqlite`] with another row in its schema.
pub(super) fn sqlite_with(headers: &[Vec<u8>], kind: &str, name: &str, sql: &str) -> Vec<u8> {
    let text = |text: &str| varint(13 + text.len() * 2);
    let kinds = [text(kind), text(name), text(name), vec![1], text(sql)].concat();
    let payload = [
        &[kinds.len() as u8 + 1][..],
        &kinds,
        kind.as_bytes(),
        name.as_bytes(),
        name.as_bytes(),
        &[2],
        sql.as_bytes(),
    ];
    let payload = payload.concat();
    let mut schema = leaf(100, &[varint(payload.len()), vec![1], payload].concat());
    let mut root = vec![0; PAGE];
    let (mut leaves, mut overflow) = (Vec::new(), Vec::new());
    root[0] = 5;
    root[4] = headers.len() as u8 - 1;
    for (number, header) in headers.iter().enumerate() {
        let page = number as u32 + 3;
        if number + 1 == headers.len() {
            root[8..12].copy_from_slice(&page.to_be_bytes());
        } else {
            let at = PAGE - (number + 1) * 5;
            root[12 + number * 2..14 + number * 2].copy_from_slice(&(at as u16).to_be_bytes());
            root[at..at + 4].copy_from_slice(&page.to_be_bytes());
            root[at + 4] = number as u8 + 1;
        }
        let kind = varint(12 + header.len() * 2);
        let payload = [&[kind.len() as u8 + 2, 0][..], &kind, header].concat();
        let (most, least) = (PAGE - 35, (PAGE - 12) * 32 / 255 - 23);
        let some = least + payload.len().saturating_sub(least) % (PAGE - 4);
        let local = match payload.len() {
            length if length <= most => length,
            _ if some <= most => some,
            _ => least,
        };
        let mut cell = [varint(payload.len()), vec![number as u8 + 1], payload[..local].to_vec()].concat();
        let chunks: Vec<&[u8]> = payload[local..].chunks(PAGE - 4).collect();
        let first = headers.len() as u32 + 3 + overflow.len() as u32;
        if !chunks.is_empty() {
            cell.extend(first.to_be_bytes());
        }
        for (part, chunk) in chunks.iter().enumerate() {
            let next = if part + 1 < chunks.len() { first + part as u32 + 1 } else { 0 };
            let mut page = [&next.to_be_bytes()[..], chunk].concat();
            page.resize(PAGE, 0);
            overflow.push(page);
        }
        leaves.push(leaf(0, &cell));
    }
    let pages = 2 + leaves.len() + overflow.len();
    schema[..16].copy_from_slice(b"SQLite format 3\0");
    schema[16..24].copy_from_slice(&[2, 0, 2, 2, 0, 64, 32, 32]);
    schema[28..32].copy_from_slice(&(pages as u32).to_be_bytes());
    schema[59] = 1;
    [schema, root, leaves.concat(), overflow.concat()].concat()
}
