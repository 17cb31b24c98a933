// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Namespaces and their nodes, `nvmeXnY`.
#![forbid(unsafe_code)]

use crate::controller::Controller;
use crate::name::Name;
use crate::passthru;
use crate::proto::ns::Geometry;
use crate::proto::slots::{Class, Cqe, cqe_status};
use crate::proto::status::{BioOutcome, DataOutcome, bio_outcome};
use crate::proto::timeout::{Deadline, Patience};
use crate::qpair::{Command, HostQpair, Refused, Request};
use core::sync::atomic::{AtomicBool, Ordering};
use sys::bio::{Bio, BioCommand, BioQueue, IoBuf};
use sys::cdev::{Cdev, CdevHandler, ioc};
use sys::mem::{KArc, KBox};
use sys::memdesc::MemDesc;
use sys::sync::Mutex;
use sys::time::uptime_ms;
use sys::wire::sqe::{DSM_DEALLOCATE, DsmRange, nvm};
use sys::wire::{IntoBytes, Sqe};
use sys::{CanSleep, Errno, Result, Wait};

/// How long a bio may take at the controller, in milliseconds: what nda(4) grants by default.
const IO_MS: u32 = 30_000;
/// The most blocks of one command.
const MAX_BLOCKS: u64 = 65536;

/// What a node does with bios.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Sends them.
    Open,
    /// Keeps them until there is an association.
    Held,
    /// Fails them: the namespace or the controller is going away.
    Closed,
}

struct State {
    mode: Mode,
    held: BioQueue,
}

/// A namespace with its node.
pub struct Namespace {
    ctrl: KArc<Controller>,
    nsid: u32,
    name: Name,
    state: Mutex<State>,
    geometry: Mutex<Geometry>,
    /// CAM was told that the disk is gone, and not yet that it is back.
    lost: AtomicBool,
    node: Mutex<Option<Cdev<Namespace>>>,
}

/// A bio on its way.
pub struct NodeBio {
    bio: Bio,
    ns: KArc<Namespace>,
    /// The range of a Dataset Management command.
    range: Option<KBox<IoBuf>>,
}

impl NodeBio {
    /// The command is finished. Any context.
    pub fn finish(self, cqe: &Cqe, data: DataOutcome) {
        if let Some(range) = &self.range {
            range.give_back();
        }
        let result = match bio_outcome(cqe_status(cqe), data, self.ns.ctrl.fails_io()) {
            BioOutcome::Complete => Ok(()),
            BioOutcome::DataError(code) => Err(Errno::from_code(code).unwrap_or(Errno::EIO)),
            BioOutcome::IoError => Err(Errno::EIO),
            BioOutcome::Aborted => Err(Errno::ECONNABORTED),
            BioOutcome::Hold => return Namespace::hold(&self.ns, self.bio),
        };
        self.bio.finish(result);
    }

    fn fail(self, error: Errno) {
        if let Some(range) = &self.range {
            range.give_back();
        }
        self.bio.finish(Err(error));
    }
}

/// An entry, memory that it needs, and its data with their direction.
type BioCommandParts = (Sqe, Option<KBox<IoBuf>>, Option<(MemDesc, bool)>);

impl Namespace {
    /// A namespace without its node; `held` as the controller stands.
    pub fn new(
        ctrl: &KArc<Controller>,
        nsid: u32,
        geometry: Geometry,
        held: bool,
        wait: Wait<'_>,
    ) -> Result<KArc<Self>> {
        let mode = if held { Mode::Held } else { Mode::Open };
        KArc::new(
            Self {
                ctrl: ctrl.clone(),
                nsid,
                name: Name::new(format_args!("{}n{nsid}", ctrl.name())),
                state: Mutex::new(
                    c"nvmf ns",
                    State {
                        mode,
                        held: BioQueue::new(),
                    },
                    wait,
                )?,
                geometry: Mutex::new(c"nvmf ns geometry", geometry, wait)?,
                lost: AtomicBool::new(false),
                node: Mutex::new(c"nvmf ns node", None, wait)?,
            },
            wait,
        )
    }

