// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Inputs to start from: valid exchanges, written down by the protocol halves themselves.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use nvmf_tcp::proto::segment::Piece;
use nvmf_tcp::proto::{Framing, R2tOut, Role, sgl};
use sys::wire::fabrics::property;
use sys::wire::feature::fid;
use sys::wire::identify::cns;
use sys::wire::log::lid;
use sys::wire::sqe::GetLogPage;
use sys::wire::{Cqe, IntoBytes, Sqe, Status};

use crate::handoff::{self, KEYS, tag};
use crate::input::Input;
use crate::stream::{Link, link_flag};
use crate::{admin, burst, host_data};

/// The links that seeds use: every combination of digests, and odd alignments and limits.
fn links(role: Role) -> impl Iterator<Item = ([u8; 5], Link)> {
    (0..8u8).flat_map(move |flags| {
        [
            [flags, 0, 0, 0, 0],
            [flags | link_flag::FLOW_CONTROL, 7, 2, 3, 0x25],
        ]
        .map(|bytes| {
            let link = Link::from_input(role, &mut Input::new(&bytes));
            (bytes, link)
        })
    })
}

/// PDUs of one end, in order.
struct Stream {
    link: Link,
    framing: Framing,
    bytes: Vec<u8>,
}

impl Stream {
    /// What the peer of `link` sends.
    fn to(link: &Link) -> Self {
        let link = link.peer();
        Self {
            link,
            framing: Framing::new(&link.params),
            bytes: Vec::new(),
        }
    }

    fn data(&mut self, len: u32) {
        let at = self.bytes.len();
        self.bytes.extend((0..len).map(|i| i as u8));
        if self.link.params.ddgst {
            let crc = self.link.digest.of(&self.bytes[at..]);
            self.bytes.extend(crc.to_le_bytes());
        }
    }

    fn command(&mut self, mut sqe: Sqe, cid: u16, write: bool, len: u32) {
        sqe.cid = cid.into();
        let (sgl, icd) = sgl::describe(write, len, self.link.params.max_icd);
        sqe.sgl1 = sgl;
        let header = self.framing.command(&sqe, icd, self.link.crc());
        self.bytes.extend(header.as_bytes());
        if icd != 0 {
            self.data(icd);
        }
    }

    fn response(&mut self, cid: u16, status: Status) {
        let header = self
            .framing
            .response(&Cqe::new(cid, status), self.link.crc());
        self.bytes.extend(header.as_bytes());
    }

    fn h2c(&mut self, cid: u16, ttag: u16, offset: u32, len: u32, last: bool) {
        let piece = Piece {
            offset,
            len,
            last,
            success: false,
        };
        let header = self.framing.h2c_data(cid, ttag, &piece, self.link.crc());
        self.bytes.extend(header.as_bytes());
        self.data(len);
    }

    fn c2h(&mut self, cid: u16, offset: u32, len: u32, last: bool) {
        let success = last && !self.link.params.sq_flow_control;
        let piece = Piece {
            offset,
            len,
            last,
            success,
        };
        let header = self.framing.c2h_data(cid, &piece, self.link.crc());
        self.bytes.extend(header.as_bytes());
        self.data(len);
        if last && !success {
            self.response(cid, Status::SUCCESS);
        }
    }

    fn r2t(&mut self, cid: u16, offset: u32, len: u32) {
        let r = R2tOut {
            cid,
            ttag: 7,
            offset,
            len,
        };
        let header = self.framing.r2t(&r, self.link.crc());
        self.bytes.extend(header.as_bytes());
    }
}

