"""The documentation of crates as data, which two checks read."""

import os
import pathlib
import subprocess
import tempfile


def documented(folder, target, more=""):
    """Has the libraries of the workspace in a folder documented; returns where, a file for each crate. `more` are
    further flags of rustdoc."""
    with tempfile.TemporaryDirectory() as scratch:
        # The format is not stable: only the documentation tool is told that this is known.
        tool = pathlib.Path(scratch) / "rustdoc"
        tool.write_text('#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n')
        tool.chmod(0o755)
        flags = f"-Zunstable-options --output-format=json --cap-lints=allow {more}".strip()
        environment = {**os.environ, "RUSTDOC": str(tool), "RUSTDOCFLAGS": flags, "CARGO_TARGET_DIR": str(target)}
        # What the face gives out, also what it does not by default.
        features = ["--features", "recording-host/cluster"]
        subprocess.run(["cargo", "doc", "--quiet", "--workspace", "--no-deps", "--lib", *features],
                       cwd=folder, check=True, env=environment)
    return pathlib.Path(target) / "doc"
