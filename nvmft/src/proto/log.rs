// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Get Log Page: which page, which part of it, and the pages that do not depend on a controller's history.
#![forbid(unsafe_code)]

use sys::wire::log::{EFFECT_LBCC, EFFECT_SUPPORTED, EffectsLog, FirmwareSlotLog, lid};
use sys::wire::sqe::{admin, nvm};
use sys::wire::{FromBytes, Sqe, Status};

/// The most that one command may read; pages are shorter, and what follows them is zero.
pub const LOG_LEN_MAX: u64 = 64 << 10;
/// Room for every page.
pub const PAGE_MAX: usize = 4096;

/// The log pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogPage {
    /// Error Information: empty.
    Error,
    /// SMART / Health Information.
    Health,
    /// Firmware Slot Information.
    FirmwareSlot,
    /// Changed Namespace List.
    ChangedNamespaces,
    /// Commands Supported and Effects.
    Effects,
}

impl LogPage {
    /// The page's length; `None` when any offset may be read.
    pub const fn len(self) -> Option<u64> {
        match self {
            Self::Error => None,
            Self::Health | Self::FirmwareSlot => Some(512),
            Self::ChangedNamespaces | Self::Effects => Some(4096),
        }
    }

    /// Never.
    pub const fn is_empty(self) -> bool {
        false
    }
}

/// A part of a log page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// The page.
    pub page: LogPage,
    /// Retain Asynchronous Event.
    pub rae: bool,
    /// Offset of the first byte: a multiple of 4.
    pub offset: u64,
    /// Bytes: the length of the command's data, at most [`LOG_LEN_MAX`].
    pub len: u32,
}

/// Why a Get Log Page is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogError {
    /// There is no such page.
    Unsupported(u8),
    /// Any other reason.
    Status(Status),
}

impl LogRequest {
    /// Reads a Get Log Page command whose SGL describes `data_len` bytes.
    pub fn decode(sqe: &Sqe, data_len: u64) -> Result<Self, LogError> {
        let args = sqe.as_get_log_page();
        let page = match args.lid {
            lid::ERROR => LogPage::Error,
            lid::HEALTH => LogPage::Health,
            lid::FIRMWARE_SLOT => LogPage::FirmwareSlot,
            lid::CHANGED_NAMESPACES => LogPage::ChangedNamespaces,
            lid::EFFECTS => LogPage::Effects,
            lid => return Err(LogError::Unsupported(lid)),
        };
        let invalid = LogError::Status(Status::INVALID_FIELD);
        if args.ot
            || !args.offset.is_multiple_of(4)
            || page.len().is_some_and(|len| args.offset >= len)
        {
            return Err(invalid);
        }
        if args.len() > LOG_LEN_MAX {
            return Err(invalid);
        }
        if args.len() != data_len {
            return Err(LogError::Status(Status::DATA_SGL_LENGTH_INVALID));
        }
        Ok(Self {
            page,
            rae: args.rae,
            offset: args.offset,
            len: args.len() as u32,
        })
    }

    /// Whether the whole page is read, so that the host knows all of it.
    pub fn is_full(&self) -> bool {
        self.offset == 0
            && self
                .page
                .len()
                .is_some_and(|len| u64::from(self.len) >= len)
    }

    /// Fills `out`, the command's data, from the page; what lies beyond the page is zero.
    pub fn slice(&self, page: &[u8], out: &mut [u8]) {
        let page = page
            .get(..self.page.len().map_or(0, |len| len as usize))
            .unwrap_or(page);
        let part = usize::try_from(self.offset)
            .ok()
            .and_then(|at| page.get(at..))
            .unwrap_or(&[]);
        let cut = part.len().min(out.len());
        let (head, tail) = out.split_at_mut(cut);
        for (to, from) in head.iter_mut().zip(part) {
            *to = *from;
        }
        tail.fill(0);
    }
}

/// Fills the Firmware Slot Information page: one slot, active.
pub fn fill_firmware_slot(page: &mut [u8], revision: &[u8; 8]) {
    page.fill(0);
    if let Ok((log, _)) = FirmwareSlotLog::mut_from_prefix(page) {
        log.afi = 1;
        if let Some(slot) = log.frs.first_mut() {
            *slot = *revision;
        }
    }
}

