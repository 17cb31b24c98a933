// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Admin, Fabrics and I/O commands to a controller, between the events that a kernel brings: teardowns that end, timers,
//! closed connections, namespaces that come and go.
//!
//! The target carries the commands out as the kernel half does, without data transfers. Each Asynchronous Event Request
//! is answered once, a teardown is asked for only when none is under way, and what Identify and the logs say is what
//! our own host accepts.
#![forbid(unsafe_code)]

use nvmf::proto::aer::{Changed, changed};
use nvmf::proto::scan::{Step, Walk};
use nvmft::proto::admin::{
    self, AdminCommand, Identify, IoCommand, Property, Refused, data_len_fits, feature_data_len,
};
use nvmft::proto::aer::{AER_MAX, Aer, LimitExceeded, NS_NOTICE_CDW0, Notice};
use nvmft::proto::controller::{Actions, CcError, Controller, Event, Limits, State, csts};
use nvmft::proto::features::{Effect, Features, Value};
use nvmft::proto::identify;
use nvmft::proto::log::{self, LogPage, LogRequest, PAGE_MAX};
use nvmft::proto::ns::{ChangedList, LIST_ENTRIES, NSID_LIMIT, NsSet};
use nvmft::proto::port_args::PortConfig;
use sys::wire::fabrics::fctype;
use sys::wire::feature::fid;
use sys::wire::{FromBytes, Sqe, Status};

use crate::input::Input;

/// The largest namespace ID of the port.
const NN: u32 = 16;

/// What happens next, in an input.
pub mod op {
    /// A command of the admin queue: 8 bytes of data length, 64 of command.
    pub const ADMIN: u8 = 0;
    /// A command of an I/O queue: 64 bytes.
    pub const IO: u8 = 1;
    /// The teardown that is under way ends.
    pub const TORN_DOWN: u8 = 2;
    /// A fatal error.
    pub const FATAL: u8 = 3;
    /// The admin connection closes.
    pub const ADMIN_CLOSED: u8 = 4;
    /// The time to be enabled passes.
    pub const GRACE: u8 = 5;
    /// A namespace comes: 1 byte.
    pub const ADD: u8 = 6;
    /// A namespace goes: 1 byte.
    pub const REMOVE: u8 = 7;
}

struct Target {
    machine: Controller,
    features: Features,
    aer: Aer,
    changed: ChangedList<Vec<u32>>,
    active: NsSet<Vec<u32>>,
    config: PortConfig,
    /// A teardown is under way.
    tearing: bool,
    terminated: bool,
    /// Identifiers of the Asynchronous Event Requests that are not answered.
    events: Vec<u16>,
}

impl Target {
    fn act(&mut self, actions: Actions) {
        if actions.contains(Actions::TEAR_DOWN) {
            assert!(!self.tearing, "two teardowns");
            self.tearing = true;
        }
        assert!(!actions.contains(Actions::ARM_GRACE | Actions::STOP_GRACE));
        assert!(!actions.contains(Actions::START_KEEP_ALIVE | Actions::STOP_KEEP_ALIVE));
        if actions.contains(Actions::TERMINATE) {
            assert!(!self.terminated, "terminated twice");
            self.terminated = true;
            assert_eq!(self.machine.state(), State::Terminated);
        }
        if actions.contains(Actions::CLEAR) {
            self.features.reset();
            self.aer.reset();
            self.changed.clear();
            self.events.clear();
        }
    }

    fn event(&mut self, event: Event) {
        let actions = self.machine.event(event);
        self.act(actions);
    }

    fn torn_down(&mut self) {
        if self.tearing {
            self.tearing = false;
            self.event(Event::TornDown);
            assert_eq!(self.machine.csts() & csts::SHST_OCCURRING, 0);
        }
    }

    /// An event is reported: with a request that was outstanding.
    fn notify(&mut self, notice: Option<Notice>) {
        if let Some(n) = notice {
            let at = self.events.iter().position(|cid| *cid == n.cid);
            self.events.remove(at.expect("an outstanding request"));
            assert_eq!(n.cdw0, NS_NOTICE_CDW0);
        }
    }

    fn namespace(&mut self, nsid: u32, here: bool) {
        let changed = if here {
            match self.active.insert(nsid) {
                Ok(new) => new,
                Err(_) => {
                    let old = self.active.as_slice().to_vec();
                    let slots = self
                        .active
                        .replace_storage(vec![0; self.active.capacity() * 2]);
                    assert_eq!(slots, old);
                    assert_eq!(self.active.insert(nsid), Ok(true));
                    true
                }
            }
        } else {
            self.active.remove(nsid)
        };
        assert_eq!(self.active.contains(nsid), here);
        assert!(self.active.as_slice().is_sorted());
        if changed {
            self.changed.add(nsid);
            let notice = self.aer.namespace_changed();
            self.notify(notice);
        }
    }

