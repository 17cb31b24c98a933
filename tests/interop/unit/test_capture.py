# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors

"""What makes a capture good or bad."""

import unittest

from interoplib.capture import FIELDS, judge
from interoplib.report import Failure

KINDS = (0, 1, 4, 5, 6, 7, 9)


def frame(number, kinds, plen=100, hdgst=0, ddgst=0):
    fields = dict.fromkeys(FIELDS, "")
    fields["frame.number"] = str(number)
    fields["nvme-tcp.type"] = ",".join(map(str, kinds))
    fields["nvme-tcp.plen"] = ",".join([str(plen)] * len(kinds))
    fields["tcp.len"] = str(plen * len(kinds))
    fields["nvme-tcp.hdgst.status"] = ",".join(["1"] * hdgst)
    fields["nvme-tcp.ddgst.status"] = ",".join(["1"] * ddgst)
    return fields


def good(hdgst=0, ddgst=0):
    return [frame(1, KINDS, hdgst=hdgst, ddgst=ddgst)]


class Judge(unittest.TestCase):
    def bad(self, frames, words, header=False, data=False):
        with self.assertRaisesRegex(Failure, words):
            judge(frames, header, data)

    def test_good(self):
        self.assertEqual(judge(good(), False, False), "7 PDUs, 0 MiB, 0 digests")
        self.assertIn("7 digests", judge(good(hdgst=5, ddgst=2), True, True))

    def test_malformed(self):
        broken = frame(2, ())
        broken["_ws.malformed"] = "Malformed Packet"
        self.bad([*good(), broken], "frame 2 is malformed")

    def test_expert_error(self):
        wrong = frame(2, ())
        wrong["_ws.expert.severity"] = "2097152,8388608"
        self.bad([*good(), wrong], "frame 2 is in error")

    def test_nothing_was_captured(self):
        self.bad([], "no ICReq")
        self.bad([frame(1, (0, 1, 4, 5))], "no H2CData, C2HData, R2T")

    def test_terminated(self):
        self.bad([*good(), frame(2, (3,))], "Terminate")

    def test_bytes_that_are_in_no_pdu(self):
        rest = frame(2, ())
        rest["tcp.len"] = "10"
        self.bad([*good(), rest], "of 710 bytes, 700")
        rest["tcp.analysis.retransmission"] = "1"
        judge([*good(), rest], False, False)

    def test_digests(self):
        self.bad(good(hdgst=5), "5 header digests")
        self.bad(good(hdgst=4), "4 header digests", header=True)
        self.bad(good(ddgst=1), "1 data digests", data=True)
        self.bad(good(ddgst=2), "2 data digests")
        wrong = good(ddgst=2)
        wrong[0]["nvme-tcp.ddgst.status"] = "1,0"
        self.bad(wrong, "ddgst.status is 1,0", data=True)


if __name__ == "__main__":
    unittest.main()
