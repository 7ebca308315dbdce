"""Compares each Ogg below a folder with the FLAC that was made of it, both read by libsndfile.

Usage: audio.py FOLDER. Prints how many pairs there are and the worst distance in dB. Fails where
two are not of one length, rate or number of channels.
"""

import json
import pathlib
import sys

import numpy
import soundfile

compared, worst = 0, float("inf")
for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.ogg")):
    original, rate = soundfile.read(path, always_2d=True)
    made, made_rate = soundfile.read(path.with_suffix(".flac"), always_2d=True)
    if (original.shape, rate) != (made.shape, made_rate):
        raise SystemExit(f"{path}: {original.shape} at {rate}, {made.shape} at {made_rate}")
    noise = numpy.sum((original - made) ** 2)
    worst = min(worst, 10 * numpy.log10(numpy.sum(original**2) / max(noise, 1e-12)))
    compared += 1
print(json.dumps({"compared": compared, "worst_db": float(worst)}))
