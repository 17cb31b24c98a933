// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! NVMe Qualified Name fields (Base 4.5): 256 bytes, UTF-8, NUL-terminated, at most 223 bytes of name.
#![forbid(unsafe_code)]

/// Size of an NQN field.
pub const FIELD_LEN: usize = 256;
/// Most bytes in a name, its terminator not counted.
pub const MAX_LEN: usize = 223;
/// The well-known discovery subsystem.
pub const DISCOVERY: &[u8] = b"nqn.2014-08.org.nvmexpress.discovery";

/// What is wrong with an NQN field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NqnError {
    /// The first byte is NUL.
    Empty,
    /// No NUL within the first 224 bytes.
    TooLong,
}

/// The name in a field, without its terminator.
///
/// Only the length is judged: hosts use names whose syntax the specification does not allow.
pub fn parse(field: &[u8; FIELD_LEN]) -> Result<&[u8], NqnError> {
    match field.iter().take(MAX_LEN + 1).position(|&b| b == 0) {
        Some(0) => Err(NqnError::Empty),
        Some(n) => field.get(..n).ok_or(NqnError::TooLong),
        None => Err(NqnError::TooLong),
    }
}

/// Writes a name into a field, zeroing what follows it.
pub fn store(field: &mut [u8; FIELD_LEN], name: &[u8]) -> Result<(), NqnError> {
    if name.is_empty() {
        return Err(NqnError::Empty);
    }
    if name.len() > MAX_LEN || name.contains(&0) {
        return Err(NqnError::TooLong);
    }
    field.fill(0);
    field.iter_mut().zip(name).for_each(|(d, s)| *d = *s);
    Ok(())
}

/// Copies ASCII text into a fixed field, padded with spaces as SN, MN and FR are; too much is cut.
pub fn store_padded(field: &mut [u8], text: &[u8]) {
    let n = text.len().min(field.len());
    let (head, tail) = field.split_at_mut(n);
    head.iter_mut().zip(text).for_each(|(d, s)| *d = *s);
    tail.fill(b' ');
}

/// A space or NUL padded ASCII field without its padding.
pub fn trim_padded(field: &[u8]) -> &[u8] {
    let end = field
        .iter()
        .rposition(|&b| b != b' ' && b != 0)
        .map_or(0, |n| n + 1);
    field.get(..end).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        let mut f = [b'a'; FIELD_LEN];
        assert_eq!(parse(&f), Err(NqnError::TooLong));
        f[224] = 0;
        assert_eq!(
            parse(&f),
            Err(NqnError::TooLong),
            "224 bytes of name are one too many"
        );
        f[223] = 0;
        assert_eq!(parse(&f).map(<[u8]>::len), Ok(223));
        f[1] = 0;
        assert_eq!(parse(&f), Ok(&b"a"[..]));
        f[0] = 0;
        assert_eq!(parse(&f), Err(NqnError::Empty));
    }

    #[test]
    fn round_trip() {
        let mut f = [0xff; FIELD_LEN];
        assert_eq!(store(&mut f, DISCOVERY), Ok(()));
        assert_eq!(parse(&f), Ok(DISCOVERY));
        assert!(f[DISCOVERY.len()..].iter().all(|&b| b == 0));
        assert_eq!(store(&mut f, &[b'x'; 224]), Err(NqnError::TooLong));
        assert_eq!(store(&mut f, b""), Err(NqnError::Empty));
        assert_eq!(store(&mut f, b"a\0b"), Err(NqnError::TooLong));
    }

    #[test]
    fn padding() {
        let mut f = [0; 8];
        store_padded(&mut f, b"SN12");
        assert_eq!(&f, b"SN12    ");
        assert_eq!(trim_padded(&f), b"SN12");
        store_padded(&mut f, b"0123456789");
        assert_eq!(trim_padded(&f), b"01234567");
        assert_eq!(trim_padded(b" \0 "), b"");
    }
}
