// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What userland hands over: the nvlists of a host's handoff and of its queue pairs, a controller's Connect, and the
//! arguments of a port.
//!
//! Two implementations of one rule must agree: `nvmf` and `nvmf_transport` both judge a queue pair's list.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use nvmf::proto::handoff::{self, CDATA_LEN, DLE_LEN, NQN_LEN, Queue, Source};
use nvmf_tcp::proto::params::{MAX_TTAGS, MIN_MAXH2CDATA};
use nvmf_tcp::proto::{Params, RawParams, Role};
use nvmf_transport::params::QpairParams;
use nvmft::proto::connect::{self, AdminRefusal, IoContext, IoRefusal};
use nvmft::proto::controller::State;
use nvmft::proto::port_args::{Nqn, PortConfig, PortSelector, strtoul};
use nvmft::proto::xml::{Escaped, Printable};
use nvmft::proto::{controller, identify};
use sys::wire::FromBytes;
use sys::wire::fabrics::{ConnectCmd, ConnectData};

use crate::input::Input;

/// The keys that handoffs have. The seeds rely on their order.
pub const KEYS: [&CStr; 22] = [
    c"trtype",
    c"admin",
    c"io",
    c"cdata",
    c"rparams",
    c"dle",
    c"hostnqn",
    c"num_io_queues",
    c"io_qsize",
    c"sq_flow_control",
    c"qsize",
    c"sqhd",
    c"sqtail",
    c"kato",
    c"reconnect_delay",
    c"controller_loss_timeout",
    c"rxpda",
    c"txpda",
    c"header_digests",
    c"data_digests",
    c"maxr2t",
    c"maxh2cdata",
];

/// Types of values in an input.
pub mod tag {
    /// The list ends here.
    pub const END: u8 = 0;
    /// False.
    pub const FALSE: u8 = 1;
    /// True.
    pub const TRUE: u8 = 2;
    /// A number of one byte.
    pub const SMALL: u8 = 3;
    /// A number of eight bytes.
    pub const NUMBER: u8 = 4;
    /// A string.
    pub const STRING: u8 = 5;
    /// A binary: two bytes of length, and 8 bytes that appear at offsets 0, 256, 512 and 768.
    pub const BINARY: u8 = 6;
    /// A list.
    pub const LIST: u8 = 7;
    /// An array: a byte of length, and its one element, as often as that.
    pub const ARRAY: u8 = 8;
}

const DEPTH: u32 = 3;

enum Value {
    Bool(bool),
    Number(u64),
    Str,
    Binary(Vec<u8>),
    List(List),
    Array(usize, List),
}

#[derive(Default)]
struct List(Vec<(u8, Value)>);

impl List {
    fn parse(input: &mut Input<'_>, depth: u32) -> Self {
        let mut list = Self::default();
        while !input.is_empty() {
            let tag = input.byte() % 9;
            if tag == tag::END {
                break;
            }
            let key = input.byte() % KEYS.len() as u8;
            let value = match tag {
                tag::FALSE | tag::TRUE => Value::Bool(tag == tag::TRUE),
                tag::SMALL => Value::Number(input.byte().into()),
                tag::NUMBER => Value::Number(input.u64()),
                tag::STRING => Value::Str,
                tag::BINARY => {
                    let mut bytes = vec![0; usize::from(input.u16() % 8192)];
                    let text = input.array::<8>();
                    for at in [0, 256, 512, 768] {
                        if let Some(to) = bytes.get_mut(at..at + 8) {
                            to.copy_from_slice(&text);
                        }
                    }
                    Value::Binary(bytes)
                }
                _ if depth == 0 => Value::Str,
                tag::LIST => Value::List(Self::parse(input, depth - 1)),
                _ => Value::Array(input.byte().into(), Self::parse(input, depth - 1)),
            };
            list.0.push((key, value));
        }
        list
    }

    fn get(&self, key: &CStr) -> Option<&Value> {
        let key = KEYS.iter().position(|k| *k == key)? as u8;
        self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| v)
    }
}

impl Source for &List {
    fn boolean(self, key: &CStr) -> Option<bool> {
        match self.get(key)? {
            Value::Bool(v) => Some(*v),
            _ => None,
        }
    }

    fn number(self, key: &CStr) -> Option<u64> {
        match self.get(key)? {
            Value::Number(v) => Some(*v),
            _ => None,
        }
    }

    fn has_string(self, key: &CStr) -> bool {
        matches!(self.get(key), Some(Value::Str))
    }

    fn with_binary<R>(self, key: &CStr, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        match self.get(key)? {
            Value::Binary(v) => Some(f(v)),
            _ => None,
        }
    }

    fn list(self, key: &CStr) -> Option<Self> {
        match self.get(key)? {
            Value::List(v) => Some(v),
            _ => None,
        }
    }

    fn array_len(self, key: &CStr) -> Option<usize> {
        match self.get(key)? {
            Value::Array(n, _) => Some(*n),
            _ => None,
        }
    }

