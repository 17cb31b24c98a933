// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Compares the wire types with FreeBSD's own `dev/nvme/nvme.h` and `dev/nvmf/nvmf_proto.h`.
//!
//! The sizes and offsets that Rust has become static assertions in a C file that clang checks, for amd64, against the
//! headers under SYSDIR. Nothing is run. Without SYSDIR or clang the test says that it was skipped.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use memoffset::offset_of;
use sys::wire::identify::{IdentifyController, IdentifyNamespace};
use sys::wire::log::{DiscoveryEntry, DiscoveryHeader, ErrorEntry, FirmwareSlotLog, HealthLog};
use sys::wire::{Cqe, Sgl, Sqe, fabrics, sqe, status::Status, tcp};

/// Adds `sizeof(c) == size_of(rust)` and `offsetof(c, member) == offset_of(rust, field)` to a C file.
macro_rules! same {
    ($out:ident, $rust:ty, $c:literal $(, $field:ident = $member:literal)* $(,)?) => {
        writeln!($out, "_Static_assert(sizeof({}) == {}, \"size\");", $c, size_of::<$rust>()).unwrap();
        $(writeln!(
            $out,
            "_Static_assert(__builtin_offsetof({}, {}) == {}, \"{}\");",
            $c, $member, offset_of!($rust, $field), $member
        ).unwrap();)*
    };
}

