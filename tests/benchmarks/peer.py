"""A downloader as one writes it in Python: `peer.py URLS DESTINATION THREADS`."""

import concurrent.futures
import pathlib
import shutil
import sys
import threading

import boto3
import botocore.config
import requests

listed, destination, threads = sys.argv[1:]
local = threading.local()
client = None
if destination.startswith("s3://"):
    settings = botocore.config.Config(s3={"addressing_style": "path"}, max_pool_connections=2 * int(threads))
    client = boto3.client("s3", config=settings)
else:
    pathlib.Path(destination).mkdir()


def bring(number, url):
    if not hasattr(local, "session"):
        local.session = requests.Session()
    with local.session.get(url, stream=True) as response:
        response.raise_for_status()
        if client:
            bucket, prefix = destination.removeprefix("s3://").split("/", 1)
            client.upload_fileobj(response.raw, bucket, f"{prefix}/{number}.ogg")
        else:
            with open(f"{destination}/{number}.ogg", "wb") as file:
                shutil.copyfileobj(response.raw, file, 1 << 20)


with concurrent.futures.ThreadPoolExecutor(int(threads)) as pool:
    urls = pathlib.Path(listed).read_text().split()
    for done in [pool.submit(bring, number, url) for number, url in enumerate(urls)]:
        done.result()
