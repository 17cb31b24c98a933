// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The receive thread: bytes from the socket through [`Rx`] to the host or
//! controller side of the queue pair.
#![forbid(unsafe_code)]

use sys::conn::Conn;
use sys::log::RateLimit;
use sys::mbuf::Mbuf;
use sys::{CanSleep, Errno, kprint};

use crate::controller::{Icd, Placing};
use crate::host::Filling;
use crate::proto::pdu::{DIGEST_LEN, HEADER_MAX, Pdu};
use crate::proto::rx::{DataEnd, Progress, Rx, Want};
use crate::proto::{Fault, PduError};
use crate::qpair::{Qp, Side};

/// Most bytes that one call takes from the socket.
const TAKE_MAX: u32 = 1 << 20;
/// Data that is worth a wakeup before all of it is there.
const PAYLOAD_LOW_WATER: u32 = 64 * 1024;
/// How long a peer has to read a Terminate Connection Request and close.
const TERMINATE_MS: u32 = 1_000;

static LIMIT: RateLimit = RateLimit::new(5);

/// Why receiving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer broke the protocol.
    Fault(Fault),
    /// The connection failed.
    Failed(Errno),
    /// The peer closed between two PDUs.
    Closed,
    /// The queue pair is being freed.
    Stopped,
}

impl From<Fault> for End {
    fn from(f: Fault) -> Self {
        End::Fault(f)
    }
}

impl From<PduError> for End {
    fn from(e: PduError) -> Self {
        End::Fault(Fault::Fatal(e))
    }
}

/// Whose data is arriving.
enum Current<'a> {
    Nothing,
    Icd(Icd),
    C2h(Filling<'a>),
    H2c(Placing),
}

/// Whether the bytes at hand were enough.
enum Step {
    Again,
    /// This many bytes are needed.
    Need(u32),
}

/// The state of the receive thread.
pub struct Receiver<'a> {
    qp: &'a Qp,
    conn: &'a Conn,
    rx: Rx,
    /// Received and not yet consumed.
    buf: Option<Mbuf>,
    current: Current<'a>,
    /// The start of the last header, for a Terminate Connection Request.
    header: [u8; HEADER_MAX],
    header_len: usize,
    /// Commands, or ends of commands, since the last wait.
    arrived: u32,
}

impl<'a> Receiver<'a> {
    /// At the start of the stream.
    pub fn new(qp: &'a Qp, conn: &'a Conn) -> Self {
        Receiver {
            qp,
            conn,
            rx: Rx::new(&qp.state.params),
            buf: None,
            current: Current::Nothing,
            header: [0; HEADER_MAX],
            header_len: 0,
            arrived: 0,
        }
    }

    /// Receives until the connection ends, and tells the queue pair's owner.
    pub fn run(mut self, sleep: CanSleep<'_>) {
        let end = loop {
            match self.step(sleep) {
                Ok(Step::Again) => {}
                Ok(Step::Need(n)) => {
                    if let Err(end) = self.fill(n, sleep) {
                        break end;
                    }
                }
                Err(end) => break end,
            }
        };
        self.qp.state.tx.burst_expired(self.conn);
        self.current = Current::Nothing;
        self.buf = None;
        let error = match end {
            End::Stopped => return,
            End::Closed => 0,
            End::Failed(e) => e.code(),
            End::Fault(Fault::Silent) => Errno::ECONNRESET.code(),
            End::Fault(Fault::Fatal(e)) => {
                self.terminate(e, sleep);
                Errno::EBADMSG.code()
            }
        };
        self.qp.state.tx.fail(self.conn, Errno::ECONNABORTED);
        if !self.qp.state.is_stopping() {
            self.qp.report_error(error);
        }
    }

    fn have(&self) -> u32 {
        self.buf.as_ref().map_or(0, Mbuf::len)
    }