fn assertions() -> String {
    let mut c = String::from(
        "#include <sys/param.h>\n#include <sys/systm.h>\n#include <dev/nvme/nvme.h>\n#include <dev/nvmf/nvmf_proto.h>\n",
    );
    same!(
        c,
        Sqe,
        "struct nvme_command",
        opcode = "opc",
        flags = "fuse",
        cid = "cid",
        nsid = "nsid",
        mptr = "mptr",
        sgl1 = "sgl",
        cdw10 = "cdw10",
        cdw11 = "cdw11",
        cdw12 = "cdw12",
        cdw13 = "cdw13",
        cdw14 = "cdw14",
        cdw15 = "cdw15"
    );
    same!(
        c,
        Cqe,
        "struct nvme_completion",
        cdw0 = "cdw0",
        cdw1 = "rsvd1",
        sqhd = "sqhd",
        sqid = "sqid",
        cid = "cid",
        status_field = "status"
    );
    same!(
        c,
        Sgl,
        "struct nvme_sgl_descriptor",
        address = "address",
        length = "length",
        id = "type"
    );
    same!(
        c,
        sqe::DsmRange,
        "struct nvme_dsm_range",
        attributes = "attributes",
        length = "length",
        slba = "starting_lba"
    );
    same!(
        c,
        IdentifyController,
        "struct nvme_controller_data",
        vid = "vid",
        sn = "sn",
        mn = "mn",
        fr = "fr",
        rab = "rab",
        ieee = "ieee",
        cmic = "mic",
        mdts = "mdts",
        cntlid = "ctrlr_id",
        ver = "ver",
        rtd3r = "rtd3r",
        oaes = "oaes",
        ctratt = "ctratt",
        rrls = "rrls",
        cntrltype = "cntrltype",
        fguid = "fguid",
        crdt = "crdt1",
        oacs = "oacs",
        acl = "acl",
        aerl = "aerl",
        frmw = "frmw",
        lpa = "lpa",
        elpe = "elpe",
        npss = "npss",
        avscc = "avscc",
        apsta = "apsta",
        wctemp = "wctemp",
        cctemp = "cctemp",
        mtfa = "mtfa",
        hmpre = "hmpre",
        hmmin = "hmmin",
        tnvmcap = "untncap",
        rpmbs = "rpmbs",
        edstt = "edstt",
        dsto = "dsto",
        fwug = "fwug",
        kas = "kas",
        hctma = "hctma",
        mntmt = "mntmt",
        mxtmt = "mxtmt",
        sanicap = "sanicap",
        hmminds = "hmminds",
        hmmaxd = "hmmaxd",
        nsetidmax = "nsetidmax",
        endgidmax = "endgidmax",
        anatt = "anatt",
        anacap = "anacap",
        anagrpmax = "anagrpmax",
        nanagrpid = "nanagrpid",
        pels = "pels",
        sqes = "sqes",
        cqes = "cqes",
        maxcmd = "maxcmd",
        nn = "nn",
        oncs = "oncs",
        fuses = "fuses",
        fna = "fna",
        vwc = "vwc",
        awun = "awun",
        awupf = "awupf",
        nvscc = "nvscc",
        nwpc = "nwpc",
        acwu = "acwu",
        sgls = "sgls",
        mnan = "mnan",
        subnqn = "subnqn",
        ioccsz = "ioccsz",
        iorcsz = "iorcsz",
        icdoff = "icdoff",
        fcatt = "fcatt",
        msdbd = "msdbd",
        ofcs = "ofcs",
        psd = "power_state",
        vs = "vs"
    );
    same!(
        c,
        IdentifyNamespace,
        "struct nvme_namespace_data",
        nsze = "nsze",
        ncap = "ncap",
        nuse = "nuse",
        nsfeat = "nsfeat",
        nlbaf = "nlbaf",
        flbas = "flbas",
        mc = "mc",
        dpc = "dpc",
        dps = "dps",
        nmic = "nmic",
        rescap = "rescap",
        fpi = "fpi",
        dlfeat = "dlfeat",
        nawun = "nawun",
        nawupf = "nawupf",
        nacwu = "nacwu",
        nabsn = "nabsn",
        nabo = "nabo",
        nabspf = "nabspf",
        noiob = "noiob",
        nvmcap = "nvmcap",
        npwg = "npwg",
        npwa = "npwa",
        npdg = "npdg",
        npda = "npda",
        nows = "nows",
        anagrpid = "anagrpid",
        nsattr = "nsattr",
        nvmsetid = "nvmsetid",
        endgid = "endgid",
        nguid = "nguid",
        eui64 = "eui64",
        lbaf = "lbaf",
        vs = "vendor_specific"
    );
    same!(
        c,
        ErrorEntry,
        "struct nvme_error_information_entry",
        error_count = "error_count",
        sqid = "sqid",
        cid = "cid",
        status_field = "status",
        location = "error_location",
        lba = "lba",
        nsid = "nsid"
    );
    same!(
        c,
        HealthLog,
        "struct nvme_health_information_page",
        critical_warning = "critical_warning",
        temperature = "temperature",
        available_spare = "available_spare",
        available_spare_threshold = "available_spare_threshold",
        percentage_used = "percentage_used",
        data_units_read = "data_units_read",
        data_units_written = "data_units_written",
        host_reads = "host_read_commands",
        host_writes = "host_write_commands",
        busy_time = "controller_busy_time",
        power_cycles = "power_cycles",
        power_on_hours = "power_on_hours",
        unsafe_shutdowns = "unsafe_shutdowns",
        media_errors = "media_errors",
        error_entries = "num_error_info_log_entries",
        warning_temp_time = "warning_temp_time",
        critical_temp_time = "error_temp_time",
        temp_sensor = "temp_sensor"
    );
    same!(
        c,
        FirmwareSlotLog,
        "struct nvme_firmware_page",
        afi = "afi",
        frs = "revision"
    );
    same!(
        c,
        fabrics::ConnectCmd,
        "struct nvmf_fabric_connect_cmd",
        opcode = "opcode",
        cid = "cid",
        fctype = "fctype",
        sgl1 = "sgl1",
        recfmt = "recfmt",
        qid = "qid",
        sqsize = "sqsize",
        cattr = "cattr",
        kato = "kato"
    );
    same!(
        c,
        fabrics::ConnectData,
        "struct nvmf_fabric_connect_data",
        hostid = "hostid",
        cntlid = "cntlid",
        subnqn = "subnqn",
        hostnqn = "hostnqn"
    );
    same!(
        c,
        fabrics::PropertyCmd,
        "struct nvmf_fabric_prop_set_cmd",
        fctype = "fctype",
        attrib = "attrib",
        ofst = "ofst",
        value = "value"
    );
    same!(
        c,
        fabrics::PropertyCmd,
        "struct nvmf_fabric_prop_get_cmd",
        fctype = "fctype",
        attrib = "attrib",
        ofst = "ofst"
    );
    same!(
        c,
        fabrics::DisconnectCmd,
        "struct nvmf_fabric_disconnect_cmd",
        fctype = "fctype",
        recfmt = "recfmt"
    );
    same!(
        c,
        DiscoveryHeader,
        "struct nvmf_discovery_log_page",
        genctr = "genctr",
        numrec = "numrec",
        recfmt = "recfmt"
    );
    same!(
        c,
        DiscoveryEntry,
        "struct nvmf_discovery_log_page_entry",
        trtype = "trtype",
        adrfam = "adrfam",
        subtype = "subtype",
        treq = "treq",
        portid = "portid",
        cntlid = "cntlid",
        asqsz = "asqsz",
        eflags = "eflags",
        trsvcid = "trsvcid",
        subnqn = "subnqn",
        traddr = "traddr",
        tsas = "tsas"
    );
    same!(
        c,
        tcp::CommonHeader,
        "struct nvme_tcp_common_pdu_hdr",
        pdu_type = "pdu_type",
        flags = "flags",
        hlen = "hlen",
        pdo = "pdo",
        plen = "plen"
    );
    same!(
        c,
        tcp::IcReq,
        "struct nvme_tcp_ic_req",
        pfv = "pfv",
        hpda = "hpda",
        dgst = "dgst",
        maxr2t = "maxr2t"
    );
    same!(
        c,
        tcp::IcResp,
        "struct nvme_tcp_ic_resp",
        pfv = "pfv",
        cpda = "cpda",
        dgst = "dgst",
        maxh2cdata = "maxh2cdata"
    );
    same!(
        c,
        tcp::TermReq,
        "struct nvme_tcp_term_req_hdr",
        fes = "fes",
        fei = "fei"
    );
    same!(c, tcp::CapsuleCmd, "struct nvme_tcp_cmd", sqe = "ccsqe");
    same!(c, tcp::CapsuleResp, "struct nvme_tcp_rsp", cqe = "rccqe");
    same!(
        c,
        tcp::DataHeader,
        "struct nvme_tcp_h2c_data_hdr",
        cccid = "cccid",
        ttag = "ttag",
        datao = "datao",
        datal = "datal"
    );
    same!(
        c,
        tcp::DataHeader,
        "struct nvme_tcp_c2h_data_hdr",
        cccid = "cccid",
        datao = "datao",
        datal = "datal"
    );
    same!(
        c,
        tcp::R2t,
        "struct nvme_tcp_r2t_hdr",
        cccid = "cccid",
        ttag = "ttag",
        r2to = "r2to",
        r2tl = "r2tl"
    );
    constants(&mut c);
    c
}

