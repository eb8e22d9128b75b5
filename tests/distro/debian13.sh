#!/usr/bin/env bash
# Debian 13 (glibc 2.41, g++ 14) with this machine's files; needs root and debootstrap.
#   debian13.sh make ROOT                     installs it in a folder, and the libraries that an interpreter is linked to
#   debian13.sh run ROOT FOLDER… -- COMMAND…  runs a command in it, where it is called, with these folders of the machine
set -euo pipefail
command=$1
root=$2
shift 2

case $command in
make)
    debootstrap --variant=minbase --include=g++,libpython3-stdlib trixie "$root"
    ;;
run)  # in a mount namespace of its own, which ends with the command: nothing is ever left mounted
    exec unshare --mount bash -euc '
        root=$1
        shift
        while [ "$1" != -- ]; do
            mkdir -p "$root$1"
            mount --rbind "$1" "$root$1"
            shift
        done
        exec chroot "$root" env --chdir="$PWD" "${@:2}"' - "$root" /dev /proc /sys "$@"
    ;;
esac
