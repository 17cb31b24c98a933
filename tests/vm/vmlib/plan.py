# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Which scenarios run in which boots."""

import dataclasses

MODULES = ("transport", "tcp", "host", "target")
ALL_RUST = " ".join(MODULES)


@dataclasses.dataclass(frozen=True)
class Run:
    """One scenario: a script, what it gets in its environment, how long it has."""

    scenario: str
    env: dict
    seconds: int = 600
    label: str = ""

    @property
    def name(self):
        return f"{self.scenario}{':' + self.label if self.label else ''}"


@dataclasses.dataclass(frozen=True)
class Boot:
    """One start of a guest and what runs in it, in order."""

    name: str
    runs: tuple
    debug: bool = False


def interchange(transport):
    """The mixes that have this kind of transport module, most C first.

    The C transport module cannot be unloaded, so the mixes with it and those
    with ours are different boots.
    """
    wanted = {frozenset(), frozenset(MODULES)}
    for module in MODULES:
        wanted.add(frozenset({module}))
        wanted.add(frozenset(MODULES) - {module})
    mixes = [m for m in wanted if ("transport" in m) == transport]
    mixes.sort(key=lambda m: (len(m), [x not in m for x in MODULES]))
    return [" ".join(x for x in MODULES if x in m) for m in mixes]


def mix_label(mix):
    return "rust=" + (mix.replace(" ", "+") or "none")


def plan(have_rust, have_debug, full):
    """The boots of a whole run."""
    c_boot = Boot(
        "c",
        (
            Run("uses", {"NVMF_RUST": ""}, label="c"),
            *(
                Run("interchange", {"NVMF_RUST": m}, 300, mix_label(m))
                for m in (interchange(False) if have_rust else [""])
            ),
        ),
    )
    if not have_rust:
        return [c_boot]
    size = "all" if full else "full"
    rust = {"NVMF_RUST": ALL_RUST}
    boots = [
        Boot("uses", (Run("uses", rust),)),
        c_boot,
        Boot(
            "interchange",
            tuple(
                Run("interchange", {"NVMF_RUST": m}, 300, mix_label(m))
                for m in interchange(True)
            ),
        ),
        Boot("data", (Run("data", {**rust, "SIZE": size}, 1800),)),
        Boot("lifecycle", (Run("lifecycle", {**rust, "ROUNDS": "50"}, 900),)),
        Boot("badinput", (Run("badinput", rust, 900),)),
    ]
    if have_debug:
        boots.append(
            Boot(
                "debug",
                (
                    Run("uses", rust, 900, "debug"),
                    Run("lifecycle", {**rust, "ROUNDS": "50" if full else "10"}, 1800, "debug"),
                    Run("badinput", rust, 1800, "debug"),
                    Run("data", {**rust, "SIZE": "all" if full else "small"}, 1800, "debug"),
                ),
                debug=True,
            )
        )
    return boots
