// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The transport-independent parameters of a queue pair that userland hands
//! over: `nvmf_validate_qpair_nvlist`.
#![forbid(unsafe_code)]

/// The values of the list; `None` where a key is missing or mistyped.
#[derive(Clone, Copy, Debug, Default)]
pub struct QpairParams {
    /// Whether this is an admin queue.
    pub admin: Option<bool>,
    /// Whether SQ flow control is on.
    pub sq_flow_control: Option<bool>,
    /// Entries of the submission queue.
    pub qsize: Option<u64>,
    /// SQ head of the last response.
    pub sqhd: Option<u64>,
    /// SQ tail; host only.
    pub sqtail: Option<u64>,
}

impl QpairParams {
    /// Whether the parameters make sense for a controller's or a host's queue
    /// pair. An admin queue has 2 to 4096 entries (NVMe Base, AQA), an I/O
    /// queue 2 to 65536; head and tail lie inside the queue.
    pub fn are_valid(&self, controller: bool) -> bool {
        let (Some(admin), Some(_), Some(qsize), Some(sqhd)) =
            (self.admin, self.sq_flow_control, self.qsize, self.sqhd)
        else {
            return false;
        };
        let largest = if admin { 4096 } else { 65536 };
        if !(2..=largest).contains(&qsize) || sqhd >= qsize {
            return false;
        }
        controller || self.sqtail.is_some_and(|t| t < qsize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: QpairParams = QpairParams {
        admin: Some(false),
        sq_flow_control: Some(false),
        qsize: Some(128),
        sqhd: Some(0),
        sqtail: Some(0),
    };

    #[test]
    fn every_key_is_needed_but_a_controllers_tail() {
        assert!(GOOD.are_valid(false));
        let missing = [
            QpairParams {
                admin: None,
                ..GOOD
            },
            QpairParams {
                sq_flow_control: None,
                ..GOOD
            },
            QpairParams {
                qsize: None,
                ..GOOD
            },
            QpairParams { sqhd: None, ..GOOD },
        ];
        for p in missing {
            assert!(!p.are_valid(false), "{p:?}");
            assert!(!p.are_valid(true), "{p:?}");
        }
        let tailless = QpairParams {
            sqtail: None,
            ..GOOD
        };
        assert!(!tailless.are_valid(false));
        assert!(tailless.are_valid(true));
    }

    #[test]
    fn sizes_have_limits() {
        for (admin, qsize, ok) in [
            (false, 1, false),
            (false, 2, true),
            (false, 65536, true),
            (false, 65537, false),
            (false, u64::MAX, false),
            (true, 1, false),
            (true, 4096, true),
            (true, 4097, false),
        ] {
            let p = QpairParams {
                admin: Some(admin),
                qsize: Some(qsize),
                ..GOOD
            };
            assert_eq!(p.are_valid(false), ok, "{p:?}");
        }
    }

    #[test]
    fn head_and_tail_lie_inside_the_queue() {
        let p = QpairParams {
            sqhd: Some(128),
            ..GOOD
        };
        assert!(!p.are_valid(true));
        let p = QpairParams {
            sqhd: Some(127),
            sqtail: Some(128),
            ..GOOD
        };
        assert!(p.are_valid(true) && !p.are_valid(false));
    }
}
