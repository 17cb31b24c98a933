# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Every figure that was measured, one JSON object a line, never rewritten."""

import hashlib
import json


class OtherBuild(Exception):
    """The samples that are there are not of what is measured now."""


def fingerprint(paths, **settings):
    """Names what was measured: the contents of files, and settings."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    digest.update(json.dumps(settings, sort_keys=True).encode())
    return digest.hexdigest()[:16]


class Store:
    """Samples of one build.  A run that was stopped goes on where it was."""

    def __init__(self, path, build):
        self.path = path
        self.samples = []
        self.boots = []
        if path.exists():
            self.load(build)
        else:
            self.append({"build": build})

    def load(self, build):
        for number, line in enumerate(self.path.read_text().splitlines()):
            record = json.loads(line)
            if number == 0:
                if record.get("build") != build:
                    raise OtherBuild(
                        f"{self.path} is of other modules, another kernel or other settings"
                    )
            elif "cell" in record:
                self.samples.append(record)
            else:
                self.boots.append(record)

    def append(self, record):
        with open(self.path, "a", encoding="ascii") as out:
            out.write(json.dumps(record) + "\n")

    def sample(self, pair, variant, cell, figures):
        record = {"pair": pair, "variant": variant, "cell": cell, "figures": figures}
        self.append(record)
        self.samples.append(record)

    def boot(self, pair, variant, failure=None, seconds=None):
        """A boot is over; failure says why not all of it was measured."""
        record = {"pair": pair, "variant": variant, "failure": failure, "seconds": seconds}
        self.append(record)
        self.boots.append(record)

    def done(self, pair, variant):
        return any(b["pair"] == pair and b["variant"] == variant for b in self.boots)

    def expected(self, variant):
        """Seconds of a boot, going by those that were; None if there was none."""
        every = [b for b in self.boots if b.get("seconds") is not None]
        like = [b for b in every if b["variant"] == variant] or every
        return sum(b["seconds"] for b in like) / len(like) if like else None

    def failures(self):
        return [b for b in self.boots if b["failure"]]

    def cells(self):
        return list(dict.fromkeys(s["cell"] for s in self.samples))

    def figures(self, cell, variant, key):
        """{pair: figure}"""
        return {
            s["pair"]: s["figures"][key]
            for s in self.samples
            if s["cell"] == cell and s["variant"] == variant and key in s["figures"]
        }
