# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Which part of the system a function belongs to."""

# In the order of a report.  What idles or spins until another processor lets
# go depends on the machine, and no total includes it.
GROUPS = (
    "host",
    "transport",
    "controller",
    "network",
    "copy",
    "crc",
    "scheduler",
    "locks",
    "memory",
    "interrupt",
    "random",
    "syscall",
    "user",
    "other",
    "waiting",
)

_MODULES = {
    "nvmf.ko": "host",
    "nvmf_transport.ko": "transport",
    "nvmf_tcp.ko": "transport",
    "nvmft.ko": "controller",
    "user": "user",
}

# Beginnings of names of kernel functions, without leading underscores; the
# first group that has one takes the function.
_KERNEL = [
    (group, tuple(names.split()))
    for group, names in (
        (
            "waiting",
            "acpi_cpu_c1 acpi_cpu_idle cpu_idle cpu_mwait lock_delay mtx_lock_indefinite "
            "mtx_lock_spin_cookie sched_idletd smp_rendezvous smp_targeted",
        ),
        ("random", "SHA256 chacha fortuna libmd_SHA256 random rijndael"),
        (
            "copy",
            "bcopy bzero copyin copyout explicit_bzero fubyte fuword m_copyback m_copydata "
            "mc_get mc_init mc_next mc_set memcmp memcpy memdesc_copy memmove memset pagezero "
            "sse2_pagezero subyte suword uiomove",
        ),
        ("crc", "calculate_crc32 crc32 gsb_crc32 multitable_crc singletable_crc sse42_crc32"),
        (
            "host",
            "b_ bio cam_ camq d_ dev_ devfs devstat devvn disk dofile g_ geom giant_ kern_pread "
            "kern_preadv kern_pwrite kern_readv kern_writev memdesc nda nvme_ physio scsi_ vn_ "
            "xpdone xport xpt",
        ),
        ("controller", "ctl tpc_"),
        (
            "network",
            "bpf cc_ ck_epoch cubic doselwakeup epoch ether fib hhook hostcache if_ ifnet_ in6_ "
            "in_ inp_ ip6_ ip_ ipin ipout jenkins_hash ktls lo_ loif looutput knlist knote m_ mac_ mb_ mbuf "
            "mtrash netisr newreno nhop pfil raw_ rib_ rt_ sb_ sballoc sbappend sbavail sbcompress "
            "sbcreate sbcut sbdrop sbfree sbreserve sbsnd sbused sbwait so_ sock soclose socreate "
            "soiolock sopoll sorc soreceive soreserve sorwakeup sosend soup sowakeup sowwakeup "
            "swi_net syncache tcbinfo tcp udp uipc_ vnet",
        ),
        (
            "scheduler",
            "ast callout choosethread cpu_copy cpu_search cpu_switch cpu_throw critical ctx_switch "
            "cv_ fork_ forward_ fpu intr_event_sched ithread itimer kern_thr kern_yield kick kse "
            "ld_ maybe_preempt maybe_resched mi_switch msleep propagate rsb_flush runq sched_ "
            "selwakeup seltd setrunnable sleep softclock swi_ taskqueue tdq tdsig thread_ "
            "turnstile umtx wakeup",
        ),
        (
            "locks",
            "atomic ck_ lock_ lockmgr mtx refcount rm_ rw_ smr_ spinlock sx_ sxlock unlock_",
        ),
        (
            "memory",
            "PHYS_TO bucket cache_alloc cache_free contig domainset free keg kmem malloc page "
            "phys_ pmap pmc realloc slab uma vm_ zfree zone",
        ),
        (
            "interrupt",
            "X acpi alltraps apic bintime binuptime calltrap clock cpu_initclocks "
            "cpu_new_callout cpu_tick cpustop doreti et_ getbin getmicro getnano handle "
            "hardclock hpet intr ioapic ipi lapic microtime microuptime msi nanotime nanouptime "
            "native_lapic nmi ns8250 profclock rdtsc smp_ statclock tc_ timer trap tsc uart "
            "virtqueue vt",
        ),
        (
            "syscall",
            "VOP amd64_syscall cap_ cpu_fetch cpu_set cred crhold fast_syscall fdrop fget fo_ "
            "foffset ifunc kern_ ktr namei priv_ sig signo sys_ syscall td_ user vfs vget vop "
            "vput vref",
        ),
    )
]


def group(where, function):
    known = _MODULES.get(where)
    if known:
        return known
    if where == "kernel":
        bare = function.lstrip("_")
        for name, beginnings in _KERNEL:
            if bare.startswith(beginnings):
                return name
    return "other"
