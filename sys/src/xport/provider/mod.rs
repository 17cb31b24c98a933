// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A transport's side: [`Transport`], and what it works with: [`QpairObj`],
//! [`CapRef`], [`ActiveCmd`], [`DataRef`], [`IoRequest`].
//!
//! Ownership of a capsule is by reference count. Its creator owns one
//! reference; the transport takes one while the capsule is in transit and one
//! while its data is in use. The last one gives the capsule back to its queue
//! pair's pool, so that no I/O allocates memory in steady state. A queue pair's
//! memory outlives [`Transport::free_qpair`] until the last capsule is back.

mod active;
mod capsule;
mod data;
mod list;
mod pool;
mod qpair;
mod request;
mod table;

pub use active::{ActiveCmd, ActiveSlot};
pub use capsule::{CapRef, CapsuleObj};
pub use data::DataRef;
pub use list::CapList;
pub use qpair::QpairObj;
pub use request::IoRequest;
pub use table::ops;

use crate::context::CanSleep;
use crate::errno::Result;
use crate::mbuf::Mbuf;
use crate::mem::KArc;
use crate::nv::NvRef;

/// A transport: the functions behind `struct nvmf_transport_ops`.
pub trait Transport: Sized + Send + Sync + 'static {
    /// What a queue pair keeps.
    type Qpair: Send + Sync;
    /// What a capsule keeps for all threads; reset when it is reused.
    type Shared: Default + Send + Sync;
    /// What a command in progress keeps for whoever holds its [`ActiveCmd`].
    type Active: Default + Send;

    /// The transport type.
    const TRTYPE: u32;
    /// Transports of higher priority are asked first.
    const PRIORITY: i32;

    /// Makes a queue pair of the connection in `params`, or declines. Its
    /// callbacks must not be used before [`QpairObj::is_ready`].
    fn allocate_qpair(
        controller: bool,
        params: NvRef<'_>,
        sleep: CanSleep<'_>,
    ) -> Option<KArc<QpairObj<Self>>>;
    /// Stops the queue pair: threads joined, no callback afterwards.
    fn free_qpair(qp: &KArc<QpairObj<Self>>, sleep: CanSleep<'_>);
    /// Sends a capsule. Any context that may enter the network stack.
    fn transmit(qp: &QpairObj<Self>, cap: CapRef<Self>) -> Result<()>;
    /// Checks a received command: a generic status code.
    fn validate(cap: &CapsuleObj<Self>) -> u8;
    /// The data length of a received command.
    fn data_len(cap: &CapsuleObj<Self>) -> usize;
    /// Moves data from the host.
    fn receive_data(
        qp: &QpairObj<Self>,
        cap: CapRef<Self>,
        offset: u32,
        io: IoRequest,
    ) -> Result<()>;
    /// Moves data to the host: a result of `nvmf_send_controller_data`.
    fn send_data(qp: &QpairObj<Self>, cap: &CapRef<Self>, offset: u32, m: Mbuf) -> u32;
}
