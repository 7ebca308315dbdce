"""Encrypts or decrypts a file by an implementation of the age format of another make.

age_format.py encrypt RECIPIENT FROM TO
age_format.py decrypt IDENTITIES FROM TO
"""

import sys

from age.file import Decryptor, Encryptor
from age.keys.agekey import AgePrivateKey, AgePublicKey


def main():
    way, key, source, target = sys.argv[1:]
    with open(source, "rb") as file, open(target, "wb") as into:
        if way == "encrypt":
            with Encryptor([AgePublicKey.from_public_string(key)], into) as encryptor:
                encryptor.write(file.read())
        else:
            with open(key) as lines:
                secrets = [line.strip() for line in lines if line.startswith("AGE-SECRET")]
            keys = [AgePrivateKey.from_private_string(secret) for secret in secrets]
            with Decryptor(keys, file) as decryptor:
                into.write(decryptor.read())


main()