    fn admin(&mut self, sqe: &Sqe, data_len: u64) {
        let enabled = self.machine.is_enabled();
        let command = match admin::decode(sqe, data_len, enabled) {
            Ok(command) => command,
            Err(refused) => {
                assert!(!refused.status().is_success());
                assert_eq!(refused.has_message(), !refused.to_string().is_empty());
                return;
            }
        };
        assert!(enabled || sqe.is_fabrics());
        match command {
            AdminCommand::PropertyGet(Property::Csts) => {
                let v = self.machine.csts();
                let failed = matches!(self.machine.state(), State::Failed | State::Terminated);
                assert_eq!(v & csts::CFS != 0, failed);
                assert!(v & csts::RDY != 0 || !enabled);
            }
            AdminCommand::PropertyGet(_) => {}
            AdminCommand::WriteCc(value) => self.write_cc(value),
            AdminCommand::GetLogPage(request) => self.get_log_page(&request, data_len),
            AdminCommand::Identify(wanted) => self.identify(wanted),
            AdminCommand::Abort { sqid, cid } => {
                let known = self.events.iter().position(|c| *c == cid);
                if sqid == 0 {
                    assert_eq!(self.aer.abort(cid), known.is_some());
                    if let Some(at) = known {
                        self.events.remove(at);
                    }
                }
            }
            AdminCommand::SetFeatures => self.set_features(sqe),
            AdminCommand::GetFeatures => self.get_features(sqe),
            AdminCommand::AsyncEventRequest => {
                let cid = sqe.cid.get();
                // The table of identifiers refuses one that is in use.
                if self.events.contains(&cid) {
                    return;
                }
                match self.aer.request(cid) {
                    Ok(notice) => {
                        self.events.push(cid);
                        self.notify(notice);
                    }
                    Err(LimitExceeded) => assert_eq!(self.events.len(), AER_MAX),
                }
            }
            AdminCommand::KeepAlive => {}
        }
        assert_eq!(self.aer.outstanding().len(), self.events.len());
    }

    fn write_cc(&mut self, value: u32) {
        let before = (self.machine.state(), self.machine.cc(), self.machine.csts());
        match self.machine.write_cc(value) {
            Ok(actions) => self.act(actions),
            Err(CcError::InvalidField | CcError::Sequence) => {
                let after = (self.machine.state(), self.machine.cc(), self.machine.csts());
                assert_eq!(before, after);
            }
        }
    }

    fn set_features(&mut self, sqe: &Sqe) {
        let before = self.features;
        match self.features.set(sqe) {
            Ok((_, effect)) => match effect {
                Effect::None => {}
                Effect::EventConfig(config) => {
                    self.aer.set_config(config);
                    assert_eq!(self.aer.config(), config);
                }
                Effect::KeepAlive(ms) => {
                    let asked = sqe.cdw11.get();
                    assert!(ms >= asked && (ms - asked) < 1000 || ms == u32::MAX);
                    assert_eq!(self.features.kato_ms(), ms);
                }
            },
            Err(status) => {
                assert!(!status.is_success());
                assert_eq!(self.features, before);
            }
        }
        if let Some(queues) = self.features.queues() {
            assert!((1..=1024).contains(&queues));
        }
    }

    fn get_features(&self, sqe: &Sqe) {
        let id = sqe.cdw10.get() as u8;
        match self.features.get(sqe, self.aer.config()) {
            Ok(Value::HostId) => assert_eq!((id, feature_data_len(id)), (fid::HOST_IDENTIFIER, 16)),
            Ok(Value::Dword(v)) => {
                assert_eq!(feature_data_len(id), 0);
                match id {
                    fid::KEEP_ALIVE_TIMER => assert_eq!(v, self.features.kato_ms()),
                    fid::ASYNC_EVENT_CONFIG => assert_eq!(v, self.aer.config()),
                    _ => {}
                }
            }
            Err(status) => assert_eq!(status, Status::INVALID_FIELD),
        }
    }