    fn array_get(self, key: &CStr, index: usize) -> Option<Self> {
        match self.get(key)? {
            Value::Array(n, v) if index < *n => Some(v),
            _ => None,
        }
    }
}

/// Both judges of a queue pair's list; what they accept is in range.
fn queue(list: &List) {
    let params = QpairParams {
        admin: list.boolean(c"admin"),
        sq_flow_control: list.boolean(c"sq_flow_control"),
        qsize: list.number(c"qsize"),
        sqhd: list.number(c"sqhd"),
        sqtail: list.number(c"sqtail"),
    };
    let parsed = Queue::parse(list);
    assert_eq!(params.are_valid(false), parsed.is_some(), "{params:?}");
    if let Some(q) = parsed {
        assert!(params.are_valid(true));
        assert!((2..=65536).contains(&q.qsize) && (!q.admin || q.qsize <= 4096));
        assert!(q.sqhd < q.qsize && q.sqtail < q.qsize);
    }
    let number = |key| list.number(key).unwrap_or(0);
    let raw = RawParams {
        admin: list.boolean(c"admin").unwrap_or(false),
        sq_flow_control: list.boolean(c"sq_flow_control").unwrap_or(false),
        qsize: number(c"qsize"),
        rxpda: number(c"rxpda"),
        txpda: number(c"txpda"),
        header_digests: list.boolean(c"header_digests").unwrap_or(false),
        data_digests: list.boolean(c"data_digests").unwrap_or(false),
        maxr2t: number(c"maxr2t"),
        maxh2cdata: number(c"maxh2cdata"),
        max_icd: number(c"io_qsize"),
        max_transmit_data: number(c"kato") as u32,
    };
    for role in [Role::Host, Role::Controller] {
        let Ok(p) = Params::parse(role, &raw) else {
            continue;
        };
        assert_eq!(u64::from(p.qsize), raw.qsize);
        assert_eq!(u64::from(p.maxh2cdata), raw.maxh2cdata);
        assert_eq!(
            (u64::from(p.rxpda), u64::from(p.txpda)),
            (raw.rxpda, raw.txpda)
        );
        assert!(p.rxpda % 4 == 0 && (4..=128).contains(&p.rxpda));
        assert!(p.txpda % 4 == 0 && (4..=128).contains(&p.txpda));
        assert!(p.max_r2t != 0 && p.max_data != 0 && p.maxh2cdata >= MIN_MAXH2CDATA);
        assert!(role == Role::Controller || p.max_data <= p.maxh2cdata);
        assert!((64..=MAX_TTAGS).contains(&p.request_slots()));
    }
}

/// A host's handoff: what is accepted satisfies the contract.
fn host(list: &List) {
    for (_, value) in &list.0 {
        if let Value::List(l) | Value::Array(_, l) = value {
            queue(l);
        }
    }
    if let Some(Value::Binary(dle)) = list.list(c"rparams").and_then(|l| l.get(c"dle")) {
        assert!(matches!(handoff::missing_adrfam(dle), None | Some(1 | 2)));
    }
    let Ok(h) = handoff::validate(list) else {
        return;
    };
    let rparams = list.list(c"rparams").expect("a list");
    assert!((1..=1024).contains(&h.io_queues) && h.admin.admin);
    assert_eq!(list.array_len(c"io"), Some(h.io_queues as usize));
    assert_eq!(rparams.number(c"num_io_queues"), Some(h.io_queues.into()));
    for i in 0..h.io_queues as usize {
        let q = list.array_get(c"io", i).and_then(Queue::parse);
        assert_eq!(q.map(|q| q.qsize), Some(h.io_qsize));
    }
    list.with_binary(c"cdata", |cdata| {
        assert_eq!(cdata.len(), CDATA_LEN);
        rparams.with_binary(c"dle", |dle| {
            assert_eq!(dle.len(), DLE_LEN);
            let nqn = handoff::subnqn(cdata).expect("long enough");
            assert_eq!(nqn, &dle[256..256 + NQN_LEN]);
            assert!(!handoff::nqn_text(nqn).contains(&0));
        })
    });
    let kato = list.number(c"kato").unwrap_or(0);
    assert_eq!(u64::from(h.kato_ms), kato.min(u32::MAX.into()));
}

