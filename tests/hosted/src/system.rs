// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What an administrator does: ports, connecting, disconnecting.

use std::net::SocketAddr;
use std::time::Duration;

use sys::Errno;
use sys::ffi::{NVRS_IOC_DISCONNECT_ALL, NVRS_IOC_HANDOFF_HOST, NVRS_IOC_RECONNECT_HOST};

use crate::cam::{self, Disk};
use crate::nv::{List, Owned};
use crate::userland::{Association, Error, Options};
use crate::{cdev, ctl, newbus};

fn text(buf: &[u8]) -> String {
    let end = buf.iter().position(|&b| b == 0).unwrap_or(buf.len());
    String::from_utf8_lossy(&buf[..end]).into_owned()
}

/// A port of the controller's front end.
pub struct Port {
    /// The number that CTL gave it.
    pub number: i32,
}

impl Port {
    /// Creates a port and enables it; `extra` are further arguments.
    pub fn create(subnqn: &str, extra: &[(&str, &str)]) -> Result<Self, String> {
        let mut args = List::new();
        args.string("subnqn", subnqn).string("portid", "1");
        for (k, v) in extra {
            args.string(k, v);
        }
        let args = Owned::new(args);
        let (mut number, mut err) = (0, [0u8; 256]);
        // SAFETY: a live list, and storage for the results.
        let ok = unsafe {
            nvmft::ffi::nvmft_rs_port_create(
                args.as_ptr(),
                7,
                &mut number,
                err.as_mut_ptr().cast(),
                err.len(),
            )
        };
        if !ok {
            return Err(text(&err));
        }
        ctl::enable_port(number);
        Ok(Port { number })
    }

    /// Removes the port; associations end.
    pub fn remove(self) -> Result<(), String> {
        let mut args = List::new();
        args.string("port_id", &self.number.to_string());
        let args = Owned::new(args);
        let mut err = [0u8; 256];
        // SAFETY: a live list, and storage for a text.
        let ok = unsafe {
            nvmft::ffi::nvmft_rs_port_remove(args.as_ptr(), err.as_mut_ptr().cast(), err.len())
        };
        if ok { Ok(()) } else { Err(text(&err)) }
    }
}

/// `ctladm nvlist`: the associations.
pub fn associations() -> String {
    let mut buf = vec![0u8; 64 << 10];
    // SAFETY: room for that many bytes.
    unsafe { nvmft::ffi::nvmft_rs_list(buf.as_mut_ptr().cast(), buf.len() as u32) };
    text(&buf)
}

/// `ctladm nvterminate -a`.
pub fn terminate_all() -> u32 {
    let nqn = [0u8; 256];
    // SAFETY: that many bytes.
    unsafe { nvmft::ffi::nvmft_rs_terminate(true, -1, nqn.as_ptr().cast(), nqn.len()) }
}

/// `nvmecontrol connect`: returns the device's name.
pub fn connect(addr: SocketAddr, o: &Options) -> Result<String, Error> {
    let before = names();
    let a = Association::connect(addr, o)?;
    cdev::ioctl_list("nvmf", NVRS_IOC_HANDOFF_HOST.into(), &a.packed())
        .map_err(|e| Error::Kernel(format!("handoff: errno {}", e.code())))?;
    let new = names().into_iter().find(|n| !before.contains(n));
    new.ok_or_else(|| Error::Kernel("no device appeared".into()))
}

fn names() -> Vec<String> {
    newbus::devices().into_iter().map(|d| d.0).collect()
}

/// `nvmecontrol reconnect`.
pub fn reconnect(device: &str, addr: SocketAddr, o: &Options) -> Result<(), Error> {
    let a = Association::connect(addr, o)?;
    cdev::ioctl_list(device, NVRS_IOC_RECONNECT_HOST.into(), &a.packed())
        .map_err(|e| Error::Kernel(format!("reconnect: errno {}", e.code())))
}

/// `nvmecontrol disconnect-all`.
pub fn disconnect_all() -> Result<(), Errno> {
    cdev::ioctl("nvmf", NVRS_IOC_DISCONNECT_ALL.into(), &mut [])
}

/// The disk of a namespace, once CAM has found it.
pub fn disk(device: &str, nsid: u32) -> Option<Disk> {
    cam::wait_disk(device, nsid, Duration::from_secs(10))
}