/// Reads, writes with and without R2Ts, and commands without data.
fn to_controller(link: &Link, chunk: u32) -> Vec<u8> {
    let mut s = Stream::to(link);
    s.command(Sqe::keep_alive(), 1, false, 0);
    s.command(Sqe::write(1, 0, 1), 2, true, 512);
    s.command(Sqe::read(1, 0, 8), 3, false, 4096);
    let len = link.params.max_icd + 100;
    // The controller's tags go round: it has six.
    let mut ttags = (0..6).cycle();
    for _ in 0..3 {
        s.command(Sqe::write(1, 0, 8), 4, true, len);
        let mut offset = 0;
        while offset < len {
            let ttag = ttags.next().unwrap_or(0);
            let n = chunk.min(len - offset);
            if n > 40 {
                s.h2c(4, ttag, offset, 40, false);
                s.h2c(4, ttag, offset + 40, n - 40, true);
            } else {
                s.h2c(4, ttag, offset, n, true);
            }
            offset += n;
        }
    }
    s.command(Sqe::flush(1), 5, false, 0);
    s.bytes
}

/// The answers to five commands: read, write in the capsule, write, read, none.
fn to_host(link: &Link) -> Vec<u8> {
    let mut s = Stream::to(link);
    s.c2h(0, 0, 100, false);
    s.r2t(2, 0, 4096);
    s.c2h(0, 100, 412, true);
    s.response(1, Status::SUCCESS);
    s.r2t(2, 4096, 16384 - 4096);
    s.response(4, Status::INVALID_FIELD);
    s.response(2, Status::SUCCESS);
    s.c2h(3, 0, 8, true);
    s.response(3, Status::SUCCESS);
    s.bytes
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// For [`crate::tcp_controller`].
pub fn tcp_controller() -> Vec<Vec<u8>> {
    links(Role::Controller)
        .map(|(bytes, link)| {
            let chunk: u16 = 300;
            join(&[
                &bytes,
                &(chunk - 1).to_le_bytes(),
                &to_controller(&link, chunk.into()),
            ])
        })
        .collect()
}

/// For [`crate::tcp_host`].
pub fn tcp_host() -> Vec<Vec<u8>> {
    let kinds = [512u16, 64 | 1, 16384 | 1, 8, 0]
        .map(u16::to_le_bytes)
        .concat();
    links(Role::Host)
        .flat_map(|(bytes, link)| {
            let stream = to_host(&link);
            [0, 1].map(|lazy| join(&[&bytes, &[lazy], &kinds, &stream]))
        })
        .collect()
}

/// For [`crate::rx_split`].
pub fn rx_split() -> Vec<Vec<u8>> {
    let controller = links(Role::Controller)
        .map(|(bytes, link)| join(&[&[0], &bytes, &to_controller(&link, 300)]));
    let host = links(Role::Host).map(|(bytes, link)| join(&[&[9], &bytes, &to_host(&link)]));
    let ended = links(Role::Host).map(|(bytes, link)| {
        let e = nvmf_tcp::proto::PduError::cccid(3);
        let framing = Framing::new(&link.peer().params);
        join(&[
            &[1],
            &bytes,
            framing.term_req(&e, &[5, 0, 24, 0]).as_bytes(),
        ])
    });
    controller.chain(host).chain(ended).collect()
}

/// Writes nvlists as [`handoff`] reads them.
#[derive(Default)]
struct ListWriter(Vec<u8>);

impl ListWriter {
    fn entry(mut self, tag: u8, key: &CStr, value: &[u8]) -> Self {
        let key = KEYS.iter().position(|k| *k == key).expect("a key");
        self.0.extend([tag, key as u8]);
        self.0.extend(value);
        self
    }

    fn boolean(self, key: &CStr, v: bool) -> Self {
        self.entry(if v { tag::TRUE } else { tag::FALSE }, key, &[])
    }

    fn number(self, key: &CStr, v: u64) -> Self {
        self.entry(tag::NUMBER, key, &v.to_le_bytes())
    }

    fn binary(self, key: &CStr, len: u16) -> Self {
        let value = [&len.to_le_bytes()[..], b"nqn.x:y\0"].concat();
        self.entry(tag::BINARY, key, &value)
    }

    fn list(self, key: &CStr, list: Self) -> Self {
        let value = [&list.0[..], &[tag::END]].concat();
        self.entry(tag::LIST, key, &value)
    }

    fn array(self, key: &CStr, n: u8, list: Self) -> Self {
        let value = [&[n][..], &list.0, &[tag::END]].concat();
        self.entry(tag::ARRAY, key, &value)
    }
}

fn queue(admin: bool, qsize: u64) -> ListWriter {
    ListWriter::default()
        .boolean(c"admin", admin)
        .boolean(c"sq_flow_control", false)
        .number(c"qsize", qsize)
        .number(c"sqhd", 0)
        .number(c"sqtail", 1)
        .number(c"rxpda", 4)
        .number(c"txpda", 4)
        .boolean(c"header_digests", true)
        .boolean(c"data_digests", false)
        .number(c"maxr2t", 0)
        .number(c"maxh2cdata", 8192)
}

/// For [`handoff`].
pub fn handoff() -> Vec<Vec<u8>> {
    let rparams = ListWriter::default()
        .binary(c"dle", 1024)
        .entry(tag::STRING, c"hostnqn", &[])
        .number(c"num_io_queues", 2)
        .number(c"io_qsize", 128)
        .number(c"kato", 120_000);
    let host = ListWriter::default()
        .number(c"trtype", 3)
        .list(c"admin", queue(true, 32))
        .array(c"io", 2, queue(false, 128))
        .binary(c"cdata", 4096)
        .list(c"rparams", rparams)
        .number(c"kato", 120_000)
        .number(c"reconnect_delay", 10);
    let mut connect = vec![0; 64];
    connect[42] = 1;
    // Enabled, four queues, no such queue yet, of up to 128 entries, by the controller's own host.
    connect.extend([1, 4, 0, 128, 3]);
    connect.extend(128u64.to_le_bytes());
    connect.extend([7; 32]);
    let name = |text: &[u8]| {
        let mut field = vec![0; 256];
        field[..text.len()].copy_from_slice(text);
        field
    };
    connect.extend(name(b"nqn.2014-08.org:h"));
    connect.extend(name(b"nqn.2014-08.org:s"));
    let arguments: &[(u8, &[u8])] = &[
        (0, b"nqn.2026-01.org:s"),
        (1, b"1"),
        (2, b"0x80"),
        (3, b"15000"),
        (4, b"16448"),
        (5, b"020"),
        (6, b"1024"),
        (7, b"serial"),
    ];
    let mut port = Vec::new();
    for (which, text) in arguments {
        port.extend([*which, text.len() as u8]);
        port.extend(*text);
    }
    [
        (handoff::kind::HOST, host.0),
        (handoff::kind::QUEUE, queue(false, 1024).0),
        (handoff::kind::CONNECT, connect),
        (handoff::kind::PORT, port),
    ]
    .map(|(kind, rest)| join(&[&[kind], &rest]))
    .to_vec()
}

/// For [`admin`].
pub fn admin() -> Vec<Vec<u8>> {
    let command =
        |sqe: Sqe, len: u64| join(&[&[admin::op::ADMIN], &len.to_le_bytes(), sqe.as_bytes()]);
    let log = |lid, numd, rae| {
        let a = GetLogPage {
            lid,
            lsp: 0,
            rae,
            numd,
            lsi: 0,
            offset: 0,
            ot: false,
            csi: 0,
        };
        command(Sqe::get_log_page(0, &a), (u64::from(numd) + 1) * 4)
    };
    const ENABLE: u32 = 1 | 6 << 16 | 4 << 20;
    const SHUTDOWN: u32 = ENABLE | 1 << 14;
    let set_up = join(&[
        &[0x88, 0x13],
        &command(Sqe::property_get(property::CAP, true), 0),
        &command(Sqe::property_set(property::CC, ENABLE), 0),
        &command(Sqe::property_get(property::CSTS, false), 0),
        &command(Sqe::identify(cns::CONTROLLER, 0), 4096),
        &command(Sqe::set_features(fid::NUMBER_OF_QUEUES, 0x0003_0003), 0),
        &command(Sqe::set_features(fid::ASYNC_EVENT_CONFIG, 0x100), 0),
        &command(Sqe::set_features(fid::KEEP_ALIVE_TIMER, 1500), 0),
    ]);
    let events = join(&[
        &command(Sqe::async_event_request(), 0),
        &[admin::op::ADD, 1, admin::op::ADD, 5],
        &log(lid::CHANGED_NAMESPACES, 1023, false),
        &command(Sqe::identify(cns::ACTIVE_NAMESPACES, 0), 4096),
        &command(Sqe::identify(cns::NAMESPACE_DESCRIPTORS, 5), 4096),
        &[admin::op::REMOVE, 5],
        &command(Sqe::async_event_request(), 0),
        &command(Sqe::abort(0, 0), 0),
        &command(Sqe::keep_alive(), 0),
    ]);
    let logs = [
        log(lid::ERROR, 15, false),
        log(lid::HEALTH, 127, false),
        log(lid::FIRMWARE_SLOT, 127, true),
        log(lid::EFFECTS, 1023, true),
        command(Sqe::get_features(fid::HOST_IDENTIFIER, 0), 16),
        command(Sqe::get_features(fid::KEEP_ALIVE_TIMER, 0), 0),
    ]
    .concat();
    let io = [
        Sqe::read(1, 0, 8),
        Sqe::write(2, 9, 8),
        Sqe::flush(1),
        Sqe::deallocate(1, 256),
    ]
    .map(|sqe| join(&[&[admin::op::IO], sqe.as_bytes()]))
    .concat();
    let reset = join(&[
        &command(Sqe::property_set(property::CC, ENABLE & !1), 0),
        &[admin::op::TORN_DOWN],
        &command(Sqe::property_set(property::CC, ENABLE), 0),
    ]);
    let shutdown = join(&[
        &command(Sqe::property_set(property::CC, SHUTDOWN), 0),
        &[admin::op::TORN_DOWN],
        &command(Sqe::property_get(property::CSTS, false), 0),
        &[admin::op::GRACE, admin::op::TORN_DOWN],
    ]);
    vec![
        join(&[&set_up, &events, &shutdown]),
        join(&[&set_up, &logs, &io]),
        join(&[
            &set_up,
            &reset,
            &events,
            &[admin::op::ADMIN_CLOSED, admin::op::TORN_DOWN],
        ]),
        join(&[&set_up, &[admin::op::FATAL, admin::op::TORN_DOWN]]),
    ]
}

/// For [`host_data`].
pub fn host_data() -> Vec<Vec<u8>> {
    let mut namespace = vec![0; 192];
    namespace[1] = 8;
    namespace[104] = 7;
    namespace[130] = 9;
    let numbers = [
        &[0u8, 0, 16, 0, 5, 0, 3, 63][..],
        &[0; 8],
        &[128, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0],
        &0x0004_0002u32.to_le_bytes(),
        &[0, 1, 0, 0, 0, 4, 1, 0],
    ]
    .concat();
    let mut list = 5000u32.to_le_bytes().to_vec();
    list.extend([1, 0, 0, 0, 0, 4]);
    list.extend([0; 64]);
    list.extend([1, 4, 0, 0, 10, 0]);
    [
        (host_data::kind::NAMESPACE, namespace),
        (host_data::kind::CONTROLLER, numbers),
        (host_data::kind::LIST, list),
        (
            host_data::kind::CHANGED,
            [1, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0].to_vec(),
        ),
    ]
    .map(|(kind, rest)| join(&[&[kind], &rest]))
    .to_vec()
}

/// For [`burst`].
pub fn burst() -> Vec<Vec<u8>> {
    use burst::op::{ALARM, BEGIN, END, OTHER, TURN};
    // Four commands arrive together; one is answered at once, others later, the last one too late.
    let controller = [
        &[0, BEGIN, TURN, 0, 0, END, 4][..],
        &[TURN, 0, 16, OTHER, 0, 64, TURN, 0, 0, ALARM],
        &[BEGIN, OTHER, 0, 1, END, 2, TURN, 0, 0, TURN, 0, 0],
    ];
    // Commands are collected while the controller has enough to do.
    let host = [
        &[1][..],
        &[TURN, 48, 0].repeat(24),
        &[BEGIN, TURN, 48, 0, END, 8, ALARM],
    ];
    vec![controller.concat(), host.concat()]
}
