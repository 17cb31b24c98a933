# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
#
# One module, built by FreeBSD's bsd.kmod.mk from its C glue, the shim and the
# static library that cargo makes of its crate.

.if ${MACHINE_CPUARCH} != "amd64"
.error the modules are for amd64
.endif

TOP:=	${.PARSEDIR:tA:H:H}
KMODDIR?=	/boot/modules

KPI+=	kpi_base kpi_nv kpi_mbuf kpi_sock
SRCS=	glue_${KMOD}.c ${KPI:S/$/.c/} device_if.h bus_if.h opt_cam.h
.PATH:	${TOP}/shim/freebsd
CFLAGS+=	-I${TOP}/shim/include -I${TOP}/shim/freebsd
CFLAGS+=	-ffunction-sections -fdata-sections
# What kern.mk defines as a config option only with KERNBUILDDIR.
.if !defined(KERNBUILDDIR)
CFLAGS+=	-DSMP
.endif

EXPORTED!=	cat ${TOP}/shim/link/export/${KMOD}.txt
LDSCRIPT_FLAGS=	-T ${TOP}/shim/link/kmod.lds --gc-sections
.if empty(EXPORTED)
EXPORT_SYMS=	NO
.else
EXPORT_SYMS=	${EXPORTED}
LDSCRIPT_FLAGS+=	${EXPORTED:S/^/-u /}
.endif

# `core` is built from source: rustup component add rust-src
CARGO?=		cargo
KRUSTC?=	rustc
CARGO_TARGET_DIR?=	${TOP}/target
RUSTFLAGS_KMOD=	-Crelocation-model=static -Ccode-model=kernel \
	-Cno-redzone=yes -Cforce-frame-pointers=yes -Cpanic=abort \
	-Cforce-unwind-tables=no -Crelro-level=off
RUST_SRCS!=	find ${TOP}/sys ${TOP}/${KMOD} ${TOP}/shim/include \
	${TOP}/Cargo.toml ${TOP}/Cargo.lock -type f
RUST_LIB=	${CARGO_TARGET_DIR}/kmods-freebsd/x86_64-unknown-none/kmod/lib${KMOD}.a
BLOB_OBJS+=	${RUST_LIB}

${RUST_LIB}: ${RUST_SRCS}
	cd ${TOP} && env RUSTC=${KRUSTC} RUSTC_BOOTSTRAP=1 \
	    RUSTFLAGS="${RUSTFLAGS_KMOD}" ${CARGO} rustc -q -p ${KMOD} \
	    --crate-type staticlib --profile kmod --target x86_64-unknown-none \
	    --target-dir ${CARGO_TARGET_DIR}/kmods-freebsd \
	    -Zbuild-std=core,compiler_builtins
	@touch ${.TARGET}

.include <bsd.kmod.mk>
