#!/bin/sh
# Brings back what deploy/backup.sh copied, into folders that are empty. Everything must be stopped:
#
#   deploy/restore.sh BACKUP LOG_FOLDER STATE_FOLDER ARCHIVE_FOLDER
#
# State that is left out (`-` for its folder) is made again from archive and log by the worker, which takes longer.
set -eu
[ $# -eq 4 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
backup=$1
(cd "$backup" && sha256sum --quiet --check SHA256SUMS)
for folder in "$2" "$3" "$4"; do
    [ "$folder" = - ] && continue
    mkdir -p "$folder"
    if [ -n "$(ls -A "$folder")" ]; then
        echo "$folder is not empty: move away what is there" >&2
        exit 1
    fi
done
cp -R "$backup/log/appendonlydir" "$2/"
[ "$3" = - ] || cp -R "$backup/state/appendonlydir" "$3/"
cp -R "$backup/archive/." "$4/"
