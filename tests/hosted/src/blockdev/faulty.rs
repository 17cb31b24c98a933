// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A device that does not always do what it should.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sys::Errno;

use super::{Device, Op};
use crate::fault;

/// What goes wrong.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The operation fails, and nothing happens.
    Fail(Errno),
    /// It takes this long.
    Delay(Duration),
    /// It takes any time up to this: completions come in another order.
    Disorder(Duration),
    /// It does no more than this many bytes.
    Short(usize),
}

/// When something goes wrong.
#[derive(Clone, Debug)]
pub struct Rule {
    /// With this operation.
    pub op: Op,
    /// If it begins at one of these bytes; a flush begins at zero.
    pub at: Range<usize>,
    /// So many times; the last one is not counted for good when it is
    /// [`u32::MAX`].
    pub times: u32,
    /// What happens.
    pub what: What,
}

impl Rule {
    /// Whenever there is this operation.
    pub fn always(op: Op, what: What) -> Self {
        Rule {
            op,
            at: 0..usize::MAX,
            times: u32::MAX,
            what,
        }
    }

    /// The next time there is.
    pub fn once(op: Op, what: What) -> Self {
        Rule {
            times: 1,
            ..Self::always(op, what)
        }
    }
}

/// A device over another.
pub struct Faulty {
    inner: Arc<dyn Device>,
    rules: Mutex<Vec<Rule>>,
}

impl Faulty {
    /// One that does what the other does, until there are rules.
    pub fn new(inner: Arc<dyn Device>) -> Self {
        Faulty {
            inner,
            rules: Mutex::default(),
        }
    }

    fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something goes wrong from now on.
    pub fn add(&self, rule: Rule) {
        self.rules().push(rule);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.rules().clear();
    }

    /// Whether all that was to go wrong so many times has begun to.
    pub fn is_spent(&self) -> bool {
        self.rules().iter().all(|r| r.times == 0)
    }

    /// The first rule that fits and is of a kind, which is used up by it.
    fn apply<R>(&self, op: Op, at: usize, kind: impl Fn(What) -> Option<R>) -> Option<R> {
        let mut rules = self.rules();
        for r in rules.iter_mut() {
            if r.op != op || !r.at.contains(&at) || r.times == 0 {
                continue;
            }
            if let Some(found) = kind(r.what) {
                if r.times != u32::MAX {
                    r.times -= 1;
                }
                return Some(found);
            }
        }
        None
    }

    fn failure(&self, op: Op, at: usize) -> Result<(), Errno> {
        let kind = |w| match w {
            What::Fail(e) => Some(e),
            _ => None,
        };
        self.apply(op, at, kind).map_or(Ok(()), Err)
    }

    /// How much of `len` is done.
    fn part(&self, op: Op, at: usize, len: usize) -> usize {
        let kind = |w| match w {
            What::Short(n) => Some(n),
            _ => None,
        };
        self.apply(op, at, kind).map_or(len, |n| n.min(len))
    }
}

impl Device for Faulty {
    fn bytes(&self) -> usize {
        self.inner.bytes()
    }

    fn read(&self, at: usize, buf: &mut [u8]) -> Result<usize, Errno> {
        self.failure(Op::Read, at)?;
        let n = self.part(Op::Read, at, buf.len());
        self.inner.read(at, &mut buf[..n])
    }

    fn write(&self, at: usize, data: &[u8]) -> Result<usize, Errno> {
        self.failure(Op::Write, at)?;
        let n = self.part(Op::Write, at, data.len());
        self.inner.write(at, &data[..n])
    }

    fn flush(&self) -> Result<(), Errno> {
        self.failure(Op::Flush, 0)?;
        self.inner.flush()
    }

    fn zero(&self, at: usize, len: usize) -> Result<(), Errno> {
        self.failure(Op::Zero, at)?;
        self.inner.zero(at, len)
    }

    fn delay(&self, op: Op, at: usize) -> Duration {
        let kind = |w| match w {
            What::Delay(d) => Some(d),
            What::Disorder(d) => {
                let most = d.as_micros() as u64;
                Some(Duration::from_micros((fault::random() >> 16) % most.max(1)))
            }
            _ => None,
        };
        self.apply(op, at, kind).unwrap_or_default() + self.inner.delay(op, at)
    }
}
