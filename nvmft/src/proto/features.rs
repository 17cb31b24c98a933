// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Get Features and Set Features.
#![forbid(unsafe_code)]

use sys::wire::feature::{NumberOfQueues, SAVE, fid};
use sys::wire::{Sqe, Status};

use super::aer::CONFIG_RESERVED;
use super::connect::MAX_IO_QUEUES;

/// Rounds a keep-alive timeout up to the granularity that Identify's KAS tells.
pub const fn round_kato(ms: u32) -> u32 {
    match ms.checked_next_multiple_of(1000) {
        Some(ms) => ms,
        None => u32::MAX,
    }
}

/// What setting a feature changes outside of [`Features`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The events that the host wants.
    EventConfig(u32),
    /// The keep-alive timeout in milliseconds, zero for none.
    KeepAlive(u32),
}

/// What Get Features answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// Completion dword 0.
    Dword(u32),
    /// The Host Identifier as data.
    HostId,
}

/// The features of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    queues: Option<u16>,
    kato_ms: u32,
    arbitration: u32,
    temperature: u32,
    error_recovery: u32,
    atomicity: u32,
}

/// The over-temperature threshold of a sensor that is not set.
const NO_THRESHOLD: u32 = 0xffff;

impl Features {
    /// The features of a controller whose host connected with a keep-alive timeout.
    pub fn new(kato_ms: u32) -> Self {
        Self {
            queues: None,
            kato_ms: round_kato(kato_ms),
            arbitration: 0,
            temperature: NO_THRESHOLD,
            error_recovery: 0,
            atomicity: 0,
        }
    }

    /// A controller reset.
    pub fn reset(&mut self) {
        *self = Self::new(self.kato_ms);
    }

    /// Granted I/O queues.
    pub fn queues(&self) -> Option<u16> {
        self.queues
    }

    /// The keep-alive timeout in milliseconds, zero for none.
    pub fn kato_ms(&self) -> u32 {
        self.kato_ms
    }

    /// Set Features: completion dword 0, and what else changes.
    pub fn set(&mut self, sqe: &Sqe) -> Result<(u32, Effect), Status> {
        let (cdw10, value) = (sqe.cdw10.get(), sqe.cdw11.get());
        if cdw10 & SAVE != 0 {
            return Err(Status::FEATURE_NOT_SAVEABLE);
        }
        match cdw10 as u8 {
            fid::ARBITRATION => self.arbitration = value,
            fid::POWER_MANAGEMENT if value & 0x1f == 0 => {}
            fid::TEMPERATURE_THRESHOLD => {
                // Only the over-temperature threshold of the composite temperature exists.
                if value & 0x003f_0000 == 0 {
                    self.temperature = value & 0xffff;
                }
            }
            fid::ERROR_RECOVERY if value & !0xffff == 0 => self.error_recovery = value,
            fid::VOLATILE_WRITE_CACHE if value & 1 == 1 => {}
            fid::VOLATILE_WRITE_CACHE => return Err(Status::FEATURE_NOT_CHANGEABLE),
            fid::WRITE_ATOMICITY => self.atomicity = value & 1,
            fid::NUMBER_OF_QUEUES => return self.set_queues(NumberOfQueues(value)),
            fid::ASYNC_EVENT_CONFIG if value & CONFIG_RESERVED == 0 => {
                return Ok((0, Effect::EventConfig(value)));
            }
            fid::KEEP_ALIVE_TIMER => {
                self.kato_ms = round_kato(value);
                return Ok((0, Effect::KeepAlive(self.kato_ms)));
            }
            // Connect sets it, once.
            fid::HOST_IDENTIFIER => return Err(Status::COMMAND_SEQUENCE_ERROR),
            _ => return Err(Status::INVALID_FIELD),
        }
        Ok((0, Effect::None))
    }

    fn set_queues(&mut self, asked: NumberOfQueues) -> Result<(u32, Effect), Status> {
        if asked.nsq() != asked.ncq() || asked.nsq() == u16::MAX {
            return Err(Status::INVALID_FIELD);
        }
        if self.queues.is_some() {
            return Err(Status::COMMAND_SEQUENCE_ERROR);
        }
        let granted = asked.nsq().saturating_add(1).min(MAX_IO_QUEUES);
        self.queues = Some(granted);
        Ok((NumberOfQueues::new(granted).0, Effect::None))
    }