fn constants(c: &mut String) {
    let mut eq =
        |name: &str, v: u64| writeln!(c, "_Static_assert({name} == {v}, \"{name}\");").unwrap();
    eq(
        "NVME_TCP_CH_FLAGS_HDGSTF",
        tcp::PduFlags::HDGST.bits().into(),
    );
    eq(
        "NVME_TCP_CH_FLAGS_DDGSTF",
        tcp::PduFlags::DDGST.bits().into(),
    );
    eq(
        "NVME_TCP_C2H_DATA_FLAGS_LAST_PDU",
        tcp::PduFlags::LAST.bits().into(),
    );
    eq(
        "NVME_TCP_C2H_DATA_FLAGS_SUCCESS",
        tcp::PduFlags::SUCCESS.bits().into(),
    );
    eq("NVME_TCP_PDU_TYPE_R2T", tcp::PduType::R2t as u64);
    eq(
        "NVME_TCP_TERM_REQ_PDU_MAX_SIZE",
        tcp::TERM_REQ_LEN_MAX as u64,
    );
    for (name, s) in [
        ("NVME_SC_INVALID_FIELD", Status::INVALID_FIELD),
        ("NVME_SC_DATA_TRANSFER_ERROR", Status::DATA_TRANSFER_ERROR),
        (
            "NVME_SC_COMMAND_SEQUENCE_ERROR",
            Status::COMMAND_SEQUENCE_ERROR,
        ),
        (
            "NVME_SC_DATA_SGL_LENGTH_INVALID",
            Status::DATA_SGL_LENGTH_INVALID,
        ),
        (
            "NVME_SC_SGL_DESCRIPTOR_TYPE_INVALID",
            Status::SGL_TYPE_INVALID,
        ),
        ("NVME_SC_SGL_OFFSET_INVALID", Status::SGL_OFFSET_INVALID),
        (
            "NVME_SC_TRANSIENT_TRANSPORT_ERROR",
            Status::TRANSIENT_TRANSPORT_ERROR,
        ),
        ("NVME_SC_LBA_OUT_OF_RANGE", Status::LBA_OUT_OF_RANGE),
        (
            "NVME_SC_ABORT_COMMAND_LIMIT_EXCEEDED",
            Status::ABORT_LIMIT_EXCEEDED,
        ),
        ("NVME_SC_INVALID_LOG_PAGE", Status::INVALID_LOG_PAGE),
        ("NVME_SC_FEATURE_NOT_SAVEABLE", Status::FEATURE_NOT_SAVEABLE),
        (
            "NVMF_FABRIC_SC_INVALID_PARAM",
            Status::CONNECT_INVALID_PARAMETERS,
        ),
        (
            "NVMF_FABRIC_SC_INVALID_QUEUE_TYPE",
            Status::INVALID_QUEUE_TYPE,
        ),
        ("NVME_SC_COMMAND_ABORTED_BY_HOST", Status::ABORTED_BY_HOST),
        ("NVME_SC_COMPARE_FAILURE", Status::COMPARE_FAILURE),
    ] {
        eq(name, s.sc().into());
    }
    eq("NVME_OPC_GET_LOG_PAGE", sqe::admin::GET_LOG_PAGE.into());
    eq(
        "NVME_OPC_ASYNC_EVENT_REQUEST",
        sqe::admin::ASYNC_EVENT_REQUEST.into(),
    );
    eq("NVME_OPC_KEEP_ALIVE", sqe::admin::KEEP_ALIVE.into());
    eq("NVME_OPC_WRITE_ZEROES", sqe::nvm::WRITE_ZEROES.into());
    eq(
        "NVME_OPC_DATASET_MANAGEMENT",
        sqe::nvm::DATASET_MANAGEMENT.into(),
    );
    eq("NVME_OPC_FABRICS_COMMANDS", fabrics::OPCODE.into());
    eq("NVMF_PROP_CSTS", fabrics::property::CSTS.into());
}

