// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Error numbers of errno(2), as FreeBSD numbers them.

use core::ffi::c_int;

/// An error number; never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(c_int);

/// The outcome of an operation that fails with an error number.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $n:literal;)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Errno = Errno($n);)*
        }
    };
}

errnos! {
    /// Operation not permitted.
    EPERM = 1;
    /// No such entry.
    ENOENT = 2;
    /// Interrupted.
    EINTR = 4;
    /// Input/output error.
    EIO = 5;
    /// Device not configured.
    ENXIO = 6;
    /// Argument list too long.
    E2BIG = 7;
    /// Bad file descriptor.
    EBADF = 9;
    /// Out of memory.
    ENOMEM = 12;
    /// Bad address.
    EFAULT = 14;
    /// Busy.
    EBUSY = 16;
    /// Already exists.
    EEXIST = 17;
    /// Operation not supported by device.
    ENODEV = 19;
    /// Invalid argument.
    EINVAL = 22;
    /// Inappropriate ioctl for device.
    ENOTTY = 25;
    /// File too large.
    EFBIG = 27;
    /// No space left.
    ENOSPC = 28;
    /// Broken pipe.
    EPIPE = 32;
    /// Would block.
    EAGAIN = 35;
    /// Operation not supported.
    EOPNOTSUPP = 45;
    /// Connection aborted by software.
    ECONNABORTED = 53;
    /// Connection reset by peer.
    ECONNRESET = 54;
    /// No buffer space.
    ENOBUFS = 55;
    /// Not connected.
    ENOTCONN = 57;
    /// Timed out.
    ETIMEDOUT = 60;
    /// Name too long.
    ENAMETOOLONG = 63;
    /// Bad message.
    EBADMSG = 89;
    /// Protocol error.
    EPROTO = 92;
    /// Integrity check failed.
    EINTEGRITY = 97;
}

impl Errno {
    /// From a C return value: zero is success.
    pub fn check(code: c_int) -> Result<()> {
        match code {
            0 => Ok(()),
            e => Err(Errno(e)),
        }
    }

    /// From a number that a C caller passes; zero is no error.
    pub fn from_code(code: c_int) -> Option<Errno> {
        (code != 0).then_some(Errno(code))
    }

    /// The number.
    pub const fn code(self) -> c_int {
        self.0
    }
}

/// The number a C caller wants: zero for success.
pub fn code_of(r: Result<()>) -> c_int {
    match r {
        Ok(()) => 0,
        Err(e) => e.0,
    }
}
