"""Reads every WAV file below a folder and prints its channels and its length in ms, by its path.

Usage: wav.py FOLDER. Fails where a file has fewer samples than its header tells.
"""

import json
import pathlib
import sys
import wave

root = pathlib.Path(sys.argv[1])
found = {}
for path in sorted(root.rglob("*.wav")):
    with wave.open(str(path)) as file:
        frames = file.getnframes()
        width = file.getnchannels() * file.getsampwidth()
        if len(file.readframes(frames)) != frames * width:
            raise SystemExit(f"{path} is cut off")
        length = frames * 1000 // file.getframerate()
        found[str(path.relative_to(root))] = [file.getnchannels(), length]
print(json.dumps(found))