    /// Gets more bytes, until `need` are at hand.
    fn fill(&mut self, need: u32, sleep: CanSleep<'_>) -> Result<(), End> {
        let tx = &self.qp.state.tx;
        tx.burst_ends(self.conn, core::mem::take(&mut self.arrived));
        while self.have() < need {
            let st = self.conn.wait_receive(need - self.have(), 0, sleep);
            if st.timedout {
                tx.burst_expired(self.conn);
            }
            if self.qp.state.is_stopping() {
                return Err(End::Stopped);
            }
            // A kick is seen once. After a failure of our own, such as want of
            // memory, the socket has nothing to add; after the peer's it has.
            if st.kicked
                && let Some(e) = self.qp.state.tx.failure()
                && e != Errno::EPIPE
                && e != Errno::ECONNRESET
            {
                return Err(End::Failed(e));
            }
            if st.avail == 0 {
                if st.error != 0 {
                    return Err(End::Failed(
                        Errno::from_code(st.error).unwrap_or(Errno::ECONNRESET),
                    ));
                }
                if st.eof {
                    let clean = self.have() == 0 && self.rx.is_between_pdus();
                    return Err(if clean {
                        End::Closed
                    } else {
                        End::Failed(Errno::ECONNRESET)
                    });
                }
                if let Some(e) = self.qp.state.tx.failure() {
                    return Err(End::Failed(e));
                }
                continue;
            }
            match self.conn.receive(TAKE_MAX, sleep) {
                Ok(Some(m)) => match &mut self.buf {
                    Some(buf) => buf.append(m),
                    None => self.buf = Some(m),
                },
                Ok(None) => {}
                Err(e) => return Err(End::Failed(e)),
            }
        }
        tx.burst_begins();
        Ok(())
    }

    fn consume(&mut self, n: u32) {
        self.buf = self.buf.take().and_then(|m| m.advance(n));
    }

    fn step(&mut self, sleep: CanSleep<'_>) -> Result<Step, End> {
        let have = self.have();
        match self.rx.want() {
            Want::Header => {
                let n = (have as usize).min(HEADER_MAX);
                if let (Some(buf), Some(dst)) = (&self.buf, self.header.get_mut(..n)) {
                    buf.copy_out(0, dst).map_err(End::Failed)?;
                }
                self.header_len = n;
                let bytes = self.header.get(..n).unwrap_or(&[]);
                match self.rx.header(bytes, sys::crc::digest)? {
                    Progress::Need(need) => Ok(Step::Need(need as u32)),
                    Progress::Pdu { taken, pdu } => {
                        self.consume(taken as u32);
                        self.begin(pdu, sleep)?;
                        Ok(Step::Again)
                    }
                }
            }
            Want::Skip(_) if have == 0 => Ok(Step::Need(1)),
            Want::Skip(left) => {
                let n = left.min(have);
                self.consume(n);
                self.rx.skip(n);
                Ok(Step::Again)
            }
            Want::Payload(left) if have == 0 => Ok(Step::Need(left.min(PAYLOAD_LOW_WATER))),
            Want::Payload(left) => {
                let n = left.min(have);
                let crc = self.payload(n, sleep)?;
                if let Some(end) = self.rx.payload(n, crc) {
                    self.finish(end, sleep)?;
                }
                Ok(Step::Again)
            }
            Want::Digest if have < DIGEST_LEN => Ok(Step::Need(DIGEST_LEN)),
            Want::Digest => {
                let mut received = [0; DIGEST_LEN as usize];
                if let Some(buf) = &self.buf {
                    buf.copy_out(0, &mut received).map_err(End::Failed)?;
                }
                self.consume(DIGEST_LEN);
                if let Some(end) = self.rx.digest(received) {
                    if !end.digest_ok && LIMIT.allow() {
                        kprint!(
                            "NVMe/TCP: Data digest mismatch from {}",
                            self.qp.state.peer()
                        );
                    }
                    self.finish(end, sleep)?;
                }
                Ok(Step::Again)
            }
            Want::Nothing => Err(End::Failed(Errno::ECONNRESET)),
        }
    }

