# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Which part of the system a function belongs to."""

import re

# The order of a report.
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
    "idle",
)

_MODULES = {
    "nvmf.ko": "host",
    "nvmf_transport.ko": "transport",
    "nvmf_tcp.ko": "transport",
    "nvmft.ko": "controller",
    "user": "user",
}

# The first that matches the name of a function of the kernel.
_KERNEL = [
    (group, re.compile(f"(?:{pattern})"))
    for group, pattern in (
        ("idle", r"cpu_idle|sched_idletd|acpi_cpu_(idle|c1)|cpu_mwait|pagezero_idle"),
        ("random", r"random|_libmd_SHA256|rijndael|chacha|fortuna"),
        ("copy", r"memdesc_copy|mc_(get|set|next|init)|(__)?explicit_bzero|mem(cpy|move|set|cmp)|b(copy|zero)|copy(in|out)|fu(word|byte)|su(word|byte)"
                 r"|uiomove|pagezero|sse2_pagezero|m_copydata$|m_copyback|cpu_fetch"),
        ("crc", r"calculate_crc32|crc32|sse42_crc32|gsb_crc32|multitable_crc|singletable_crc"),
        ("host", r"cam_|camq|xpt|xpdone|nda|nvme_|g_|geom|physio|dev(fs|vn|_)|bio|xport|scsi_"
                 r"|disk|devstat|memdesc|b_|d_|kern_(pread|pwrite|readv|writev)|dofile|vn_|giant_"),
        ("controller", r"ctl|tpc_"),
        ("network", r"tcp|ip_|ip6_|in_|in6_|inp_|ip(out|in)|so[a-z]*(send|receive|create|close|"
                    r"poll|rcv|wakeup|upcall)|so_|sor|sow|sob|sb[a-z]*_?|sock|m_|mb_|uipc_|netisr|"
                    r"if_|lo(output|out|if)|loopback|simloop|if_simloop|ether|cc_|newreno|"
                    r"cubic|hhook|syncache|ktls|fib|nhop|rt_|rib_|pfil|bpf|mac_|raw_|udp|vnet|"
                    r"hostcache|tcbinfo|mbuf|mtrash|_?epoch|_ck_epoch|_inp_|soiolock|"
                    r"jenkins_hash|ifnet_|doselwakeup"),
        ("scheduler", r"sched_|mi_switch|choosethread|cpu_(switch|search|copy)|"
                      r"rsb_flush|ctx_switch|fpu|ld_|tdq|runq|sleepq|wakeup|_?sleep|msleep|"
                      r"_cv_|cv_|turnstile|propagate|taskqueue|callout|softclock|thread_|"
                      r"setrunnable|maybe_(resched|preempt)|critical|kick|forward_|ast|fork_|"
                      r"umtx|itimer|kern_(yield|thr)|cpu_throw|seltd|selwakeup|kse|kn|lock_profile|tdsig"
                      r"|swi_|intr_event_sched|ithread"),
        ("locks", r"_*(mtx|sx|rw|rm|lockmgr|spinlock|thread_lock)|lock_|unlock_|refcount|atomic|"
                  r"smr_|ck_"),
        ("memory", r"malloc|free|zfree|uma|zone|keg|cache_(alloc|free)|bucket|slab|vm_|pmap|"
                   r"kmem|contig|realloc|pmc|domainset|phys_|PHYS|page"),
        ("interrupt", r"X|(native_)?lapic|ipi|intr|hardclock|statclock|handle|tc_|binuptime|get(bin|micro|nano)"
                      r"|(bin|micro|nano)(up)?time|cpu_tick|tsc|timer|et_|clock|apic|ioapic|apic_|loapic|"
                      r"profclock|rdtsc|acpi|hpet|cpu_new_callout|cpu_initclocks|trap|calltrap|"
                      r"alltraps|doreti|cpustop|smp_|nmi|ltsc|xentimer|dtimer|msi|virtqueue|vt|uart|"
                      r"ns8250"),
        ("syscall", r"sys_|amd64_syscall|fast_syscall|syscall|fget|fdrop|cap_|priv_|crhold|"
                    r"cred|kern_|fo_|td_|user|vfs|vop|VOP|vput|vget|vref|namei|signo|sig|"
                    r"foffset|ktr|ifunc|cpu_(set|fetch)_|cpu_set_syscall"),
    )
]


def group(where, function):
    known = _MODULES.get(where)
    if known:
        return known
    if where == "kernel":
        for name, pattern in _KERNEL:
            if pattern.match(function):
                return name
    return "other"
