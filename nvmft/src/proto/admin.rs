// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Commands of the admin queue: from a submission queue entry to what is to be done, or to a status.
#![forbid(unsafe_code)]

use core::fmt::{self, Display, Formatter};

use sys::wire::fabrics::{fctype, property};
use sys::wire::feature::fid;
use sys::wire::identify::{IDENTIFY_LEN, cns};
use sys::wire::sqe::{admin, nvm};
use sys::wire::{NSID_ALL, Sqe, Status};

use super::log::{LogError, LogRequest};
use super::ns::NSID_LIMIT;

/// A controller property that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property {
    /// Controller Capabilities.
    Cap,
    /// Version.
    Vs,
    /// Controller Configuration.
    Cc,
    /// Controller Status.
    Csts,
}

/// What Identify asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identify {
    /// The controller.
    Controller,
    /// Active namespaces above an ID.
    ActiveList(u32),
    /// A namespace.
    Namespace(u32),
    /// A namespace's identifiers.
    Descriptors(u32),
}

/// A command that is to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Property Get.
    PropertyGet(Property),
    /// Property Set of CC.
    WriteCc(u32),
    /// Get Log Page.
    GetLogPage(LogRequest),
    /// Identify.
    Identify(Identify),
    /// Abort of a command.
    Abort {
        /// The queue.
        sqid: u16,
        /// The command.
        cid: u16,
    },
    /// Set Features.
    SetFeatures,
    /// Get Features.
    GetFeatures,
    /// Asynchronous Event Request.
    AsyncEventRequest,
    /// Keep Alive.
    KeepAlive,
}

/// A command that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not a Fabrics command, and the controller is not enabled.
    Disabled(u8),
    /// An opcode that is not supported.
    Opcode(u8),
    /// A Fabrics command type that is not supported.
    Fabrics(u8),
    /// Connect on a queue that is connected.
    Connect,
    /// Disconnect of the admin queue.
    Disconnect,
    /// A log page that is not supported.
    LogPage(u8),
    /// An Identify structure that is not supported.
    Cns(u8),
    /// Identify with a data length other than 4096.
    IdentifyLength(u64, u8),
    /// Any other reason.
    Status(Status),
}

impl Refused {
    /// What the host is told.
    pub const fn status(self) -> Status {
        match self {
            Self::Disabled(_) | Self::Connect => Status::COMMAND_SEQUENCE_ERROR,
            Self::Opcode(_) | Self::Fabrics(_) => Status::INVALID_OPCODE,
            Self::Disconnect => Status::INVALID_QUEUE_TYPE,
            Self::LogPage(_) | Self::Cns(_) => Status::INVALID_FIELD,
            Self::IdentifyLength(..) => Status::DATA_SGL_LENGTH_INVALID,
            Self::Status(status) => status,
        }
    }

    /// Whether there is a message for the console.
    pub const fn has_message(self) -> bool {
        !matches!(self, Self::Status(_))
    }
}

impl Display for Refused {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Disabled(opcode) => {
                write!(f, "Unsupported admin opcode {opcode:#x} while disabled")
            }
            Self::Opcode(opcode) => write!(f, "Unsupported admin opcode {opcode:#x}"),
            Self::Fabrics(kind) => write!(f, "Unsupported fabrics command {kind:#x}"),
            Self::Connect => f.write_str("CONNECT command on connected admin queue"),
            Self::Disconnect => f.write_str("DISCONNECT command on admin queue"),
            Self::LogPage(lid) => write!(f, "Unsupported page {lid:#x} for GET_LOG_PAGE"),
            Self::Cns(cns) => write!(f, "Unsupported CNS {cns:#x} for IDENTIFY"),
            Self::IdentifyLength(len, cns) => {
                write!(f, "Invalid length {len} for IDENTIFY with CNS {cns:#x}")
            }
            Self::Status(_) => Ok(()),
        }
    }
}

