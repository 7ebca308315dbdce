"""Runs a program on a terminal of its own and copies what it writes there to standard output.

terminal.py COLUMNS ROWS PROGRAM [ARGUMENT...]

Ends with the program's exit code. A line `stop` on standard input interrupts the program as Ctrl-C does,
and a line `close` closes its terminal: the system sends it SIGHUP. With `STDOUT=PATH` in the environment its
standard output goes to that file."""

import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios

columns, rows = int(sys.argv[1]), int(sys.argv[2])
child, terminal = pty.fork()
if child == 0:
    # Whoever runs the tests may ignore it, as `nohup` does.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    size = struct.pack("HHHH", rows, columns, 0, 0)
    fcntl.ioctl(2, termios.TIOCSWINSZ, size)
    if "STDOUT" in os.environ:
        os.dup2(os.open(os.environ["STDOUT"], os.O_WRONLY | os.O_CREAT, 0o600), 1)
    os.execv(sys.argv[3], sys.argv[3:])
inputs = [terminal, 0]
while True:
    ready, _, _ = select.select(inputs, [], [])
    if 0 in ready:
        asked = os.read(0, 4096)
        if not asked:
            inputs.remove(0)
        if b"stop" in asked:
            os.write(terminal, b"\x03")
        if b"close" in asked:
            os.close(terminal)
            break
    if terminal in ready:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            break
        if not data:
            break
        while data:
            data = data[os.write(1, data):]
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