/// Starts `clang` on its standard input.
fn check(clang: &str, include: &Path, sysdir: &Path) -> Option<Child> {
    Command::new(clang)
        .args([
            "--target=x86_64-unknown-freebsd15.0",
            "-D_KERNEL",
            "-DKLD_MODULE",
            "-ffreestanding",
            "-nostdinc",
        ])
        .args(["-std=gnu17", "-w", "-fsyntax-only", "-x", "c"])
        .arg("-I")
        .arg(include)
        .arg("-I")
        .arg(sysdir)
        .arg("-I")
        .arg(sysdir.join("contrib/ck/include"))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()
}

#[test]
fn c_headers_agree() {
    let Some(sysdir) = std::env::var_os("SYSDIR").map(PathBuf::from) else {
        println!("skipped: SYSDIR is not set");
        return;
    };
    let include = std::env::temp_dir().join(format!("nvmf-wire-layout-{}", std::process::id()));
    std::fs::create_dir_all(&include).unwrap();
    // A configured kernel build has a link to the machine's headers and the option files; a bare tree has not.
    for (link, target) in [("machine", "amd64/include"), ("x86", "x86/include")] {
        let _ = std::os::unix::fs::symlink(sysdir.join(target), include.join(link));
    }
    for opt in ["opt_global.h", "opt_sched.h"] {
        std::fs::write(include.join(opt), "").unwrap();
    }
    let clang = ["clang", "clang-19", "clang-18", "clang-17"];
    let Some(mut child) = clang.iter().find_map(|c| check(c, &include, &sysdir)) else {
        println!("skipped: no clang");
        return;
    };
    child
        .stdin
        .take()
        .unwrap()
        .write_all(assertions().as_bytes())
        .unwrap();
    let out = child.wait_with_output().unwrap();
    std::fs::remove_dir_all(&include).unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
