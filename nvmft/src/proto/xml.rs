// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Text that is shown to administrators: XML for `ctladm` and names for the console.
//!
//! Host NQNs come from the network.  Here they lose what XML or a terminal would take as markup or control.
#![forbid(unsafe_code)]

use core::fmt::{self, Display, Formatter, Write};

use super::port_args::until_nul;

/// A NUL-terminated field as XML text.
pub struct Escaped<'a>(pub &'a [u8]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in until_nul(self.0).utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '&' => f.write_str("&amp;")?,
                    '<' => f.write_str("&lt;")?,
                    '>' => f.write_str("&gt;")?,
                    '"' => f.write_str("&quot;")?,
                    '\'' => f.write_str("&apos;")?,
                    c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                        f.write_char('?')?
                    }
                    c => f.write_char(c)?,
                }
            }
            if !chunk.invalid().is_empty() {
                f.write_char('?')?;
            }
        }
        Ok(())
    }
}

/// A NUL-terminated field as printable ASCII.
pub struct Printable<'a>(pub &'a [u8]);

impl Display for Printable<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for b in until_nul(self.0).iter().take(super::port_args::NQN_MAX) {
            f.write_char(if matches!(b, b' '..=b'~') {
                char::from(*b)
            } else {
                '?'
            })?;
        }
        Ok(())
    }
}

/// Text in a buffer of fixed size, which remembers that something did not fit.
pub struct TextBuf<'a> {
    buf: &'a mut [u8],
    len: usize,
    overflow: bool,
}

impl<'a> TextBuf<'a> {
    /// An empty text that can grow to the size of `buf`.
    pub fn new(buf: &'a mut [u8]) -> Self {
        Self {
            buf,
            len: 0,
            overflow: false,
        }
    }

    /// What was written, or `None` when the buffer was too small.
    pub fn finish(self) -> Option<&'a [u8]> {
        if self.overflow {
            None
        } else {
            self.buf.get(..self.len)
        }
    }
}

impl Write for TextBuf<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self
            .len
            .checked_add(s.len())
            .and_then(|end| self.buf.get_mut(self.len..end));
        match room {
            Some(to) => {
                to.copy_from_slice(s.as_bytes());
                self.len += s.len();
                Ok(())
            }
            None => {
                self.overflow = true;
                Err(fmt::Error)
            }
        }
    }
}

/// One line of `CTL_NVMF_LIST`.
pub fn connection(
    out: &mut impl Write,
    cntlid: u16,
    hostnqn: &[u8],
    subnqn: &[u8],
    trtype: u32,
) -> fmt::Result {
    writeln!(
        out,
        "<connection id=\"{cntlid}\"><hostnqn>{}</hostnqn><subnqn>{}</subnqn><trtype>{trtype}</trtype></connection>",
        Escaped(hostnqn),
        Escaped(subnqn),
    )
}

/// The port's own elements of CTL's port list; `nqn` is what ctld(8) looks for.
pub fn port(out: &mut impl Write, subnqn: &[u8], portid: u16) -> fmt::Result {
    let nqn = Escaped(subnqn);
    writeln!(out, "\t<port>{nqn},p,{portid}</port>")?;
    writeln!(out, "\t<nqn>{nqn}</nqn>")
}

/// A host in CTL's port list.
pub fn host(out: &mut impl Write, cntlid: u16, hostnqn: &[u8]) -> fmt::Result {
    writeln!(out, "\t<host id=\"{cntlid}\">{}</host>", Escaped(hostnqn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};

    #[test]
    fn escaping() {
        assert_eq!(
            Escaped(b"a<b>&\"'\x01\xffz\0tail").to_string(),
            "a&lt;b&gt;&amp;&quot;&apos;??z"
        );
        assert_eq!(Escaped("nqn.\u{e9}".as_bytes()).to_string(), "nqn.\u{e9}");
        assert_eq!(Printable(b"a\n\xc3\xa9b\0c").to_string(), "a???b");
        assert_eq!(Printable(&[b'a'; 256]).to_string().len(), 223);
    }

    #[test]
    fn lines() {
        let mut s = String::new();
        connection(&mut s, 3, b"h&\0", b"s", 3).unwrap();
        assert_eq!(
            s,
            "<connection id=\"3\"><hostnqn>h&amp;</hostnqn><subnqn>s</subnqn><trtype>3</trtype></connection>\n"
        );
        s.clear();
        port(&mut s, b"s", 7).unwrap();
        host(&mut s, 0, b"h").unwrap();
        assert_eq!(
            s,
            "\t<port>s,p,7</port>\n\t<nqn>s</nqn>\n\t<host id=\"0\">h</host>\n"
        );
    }

    #[test]
    fn bounded_text() {
        let mut buf = [0; 4];
        let mut t = TextBuf::new(&mut buf);
        t.write_str("abcd").unwrap();
        assert_eq!(t.finish(), Some(&b"abcd"[..]));
        let mut t = TextBuf::new(&mut buf);
        assert!(t.write_str("abcde").is_err());
        assert_eq!(t.finish(), None);
    }
}