/// Reads a command of the admin queue whose SGL describes `data_len` bytes.
pub fn decode(sqe: &Sqe, data_len: u64, enabled: bool) -> Result<AdminCommand, Refused> {
    if sqe.fuse() != 0 {
        return Err(Refused::Status(Status::INVALID_FIELD));
    }
    if sqe.is_fabrics() {
        return decode_fabrics(sqe);
    }
    if !enabled {
        return Err(Refused::Disabled(sqe.opcode));
    }
    match sqe.opcode {
        admin::GET_LOG_PAGE => match LogRequest::decode(sqe, data_len) {
            Ok(request) => Ok(AdminCommand::GetLogPage(request)),
            Err(LogError::Unsupported(lid)) => Err(Refused::LogPage(lid)),
            Err(LogError::Status(status)) => Err(Refused::Status(status)),
        },
        admin::IDENTIFY => decode_identify(sqe, data_len).map(AdminCommand::Identify),
        admin::ABORT => {
            let cdw10 = sqe.cdw10.get();
            Ok(AdminCommand::Abort {
                sqid: cdw10 as u16,
                cid: (cdw10 >> 16) as u16,
            })
        }
        admin::SET_FEATURES => Ok(AdminCommand::SetFeatures),
        admin::GET_FEATURES => Ok(AdminCommand::GetFeatures),
        admin::ASYNC_EVENT_REQUEST => Ok(AdminCommand::AsyncEventRequest),
        admin::KEEP_ALIVE => Ok(AdminCommand::KeepAlive),
        opcode => Err(Refused::Opcode(opcode)),
    }
}

/// Whether a Get Features command returns data, and how much.
pub const fn feature_data_len(fid: u8) -> usize {
    if fid == fid::HOST_IDENTIFIER { 16 } else { 0 }
}

/// What to do with a command of an I/O queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoCommand {
    /// CTL executes it, for the LUN.
    Submit {
        /// The namespace ID minus one.
        lun: u32,
    },
}

/// Reads a command of an I/O queue; `nn` is the largest namespace ID.
pub fn decode_io(sqe: &Sqe, nn: u32) -> Result<IoCommand, Refused> {
    match sqe.opcode {
        nvm::FLUSH
        | nvm::WRITE
        | nvm::READ
        | nvm::WRITE_UNCORRECTABLE
        | nvm::COMPARE
        | nvm::WRITE_ZEROES
        | nvm::DATASET_MANAGEMENT
        | nvm::VERIFY => {}
        // The queue exists: its Connect was its first command.
        _ if sqe.is_fabrics() && sqe.fctype() == fctype::CONNECT => return Err(Refused::Connect),
        opcode => return Err(Refused::Opcode(opcode)),
    }
    // CTL cannot execute fused commands.
    if sqe.fuse() != 0 {
        return Err(Refused::Status(Status::INVALID_FIELD));
    }
    let nsid = sqe.nsid.get();
    if nsid > nn {
        return Err(Refused::Status(Status::INVALID_NAMESPACE_OR_FORMAT));
    }
    match nsid.checked_sub(1) {
        Some(lun) => Ok(IoCommand::Submit { lun }),
        None => Err(Refused::Status(Status::INVALID_NAMESPACE_OR_FORMAT)),
    }
}

/// The command as CTL reads it: its count of Dataset Management ranges is not 0's based and at most 255, so of
/// 256 ranges the last, being advice, is left out.
pub fn for_ctl(mut sqe: Sqe) -> Sqe {
    if sqe.opcode == nvm::DATASET_MANAGEMENT {
        let ranges = (sqe.cdw10.get() & 0xff) + 1;
        sqe.cdw10 = ranges.min(0xff).into();
    }
    sqe
}

/// Whether a command's SGL describes what the command moves, `total` bytes. Hosts describe room for more
/// ranges than they send with Dataset Management.
pub fn data_len_fits(sqe: &Sqe, data_len: u64, total: u64) -> bool {
    match sqe.opcode {
        nvm::READ | nvm::WRITE | nvm::COMPARE => data_len == total,
        _ => data_len >= total,
    }
}

fn decode_fabrics(sqe: &Sqe) -> Result<AdminCommand, Refused> {
    let invalid = Refused::Status(Status::INVALID_FIELD);
    match sqe.fctype() {
        fctype::PROPERTY_GET => {
            let p = sqe.as_property();
            let which = match (p.ofst.get(), p.size()) {
                (property::CAP, Some(8)) => Property::Cap,
                (property::VS, Some(4)) => Property::Vs,
                (property::CC, Some(4)) => Property::Cc,
                (property::CSTS, Some(4)) => Property::Csts,
                _ => return Err(invalid),
            };
            Ok(AdminCommand::PropertyGet(which))
        }
        fctype::PROPERTY_SET => {
            let p = sqe.as_property();
            match (p.ofst.get(), p.size()) {
                (property::CC, Some(4)) => Ok(AdminCommand::WriteCc(p.value.get() as u32)),
                _ => Err(invalid),
            }
        }
        fctype::CONNECT => Err(Refused::Connect),
        fctype::DISCONNECT => Err(Refused::Disconnect),
        kind => Err(Refused::Fabrics(kind)),
    }
}

