# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""Processes that are stopped for a while, as a machine that hangs."""

import signal


class Freezable:
    """What has a `process`; it is frozen with all of its connections open."""

    frozen = False

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)
        self.frozen = False

    def kill_process(self):
        """Its end, if it has not ended by itself."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
