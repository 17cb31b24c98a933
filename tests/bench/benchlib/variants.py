# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Which modules run on which side."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Variant:
    """A mix of modules, and what is set in the guest before they load."""

    name: str
    rust: str
    sysctls: tuple = ()


VARIANTS = {
    v.name: v
    for v in (
        Variant("c", ""),
        Variant("c-delack0", "", ("net.inet.tcp.delayed_ack=0",)),
        Variant("rust", "transport tcp host target"),
        # The transport is shared by both sides; it is ours in both mixes.
        Variant("rust-host", "transport tcp host"),
        Variant("rust-target", "transport tcp target"),
    )
}

TITLES = {
    "c": "C as shipped",
    "c-delack0": "C with net.inet.tcp.delayed_ack=0",
    "rust": "Rust",
    "rust-host": "Rust host and transport, C target",
    "rust-target": "Rust target and transport, C host",
    "linux": "Linux host and target on null_blk",
}