    /// Makes the node.
    pub fn create_node(this: &KArc<Self>, sleep: CanSleep<'_>) -> Result<()> {
        let alias = Name::new(format_args!("{}ns{}", this.ctrl.name(), this.nsid));
        let iosize = this.ctrl.max_transfer();
        let node = Cdev::create_disk(
            this.name.as_cstr(),
            alias.as_cstr(),
            iosize,
            this.clone(),
            sleep,
        )?;
        *this.node.lock() = Some(node);
        Ok(())
    }

    /// The namespace identifier.
    pub fn nsid(&self) -> u32 {
        self.nsid
    }

    /// Size and format.
    pub fn geometry(&self) -> Geometry {
        *self.geometry.lock()
    }

    /// Takes over a new size or format.
    pub fn set_geometry(&self, geometry: Geometry) {
        *self.geometry.lock() = geometry;
    }

    /// CAM was told that the disk is gone. Any context.
    pub fn note_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether it was since the last call: the caller tells CAM that the disk is back.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// Keeps bios from now on.
    pub fn suspend(&self) {
        let mut st = self.state.lock();
        if st.mode == Mode::Open {
            st.mode = Mode::Held;
        }
    }

    /// Sends bios again, first those that were kept. Not from a data callback.
    pub fn resume(this: &KArc<Self>, reopen: bool) {
        let mut bios = {
            let mut st = this.state.lock();
            if reopen && st.mode == Mode::Held {
                st.mode = Mode::Open;
            }
            if st.mode != Mode::Open {
                return;
            }
            st.held.take()
        };
        while let Some(bio) = bios.pop() {
            Self::start(this, bio);
        }
    }

    /// Fails bios from now on, also those that were kept.
    pub fn close(&self) {
        let mut bios = {
            let mut st = self.state.lock();
            st.mode = Mode::Closed;
            st.held.take()
        };
        while let Some(bio) = bios.pop() {
            bio.finish(Err(Errno::ECONNABORTED));
        }
    }

    /// Closes and removes the node. Bios that the controller has must be finished by somebody meanwhile.
    pub fn destroy(&self, sleep: CanSleep<'_>) {
        self.close();
        let node = self.node.lock().take();
        if let Some(node) = node {
            node.destroy(sleep);
        }
    }

    /// A bio whose command was given up: it is kept, or sent again if there is an association already.
    fn hold(this: &KArc<Self>, bio: Bio) {
        let mut st = this.state.lock();
        match st.mode {
            Mode::Closed => {
                drop(st);
                bio.finish(Err(Errno::ECONNABORTED));
            }
            Mode::Held => st.held.push(bio),
            Mode::Open => {
                st.held.push(bio);
                drop(st);
                this.ctrl.resume_nodes();
            }
        }
    }

    /// Sends, keeps or fails a bio.
    fn start(this: &KArc<Self>, bio: Bio) {
        {
            let mut st = this.state.lock();
            match st.mode {
                Mode::Open => (),
                Mode::Held if !this.ctrl.fails_io() => {
                    st.held.push(bio);
                    return;
                }
                Mode::Held | Mode::Closed => {
                    drop(st);
                    bio.finish(Err(Errno::ECONNABORTED));
                    return;
                }
            }
        }
        // Between the check above and here the association may go: then the bio comes back as refused.
        match this.ctrl.io_queues.here() {
            Some(qp) => Self::send(this, &qp, bio),
            None => Self::hold_or_fail(this, bio),
        }
    }

    fn hold_or_fail(this: &KArc<Self>, bio: Bio) {
        if this.ctrl.fails_io() {
            bio.finish(Err(Errno::ECONNABORTED));
        } else {
            Self::hold(this, bio);
        }
    }

