// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Identify: the controller, and the identifiers of a namespace.
#![forbid(unsafe_code)]

use sys::wire::FromBytes;
use sys::wire::fabrics::{Cap, Vs};
use sys::wire::identify::{
    CTRATT_HOSTID_128, CTRATT_TBKAS, IdentifyController, IdentifyNamespace, LPA_EFFECTS,
    LPA_EXTENDED, OAES_NAMESPACE_ATTRIBUTE, ONCS_COMPARE, ONCS_DSM, ONCS_VERIFY, ONCS_WRITE_ZEROES,
    SGLS_OFFSET, SGLS_SUPPORTED, SGLS_TRANSPORT, nidt, push_namespace_id,
};
use sys::wire::nqn::{store, store_padded};

use super::aer::AER_MAX;
use super::port_args::{PortConfig, until_nul};

/// The version that is claimed.
pub const VERSION: Vs = Vs::new(1, 4, 0);

/// Controller Capabilities of every controller of a port; `mps` is the page size as CC.MPS has it.
pub fn cap(config: &PortConfig, mps: u32) -> Cap {
    let mqes = u16::try_from(config.max_io_qsize.saturating_sub(1)).unwrap_or(u16::MAX);
    let mps = u64::from(mps & 0xf);
    Cap(Cap::new(mqes, config.enable_timeout).0 | mps << 48 | mps << 52)
}

/// The firmware revision: the operating system's release up to its first hyphen.
pub fn firmware_revision(release: &[u8]) -> [u8; 8] {
    let mut fr = [0; 8];
    store_padded(&mut fr, release.split(|b| *b == b'-').next().unwrap_or(&[]));
    fr
}

/// Fills Identify Controller.
pub fn fill_controller(
    page: &mut [u8],
    config: &PortConfig,
    cntlid: u16,
    os: &[u8],
    release: &[u8],
) {
    page.fill(0);
    let Ok((id, _)) = IdentifyController::mut_from_prefix(page) else {
        return;
    };
    store_padded(&mut id.sn, until_nul(&config.serial));
    store_padded(&mut id.mn, os);
    id.fr = firmware_revision(release);
    id.ieee = [0xfc, 0x9c, 0x58];
    id.cntlid = cntlid.into();
    id.ver = VERSION.0.into();
    id.oaes = OAES_NAMESPACE_ATTRIBUTE.into();
    id.ctratt = (CTRATT_HOSTID_128 | CTRATT_TBKAS).into();
    id.cntrltype = 1;
    id.acl = 3;
    id.aerl = (AER_MAX - 1) as u8;
    id.frmw = 0x03;
    id.lpa = LPA_EFFECTS | LPA_EXTENDED;
    id.wctemp = 0x0157.into();
    id.cctemp = 0x0157.into();
    id.kas = 10.into();
    id.sqes = 0x66;
    id.cqes = 0x44;
    id.maxcmd = u16::try_from(config.max_io_qsize)
        .unwrap_or(u16::MAX)
        .into();
    id.nn = config.nn.into();
    id.oncs = (ONCS_COMPARE | ONCS_DSM | ONCS_WRITE_ZEROES | ONCS_VERIFY).into();
    // A volatile write cache, and no Flush of all namespaces at once.
    id.vwc = 0x05;
    id.sgls = (SGLS_SUPPORTED | SGLS_OFFSET | SGLS_TRANSPORT).into();
    // A name of valid length always fits.
    let _ = store(&mut id.subnqn, config.subnqn.as_bytes());
    id.ioccsz = config.ioccsz.into();
    id.iorcsz = config.iorcsz.into();
    id.msdbd = 1;
}

/// Turns Identify Namespace, which CTL answers for any LUN, into the list of the namespace's identifiers, whose
/// request CTL loses when the LUN goes away.
pub fn namespace_to_descriptors(page: &mut [u8]) {
    let Ok((ns, _)) = IdentifyNamespace::ref_from_prefix(page) else {
        return;
    };
    let (nguid, eui64) = (ns.nguid, ns.eui64);
    page.fill(0);
    let mut at = 0;
    if eui64 != [0; 8] {
        push_namespace_id(page, &mut at, nidt::EUI64, &eui64);
    }
    if nguid != [0; 16] {
        push_namespace_id(page, &mut at, nidt::NGUID, &nguid);
    }
    // The NVM command set, so that the list is never empty.
    push_namespace_id(page, &mut at, nidt::CSI, &[0]);
}

#[cfg(test)]
mod tests {
    use super::super::port_args::Nqn;
    use super::*;
    use std::vec;
    use std::vec::Vec;
    use sys::wire::identify::NamespaceIds;

    fn config(max_io_qsize: u32) -> PortConfig {
        PortConfig {
            subnqn: Nqn::new(b"nqn.2024-01.test:a").unwrap(),
            portid: 1,
            max_io_qsize,
            enable_timeout: 15,
            ioccsz: 1028,
            iorcsz: 1,
            nn: 1024,
            serial: *b"HI:7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        }
    }

    #[test]
    fn capabilities() {
        assert_eq!(cap(&config(1024), 0).0, 0x0000_0020_0F01_03FF);
        assert_eq!(cap(&config(65536), 0).0, 0x0000_0020_0F01_FFFF);
        let c = cap(&config(2), 2);
        assert_eq!((c.mpsmin(), c.mpsmax(), c.mqes()), (2, 2, 1));
    }

    #[test]
    fn controller() {
        let mut page = vec![0xff; 4096];
        fill_controller(&mut page, &config(1024), 5, b"FreeBSD", b"15.0-CURRENT");
        assert_eq!(&page[4..24], b"HI:7                ");
        assert_eq!(&page[24..32], b"FreeBSD ");
        assert_eq!(&page[64..72], b"15.0    ");
        assert_eq!(page[73..76], [0xfc, 0x9c, 0x58]);
        assert_eq!((page[77], page[78]), (0, 5));
        assert_eq!(page[80..84], [0, 4, 1, 0]);
        assert_eq!(page[92..100], [0, 1, 0, 0, 0x41, 0, 0, 0]);
        assert_eq!(page[258..262], [3, 15, 3, 6]);
        assert_eq!((page[266], page[267], page[320]), (0x57, 1, 10));
        assert_eq!(page[512..516], [0x66, 0x44, 0, 4]);
        assert_eq!(page[520..526], [0x8d, 0, 0, 0, 0, 5]);
        assert_eq!(page[536..540], [1, 0, 0x30, 0]);
        assert_eq!(&page[768..787], b"nqn.2024-01.test:a\0");
        assert_eq!(
            (page[1792], page[1793], page[1796], page[1803]),
            (4, 4, 1, 1)
        );
        fill_controller(&mut page, &config(65536), 5, b"", b"");
        assert_eq!(page[514..516], [0xff, 0xff]);
    }

    #[test]
    fn descriptors() {
        let mut page = vec![0u8; 4096];
        page[104..120].fill(0xaa);
        page[120..128].fill(0xbb);
        namespace_to_descriptors(&mut page);
        let list: Vec<_> = NamespaceIds::new(&page).collect();
        assert_eq!(
            list,
            [(1, &[0xbb; 8][..]), (2, &[0xaa; 16][..]), (4, &[0][..])]
        );
        let mut page = vec![0u8; 4096];
        namespace_to_descriptors(&mut page);
        assert_eq!(NamespaceIds::new(&page).count(), 1);
    }
}