    fn get_log_page(&mut self, request: &LogRequest, data_len: u64) {
        assert_eq!(u64::from(request.len), data_len);
        assert!(data_len <= log::LOG_LEN_MAX && request.offset.is_multiple_of(4));
        let mut page = [0; PAGE_MAX];
        let mut notice = None;
        match request.page {
            LogPage::Error | LogPage::Health => {}
            LogPage::FirmwareSlot => log::fill_firmware_slot(&mut page, b"15.0    "),
            LogPage::Effects => log::fill_effects(&mut page),
            LogPage::ChangedNamespaces => {
                self.changed.fill(&mut page);
                match changed(&page) {
                    Changed::All => {}
                    Changed::Some(ids) => assert_eq!(ids.count() == 0, self.changed.is_empty()),
                }
                if request.is_full() {
                    self.changed.clear();
                }
                if !request.rae {
                    notice = self.aer.log_read(request.is_full());
                }
            }
        }
        let mut data = vec![0xff; request.len as usize];
        request.slice(&page, &mut data);
        let at = usize::try_from(request.offset).unwrap_or(usize::MAX);
        let part = page.get(at..).unwrap_or(&[]);
        let n = part.len().min(data.len());
        if request.page != LogPage::Error {
            assert_eq!(data[..n], part[..n]);
        }
        assert!(data[n..].iter().all(|b| *b == 0));
        self.notify(notice);
    }

    fn identify(&self, wanted: Identify) {
        let mut page = [0xff; PAGE_MAX];
        match wanted {
            Identify::Controller => {
                identify::fill_controller(&mut page, &self.config, 1, b"FreeBSD", b"15.0-R");
                assert_eq!(page[516..520], NN.to_le_bytes());
            }
            Identify::ActiveList(after) => {
                assert!(after < NSID_LIMIT);
                self.active.fill_list(after, &mut page);
                if after == 0 {
                    let mut walk = Walk::new(NN);
                    let mut ids = self.active.as_slice().iter();
                    while let Step::Active(nsid) = walk.step(&page).expect("a good list") {
                        assert_eq!(ids.next(), Some(&nsid));
                    }
                    assert_eq!(ids.next(), None);
                }
            }
            Identify::Namespace(nsid) => assert_ne!(nsid, 0),
            Identify::Descriptors(nsid) => {
                assert!(nsid != 0 && nsid != u32::MAX);
                let (head, _) = page.split_at_mut(2);
                head.copy_from_slice(&nsid.to_le_bytes()[..2]);
                identify::namespace_to_descriptors(&mut page);
                assert!(page[48..].iter().all(|b| *b == 0));
            }
        }
    }

    fn io(&self, sqe: &Sqe) {
        match admin::decode_io(sqe, NN) {
            Ok(IoCommand::Submit { lun }) => {
                assert!(lun < NN && lun + 1 == sqe.nsid.get() && sqe.fuse() == 0);
                let ctl = admin::for_ctl(*sqe);
                let len = u64::from(sqe.sgl1.length.get());
                assert!(data_len_fits(sqe, len, len) && !data_len_fits(sqe, len, len + 1));
                assert!(ctl == *sqe || (1..=255).contains(&ctl.cdw10.get()));
            }
            Err(refused) => {
                assert!(!refused.status().is_success());
                let connect = sqe.is_fabrics() && sqe.fctype() == fctype::CONNECT;
                assert_eq!(refused == Refused::Connect, connect);
            }
        }
    }
}

fn sqe(input: &mut Input<'_>) -> Sqe {
    Sqe::read_from_bytes(&input.array::<64>()).expect("64 bytes")
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (machine, actions) = Controller::new(Limits { mps: 0 });
    let config = PortConfig::parse(
        |key| match key.to_bytes() {
            b"subnqn" => Some(b"nqn.2026-01.org.example:fuzz".as_slice()),
            b"portid" => Some(b"1"),
            b"nn" => Some(b"16"),
            _ => None,
        },
        7,
    );
    let mut t = Target {
        machine,
        features: Features::new(input.u16().into()),
        aer: Aer::default(),
        changed: ChangedList::new(vec![0; LIST_ENTRIES.min(4)]),
        active: NsSet::new(vec![0; 4]),
        config: config.expect("good arguments"),
        tearing: false,
        terminated: false,
        events: Vec::new(),
    };
    t.act(actions);
    while !input.is_empty() && !t.terminated {
        match input.byte() % 8 {
            op::ADMIN => {
                let data_len = input.u64();
                let sqe = sqe(&mut input);
                t.admin(&sqe, data_len);
            }
            op::IO => {
                let sqe = sqe(&mut input);
                t.io(&sqe);
            }
            op::TORN_DOWN => t.torn_down(),
            op::FATAL => t.event(Event::Fatal),
            op::ADMIN_CLOSED => t.event(Event::AdminClosed),
            op::GRACE => t.event(Event::GraceExpired),
            op::ADD => {
                let nsid = u32::from(input.byte()) % NN + 1;
                t.namespace(nsid, true);
            }
            _ => {
                let nsid = u32::from(input.byte()) % NN + 1;
                t.namespace(nsid, false);
            }
        }
    }
    // However it stands, the association can be ended.
    t.event(Event::Fatal);
    t.torn_down();
    assert!(t.terminated && !t.tearing);
}
