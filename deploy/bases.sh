#!/bin/sh
# Images to build on, from Debian's packages, for places without a container registry: python-base (to build on), python-runtime
# (to run on), valkey (the server). As root, with mmdebstrap and buildah; options of buildah in BUILDAH, tar files stay in $1.
# What is there is not made again.
set -eu
folder=$1
buildah=${BUILDAH:-buildah}
mkdir -p "$folder"
lean="--dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/man/* --dpkgopt=path-exclude=/usr/share/locale/*
    --dpkgopt=path-exclude=/usr/lib/*/gconv/*"
# What perl was needed for is done once the system is unpacked.
perl='usrmerge libfile-find-rule-perl libnumber-compare-perl libtext-glob-perl perl perl-modules-5.36 libperl5.36'

tar_of() { # name, suite, options of mmdebstrap
    name=$1 suite=$2
    shift 2
    [ -s "$folder/$name.tar" ] && return
    mmdebstrap --quiet "$@" "$suite" "$folder/$name.part"
    mv "$folder/$name.part" "$folder/$name.tar"
}
set -f # the patterns are dpkg's
tar_of python-base bookworm --format=tar --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates,binutils
tar_of python-runtime bookworm --format=tar --variant=essential $lean --include=python3,ca-certificates,libstdc++6,usr-is-merged \
    "--customize-hook=chroot \"\$1\" dpkg --purge $perl"
tar_of valkey trixie --format=tar --variant=minbase --include=valkey-server,valkey-tools
for name in python-base python-runtime valkey; do
    $buildah inspect --type image "localhost/$name" >/dev/null 2>&1 && continue
    printf 'FROM scratch\nADD %s.tar /\n' "$name" >"$folder/Containerfile"
    $buildah bud --layers --isolation chroot --tag "localhost/$name" --file "$folder/Containerfile" "$folder"
done