/// A Connect that userland received for us.
fn connect(input: &mut Input<'_>) {
    let cmd = ConnectCmd::read_from_bytes(&input.array::<64>()).expect("64 bytes");
    let [state, queues, exists, max_qsize, same] = input.array();
    let qsize = input.u64();
    let mut data = ConnectData::read_from_bytes(&[0; 1024]).expect("1024 bytes");
    let own = (input.array::<16>(), *b"nqn.2014-08.org:h");
    data.hostid = input.array();
    data.hostnqn = core::array::from_fn(|_| input.byte());
    data.subnqn = core::array::from_fn(|_| input.byte());
    let mut hostnqn = [0; 256];
    hostnqn[..own.1.len()].copy_from_slice(&own.1);
    if same & 1 != 0 {
        data.hostid = own.0;
    }
    if same & 2 != 0 {
        data.hostnqn = hostnqn;
    }

    match connect::check_admin(&data) {
        Ok(()) => {
            assert!(data.hostid != [0; 16] && data.hostnqn[..224].contains(&0));
        }
        Err(AdminRefusal::HostId) => assert_eq!(data.hostid, [0; 16]),
        Err(AdminRefusal::HostNqn) => {
            assert!(data.hostnqn[0] == 0 || !data.hostnqn[..224].contains(&0));
        }
        Err(AdminRefusal::NoController) => panic!("not for the check to say"),
    }
    if let Some(nqn) = Nqn::new(&data.subnqn) {
        assert!((1..=223).contains(&nqn.as_bytes().len()));
        assert!(data.subnqn.starts_with(nqn.as_bytes()));
    }
    let text = Printable(&data.hostnqn).to_string();
    assert!(text.bytes().all(|b| matches!(b, b' '..=b'~')));
    let text = Escaped(&data.hostnqn).to_string();
    assert!(!text.contains(|c: char| c.is_control() || "<>\"'".contains(c)));

    const STATES: [State; 7] = [
        State::Disabled,
        State::Enabled,
        State::Resetting,
        State::ShuttingDown,
        State::ShutDown,
        State::Failed,
        State::Terminated,
    ];
    let ctx = IoContext {
        hostid: &own.0,
        hostnqn: &hostnqn,
        state: STATES[usize::from(state) % STATES.len()],
        queues: (queues != 0).then_some(queues.into()),
        max_qsize: u32::from(max_qsize),
    };
    let exists = exists & 1 != 0;
    match connect::check_io(&ctx, &cmd, &data, qsize, |_| exists) {
        Ok(()) => {
            assert_eq!((data.hostid, data.hostnqn), (own.0, hostnqn));
            assert_eq!(ctx.state, State::Enabled);
            let qid = cmd.qid.get();
            assert!(qid != 0 && Some(qid) <= ctx.queues && !exists);
            assert!(qsize <= u64::from(max_qsize));
        }
        Err(e) => {
            let cqe = e.response(cmd.cid.get());
            assert!(!cqe.status().is_success() && cqe.cid == cmd.cid);
            assert!(e != IoRefusal::NoController);
        }
    }
}

/// The arguments of a port, which are all strings.
fn port(input: &mut Input<'_>) {
    const ARGS: [&CStr; 9] = [
        c"subnqn",
        c"portid",
        c"max_io_qsize",
        c"enable_timeout",
        c"ioccsz",
        c"iorcsz",
        c"nn",
        c"serial",
        c"port_id",
    ];
    let mut args: [Option<&[u8]>; ARGS.len()] = [None; ARGS.len()];
    while !input.is_empty() {
        let which = usize::from(input.byte()) % ARGS.len();
        let len = usize::from(input.byte());
        args[which] = Some(input.take(len));
    }
    let get = |key: &'static CStr| args[ARGS.iter().position(|k| *k == key)?];
    for text in args.into_iter().flatten() {
        if let Some(v) = strtoul(text) {
            let mut digits = [0; 24];
            let text = decimal(v, &mut digits);
            assert_eq!(strtoul(text), Some(v));
        }
    }
    let selected = PortSelector::parse(get);
    let named = [get(c"subnqn"), get(c"port_id")].iter().flatten().count();
    assert!(selected.is_err() || named == 1);
    let Ok(config) = PortConfig::parse(get, 7) else {
        return;
    };
    assert!((2..=65536).contains(&config.max_io_qsize) && config.nn != 0);
    assert!(config.ioccsz >= 4 && config.iorcsz >= 1);
    let cap = identify::cap(&config, 0);
    assert_eq!(u32::from(cap.mqes()) + 1, config.max_io_qsize);
    assert_eq!(cap.to(), config.enable_timeout);
    let mut page = [0; 4096];
    identify::fill_controller(&mut page, &config, 1, b"FreeBSD", b"15.0-RELEASE");
    let nqn = handoff::subnqn(&page).expect("4096 bytes");
    assert_eq!(handoff::nqn_text(nqn), config.subnqn.as_bytes());
    let (c, _) = controller::Controller::new(controller::Limits { mps: 0 });
    assert_eq!(c.csts(), 0);
}

fn decimal(mut v: u64, out: &mut [u8; 24]) -> &[u8] {
    let mut at = out.len();
    loop {
        at -= 1;
        out[at] = b'0' + (v % 10) as u8;
        v /= 10;
        if v == 0 {
            return &out[at..];
        }
    }
}

/// What an input is about, by its first byte.
pub mod kind {
    /// A host's handoff.
    pub const HOST: u8 = 0;
    /// The list of a queue pair.
    pub const QUEUE: u8 = 1;
    /// A Connect.
    pub const CONNECT: u8 = 2;
    /// The arguments of a port.
    pub const PORT: u8 = 3;
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() % 4 {
        kind::HOST => host(&List::parse(&mut input, DEPTH)),
        kind::QUEUE => queue(&List::parse(&mut input, DEPTH)),
        kind::CONNECT => connect(&mut input),
        _ => port(&mut input),
    }
}
