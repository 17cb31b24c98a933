// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Passthrough commands, and small helpers for ioctl arguments.
#![forbid(unsafe_code)]

use crate::controller::Controller;
use crate::name::Name;
use crate::proto::slots::aborted_cqe;
use crate::proto::status::DataOutcome;
use crate::proto::timeout::PASSTHROUGH;
use crate::qpair::HostQpair;
use crate::sync::{ExecError, execute};
use sys::bio::IoBuf;
use sys::cdev::{copy_in, copy_out, ioc};
use sys::kprint;
use sys::mem::KArc;
use sys::wire::Sqe;
use sys::{CanSleep, Errno, Result, Wait};

fn u32_at(data: &[u8], at: u32) -> Result<u32> {
    let bytes = data.get(at as usize..).and_then(|d| d.first_chunk::<4>());
    bytes.map(|b| u32::from_ne_bytes(*b)).ok_or(Errno::EINVAL)
}

/// A pointer-sized number of an ioctl argument.
pub fn u64_at(data: &[u8], at: u32) -> Result<u64> {
    let bytes = data.get(at as usize..).and_then(|d| d.first_chunk::<8>());
    bytes.map(|b| u64::from_ne_bytes(*b)).ok_or(Errno::EINVAL)
}

/// Stores bytes in an ioctl argument.
pub fn put(data: &mut [u8], at: u32, bytes: &[u8]) -> Result<()> {
    let at = at as usize;
    let end = at.checked_add(bytes.len()).ok_or(Errno::EINVAL)?;
    data.get_mut(at..end)
        .ok_or(Errno::EINVAL)?
        .copy_from_slice(bytes);
    Ok(())
}

/// NVME_GET_NSID.
pub fn get_nsid(cdev: &Name, nsid: u32, data: &mut [u8]) -> Result<()> {
    data.fill(0);
    put(data, 0, cdev.as_bytes())?;
    put(data, ioc::NSID_NSID, &nsid.to_ne_bytes())
}

/// The command that is sent for a caller's: what belongs to the queue is left out.
fn sanitize(caller: &[u8; 64], nsid: Option<u32>) -> Sqe {
    let caller: Sqe = zerocopy::transmute!(*caller);
    let mut sqe = Sqe::new(caller.opcode);
    sqe.flags |= caller.fuse();
    sqe.nsid = nsid.map_or(caller.nsid, Into::into);
    sqe.cdw10 = caller.cdw10;
    sqe.cdw11 = caller.cdw11;
    sqe.cdw12 = caller.cdw12;
    sqe.cdw13 = caller.cdw13;
    sqe.cdw14 = caller.cdw14;
    sqe.cdw15 = caller.cdw15;
    sqe
}

/// NVME_PASSTHROUGH_CMD; `data` is a `struct nvme_pt_command`.
pub fn run(
    ctrl: &Controller,
    queue: Option<&KArc<HostQpair>>,
    nsid: Option<u32>,
    data: &mut [u8],
    sleep: CanSleep<'_>,
) -> Result<()> {
    let len = u32_at(data, ioc::PT_LEN)?;
    let user = u64_at(data, ioc::PT_BUF)?;
    let is_read = u32_at(data, ioc::PT_IS_READ)? != 0;
    if len > ctrl.max_transfer() {
        return Err(Errno::EINVAL);
    }
    let sqe = sanitize(data.first_chunk::<64>().ok_or(Errno::EINVAL)?, nsid);
    let buf = if len == 0 {
        None
    } else {
        let mut buf = IoBuf::zeroed(len as usize, Wait::Sleep(sleep))?;
        if !is_read {
            copy_in(user, buf.get_mut(), sleep)?;
        }
        Some((buf, !is_read))
    };
    let queue = queue.filter(|_| ctrl.is_connected());
    let Some(qp) = queue else {
        kprint!("{}: failed to send passthrough command", ctrl.name());
        return Err(Errno::ECONNABORTED);
    };
    let done = match execute(qp, sqe, buf, PASSTHROUGH, sleep) {
        Ok(done) => done,
        Err(ExecError::Aborted) => {
            // Without data the abort is only visible in the completion.
            if len != 0 {
                return Err(Errno::ECONNABORTED);
            }
            return put_cpl(data, &aborted_cqe(0));
        }
        Err(e) => return Err(e.into()),
    };
    if let DataOutcome::Failed(code) = done.data {
        return Err(Errno::from_code(code).unwrap_or(Errno::EIO));
    }
    put_cpl(data, &done.cqe)?;
    if len != 0 && is_read {
        copy_out(done.bytes(), user, sleep)?;
    }
    Ok(())
}

/// Of the completion only dword 0 and the status are shown.
fn put_cpl(data: &mut [u8], cqe: &[u8; 16]) -> Result<()> {
    let [a, b, c, d, .., e, f] = *cqe;
    let cpl = [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, e, f];
    put(data, ioc::PT_CPL, &cpl)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_callers_own_fields_are_sent() {
        let caller = [0xffu8; 64];
        let sqe = sanitize(&caller, Some(7));
        assert_eq!((sqe.opcode, sqe.fuse(), sqe.psdt()), (0xff, 3, 1));
        assert_eq!(
            (
                sqe.nsid.get(),
                sqe.cid.get(),
                sqe.cdw2.get(),
                sqe.mptr.get()
            ),
            (7, 0, 0, 0)
        );
        assert_eq!((sqe.cdw10.get(), sqe.cdw15.get()), (u32::MAX, u32::MAX));
        assert_eq!(sanitize(&caller, None).nsid.get(), u32::MAX);
    }

    #[test]
    fn completion_shows_dword_0_and_status() {
        let mut data = [0xaa; 104];
        put_cpl(&mut data, &core::array::from_fn(|i| i as u8 + 1)).unwrap();
        assert_eq!(
            data[64..80],
            [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 16]
        );
        assert_eq!((data[63], data[80]), (0xaa, 0xaa));
        assert!(put_cpl(&mut data[..70], &[0; 16]).is_err());
    }
}
