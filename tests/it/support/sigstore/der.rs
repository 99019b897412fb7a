//! DER (X.690), as far as certificates and timestamps need it.

/// `SEQUENCE`.
pub const SEQUENCE: u8 = 0x30;
pub const INTEGER: u8 = 0x02;
pub const OCTETS: u8 = 0x04;
pub const OID: u8 = 0x06;

pub fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let bytes = length.to_be_bytes();
        let from = bytes.iter().position(|byte| *byte != 0).unwrap();
        out.push(0x80 | (bytes.len() - from) as u8);
        out.extend_from_slice(&bytes[from..]);
    }
    out.extend_from_slice(content);
    out
}

pub fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tlv(SEQUENCE, &parts.concat())
}

/// `SET OF`: its members are sorted.
pub fn set(mut parts: Vec<Vec<u8>>) -> Vec<u8> {
    parts.sort();
    tlv(0x31, &parts.concat())
}

/// `[number]`, constructed.
pub fn tagged(number: u8, content: &[u8]) -> Vec<u8> {
    tlv(0xa0 | number, content)
}

/// A number that is not negative, of big-endian bytes.
pub fn integer(bytes: &[u8]) -> Vec<u8> {
    let from = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    let mut content = bytes[from..].to_vec();
    if content.first().is_none_or(|first| *first >= 0x80) {
        content.insert(0, 0);
    }
    tlv(INTEGER, &content)
}

pub fn number(value: u64) -> Vec<u8> {
    integer(&value.to_be_bytes())
}

pub fn octets(content: &[u8]) -> Vec<u8> {
    tlv(OCTETS, content)
}

/// A bit string of whole bytes.
pub fn bits(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

pub fn utf8(text: &str) -> Vec<u8> {
    tlv(0x0c, text.as_bytes())
}

pub fn yes() -> Vec<u8> {
    tlv(0x01, &[0xff])
}

/// `1.2.840.113549`.
pub fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').map(|arc| arc.parse().unwrap()).collect();
    let mut content = Vec::new();
    for arc in std::iter::once(arcs[0] * 40 + arcs[1]).chain(arcs[2..].iter().copied()) {
        let mut digits = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            digits.push(0x80 | (rest & 0x7f) as u8);
            rest >>= 7;
        }
        content.extend(digits.iter().rev());
    }
    tlv(OID, &content)
}

/// `UTCTime` of seconds since 1970.
pub fn utc(seconds: i64) -> Vec<u8> {
    tlv(0x17, format(seconds, "%y%m%d%H%M%SZ").as_bytes())
}

/// `GeneralizedTime` of seconds since 1970, without a fraction.
pub fn generalized(seconds: i64) -> Vec<u8> {
    tlv(0x18, format(seconds, "%Y%m%d%H%M%SZ").as_bytes())
}

fn format(seconds: i64, pattern: &str) -> String {
    jiff::Timestamp::from_second(seconds).unwrap().strftime(pattern).to_string()
}

/// One after another what DER holds.
pub struct Reader<'a>(pub &'a [u8]);

/// A value of DER.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    pub tag: u8,
    pub content: &'a [u8],
    /// With its tag and length.
    pub whole: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next value; none at the end, and where the bytes are no DER.
    pub fn next(&mut self) -> Option<Value<'a>> {
        let bytes = self.0;
        let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
        let (length, head) = if first < 0x80 {
            (usize::from(first), 2)
        } else {
            let digits = usize::from(first & 0x7f);
            let length = bytes.get(2..2 + digits).filter(|_| (1..=4).contains(&digits))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + digits)
        };
        let whole = bytes.get(..head + length)?;
        self.0 = &bytes[whole.len()..];
        Some(Value { tag, content: &whole[head..], whole })
    }

    /// The next value, which must have this tag.
    pub fn take(&mut self, tag: u8) -> Option<Value<'a>> {
        self.next().filter(|value| value.tag == tag)
    }

    /// The next value where it has this tag.
    pub fn optional(&mut self, tag: u8) -> Option<Value<'a>> {
        if self.0.first() == Some(&tag) { self.next() } else { None }
    }
}

/// The bytes of a PEM document of this label.
pub fn from_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(body).ok()
}

pub fn to_pem(der: &[u8], label: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
