# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What on a guest's console means that the kernel is not well."""

import re

# Each pattern is searched in one line of the console.
TROUBLE = [
    re.compile(p)
    for p in (
        r"\bpanic: ",
        r"[Ff]atal trap \d+",
        r"\bKDB: (?!debugger backends|current backend)",
        r"^db> ",
        r"lock order reversal",
        r"acquiring duplicate lock",
        r"non-sleepable lock",
        r"could sleep with",
        r"Sleeping (thread|on) ",
        r"\bwitness_",
        r"WITNESS(?! option enabled)",
        r"Memory modified after free",
        r"Duplicate free of ",
        r"leaked memory on destroy",
        r"stack overflow detected",
        r"Stray timer|spin lock .* held too long",
        r"deadlres_td_",
        r"exclusive .* locked @ ",
    )
]

# After one of these nothing more will come.
FATAL = re.compile(r"\bpanic: |[Ff]atal trap \d+|^db> |^mountroot> |Uptime: ")

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[0-9=>]|\r")


def clean(text):
    """Without terminal control sequences and carriage returns."""
    return _ANSI.sub("", text)


def trouble(text, allow=()):
    """The lines of text that no healthy kernel prints."""
    return [
        line
        for line in clean(text).splitlines()
        if any(p.search(line) for p in TROUBLE)
        and not any(a in line for a in allow)
    ]


def fatal(text):
    return any(FATAL.search(line) for line in clean(text).splitlines())