/// Fills the Commands Supported and Effects page.
pub fn fill_effects(page: &mut [u8]) {
    page.fill(0);
    let Ok((log, _)) = EffectsLog::mut_from_prefix(page) else {
        return;
    };
    for opcode in [
        admin::GET_LOG_PAGE,
        admin::IDENTIFY,
        admin::ABORT,
        admin::SET_FEATURES,
        admin::GET_FEATURES,
        admin::ASYNC_EVENT_REQUEST,
        admin::KEEP_ALIVE,
    ] {
        if let Some(effect) = log.acs.get_mut(usize::from(opcode)) {
            *effect = EFFECT_SUPPORTED.into();
        }
    }
    for (opcode, changes) in [
        (nvm::FLUSH, 0),
        (nvm::WRITE, EFFECT_LBCC),
        (nvm::READ, 0),
        (nvm::COMPARE, 0),
        (nvm::WRITE_ZEROES, EFFECT_LBCC),
        (nvm::DATASET_MANAGEMENT, EFFECT_LBCC),
        (nvm::VERIFY, 0),
    ] {
        if let Some(effect) = log.iocs.get_mut(usize::from(opcode)) {
            *effect = (EFFECT_SUPPORTED | changes).into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use sys::wire::sqe::GetLogPage;

    fn request(lid: u8, numd: u32, offset: u64, data_len: u64) -> Result<LogRequest, LogError> {
        let a = GetLogPage {
            lid,
            lsp: 0,
            rae: true,
            numd,
            lsi: 0,
            offset,
            ot: false,
            csi: 0,
        };
        LogRequest::decode(&Sqe::get_log_page(0, &a), data_len)
    }

    #[test]
    fn offsets_and_lengths() {
        let invalid = Err(LogError::Status(Status::INVALID_FIELD));
        assert!(request(2, 127, 0, 512).is_ok());
        // D-17: offset 4 is aligned, offset 3 is not.
        assert!(request(2, 0, 4, 4).is_ok());
        for offset in [1, 2, 3, 510] {
            assert_eq!(request(2, 0, offset, 4), invalid);
        }
        assert_eq!(request(2, 0, 512, 4), invalid);
        assert_eq!(request(3, 0, u64::MAX - 3, 4), invalid);
        assert_eq!(request(4, 0, 4096, 4), invalid);
        assert!(request(1, 15, 4096, 64).is_ok());
        // NUMD FFFFFFFFh is 16 GiB, not zero.
        assert_eq!(request(2, u32::MAX, 0, 0), invalid);
        assert_eq!(request(2, u32::MAX, 0, 1 << 34), invalid);
        assert_eq!(request(4, 16384, 0, 65540), invalid);
        assert!(request(4, 16383, 0, 65536).is_ok());
        for len in [508, 516, 0] {
            assert_eq!(
                request(2, 127, 0, len),
                Err(LogError::Status(Status::DATA_SGL_LENGTH_INVALID))
            );
        }
        assert_eq!(request(0x70, 0, 0, 4), Err(LogError::Unsupported(0x70)));
    }

    #[test]
    fn parts() {
        let mut page = vec![7u8; PAGE_MAX];
        page[508] = 1;
        let r = request(2, 2, 508, 12).unwrap();
        let mut out = [0xff; 12];
        r.slice(&page, &mut out);
        assert_eq!(out, [1, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(!r.is_full());
        assert!(request(4, 1023, 0, 4096).unwrap().is_full());
        assert!(!request(4, 1022, 0, 4092).unwrap().is_full());
        assert!(!request(4, 1023, 4, 4096).unwrap().is_full());
        let r = request(1, 15, 0, 64).unwrap();
        let mut out = [0xff; 64];
        r.slice(&page, &mut out);
        assert_eq!(out, [0; 64]);
    }

    #[test]
    fn pages() {
        let mut page = vec![0xff; PAGE_MAX];
        fill_firmware_slot(&mut page, b"15.0    ");
        assert_eq!((page[0], &page[8..16], page[16]), (1, &b"15.0    "[..], 0));
        fill_effects(&mut page);
        let word = |i: usize| u32::from_le_bytes(page[i * 4..i * 4 + 4].try_into().unwrap());
        assert_eq!(
            (
                word(0x06),
                word(0x80),
                word(256 + 1),
                word(256 + 2),
                word(256 + 4)
            ),
            (1, 0, 3, 1, 0)
        );
    }
}
