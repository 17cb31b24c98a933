// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! `/dev/nvmeX`.
#![forbid(unsafe_code)]

use crate::assoc::reconnect;
use crate::controller::Controller;
use crate::passthru::{self, put};
use sys::cdev::{CdevHandler, ioc, pack_nvlist, unpack_nvlist};
use sys::mem::KArc;
use sys::nv::NvList;
use sys::{CanSleep, Errno, Result};

fn connection_status(ctrl: &Controller) -> Result<NvList> {
    let (sec, nsec) = ctrl.with_conn(|conn| conn.last_disconnect);
    let mut time = NvList::new()?;
    time.add_number(c"tv_sec", sec);
    time.add_number(c"tv_nsec", u64::from(nsec));
    let mut list = NvList::new()?;
    list.add_bool(c"connected", ctrl.is_connected());
    list.add_nvlist(c"last_disconnect", time.as_ref());
    Ok(list)
}

impl CdevHandler<0> for Controller {
    fn ioctl(this: &KArc<Self>, cmd: u32, data: &mut [u8], sleep: CanSleep<'_>) -> Result<()> {
        match cmd {
            ioc::PASSTHROUGH => passthru::run(this, this.admin_queue().as_ref(), None, data, sleep),
            ioc::GET_NSID => passthru::get_nsid(this.name(), 0, data),
            ioc::GET_MAX_XFER_SIZE => put(data, 0, &u64::from(this.max_transfer()).to_ne_bytes()),
            ioc::GET_CONTROLLER_DATA => put(data, 0, &this.identity().cdata),
            ioc::RECONNECT_PARAMS => pack_nvlist(this.identity().rparams.as_ref(), data, sleep),
            ioc::RECONNECT_HOST => {
                let list = unpack_nvlist(data, sleep)?;
                reconnect(this, list.as_ref(), sleep)
            }
            ioc::CONNECTION_STATUS => pack_nvlist(connection_status(this)?.as_ref(), data, sleep),
            _ => Err(Errno::ENOTTY),
        }
    }
}