    /// The command of a bio.
    fn command(&self, bio: &Bio) -> Result<BioCommandParts> {
        let geometry = self.geometry();
        let mask = u64::from(geometry.lba_size()) - 1;
        let (offset, len) = (bio.offset(), bio.len());
        let blocks = len >> geometry.lba_shift;
        let slba = offset >> geometry.lba_shift;
        let io = |opcode, write| {
            if (offset | len) & mask != 0 || blocks == 0 || blocks > MAX_BLOCKS {
                return Err(Errno::EINVAL);
            }
            let sqe = Sqe::block_io(opcode, self.nsid, slba, blocks as u32);
            Ok((sqe, None, Some((bio.memdesc(), write))))
        };
        match bio.command() {
            BioCommand::Read => io(nvm::READ, false),
            BioCommand::Write => io(nvm::WRITE, true),
            BioCommand::Flush => {
                let mut sqe = Sqe::new(nvm::FLUSH);
                sqe.nsid = self.nsid.into();
                Ok((sqe, None, None))
            }
            BioCommand::Delete => {
                let length = u32::try_from(blocks).map_err(|_| Errno::EINVAL)?;
                let range = DsmRange {
                    length: length.into(),
                    slba: slba.into(),
                    ..DsmRange::default()
                };
                let mut buf = KBox::new(
                    IoBuf::zeroed(size_of::<DsmRange>(), Wait::NoWait)?,
                    Wait::NoWait,
                )?;
                buf.get_mut().copy_from_slice(range.as_bytes());
                let data = buf.lend().map(|md| (md, true));
                let mut sqe = Sqe::new(nvm::DATASET_MANAGEMENT);
                sqe.nsid = self.nsid.into();
                sqe.cdw11 = DSM_DEALLOCATE.into();
                Ok((sqe, Some(buf), data))
            }
            BioCommand::Other => Err(Errno::EOPNOTSUPP),
        }
    }

    fn send(this: &KArc<Self>, qp: &KArc<HostQpair>, bio: Bio) {
        let (sqe, range, data) = match this.command(&bio) {
            Ok(parts) => parts,
            Err(e) => return bio.finish(Err(e)),
        };
        let request = Request::Bio(NodeBio {
            bio,
            ns: this.clone(),
            range,
        });
        let patience = Patience::Until(Deadline::after(uptime_ms(), IO_MS));
        let refused = HostQpair::submit(
            qp,
            Command {
                sqe,
                data,
                request,
                class: Class::Normal,
                patience,
            },
        );
        let (request, full) = match refused {
            Ok(()) => return,
            Err(Refused::Down(cmd)) => (cmd.request, false),
            Err(Refused::Full(cmd)) => (cmd.request, true),
            Err(Refused::NoMemory(request)) => {
                if let Request::Bio(bio) = request {
                    bio.fail(Errno::ENOMEM);
                }
                return;
            }
        };
        let Request::Bio(NodeBio { bio, range, .. }) = request else {
            return;
        };
        if let Some(range) = &range {
            range.give_back();
        }
        if full {
            // It goes to the end of the node's list, and is sent when a slot is free.
            this.state.lock().held.push(bio);
            qp.node_waits();
        } else {
            Self::hold_or_fail(this, bio);
        }
    }
}

impl CdevHandler<0> for Namespace {
    fn ioctl(this: &KArc<Self>, cmd: u32, data: &mut [u8], sleep: CanSleep<'_>) -> Result<()> {
        match cmd {
            ioc::PASSTHROUGH => passthru::run(
                &this.ctrl,
                this.ctrl.io_queues.here().as_ref(),
                Some(this.nsid),
                data,
                sleep,
            ),
            ioc::GET_NSID => passthru::get_nsid(this.ctrl.name(), this.nsid, data),
            ioc::MEDIASIZE => passthru::put(data, 0, &this.geometry().bytes().to_ne_bytes()),
            ioc::SECTORSIZE => passthru::put(data, 0, &this.geometry().lba_size().to_ne_bytes()),
            _ => Err(Errno::ENOTTY),
        }
    }

    fn strategy(this: &KArc<Self>, bio: Bio) {
        Self::start(this, bio);
    }
}