    /// Acts on a header; data that belongs to it follows.
    fn begin(&mut self, pdu: Pdu, sleep: CanSleep<'_>) -> Result<(), End> {
        match (pdu, &self.qp.state.side) {
            (Pdu::Command { sqe, icd: 0 }, Side::Controller(c)) => {
                self.arrived += 1;
                c.deliver(self.qp, &sqe, None, sleep)?;
            }
            (Pdu::Command { sqe, icd }, Side::Controller(_)) => {
                self.current = Current::Icd(Icd::new(sqe, icd));
            }
            (Pdu::H2cData(d), Side::Controller(c)) => {
                self.current = Current::H2c(c.begin_data(self.qp, &d)?);
            }
            (Pdu::Response { cqe }, Side::Host(h)) => {
                self.arrived += 1;
                h.response(self.qp, &cqe, sleep)?;
            }
            (Pdu::C2hData(d), Side::Host(h)) => self.current = Current::C2h(h.begin_data(&d)?),
            (Pdu::R2t(r), Side::Host(h)) => h.ready_to_transfer(self.qp, self.conn, &r, sleep)?,
            (Pdu::TermReq { fes, fei }, _) => {
                if LIMIT.allow() {
                    kprint!(
                        "NVMe/TCP: Received termination request: fes {fes:#x} fei {fei:#x} from {}",
                        self.qp.state.peer()
                    );
                }
                return Err(End::Failed(Errno::ECONNRESET));
            }
            // The validator lets only the peer's PDUs pass.
            _ => return Err(End::Failed(Errno::EPROTO)),
        }
        Ok(())
    }

    /// Moves `n` bytes of data to where they belong; returns the running CRC.
    fn payload(&mut self, n: u32, sleep: CanSleep<'_>) -> Result<u32, End> {
        let mut crc = self.rx.crc();
        let Some(buf) = &mut self.buf else {
            return Err(End::Failed(Errno::EPROTO));
        };
        match &mut self.current {
            Current::Icd(icd) => {
                let rest = buf.split(n, sleep.into()).map_err(End::Failed)?;
                if let (Some(c), Some(front)) = (&mut crc, &self.buf) {
                    *c = front.crc32c(0, n, *c).map_err(End::Failed)?;
                }
                if let Some(front) = core::mem::replace(&mut self.buf, rest) {
                    icd.append(front);
                }
                return Ok(crc.unwrap_or(0));
            }
            Current::C2h(f) => f.place(buf, n, crc.as_mut()),
            Current::H2c(p) => p.place(buf, n, crc.as_mut()),
            Current::Nothing => return Err(End::Failed(Errno::EPROTO)),
        }
        .map_err(End::Failed)?;
        self.consume(n);
        Ok(crc.unwrap_or(0))
    }

    /// All data of the PDU is there.
    fn finish(&mut self, end: DataEnd, sleep: CanSleep<'_>) -> Result<(), End> {
        let current = core::mem::replace(&mut self.current, Current::Nothing);
        match (current, &self.qp.state.side) {
            (Current::Icd(icd), Side::Controller(c)) => {
                self.arrived += 1;
                let sqe = icd.sqe();
                c.deliver(self.qp, &sqe, icd.finish(end.digest_ok), sleep)
            }
            (Current::H2c(p), Side::Controller(c)) => {
                self.arrived += u32::from(p.ends_request());
                c.end_data(self.qp, self.conn, p, end.digest_ok, sleep)
            }
            (Current::C2h(f), Side::Host(h)) => {
                self.arrived += u32::from(f.ends_command());
                h.end_data(self.qp, f, end.digest_ok, sleep)
            }
            _ => Ok(()),
        }
    }

    /// Tells the peer what it did wrong and gives it time to read that.
    #[cold]
    fn terminate(&mut self, e: PduError, sleep: CanSleep<'_>) {
        if LIMIT.allow() {
            kprint!("NVMe/TCP: {} from {}", e.kind, self.qp.state.peer());
        }
        let header = self.header.get(..self.header_len).unwrap_or(&[]);
        match crate::pdu_out::term_req(&self.qp.state.framing, &e, header, sleep.into()) {
            Ok(pdu) => self.qp.state.tx.terminate(self.conn, pdu),
            Err(_) => return,
        }
        let mut left = TERMINATE_MS;
        while left != 0 && !self.qp.state.is_stopping() {
            let st = self.conn.wait_receive(1, 100, sleep);
            if st.avail != 0 {
                // What the peer still sends does not matter any more.
                if self.conn.receive(TAKE_MAX, sleep).is_err() {
                    return;
                }
            } else if st.eof || st.error != 0 {
                return;
            }
            left = left.saturating_sub(100);
        }
    }
}