    /// Get Features; `events` is the event configuration.
    pub fn get(&self, sqe: &Sqe, events: u32) -> Result<Value, Status> {
        let (cdw10, cdw11) = (sqe.cdw10.get(), sqe.cdw11.get());
        // Without the Select field only the current value can be asked for.
        if cdw10 & 0x0700 != 0 {
            return Err(Status::INVALID_FIELD);
        }
        let value = match cdw10 as u8 {
            fid::ARBITRATION => self.arbitration,
            fid::POWER_MANAGEMENT => 0,
            fid::TEMPERATURE_THRESHOLD => {
                if cdw11 & 0x003f_0000 == 0 {
                    self.temperature
                } else {
                    0
                }
            }
            fid::ERROR_RECOVERY => self.error_recovery,
            fid::VOLATILE_WRITE_CACHE => 1,
            fid::NUMBER_OF_QUEUES => NumberOfQueues::new(self.queues.unwrap_or(MAX_IO_QUEUES)).0,
            fid::WRITE_ATOMICITY => self.atomicity,
            fid::ASYNC_EVENT_CONFIG => events,
            fid::KEEP_ALIVE_TIMER => self.kato_ms,
            fid::HOST_IDENTIFIER if cdw11 & 1 == 1 => return Ok(Value::HostId),
            _ => return Err(Status::INVALID_FIELD),
        };
        Ok(Value::Dword(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(f: &mut Features, fid: u8, v: u32) -> Result<(u32, Effect), Status> {
        f.set(&Sqe::set_features(fid, v))
    }

    fn get(f: &Features, fid: u8) -> Result<Value, Status> {
        f.get(&Sqe::get_features(fid, 0), 0x100)
    }

    #[test]
    fn number_of_queues() {
        let mut f = Features::new(0);
        assert_eq!(set(&mut f, 7, 0x0003_0004), Err(Status::INVALID_FIELD));
        assert_eq!(set(&mut f, 7, 0xffff_ffff), Err(Status::INVALID_FIELD));
        assert_eq!(set(&mut f, 7, 0x0003_0003), Ok((0x0003_0003, Effect::None)));
        assert_eq!(f.queues(), Some(4));
        assert_eq!(
            set(&mut f, 7, 0x0003_0003),
            Err(Status::COMMAND_SEQUENCE_ERROR)
        );
        assert_eq!(get(&f, 7), Ok(Value::Dword(0x0003_0003)));
        f.reset();
        assert_eq!(f.queues(), None);
        assert_eq!(set(&mut f, 7, 0xfffe_fffe), Ok((0x03ff_03ff, Effect::None)));
        assert_eq!(f.queues(), Some(MAX_IO_QUEUES));
    }

    #[test]
    fn events() {
        let mut f = Features::new(0);
        assert_eq!(set(&mut f, 0xb, 0x4000), Err(Status::INVALID_FIELD));
        assert_eq!(
            set(&mut f, 0xb, 0x3fff),
            Ok((0, Effect::EventConfig(0x3fff)))
        );
        assert_eq!(get(&f, 0xb), Ok(Value::Dword(0x100)));
    }

    #[test]
    fn keep_alive() {
        let mut f = Features::new(1);
        assert_eq!(f.kato_ms(), 1000);
        assert_eq!(set(&mut f, 0xf, 5001), Ok((0, Effect::KeepAlive(6000))));
        assert_eq!(get(&f, 0xf), Ok(Value::Dword(6000)));
        f.reset();
        assert_eq!(f.kato_ms(), 6000);
        assert_eq!(round_kato(0), 0);
        assert_eq!(round_kato(u32::MAX), u32::MAX);
    }

    #[test]
    fn mandatory_features_can_be_read() {
        let f = Features::new(0);
        for fid in [1, 2, 4, 5, 6, 7, 0xa, 0xb, 0xf] {
            assert!(matches!(get(&f, fid), Ok(Value::Dword(_))), "{fid:#x}");
        }
        assert_eq!(
            f.get(&Sqe::get_features(1, 1), 0),
            Err(Status::INVALID_FIELD)
        );
        assert_eq!(get(&f, 0x81), Err(Status::INVALID_FIELD));
        let mut exhid = Sqe::get_features(0x81, 0);
        exhid.cdw11 = 1.into();
        assert_eq!(f.get(&exhid, 0), Ok(Value::HostId));
        for fid in [0, 8, 9, 0x80, 0xff] {
            assert_eq!(get(&f, fid), Err(Status::INVALID_FIELD), "{fid:#x}");
        }
    }

    #[test]
    fn what_cannot_be_set() {
        let mut f = Features::new(0);
        let mut save = Sqe::set_features(1, 0);
        save.cdw10 = (1 | SAVE).into();
        assert_eq!(f.set(&save), Err(Status::FEATURE_NOT_SAVEABLE));
        assert_eq!(set(&mut f, 6, 0), Err(Status::FEATURE_NOT_CHANGEABLE));
        assert_eq!(set(&mut f, 6, 1), Ok((0, Effect::None)));
        assert_eq!(set(&mut f, 2, 1), Err(Status::INVALID_FIELD));
        assert_eq!(set(&mut f, 0x81, 0), Err(Status::COMMAND_SEQUENCE_ERROR));
        assert_eq!(set(&mut f, 0x99, 0), Err(Status::INVALID_FIELD));
    }
}
