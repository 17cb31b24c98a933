// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What `glue_nvmf_tcp.c` refers to.

use core::ffi::c_int;
use core::sync::atomic::AtomicU32;

use sys::ffi::nvmf_transport_ops;
use sys::xport::provider;
use sys::{CanSleep, Errno, time};

use crate::proto::params::DEFAULT_MAX_TRANSMIT_DATA;
use crate::qpair::{self, Tcp};

/// The table that the generic layer calls; it never changes it.
#[repr(transparent)]
pub struct Ops(nvmf_transport_ops);

// SAFETY: constant function pointers and numbers.
unsafe impl Sync for Ops {}

/// `struct nvmf_transport_ops` of this module.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static nvrs_tcp_ops: Ops = Ops(provider::ops::<Tcp>());

/// `kern.nvmf.tcp.max_transmit_data`, in bytes; zero means the default.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static nvrs_tcp_max_transmit_data: AtomicU32 = AtomicU32::new(DEFAULT_MAX_TRANSMIT_DATA);

/// How long unloading waits for the network to let go of the last mbufs.
const UNLOAD_WAIT_MS: u32 = 5_000;

/// MOD_LOAD: what can be found out before the first queue pair.
#[unsafe(no_mangle)]
pub extern "C" fn nvrs_tcp_prepare() {
    sys::crc::choose();
}

/// MOD_UNLOAD: EBUSY while a queue pair's memory is in use.
#[unsafe(no_mangle)]
pub extern "C" fn nvrs_tcp_busy() -> c_int {
    // SAFETY: module handlers run in a thread that may sleep.
    let sleep = unsafe { CanSleep::assert() };
    for _ in 0..UNLOAD_WAIT_MS / 10 {
        if qpair::live() == 0 {
            return 0;
        }
        time::pause_ms(10, sleep);
    }
    Errno::EBUSY.code()
}