fn decode_identify(sqe: &Sqe, data_len: u64) -> Result<Identify, Refused> {
    let kind = sqe.cdw10.get() as u8;
    let nsid = sqe.nsid.get();
    let wanted = match kind {
        cns::CONTROLLER => Identify::Controller,
        cns::ACTIVE_NAMESPACES => Identify::ActiveList(nsid),
        cns::NAMESPACE => Identify::Namespace(nsid),
        cns::NAMESPACE_DESCRIPTORS => Identify::Descriptors(nsid),
        _ => return Err(Refused::Cns(kind)),
    };
    if data_len != IDENTIFY_LEN as u64 {
        return Err(Refused::IdentifyLength(data_len, kind));
    }
    match wanted {
        Identify::ActiveList(NSID_LIMIT..) => Err(Refused::Status(Status::INVALID_FIELD)),
        Identify::Namespace(0) | Identify::Descriptors(0 | NSID_ALL) => {
            Err(Refused::Status(Status::INVALID_NAMESPACE_OR_FORMAT))
        }
        wanted => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;
    use sys::wire::sqe::GetLogPage;

    fn status(r: Result<AdminCommand, Refused>) -> Status {
        r.unwrap_err().status()
    }

    #[test]
    fn only_fabrics_while_disabled() {
        let r = decode(&Sqe::keep_alive(), 0, false);
        assert_eq!(r, Err(Refused::Disabled(0x18)));
        assert_eq!(
            r.unwrap_err().to_string(),
            "Unsupported admin opcode 0x18 while disabled"
        );
        assert_eq!(status(r), Status::COMMAND_SEQUENCE_ERROR);
        assert_eq!(
            decode(&Sqe::property_get(property::CSTS, false), 0, false),
            Ok(AdminCommand::PropertyGet(Property::Csts))
        );
    }

    #[test]
    fn properties() {
        for (ofst, wide, ok) in [
            (property::CAP, true, true),
            (property::CAP, false, false),
            (property::VS, false, true),
            (property::VS, true, false),
            (property::CC, false, true),
            (property::CC, true, false),
            (property::NSSR, false, false),
            (0x04, false, false),
            (0xffff_fff8, true, false),
        ] {
            let r = decode(&Sqe::property_get(ofst, wide), 0, true);
            assert_eq!(r.is_ok(), ok, "{ofst:#x}");
        }
        assert_eq!(
            decode(&Sqe::property_set(property::CC, 5), 0, true),
            Ok(AdminCommand::WriteCc(5))
        );
        for ofst in [property::CAP, property::VS, property::CSTS] {
            assert_eq!(
                status(decode(&Sqe::property_set(ofst, 5), 0, true)),
                Status::INVALID_FIELD
            );
        }
    }

    #[test]
    fn fabrics_commands_that_are_out_of_place() {
        let fabrics = |kind: u8| {
            let mut s = Sqe::disconnect();
            s.nsid = u32::from(kind).into();
            decode(&s, 0, true)
        };
        assert_eq!(fabrics(fctype::CONNECT), Err(Refused::Connect));
        assert_eq!(
            status(fabrics(fctype::DISCONNECT)),
            Status::INVALID_QUEUE_TYPE
        );
        assert_eq!(status(fabrics(fctype::AUTH_SEND)), Status::INVALID_OPCODE);
        let io = |kind: u8| {
            let mut s = Sqe::disconnect();
            s.nsid = u32::from(kind).into();
            decode_io(&s, 16).map_err(Refused::status)
        };
        assert_eq!(io(fctype::CONNECT), Err(Status::COMMAND_SEQUENCE_ERROR));
        assert_eq!(io(fctype::PROPERTY_GET), Err(Status::INVALID_OPCODE));
    }

    #[test]
    fn identify() {
        let id = |cns, nsid, len| decode(&Sqe::identify(cns, nsid), len, true);
        assert_eq!(
            id(1, 0, 4096),
            Ok(AdminCommand::Identify(Identify::Controller))
        );
        assert_eq!(
            id(2, 7, 4096),
            Ok(AdminCommand::Identify(Identify::ActiveList(7)))
        );
        assert_eq!(status(id(2, 0xffff_fffe, 4096)), Status::INVALID_FIELD);
        assert_eq!(status(id(2, 0xffff_ffff, 4096)), Status::INVALID_FIELD);
        assert_eq!(status(id(0, 0, 4096)), Status::INVALID_NAMESPACE_OR_FORMAT);
        assert_eq!(
            id(0, NSID_ALL, 4096),
            Ok(AdminCommand::Identify(Identify::Namespace(NSID_ALL)))
        );
        assert_eq!(status(id(3, 0, 4096)), Status::INVALID_NAMESPACE_OR_FORMAT);
        assert_eq!(id(9, 0, 4096), Err(Refused::Cns(9)));
        for len in [0, 4095, 4097, u64::from(u32::MAX)] {
            assert_eq!(id(1, 0, len), Err(Refused::IdentifyLength(len, 1)));
        }
        assert_eq!(status(id(1, 0, 0)), Status::DATA_SGL_LENGTH_INVALID);
    }

    #[test]
    fn log_page() {
        let mut a = GetLogPage {
            lid: 2,
            lsp: 0,
            rae: false,
            numd: 127,
            lsi: 0,
            offset: 0,
            ot: false,
            csi: 0,
        };
        assert!(matches!(
            decode(&Sqe::get_log_page(0, &a), 512, true),
            Ok(AdminCommand::GetLogPage(_))
        ));
        a.lid = 0x99;
        let r = decode(&Sqe::get_log_page(0, &a), 512, true);
        assert_eq!(
            r.unwrap_err().to_string(),
            "Unsupported page 0x99 for GET_LOG_PAGE"
        );
    }

    #[test]
    fn others() {
        assert_eq!(
            decode(&Sqe::abort(3, 9), 0, true),
            Ok(AdminCommand::Abort { sqid: 3, cid: 9 })
        );
        assert_eq!(decode(&Sqe::new(0x80), 0, true), Err(Refused::Opcode(0x80)));
        let mut fused = Sqe::keep_alive();
        fused.flags |= 1;
        assert_eq!(status(decode(&fused, 0, true)), Status::INVALID_FIELD);
    }

    #[test]
    fn io() {
        assert_eq!(
            decode_io(&Sqe::read(5, 0, 1), 8),
            Ok(IoCommand::Submit { lun: 4 })
        );
        for nsid in [0, 9, NSID_ALL] {
            let r = decode_io(&Sqe::flush(nsid), 8);
            assert_eq!(r.unwrap_err().status(), Status::INVALID_NAMESPACE_OR_FORMAT);
        }
        for opcode in [nvm::RESERVATION_REGISTER, nvm::COPY, 0x7f, 0xff] {
            assert_eq!(
                decode_io(&Sqe::new(opcode), 8),
                Err(Refused::Opcode(opcode))
            );
        }
        let mut fused = Sqe::read(1, 0, 1);
        fused.flags |= 2;
        assert_eq!(
            decode_io(&fused, 8),
            Err(Refused::Status(Status::INVALID_FIELD))
        );
    }

    #[test]
    fn sgl_and_blocks() {
        let read = Sqe::read(1, 0, 8);
        for (len, ok) in [(0, false), (4095, false), (4096, true), (8192, false)] {
            assert_eq!(data_len_fits(&read, len, 4096), ok);
        }
        let trim = Sqe::deallocate(1, 1);
        for (len, ok) in [(0, false), (16, true), (4096, true)] {
            assert_eq!(data_len_fits(&trim, len, 16), ok);
        }
    }

    #[test]
    fn ranges_for_ctl() {
        for (ranges, expect) in [(1, 1), (2, 2), (255, 255), (256, 255)] {
            assert_eq!(for_ctl(Sqe::deallocate(1, ranges)).cdw10.get(), expect);
        }
        let read = Sqe::read(1, 7, 3);
        assert_eq!(for_ctl(read), read);
    }
}
